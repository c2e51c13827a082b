// The end of a stack engine's connections when the box stops, so that no peer is left to find out by time-outs.
//
// Theory of operation. First listeners go, and services drain as they do when a change removes them: what has nothing
// under way gets its FIN, and answers that are under way may still leave. Whoever is left when the grace is over (a
// proxied session, a client that keeps its side open) is reset, so many connections a turn, and only while the rings to
// the workers have room. The engine then goes on for a moment: a peer that missed bytes answers the reset with a
// challenge (RFC 5961 3.2) and is reset once more, by the state that is left, CLOSED.
//
// Threads: begin() and over() are the control thread's, the rest is the lcore's.
#pragma once

#include <atomic>

#include "apps/host.h"
#include "stack/tcp_host.h"

namespace sluice::engine {

class Ending {
 public:
  static constexpr Duration kGrace = Duration::millis(300), kLinger = Duration::millis(100);
  static constexpr unsigned kBatch = 256;  // slots of connections a turn

  void begin() { begun_.store(true, std::memory_order_release); }
  bool over() const { return over_.load(std::memory_order_acquire); }

  bool begun() const { return begun_.load(std::memory_order_acquire); }
  // Each turn once it has begun, where the stack may be commanded. `room`: packets that may leave in this turn.
  void turn(Instant now, tcp::Stack& tcp, apps::Host& host, unsigned room);
  // When turn() is to be called again; it keeps the lcore turning while there are connections to reset.
  Instant next_deadline() const;

 private:
  enum class Phase : uint8_t { idle, closing, resetting, lingering, over };
  bool enter(Phase p, Instant until);
  bool step(Instant now, tcp::Stack& tcp, apps::Host& host, unsigned room);  // false: this phase goes on

  Phase phase_ = Phase::idle;
  Instant until_{};            // of the phase
  uint32_t cursor_ = 0;
  uint64_t resets_before_ = 0;
  std::atomic<bool> begun_{false}, over_{false};
};

}  // namespace sluice::engine
