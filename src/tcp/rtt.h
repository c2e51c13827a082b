// Round-trip time and retransmission timeout (RFC 6298), and the minimum that RACK wants (RFC 8985 6.2, a windowed
// minimum as in RFC 8985's note).
//
// RTO = SRTT + max(rto_min, 4 · RTTVAR), at most rto_max. RFC 6298 asks for at least 1 s in all (2.4); here the variance
// term has a lower bound instead, above any peer's delayed ACK, so that a steady round trip of any length has that much
// slack before it is taken for a loss.
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "tcp/config.h"

namespace sluice::tcp {

class Rtt {
 public:
  void start(const Tuning& t);                          // nothing measured yet: RTO is rto_initial
  void sample(const Tuning& t, Instant now, Duration rtt);  // only of segments sent once, or by timestamps (Karn)
  void back_off(const Tuning& t);                       // RFC 6298 5.5
  void undo_back_off(const Tuning& t);                  // something new was acknowledged: computed afresh (5.7)
  // The handshake is done and our SYN was sent more than once, nothing is measured: data starts with 3 s (5.7).
  void handshake_timed_out(const Tuning& t);
  Duration rto() const { return Duration::nanos(rto_ns_); }
  Duration srtt() const { return Duration::nanos(srtt_ns_); }  // 0: none measured
  Duration var() const { return Duration::nanos(rttvar_ns_); }
  Duration min() const { return Duration::nanos(min_ns_); }    // of the last 5 minutes' (about)
  bool measured() const { return srtt_ns_ != 0; }

 private:
  void compute(const Tuning& t);

  int64_t srtt_ns_ = 0, rttvar_ns_ = 0, rto_ns_ = 1'000'000'000;
  int64_t unmeasured_ns_ = 1'000'000'000;  // RTO while there is no sample
  // The minimum of a half window that is over and of the one that runs.
  int64_t min_ns_ = 0, last_min_ns_ = 0, half_min_ns_ = 0, half_began_ns_ = 0;
};

}  // namespace sluice::tcp
