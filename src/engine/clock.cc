#include "engine/clock.h"

#include <rte_cpuflags.h>
#include <time.h>

namespace sluice::engine {

namespace {

bool counter_is_invariant() {
#ifdef RTE_ARCH_X86
  return rte_cpu_get_flag_enabled(RTE_CPUFLAG_INVTSC) > 0;
#else
  return true;  // the architected counters of other CPUs run at a constant rate
#endif
}

}  // namespace

Instant Clock::kernel_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

Duration Clock::wall_offset() const {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return Instant{int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec} - now();
}

// EAL rounds the rate that it estimates to 10 MHz, which is off by up to 0.2%: a fresh measurement against
// the kernel's clock over 10 ms is good to a few parts in a million.
Clock::Clock() {
  if (!counter_is_invariant()) return;
  const Instant t0 = kernel_now();
  const uint64_t c0 = rte_rdtsc();
  const timespec pause{0, 10'000'000};
  nanosleep(&pause, nullptr);
  const Instant t1 = kernel_now();
  const uint64_t c1 = rte_rdtsc();
  if (c1 <= c0) return;
  base_tsc_ = c1;
  base_ns_ = t1.ns;
  scale_ = static_cast<uint64_t>((static_cast<unsigned __int128>((t1 - t0).ns) << 32) / (c1 - c0));
}

const Clock& Clock::get() {
  static const Clock clock;
  return clock;
}

}  // namespace sluice::engine
