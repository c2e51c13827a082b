// A TCP stack as a pure library (RFC 9293): time and segments in, segments and events out. No clock, no thread, no
// global, no log, and no allocation after construction. It knows nothing of ports, IP headers, engines or configuration
// files. Single-threaded. Which RFC clause is done where, and which test shows it, is listed in README.md here.
//
// Theory of operation. receive() takes a burst's segments one by one; what they make sendable and the ACKs that they
// call for wait until flush(), at the burst's end, so that a burst is answered with few ACKs. tick() runs the timers
// that are due. What the application is to know is kept as bits and queues in the connection until events() collects
// it: nothing is lost however rarely it is called, and the memory for it is bounded. Commands take effect at once, but
// for sending, which flush() does.
//
// Memory: received mbufs are kept (Taken::By::library) and handed to the application as they are; their bytes and
// buffers count against the connection's window until receive_done(). A buffer counts as at least kBufferCharge bytes,
// so that one-byte segments close the window before they pin the pool.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "packet/buffers.h"
#include "tcp/config.h"
#include "tcp/segment.h"
#include "tcp/types.h"

namespace sluice::tcp {

inline constexpr uint32_t kBufferCharge = 256;

struct ListenOptions {
  IpAddr address;            // none(): any own address; the caller sees to it that only own ones come here
  uint16_t port = 0;
  uint64_t user = 0;         // of the connections accepted
  uint32_t receive_buffer = 0, send_buffer = 0;  // 0: Tuning's
  bool nagle = true, keepalive = false;
  Duration user_timeout{};   // 0: Tuning::give_up
  uint32_t backlog = 0;      // connections at a time, SYN-RECEIVED included; 0: no limit of its own. Above: SYN dropped
};

struct ConnectOptions {
  Tuple tuple;               // local_port 0: an ephemeral port (RFC 6056, algorithm 3)
  uint64_t user = 0;
  uint16_t mtu = 1500;
  Path path;
  uint32_t receive_buffer = 0, send_buffer = 0;
  bool nagle = true, keepalive = false;
  Duration user_timeout{};
  // Whether an ephemeral port will do (several stacks share the box's addresses: replies must come to this one); null:
  // any.
  bool (*fits)(void* data, const Tuple& t) = nullptr;
  void* fits_data = nullptr;
};

// A connection as people look at it.
struct Info {
  ConnId id;
  Tuple tuple;
  State state = State::closed;
  ListenerId listener = kNoListener;
  bool passive = false, orphan = false, sack = false, timestamps = false, ecn = false, paused = false, peer_fin = false;
  uint8_t snd_wind_shift = 0, rcv_wind_shift = 0;
  uint16_t snd_mss = 0, mss = 0;   // the peer's option; effective payload of a full segment
  uint32_t path_mtu = 0;
  Seq iss, irs, snd_una, snd_nxt, rcv_nxt;
  uint32_t snd_wnd = 0, rcv_wnd = 0;        // bytes
  uint32_t cwnd = 0, ssthresh = 0;          // bytes; ssthresh UINT32_MAX: not set yet
  const char* congestion = "";              // cubic, newreno
  const char* phase = "";                   // of loss recovery (sender.h)
  Duration srtt{}, rttvar{}, rto{}, rtt_min{};
  uint32_t in_flight = 0, lost = 0, sacked = 0, retransmissions = 0;
  uint32_t send_queue = 0, receive_queue = 0, out_of_order = 0, with_application = 0;  // bytes
  uint32_t receive_buffers = 0;             // mbufs of the last three
  Duration age{}, idle{};
  std::string_view timer;                   // what is armed next: "retransmit", "delayed ack", "keepalive", …, or ""
  Duration timer_in{};
};

class Stack {
 public:
  // Throws std::bad_alloc. Memory is mapped at once and touched as it is used. `buffers` and `sink` outlive the stack.
  Stack(const Config& c, const Secrets& s, Buffers& buffers, Sink& sink);
  ~Stack();  // frees every mbuf, tells nobody
  Stack(const Stack&) = delete;

  // --- from the network
  Taken receive(Instant now, const InSegment& s);
  void icmp(Instant now, const IcmpError& e);
  void flush(Instant now);      // the burst has ended
  // Runs timers that are due, at most `budget`, and flushes.
  void tick(Instant now, unsigned budget = 256);
  Instant next_deadline() const;

  // --- to the application
  bool has_events() const;
  unsigned events(std::span<Event> out);   // how many were filled in; call again until it says 0

  // --- commands. All but listen's take effect on the wire at the next flush().
  // Outcome in_use: the address and port; a listener on any address and one on a single address may share a port.
  Outcome listen(const ListenOptions& o, ListenerId& id);
  // New SYNs find it closed; its connections go on. Half-open ones are dropped.
  Outcome unlisten(ListenerId id);
  Outcome connect(Instant now, const ConnectOptions& o, ConnId& id);
  // All slices, or none of them (full). Their mbufs belong to the stack where it says ok.
  Outcome send(Instant now, ConnId id, std::span<const Slice> slices);
  uint32_t send_room(ConnId id) const;     // bytes that send() would take now; 0 for a stale handle
  // `bytes` of what data events brought are used up: the window opens. The mbufs themselves are the application's to
  // free (Buffers::free) or to send on, before or after. More than was handed out: wrong_state, and nothing happens.
  Outcome receive_done(Instant now, ConnId id, uint32_t bytes);
  Outcome pause(ConnId id);                // no data events from now on; the window closes as data arrives
  Outcome resume(Instant now, ConnId id);
  Outcome shutdown(Instant now, ConnId id);  // RFC 9293's CLOSE: no more to send; receiving goes on
  // The application is finished with it: the FIN follows what is queued, and no event comes any more; the handle is
  // stale. With data that it has not taken, or that comes later, the peer gets a reset (SHLD-3).
  // What was handed out in data events counts as read, with or without receive_done.
  Outcome close(Instant now, ConnId id);
  Outcome abort(Instant now, ConnId id);   // RST; the handle is stale, no event comes
  // RST by somebody else's will: the application is told (failed, aborted). One that it has left is ended, too.
  Outcome reset(Instant now, ConnId id);
  // The end of all: no listener any more; and, batch by batch, reset() of the connections in `slots` slots from `cursor` on
  // but for those in TIME-WAIT, whose peers wait for nothing. Returns the cursor to go on with, 0 at the end.
  void unlisten_all();
  uint32_t reset_some(Instant now, uint32_t cursor, unsigned slots);
  Outcome set_user(ConnId id, uint64_t user);
  Outcome set_nagle(ConnId id, bool on);
  Outcome set_keepalive(Instant now, ConnId id, bool on);
  Outcome set_user_timeout(ConnId id, Duration d);

  // --- views
  // Connections that their application has left are shown, too (Info::orphan), though commands call their handle stale.
  std::optional<Info> info(Instant now, ConnId id) const;
  // Connections from slot `cursor` on; returns the cursor to go on with, 0 at the end.
  uint32_t list(Instant now, uint32_t cursor, unsigned most, void* to, void (*row)(void* to, const Info&)) const;
  // The same of their tuples alone, for those that are open: slots, not rows, are counted.
  uint32_t list_open(uint32_t cursor, unsigned slots, void* to, void (*row)(void* to, const Tuple&)) const;
  const struct Counters& counters() const;
  struct Sizes {
    uint32_t connections, half_open, time_wait, listeners, chunks, records;
    bool cookies;              // SYNs are answered with cookies at the moment
    size_t memory_touched;     // bytes, without mbufs
  };
  Sizes sizes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::tcp
