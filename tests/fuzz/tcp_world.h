// A TCP stack whose network, application and clock are driven by fuzz input. Input: a list of operations, each a byte
// and its arguments. Segments are built around what the stack expects (its own last segments say so), off by a little or by
// much, so that every state is reached and its edges are tried.
//
// The byte at sequence number s is always f(s), in both directions: whatever is cut, repeated, overlapped or reordered,
// every byte that is delivered or sent must be f of its place. What else must hold, after every operation: sizes within
// limits, buffers where the books say; at the end, with all connections closed and time gone by, nothing is left.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>

#include "fuzz/input.h"
#include "fuzz/poison.h"
#include "tcp/stack.h"

namespace sluice::fuzz {

class TcpWorld : public tcp::Sink {
 public:
  // `misuse`: mostly commands, with handles that are stale, never were, or have been used up.
  TcpWorld(Input in, bool misuse);
  ~TcpWorld();
  void run();
  static unsigned states_seen() { return states_seen_; }

 private:
  static constexpr unsigned kPeers = 6;

  // What a peer knows of its connection, from the segments that the stack sends it.
  struct Peer {
    tcp::Tuple tuple;  // from the stack's side
    tcp::Seq expects;  // the stack's last ACK: where our next byte goes
    tcp::Seq sent;     // behind the stack's last byte
    uint32_t ts = 0;   // the stack's last timestamp
  };
  struct Held {        // a data event that the application has not used up
    rte_mbuf* m;
    tcp::ConnId conn;
    uint16_t length;
  };
  struct Connection {
    tcp::Seq next;           // of received data
    bool started = false;
    uint32_t unused = 0;     // delivered, receive_done() outstanding
    tcp::Seq queued;         // behind the last byte given to send()
    bool peer_closed = false;
  };
  struct KeptBytes final : tcp::Keeper {
    TcpWorld* world = nullptr;
    std::array<uint8_t, 8192> bytes;
    unsigned released = 0, used = 0;
    void release() override { released++; }
  };

  bool send(const tcp::OutSegment& s) override;
  void step();
  void segment();
  void orderly();
  void icmp();
  void time();
  void command();
  void connect();
  void listen();
  void app_send(tcp::ConnId id);
  void receive_done(tcp::ConnId id);
  void take_events();
  void take_data(const tcp::Event& e);
  void deliver(const Peer& p, tcp::InSegment s, std::span<const uint8_t> raw_options);
  void fill(tcp::InSegment& s, Peer& p, unsigned length);
  tcp::ConnId some_handle();
  void invariants();
  void drain();
  void forget(tcp::ConnId id);

  Input in_;
  bool misuse_;
  Instant now_ = Instant{} + Duration::seconds(1000);
  tcp::Config config_;
  Buffers buffers_;
  std::unique_ptr<tcp::Stack> stack_;
  std::array<Peer, kPeers> peers_;
  std::map<std::pair<uint32_t, uint32_t>, Connection> open_;  // index, generation
  std::deque<tcp::ConnId> handles_;                            // also of connections long gone
  std::deque<Held> held_;
  std::deque<std::unique_ptr<KeptBytes>> sent_bytes_;
  std::deque<tcp::ListenerId> listeners_;
  unsigned sends_ = 0;
  static unsigned states_seen_;  // bits, by tcp::State
};

}  // namespace sluice::fuzz
