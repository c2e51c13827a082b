// An application at one end of a simulated connection: it sends what its plan says, reads as its plan says,
// checks every byte, and ends the connection.
#pragma once

#include <deque>
#include <string>

#include "tests/sim/host.h"
#include "tests/sim/link.h"

namespace sluice::sim {

struct Plan {
  uint64_t send = 0, receive = 0;  // bytes, all in all
  // 0: sends all it has. Otherwise answers: for each `per` bytes received, `reply` bytes may be sent; `first`
  // at once.
  uint64_t per = 0, reply = 0, first = 0;
  uint32_t piece = 16384;                                                       // bytes of one send() at most
  Duration send_gap{};                                                          // between sends
  enum class Bytes : uint8_t { forever, keeper, mbuf } bytes = Bytes::forever;  // who keeps them alive
  enum class Read : uint8_t { at_once, slowly, in_pauses } read = Read::at_once;
  uint32_t read_bytes = 8192;  // slowly: that much,
  Duration read_every = Duration::millis(20);
  enum class End : uint8_t { shut_down, wait_for_peer, close, abort } end = End::shut_down;
  uint64_t abort_at = 0;  // bytes received
  bool may_fail = false;  // the peer aborts
  Duration start{};       // active opener: when
  bool keepalive = false;
};

class Endpoint final : private tcp::Keeper {
 public:
  Endpoint(Host& host, const Plan& plan, uint64_t stream_out, uint64_t stream_in)
      : host_(host), plan_(plan), out_(stream_out), in_(stream_in) {}
  void drop_held();  // frees what it holds; before the host goes

  void opened(Instant now, tcp::ConnId id);
  void on(Instant now, const tcp::Event& e);
  void act(Instant now);                  // sends and reads what is possible now
  Instant wake() const { return wake_; }  // when to act without an event
  bool done() const { return done_; }
  const std::string& wrong() const { return wrong_; }
  const Plan& plan() const { return plan_; }
  tcp::ConnId conn() const { return conn_; }
  std::string progress() const;
  uint32_t held_mbufs() const { return static_cast<uint32_t>(held_.size()); }
  uint64_t received() const { return received_; }
  unsigned keepers_out() const { return keepers_; }
  bool connected() const { return connected_; }

 private:
  struct Held {
    rte_mbuf* m;
    uint32_t bytes;
  };
  void release() override { keepers_--; }
  void data(Instant now, const tcp::Event& e);
  void read(Instant now);
  void read_some(Instant now, uint32_t bytes);
  void send(Instant now);
  bool send_piece(Instant now, uint32_t n);
  uint64_t may_send() const;
  void end(Instant now);
  void fail(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }
  void wake_at(Instant t) { wake_ = std::min(wake_, t); }

  Host& host_;
  Plan plan_;
  Pattern out_, in_;
  tcp::ConnId conn_;
  uint64_t sent_ = 0, acked_ = 0, received_ = 0;
  unsigned keepers_ = 0;
  bool connected_ = false, peer_closed_ = false, shut_ = false, done_ = false, paused_ = false;
  std::deque<Held> held_;
  Instant wake_ = Instant::never(), next_read_{}, next_send_{};
  std::string wrong_;
};

}  // namespace sluice::sim
