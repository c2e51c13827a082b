// How much to shed: turns what an lcore sees of its queues into a shed level, one governor a receive queue.
//
// Queue-state feedback with high and low water marks and a time-out (Mogul and Ramakrishnan, "Eliminating receive
// livelock in an interrupt-driven kernel", 1997), on a level instead of an on-off switch: up fast, down slowly.
// Pure: time is an argument, nothing is allocated. Lcore's thread; level() and held() from any.
//
// Theory of operation. The queue is full or empty by the balance of what passes and what is served, and what passes is
// the offered load times the share that is let through. The governor steers the logarithm of that share, the effort: then
// a step of effort moves the queue alike at twice the capacity and at a hundred times, and one set of gains holds for all
// loads. Each band of the level (bpf/maps.h) is kSpan of effort; the next class is touched where the last is shed but for
// a thousandth.
//
// Shedding begins at the high mark, and from then on the queue is kept at the low one, where it is never empty and what
// passes waits little: effort = integral + kProportional * (queue - low). The proportional part answers within a turn,
// damps, and lets in more before the ring runs empty. Its gain is bounded by the delay: a turn takes a quarter of a ring
// at most, so that kProportional / 4 < 1. The integral finds the load; it rises faster than it falls, and fastest while
// the ring is full and does not drain. All gains are by time, since turns are 20 µs or 2 ms apart.
//
// Rings that packets go on to (hand-off) raise the level like the queue itself, but cost established flows nothing: these
// may have another way. Whoever overflows such a ring loses packets there, counted.
#pragma once

#include <array>
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
  Duration longest_turn = Duration::millis(10), longest_unserved = Duration::millis(20);
  Duration time_out = Duration::millis(50);  // a level that no observation has confirmed falls by itself
};

class Governor {
 public:
  explicit Governor(const GovernorConfig& c = {}) : config_(c) {}

  uint32_t observe(Instant now, const Load& l);  // returns the level: 0 to SLUICE_LEVEL_MAX
  uint32_t level() const { return level_.load(std::memory_order_relaxed); }
  Instant next_deadline() const;                 // when to observe again although nothing comes; never(): level 0
  void reset();                                  // as new, but for what is held

  // By hand, any thread; negative: by load again.
  void hold(int32_t level) { held_.store(level, std::memory_order_relaxed); }
  int32_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kTurns = 4;
  float pressure(const Load& l);
  void steer(Duration gone, float queue, float ceiling);
  uint32_t to_level();

  GovernorConfig config_;
  std::atomic<uint32_t> level_{0};
  std::atomic<int32_t> held_{-1};
  Instant observed_ = Instant::never();
  std::array<float, kTurns> slow_{};  // the last turns, in shares of the longest
  unsigned next_slow_ = 0;
  bool active_ = false;    // between the high mark and the end of the effort
  float integral_ = 0;     // of effort
  float effort_ = 0, queue_ = 0;
  float carry_ = 0;        // what whole levels leave of the last one
};

}  // namespace sluice::shed
