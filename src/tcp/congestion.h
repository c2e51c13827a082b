// How much may be in flight: slow start, NewReno (RFC 5681, 6582) or CUBIC (RFC 9438), proportional rate reduction in
// recovery (RFC 6937), validation after idleness (RFC 7661 or 5681 4.1), undo (RFC 5682, 4015's response). Windows in
// bytes. The sender says what happened; it holds no clock and knows no sequence numbers but recovery's bounds.
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
  // not grown (RFC 7661).
  void on_ack(Instant now, uint32_t acked, uint32_t in_flight, Duration srtt);

  // Loss detected (or ECE, RFC 3168 6.1.2, once a window: the sender sees to that): ssthresh and cwnd are reduced by the
  // algorithm's factor; PRR paces until leave_recovery().
  void enter_recovery(Instant now, uint32_t in_flight);
  // In recovery, for each ACK: `delivered` bytes newly acknowledged or SACKed, `pipe` bytes estimated in flight (RFC
  // 6675), `new_loss` none (RFC 6937's safe-ACK rule). Sets cwnd = pipe + sndcnt.
  void on_recovery_ack(uint32_t delivered, uint32_t pipe, bool progress_without_loss);
  void leave_recovery();
  bool in_recovery() const { return recovery_; }
  // Retransmission timeout: cwnd one segment, ssthresh of what was in flight. `first`: of this flight.
  void on_timeout(Instant now, uint32_t in_flight, bool first);
  // ECN: reduces as enter_recovery does, without recovery.
  void on_ecn(Instant now, uint32_t in_flight);
  // The reduction was for nothing (F-RTO, Eifel, DSACK): as before it.
  void undo();
  // About to send after `idle`, nothing in flight (RFC 5681 4.1 restart window, or 7661).
  void after_idle(Instant now, Duration idle, Duration rto);

  uint32_t cwnd() const { return cwnd_; }
  uint32_t ssthresh() const { return ssthresh_; }
  bool slow_start() const { return cwnd_ < ssthresh_; }
  const char* name() const;

 private:
  CongestionControl algorithm_ = CongestionControl::cubic;
  bool recovery_ = false;
  uint32_t mss_ = 536, cwnd_ = 0, ssthresh_ = UINT32_MAX;
  // (the author's own state; at most 128 bytes in all)
};

}  // namespace sluice::tcp
