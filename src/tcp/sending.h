// The sender's part of a connection: what is queued, what is in flight, loss recovery's state. Theory of operation in
// sender.cc; who writes which group is said here.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "tcp/seq.h"
#include "tcp/slab.h"

namespace sluice::tcp {

enum class Phase : uint8_t {
  open,      // nothing lost that we know of
  disorder,  // SACKs or duplicate ACKs, not enough of them yet
  recovery,  // fast recovery, paced by PRR, until recover_at is acknowledged
  loss,      // after a timeout (or a lowered MTU), until recover_at is acknowledged
  cwr,       // reduced for ECE, until ecn_until is acknowledged
};

// What the connection's one retransmission timer stands for.
enum class Alarm : uint8_t { none, rto, reorder, tail_probe, window_probe, override_sws };

struct Sending {
  // The queue (sender.cc). A chunk knows its first sequence number; the head chunk holds snd_una.
  uint32_t chunk_head = kNone, chunk_tail = kNone;
  uint32_t next_chunk = kNone;  // the one with snd_nxt's byte; kNone: all is sent
  uint32_t queued = 0;          // bytes from snd_una to the end of the queue, without SYN and FIN
  uint32_t send_buffer = 256 * 1024;

  // Records (scoreboard.cc): they cover snd_una … snd_nxt without gaps. Bytes by mark; retransmitted: lost ones that
  // are in flight again.
  uint32_t record_head = kNone, record_tail = kNone;
  uint32_t resend_hint = kNone;  // no record before it waits to be sent again
  uint32_t sacked = 0, lost = 0, retransmitted = 0;
  uint16_t records = 0, sacked_packets = 0;
  uint16_t duplicates = 0;       // duplicate ACKs since snd_una moved; what stands for SACKs without them
  Seq sack_high;                 // end of the highest range SACKed or acknowledged, sent once (RACK.fack)

  // Timers (timer.cc)
  Instant armed_at = Instant::never();  // the wheel's deadline; may be earlier than what we wait for
  Instant rto_at = Instant::never();    // also of window_probe and override_sws
  Instant early_at = Instant::never();  // reorder, tail_probe: before rto_at
  Instant progress_at{};                // of the last progress, or the first transmission since then: user timeout
  Instant last_sent{};
  Alarm alarm = Alarm::none, early = Alarm::none;
  uint8_t backoff = 0;                  // timeouts in a row; of SYNs, data or window probes

  // Loss recovery (recovery.cc)
  Phase phase = Phase::open;
  uint8_t frto : 2 = 0;              // RFC 5682's step; 0: not running
  bool recover_set : 1 = false;      // recover_at bounds fast retransmits without SACK (RFC 6582)
  bool undo_possible : 1 = false;    // the reduction can be taken back
  bool reordering_seen : 1 = false;
  bool tlp_out : 1 = false, tlp_resent : 1 = false;
  bool dsack_round_set : 1 = false;
  bool rack_valid : 1 = false;
  bool cwr_due : 1 = false;          // CWR goes with the next new data
  bool ecn_wait : 1 = false;         // ECE is not heard until ecn_until
  Seq recover_at;
  Seq undo_una;                      // snd_una when the reduction happened; once over: until when it may be undone
  uint32_t undo_bytes = 0;           // sent again since, not reported as duplicates yet
  uint32_t undo_stamp = 0;           // TSval of the first retransmission (Eifel)
  Seq tlp_end;
  Seq ecn_until;
  Seq rack_end, dsack_round;
  Instant rack_sent{};
  Duration rack_rtt{};
  uint8_t reorder_mult = 1, reorder_persist = 0;

  // Segments (output.cc)
  bool nagle : 1 = true;
  bool started : 1 = false;          // our SYN is acknowledged
  bool fin_sent : 1 = false;
  bool small_out : 1 = false;        // small_end is valid
  bool may_fragment : 1 = false;     // no DF: the path's MTU is below what we go down to
  bool mtu_held : 1 = false;         // held_mtu waits for a timeout
  uint8_t syn_count = 0;             // SYNs sent
  Seq small_end;                     // end of the last segment below full size (Minshall's Nagle)
  uint32_t retransmissions = 0;      // segments

  // Path MTU (path_mtu.cc)
  uint16_t mss = 536;                // payload of a full segment, timestamps off
  uint16_t path_mtu = 1500, acked_mtu = 0;
  uint16_t held_mtu = 0;
  uint16_t search_high = 0, probe_mtu = 0;  // RFC 4821; 0: not searching, no probe in flight
  Seq held_seq, probe_end;
  Instant mtu_again = Instant::never();     // try larger ones from then on
};

}  // namespace sluice::tcp
