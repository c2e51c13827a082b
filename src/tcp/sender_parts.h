// What the files of the sending half share; nobody else includes it.
#pragma once

#include <algorithm>

#include "tcp/sender.h"

namespace sluice::tcp {

inline constexpr uint32_t kMaxBurst = 64 * 1024 - 256;  // payload of one OutSegment
inline constexpr uint16_t kMinMss = 64;                 // a smaller one that the peer announces is taken as this
inline constexpr uint32_t kRecordsToSend = 2048;        // records of one connection: above, nothing new is sent
inline constexpr uint32_t kRecordsToSplit = 4096;       // … above, a SACK block that cuts a record in two is ignored
inline constexpr unsigned kDuplicateThreshold = 3;      // RFC 5681 3.2, RFC 8985 6.2

// What one acknowledgment brought.
struct AckNews {
  Seq prior_una;
  uint32_t prior_flight = 0;    // outstanding before
  uint32_t acked = 0;           // sequence numbers newly acknowledged
  uint32_t delivered = 0;       // acknowledged or SACKed for the first time
  uint32_t newly_lost = 0;
  uint32_t repeated = 0;        // bytes that a DSACK block reports
  Seq repeated_end;
  Instant sent = Instant::never();  // of the first range acknowledged that was sent once
  Duration rtt{};               // measured, 0: not
  bool resent_acked = false;    // some of what is acknowledged was sent more than once
  bool original = false;        // something was delivered that was sent once
  bool sacked = false;          // a SACK block told something new
  bool duplicate = false;       // RFC 5681 2's duplicate ACK
  bool echoed = false;          // ECE
};

// --- sequence space
inline Seq data_begin(const Tcb& c) { return c.tx.started ? c.snd_una : c.iss + 1; }
inline Seq data_end(const Tcb& c) { return data_begin(c) + c.tx.queued; }  // not after the FIN is acknowledged
inline uint32_t outstanding(const Tcb& c) { return static_cast<uint32_t>(c.snd_nxt - c.snd_una); }
inline Seq right_edge(const Tcb& c) { return c.snd_una + c.snd_wnd; }
inline bool fin_waits(const Tcb& c) { return c.fin_queued && !c.tx.fin_sent; }
inline bool new_waits(const Tcb& c) { return c.tx.next_chunk != kNone || fin_waits(c); }
inline bool resend_waits(const Tcb& c) { return c.tx.lost > c.tx.retransmitted; }
// RFC 6675's pipe. Without SACK, a duplicate ACK stands for a full segment that has left the network.
inline uint32_t in_flight(const Tcb& c) {
  const Sending& tx = c.tx;
  const uint32_t gone = tx.sacked + tx.lost + (c.sack_ok ? 0u : uint32_t{tx.duplicates} * tx.mss);
  const uint32_t all = outstanding(c) + tx.retransmitted;
  return all > gone ? all - gone : 0;
}
// Data can be in flight, or wait.
inline bool carries_data(State s) {
  return s == State::established || s == State::close_wait || s == State::fin_wait_1 || s == State::closing || s == State::last_ack;
}
// All that is in flight is the byte with which a closed window is probed.
inline bool only_window_probe(const Core& core, const Tcb& c) {
  return c.tx.record_head != kNone && c.tx.record_head == c.tx.record_tail &&
         core.records.at(c.tx.record_head).is(Record::kWindowProbe);
}

// --- output.cc
void send_new(Core& core, Tcb& c, bool overriding);
void resend(Core& core, Tcb& c);                       // what is lost, as far as the window allows
void resend_head(Core& core, Tcb& c);                  // the first segment, whatever the window
bool resend_range(Core& core, Tcb& c, uint32_t record, uint32_t most);  // false: not sent (no record to split)
void send_tail_probe(Core& core, Tcb& c);              // one new segment, if the peer's window allows
void send_window_probe(Core& core, Tcb& c);
void send_in_one(Core& core, Tcb& c, uint32_t length);  // the next `length` bytes as one packet, larger than mss

// --- recovery.cc
void recover(Core& core, Tcb& c, const InSegment& s, AckNews& n);
void on_rto(Core& core, Tcb& c);
void on_reorder_timer(Core& core, Tcb& c);
void on_tail_probe_timer(Core& core, Tcb& c);
void record_delivered(Core& core, Tcb& c, const Record& r, Seq upto, const wire::TcpOptions& o, AckNews& n);

// --- timer.cc
void progressed(Core& core, Tcb& c);   // something new was acknowledged: the timeout starts anew
void sent_something(Core& core, Tcb& c, bool fresh);
void schedule(Core& core, Tcb& c);     // arms the timer for what is waited for

// --- path_mtu.cc
void start_path_mtu(Tcb& c);
void compute_mss(Tcb& c);              // from snd_mss, path_mtu and timestamps
void path_mtu_acked(Core& core, Tcb& c, const AckNews& n);
bool path_mtu_probe_lost(Core& core, Tcb& c);  // true: the probe alone is lost, and that is no congestion
void path_mtu_timeout(Core& core, Tcb& c);  // a timeout, before the first segment is sent again
void probe_path_mtu(Core& core, Tcb& c);    // sends a larger segment, if it is time and there is data for it
inline uint16_t ip_tcp_headers(const Tcb& c) { return c.tuple.local.family == 6 ? 60 : 40; }

}  // namespace sluice::tcp
