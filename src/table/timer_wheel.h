// Many deadlines, each named by a small index: arming, moving and cancelling are O(1).
//
// Theory of operation is in the .cc's place below: see expire().
#pragma once

#include <cstdint>

#include "base/instant.h"

namespace sluice {
// (leaf author: replace this file whole, keep the class's public face)
class TimerWheel {
 public:
  // Indices 0 … timers-1. Memory is a lazily touched mapping of at most 24 bytes a timer, and is reclaimed never.
  explicit TimerWheel(uint32_t timers);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;

  void arm(uint32_t timer, Instant deadline);  // armed or not; never(): cancels
  void cancel(uint32_t timer);
  bool armed(uint32_t timer) const;
  Instant deadline(uint32_t timer) const;      // never() where it is not armed

  // The earliest moment at which expire() has something to do: exact for what is due soon, earlier than the first
  // deadline (never later) for what is far off.
  Instant next_deadline() const;

  // Calls fire(timer) for timers with deadline ≤ now, each disarmed before its call; at most `budget` of them, in the
  // order of their deadlines as far as ticks tell them apart. fire may arm and cancel any timer. Returns how many.
  template <class Fire>
  unsigned expire(Instant now, unsigned budget, Fire&& fire);
};
}  // namespace sluice
