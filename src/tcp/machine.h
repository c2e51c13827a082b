// The state machine's shared part: a Core, the listeners, the lists that order connections by age, and the connections
// that have something to tell. Its functions are spread over input.cc (segments), listen.cc (LISTEN and cookies),
// receive_text.cc (payload), life.cc (from making a block to giving it back) and stack.cc (commands and views).
#pragma once

#include <optional>

#include "tcp/core.h"
#include "tcp/stack.h"

namespace sluice::tcp {

inline constexpr uint32_t kMaxListeners = 1024;

struct Listener {
  ListenOptions options;
  uint32_t connections = 0;       // alive, of this listener
  ListenerId next = kNoListener;  // the chain of its port
  bool used = false;
};

// Oldest first, through Tcb::list_prev and list_next. A connection is on at most one.
struct AgeList {
  uint32_t head = kNone, tail = kNone, size = 0;
};

// Bits of Tcb::pending.
inline constexpr uint8_t kTellAccepted = 1, kTellConnected = 2, kTellPeerClosed = 4, kTellEnd = 8;

class Machine {
 public:
  Machine(const Config& c, const Secrets& s, Buffers& b, Sink& out) : core(c, s, b, out) {}
  ~Machine();

  Core core;

  // --- input.cc
  Taken receive(const InSegment& s);
  void icmp(const IcmpError& e);

  // --- listen.cc
  Outcome listen(const ListenOptions& o, ListenerId& id);
  Outcome unlisten(ListenerId id);
  bool address_in_use(const IpAddr& a, uint16_t port) const;
  ListenerId find_listener(const IpAddr& a, uint16_t port) const;
  Taken at_listener(ListenerId id, const InSegment& s);
  // CLOSED (RFC 9293 3.10.7.1): a reset, within the limit.
  Taken at_closed(const InSegment& s);
  Outcome connect(const ConnectOptions& o, ConnId& id);
  void established(Tcb& c);  // from SYN-RECEIVED or SYN-SENT
  bool cookies() const { return cookies_ && half_open_.size > cookie_mark() / 2; }
  uint32_t listeners() const { return listeners_used_; }

  // --- receive_text.cc
  // Payload of an acceptable segment, trimmed to what is new and fits; sees to ACKs and marks what it queued.
  Taken text(Tcb& c, const InSegment& s);
  void open_window(Tcb& c);                       // the application made room: a window update, if it is worth one
  Event take_data(Tcb& c);                        // the first buffer of the queue, for the application
  void drop_received(Tcb& c);                     // frees queue and what is ahead

  // --- life.cc
  Tcb* make(const Tuple& t, uint64_t hash);       // null: every block is in use, and none in TIME-WAIT
  void enter_time_wait(Tcb& c);
  // Both directions are done, or `why`; the connection leaves the table. The application is told, unless it left.
  void end(Tcb& c, Failure why);
  void arm_keepalive(Tcb& c);
  void timer(uint32_t id);
  void tell(Tcb& c, uint8_t bits);                // puts it on the list of those with events
  bool has_events() const { return ready_head_ != kNone; }
  unsigned events(std::span<Event> out);
  void flush();
  void add(AgeList& l, Tcb& c);
  void remove(AgeList& l, Tcb& c);
  Tcb* find(ConnId id);                           // null: stale
  const Tcb* find(ConnId id) const { return const_cast<Machine*>(this)->find(id); }
  ConnId id_of(const Tcb& c) const { return {core.index_of(c), c.generation}; }
  void leave(Tcb& c);                             // the application is finished with it
  void queue_close(Tcb& c);                       // CLOSE (RFC 9293 3.10.4): the FIN follows what is queued
  const AgeList& half_open() const { return half_open_; }
  const AgeList& time_wait() const { return time_wait_; }

 private:
  // input.cc: the numbered steps of RFC 9293 3.10.7.4
  Taken in_syn_sent(Tcb& c, const InSegment& s);
  Taken in_other_states(Tcb& c, InSegment s);
  bool paws_rejects(Tcb& c, const InSegment& s);
  bool acceptable(const Tcb& c, const InSegment& s) const;
  void answer_unacceptable(Tcb& c, const InSegment& s);
  void on_reset(Tcb& c, const InSegment& s);
  bool reused_in_time_wait(Tcb& c, const InSegment& s, Taken& out);
  bool check_ack(Tcb& c, const InSegment& s);
  void on_fin(Tcb& c);
  void challenge(Tcb& c);

  // listen.cc
  bool full(const Listener& l);
  Tcb* make_passive(ListenerId id, const InSegment& s);
  void negotiate(Tcb& c, const wire::TcpOptions& o, bool peer_asks_ecn);
  Taken send_cookie(const Listener& l, const InSegment& s);
  Taken from_cookie(ListenerId id, const InSegment& s);
  void take_options(Tcb& c, uint32_t receive_buffer, uint32_t send_buffer, bool nagle, bool keepalive, Duration timeout);
  bool pick_port(const ConnectOptions& o, Tuple& t);
  bool cookies_wanted();
  uint32_t cookie_mark() const;

  // receive_text.cc
  Taken in_order(Tcb& c, rte_mbuf* m, uint16_t offset, uint16_t length);
  Taken out_of_order(Tcb& c, rte_mbuf* m, Seq begin, uint16_t offset, uint16_t length);
  bool coalesce(Tcb& c, rte_mbuf* m, uint16_t offset, uint16_t length);
  void drain_ahead(Tcb& c);
  void drop_furthest(Tcb& c);
  void owe_ack(Tcb& c, uint32_t length);

  // life.cc
  void release(Tcb& c);
  void release_if_idle(Tcb& c);
  void life_timer(Tcb& c);
  bool tell_one(Tcb& c, Event& e);

  Listener listener_[kMaxListeners];
  ListenerId by_port_[256];
  uint32_t listeners_used_ = 0;
  AgeList half_open_, time_wait_;
  uint32_t ready_head_ = kNone, ready_tail_ = kNone;
  uint32_t next_generation_ = 1;
  uint32_t ephemeral_ = 0;
  bool cookies_ = false;
  std::optional<Seq> iss_floor_;  // while a SYN ends TIME-WAIT: the new incarnation starts above (RFC 6191 2)

 public:
  void start();  // after construction
};

struct Stack::Impl : Machine {
  using Machine::Machine;
};

}  // namespace sluice::tcp
