// A rate limit: `per_second` tokens flow in, at most `burst` are kept, an event takes one or more. Starts
// full. Credit is counted in billionths of a token, and elapsed nanoseconds times the rate are just that,
// so nothing is rounded and no rate drifts. Rate and burst are arguments, since the configuration may
// change them under way: state is 16 bytes. Single-threaded; time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/instant.h"

namespace sluice {

class TokenBucket {
 public:
  // true: `tokens` were there, and are taken. per_second and burst ≤ 4·10⁹ (burst ≥ tokens, or it never
  // succeeds); per_second 0 never refills. A clock that steps back adds nothing, and takes nothing.
  bool take(Instant now, uint64_t per_second, uint64_t burst, uint64_t tokens = 1) {
    refill(now, per_second, burst);
    const int64_t cost = static_cast<int64_t>(tokens) * kToken;
    if (tokens > burst || credit_ < cost) return false;
    credit_ -= cost;
    return true;
  }
  // Whether take() would succeed; takes nothing.
  bool has(Instant now, uint64_t per_second, uint64_t burst, uint64_t tokens = 1) {
    refill(now, per_second, burst);
    return tokens <= burst && credit_ >= static_cast<int64_t>(tokens) * kToken;
  }

 private:
  static constexpr int64_t kToken = 1'000'000'000;

  void refill(Instant now, uint64_t per_second, uint64_t burst) {
    const int64_t full = static_cast<int64_t>(burst) * kToken;
    const int64_t rate = static_cast<int64_t>(per_second);
    if (now > last_) {
      const int64_t elapsed = (now - last_).ns;
      last_ = now;
      // Compared before multiplying: an idle month must not overflow.
      if (credit_ < full && rate > 0)
        credit_ = elapsed > (full - credit_) / rate ? full : credit_ + elapsed * rate;
    }
    credit_ = std::min(credit_, full);
  }

  int64_t credit_ = INT64_MAX;  // full, whatever the burst turns out to be
  Instant last_{INT64_MIN / 2};
};

}  // namespace sluice
