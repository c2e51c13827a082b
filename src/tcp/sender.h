// The sending half of a connection: queue, output, acknowledgments, loss recovery, probes, path MTU. What the rest of
// the library calls. All at core.now; `c` is a connection in the table. Theory of operation in sender.cc.
#pragma once

#include "tcp/core.h"

namespace sluice::tcp {

// --- handshake
// iss, snd_una = iss, snd_nxt = iss + 1: sends SYN (state syn_sent) or SYN-ACK (syn_received) and arms the timer. May be
// called again to repeat the SYN-ACK at once (a duplicate SYN); that is no timeout.
void send_syn(Core& core, Tcb& c);
// Our SYN is acknowledged (the caller has checked it: snd_una is iss + 1 from here on): measures the round trip
// (Karn), takes the window from `s` (unscaled in a SYN), computes the effective MSS, starts congestion control.
void syn_acknowledged(Core& core, Tcb& c, const InSegment& s);
// A connection made from a cookie: as after syn_acknowledged, nothing measured.
void start_from_cookie(Core& core, Tcb& c, const InSegment& s);

// --- acknowledgments: RFC 9293 3.10.7.4, fifth check, in states from ESTABLISHED on. The segment is acceptable and its
// ACK within RFC 5961 5.2's bounds (snd_una - max_snd_wnd ≤ seg_ack ≤ snd_nxt). Window update, SACK, RTT, congestion
// control, recovery, what the ACK frees. Marks the connection where more may be sent.
struct Acked {
  uint32_t bytes = 0;      // of the application's data, newly acknowledged
  bool fin = false;        // our FIN is acknowledged (true once)
};
Acked acknowledge(Core& core, Tcb& c, const InSegment& s);

// --- the application
uint32_t send_room(const Tcb& c);                                      // bytes
Outcome enqueue(Core& core, Tcb& c, const Slice* slices, unsigned n);  // all or nothing; full, or ok; does not send
void queue_fin(Core& core, Tcb& c);                                    // behind what is queued; does not send

// --- output
// Sends what the windows allow (Nagle, SWS avoidance, limited transmit, pacing by PRR), each with the ACK; then, if an ACK
// is owed (ack_owed() in receiver.h) and nothing carried it, a pure ACK. `push`: Nagle's "send it now".
void output(Core& core, Tcb& c);
void send_ack(Core& core, Tcb& c);                       // a pure ACK now, whether owed or not (challenges, probes)
void send_keepalive(Core& core, Tcb& c);                 // seq snd_una - 1, no data
void send_reset(Core& core, const Tcb& c);               // RST for an abort: seq snd_nxt, with ACK where synchronized
// A segment of no connection: RST (or a cookie's SYN-ACK, with options).
void send_stateless(Core& core, const Tuple& t, const Path& p, uint8_t flags, Seq seq, Seq ack, uint16_t window,
                    const wire::TcpOptions& options);

// --- time and the network
// The retransmit timer has fired: RTO, tail loss probe, RACK reordering, zero-window probe. false: the connection is to
// be given up (timed_out).
bool retransmit_timer(Core& core, Tcb& c);
// ICMP "too big" that quotes something in flight (the check is here: RFC 5927 7, RFC 8201 4).
void path_mtu(Core& core, Tcb& c, const IcmpError& e);
bool quotes_in_flight(const Tcb& c, Seq quoted);

// Frees queue and records. The connection ends, or enters TIME-WAIT.
void drop_sending(Core& core, Tcb& c);

// For views.
struct SenderView {
  uint32_t queued, in_flight, lost, sacked, retransmissions;  // bytes; retransmissions: segments, all the connection's
  uint16_t mss;        // effective: payload of a full segment
  uint32_t path_mtu;
  const char* phase;   // "open", "disorder", "recovery", "loss", "cwr"
};
SenderView sender_view(const Core& core, const Tcb& c);

}  // namespace sluice::tcp
