#include "tcp/rtt.h"

#include <algorithm>
#include <cstdlib>

namespace sluice::tcp {

constexpr int64_t kHalfWindow = Duration::seconds(150).ns;

void Rtt::start(const Tuning& t) {
  *this = Rtt{};
  rto_ns_ = unmeasured_ns_ = t.rto_initial.ns;
}

void Rtt::compute(const Tuning& t) {
  rto_ns_ = measured() ? srtt_ns_ + std::max(t.rto_min.ns, 4 * rttvar_ns_) : unmeasured_ns_;
  rto_ns_ = std::min(rto_ns_, t.rto_max.ns);
}

void Rtt::sample(const Tuning& t, Instant now, Duration rtt) {
  const int64_t r = std::max<int64_t>(rtt.ns, 1);
  if (!measured()) {  // RFC 6298 2.2
    srtt_ns_ = r;
    rttvar_ns_ = r / 2;
    min_ns_ = last_min_ns_ = half_min_ns_ = r;
    half_began_ns_ = now.ns;
  } else {  // 2.3
    rttvar_ns_ += (std::abs(srtt_ns_ - r) - rttvar_ns_) / 4;
    srtt_ns_ = std::max<int64_t>(srtt_ns_ + (r - srtt_ns_) / 8, 1);
    const int64_t age = now.ns - half_began_ns_;
    if (age >= kHalfWindow) {
      last_min_ns_ = age < 2 * kHalfWindow ? half_min_ns_ : r;
      half_min_ns_ = r;
      half_began_ns_ = now.ns;
    }
    half_min_ns_ = std::min(half_min_ns_, r);
    min_ns_ = std::min(half_min_ns_, last_min_ns_);
  }
  compute(t);
}

void Rtt::back_off(const Tuning& t) { rto_ns_ = std::min(2 * rto_ns_, t.rto_max.ns); }

void Rtt::undo_back_off(const Tuning& t) { compute(t); }

void Rtt::handshake_timed_out(const Tuning& t) {
  unmeasured_ns_ = std::max(unmeasured_ns_, Duration::seconds(3).ns);
  compute(t);
}

}  // namespace sluice::tcp
