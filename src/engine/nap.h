// The control thread's way to wait for an lcore: look, sleep a little, look again. Never on an lcore.
#pragma once

#include <time.h>

#include "engine/clock.h"

namespace sluice::engine {

template <class Condition>
bool nap_until(Condition&& met, Duration at_most) {
  const Instant end = Clock::get().now() + at_most;
  while (!met()) {
    if (Clock::get().now() >= end) return met();
    const timespec little{0, 20'000};
    nanosleep(&little, nullptr);
  }
  return true;
}

}  // namespace sluice::engine
