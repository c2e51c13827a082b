// How much may be in flight: slow start, NewReno (RFC 5681, 6582) or CUBIC (RFC 9438), proportional rate reduction in
// recovery (RFC 6937), validation after idleness (RFC 7661 or 5681 4.1), undo (RFC 5682, 4015's response). Windows in
// bytes. The sender says what happened; it holds no clock and knows no sequence numbers but recovery's bounds.
//
// `in_flight` is RFC 5681's FlightSize: sent and not acknowledged cumulatively, whatever SACK says.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "tcp/config.h"

namespace sluice::tcp {

class Congestion {
 public:
  // The handshake is done. `mss`: bytes of payload in a full segment. initial window by RFC 6928 (and 5681 if the SYN
  // or SYN-ACK was lost: one segment).
  void start(const Tuning& t, Instant now, uint32_t mss, bool syn_lost);
  void set_mss(uint32_t mss);

  // Outside recovery: `acked` new bytes were acknowledged; `in_flight`: before this ACK. A window that was not used is
  // not grown (RFC 7661). `rtt`: the sample that this ACK gave, 0: none (then HyStart++ sees nothing of it).
  void on_ack(Instant now, uint32_t acked, uint32_t in_flight, Duration srtt, Duration rtt = {});

  // Loss detected: ssthresh and cwnd are reduced by the algorithm's factor; PRR paces until leave_recovery().
  void enter_recovery(Instant now, uint32_t in_flight);
  // In recovery, for each ACK: `delivered` bytes newly acknowledged or SACKed, `pipe` bytes estimated in flight (RFC
  // 6675), `progress_without_loss`: snd_una moved and nothing more was found lost (RFC 6937's safe-ACK rule). Sets cwnd =
  // pipe + sndcnt. Without SACK a duplicate ACK delivers one segment (RFC 6937 3).
  void on_recovery_ack(uint32_t delivered, uint32_t pipe, bool progress_without_loss);
  // Every payload byte that is sent, new or again, must be told: PRR counts what it has let out. Costs one addition.
  void on_sent(uint32_t bytes) { prr_out_ += bytes; }
  void leave_recovery();
  bool in_recovery() const { return recovery_; }
  // Retransmission timeout: cwnd one segment, ssthresh of what was in flight. `first`: of this flight.
  void on_timeout(Instant now, uint32_t in_flight, bool first);
  // ECE (RFC 3168 6.1.2, once a window: the sender sees to that): reduces as enter_recovery does, without recovery, and
  // by RFC 8511's gentler factor.
  void on_ecn(Instant now, uint32_t in_flight);
  // The reduction was for nothing (F-RTO, Eifel, DSACK): as before it. Ends recovery. Without a reduction: nothing.
  void undo();
  // About to send after `idle`, nothing in flight (RFC 5681 4.1 restart window, or 7661).
  void after_idle(Instant now, Duration idle, Duration rto);

  uint32_t cwnd() const { return cwnd_; }
  uint32_t ssthresh() const { return ssthresh_; }
  bool slow_start() const { return cwnd_ < ssthresh_; }
  const char* name() const;

 private:
  // RFC 9438's congestion avoidance stage. Windows in bytes, times in seconds.
  struct Cubic {
    float w_max = 0, k = 0;
    float w_est = 0;          // what NewReno would have
    uint32_t cwnd_prior = 0;  // before the last reduction
    Instant epoch = Instant::never();  // the stage's begin, moved on by the time when the window was not used;
                                       // never(): it has not begun
  };

  uint32_t initial_window() const;
  void reduce(uint32_t in_flight, float factor);
  void save();
  bool round_ends(uint32_t acked, uint32_t in_flight);
  bool used(uint32_t in_flight);
  void grow_slow_start(uint32_t acked, bool round_end, Duration rtt);
  void grow_newreno(uint32_t acked);
  void grow_cubic(Instant now, uint32_t acked, Duration srtt);
  void begin_cubic_epoch(Instant now);
  void grow_reno_estimate(uint32_t acked);
  uint32_t slow_start_divisor(bool round_end, Duration rtt);
  void add(uint32_t bytes);

  CongestionControl algorithm_ = CongestionControl::cubic;
  bool recovery_ = false, undoable_ = false;
  uint8_t initial_segments_ = 10;
  // HyStart++ (RFC 9406); round trips in microseconds, 0: none in this round.
  uint8_t samples_ = 0, css_rounds_ = 0;  // css_rounds_: 0: not in conservative slow start
  uint32_t round_left_ = 0;               // bytes to be acknowledged until a round trip is over
  uint32_t round_min_ = 0, last_round_min_ = 0, css_base_ = 0;

  uint32_t mss_ = 536, cwnd_ = 0, ssthresh_ = UINT32_MAX;
  uint32_t acked_ = 0;  // NewReno: bytes acknowledged towards the next segment; CUBIC: those not yet in w_est
  uint32_t peak_ = 0, last_peak_ = 0;           // most in flight in this and in the last round: RFC 7661's pipeACK
  uint32_t recover_fs_ = 0, prr_delivered_ = 0, prr_out_ = 0;  // RFC 6937 2
  float fraction_ = 0;                                         // CUBIC: of a byte, not yet in cwnd_

  Cubic cubic_;
  Instant last_ack_{};

  // Before the reduction, for undo().
  uint32_t prior_cwnd_ = 0, prior_ssthresh_ = UINT32_MAX;
  Cubic prior_cubic_;
};
static_assert(sizeof(Congestion) <= 128);

}  // namespace sluice::tcp
