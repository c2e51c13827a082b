#include "engine/idle.h"

#include <algorithm>

namespace sluice::engine {

WakeTimes::Percentiles WakeTimes::percentiles() const {
  std::array<int64_t, kKept> ns;
  const size_t n = std::min<uint64_t>(count_.get(), kKept);
  if (!n) return {};
  for (size_t i = 0; i < n; ++i) ns[i] = ns_[i].load(std::memory_order_relaxed);
  std::sort(ns.begin(), ns.begin() + static_cast<ptrdiff_t>(n));
  return {ns[n / 2], ns[n * 99 / 100]};
}

}  // namespace sluice::engine
