// How much to shed: turns what an lcore sees of its queues into a shed level, one governor a receive queue.
//
// Queue-state feedback with high and low water marks and a time-out (Mogul and Ramakrishnan, "Eliminating receive
// livelock in an interrupt-driven kernel", 1997), on a level instead of an on-off switch: up fast, down slowly.
// Pure: time is an argument, nothing is allocated. Lcore's thread; level() and the view from any.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/instant.h"
#include "maps.h"

namespace sluice::shed {

// Of one turn. Shares from 0 (empty) to 1 (full).
struct Load {
  float receive = 0;      // the fullest of the queue's receive ring and the lack of buffers in its fill ring
  float handoff = 0;      // the fullest ring that packets of this queue go on to: stack, other workers, transmit
  float quota = 0;        // of the turn's packets, used
  Duration turn{};        // how long the lcore's last turn took
  Duration unserved{};    // the longest that an engine of this lcore, or the control thread, has waited
};

struct GovernorConfig {
  float high = 0.5f, low = 0.25f;
  Duration longest_turn = Duration::millis(2), longest_unserved = Duration::millis(20);
  Duration time_out = Duration::millis(50);  // a level that no observation has confirmed falls by itself
};

class Governor {
 public:
  explicit Governor(const GovernorConfig& c = {}) : config_(c) {}

  uint32_t observe(Instant now, const Load& l);  // returns the level: 0 to SLUICE_LEVEL_MAX
  uint32_t level() const { return level_.load(std::memory_order_relaxed); }
  Instant next_deadline() const;                 // when to observe again although nothing comes; never(): level 0

  // By hand, any thread; negative: by load again.
  void hold(int32_t level) { held_.store(level, std::memory_order_relaxed); }
  int32_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  GovernorConfig config_;
  std::atomic<uint32_t> level_{0};
  std::atomic<int32_t> held_{-1};
  Instant observed_{}, raised_{};
  float exact_ = 0;
};

}  // namespace sluice::shed
