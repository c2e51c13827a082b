// The one clock of the dataplane: nanoseconds of CLOCK_MONOTONIC, read from the time-stamp counter where it
// can be trusted. The lcore loop reads it once a turn and hands the value down; nothing below has a clock.
#pragma once

#include <rte_cycles.h>

#include "base/instant.h"

namespace sluice::engine {

class Clock {
 public:
  // Calibrated at the first call, which takes 10 ms. Any thread.
  static const Clock& get();

  Instant now() const {
    if (!scale_) return kernel_now();
    // A counter that is a little behind on another core must not turn into centuries.
    const uint64_t tsc = rte_rdtsc();
    const uint64_t since = tsc > base_tsc_ ? tsc - base_tsc_ : 0;
    return {base_ns_ + static_cast<int64_t>(static_cast<unsigned __int128>(since) * scale_ >> 32)};
  }

  // What now() lacks to the time since 1970, UTC: changes when the system's clock is set or slewed. Any thread.
  Duration wall_offset() const;

  static Instant kernel_now();  // CLOCK_MONOTONIC: a system call or nearly

 private:
  Clock();
  uint64_t base_tsc_ = 0;
  int64_t base_ns_ = 0;
  uint64_t scale_ = 0;  // nanoseconds per tick, 32.32 fixed point; 0: no invariant TSC, ask the kernel
};

}  // namespace sluice::engine
