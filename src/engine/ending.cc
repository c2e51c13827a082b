#include "engine/ending.h"

#include <algorithm>

#include "tcp/core.h"

namespace sluice::engine {

bool Ending::enter(Phase p, Instant until) {
  phase_ = p;
  until_ = until;
  if (p == Phase::over) over_.store(true, std::memory_order_release);
  return true;
}

void Ending::turn(Instant now, tcp::Stack& tcp, apps::Host& host, unsigned room) {
  while (step(now, tcp, host, room)) {
  }
}

bool Ending::step(Instant now, tcp::Stack& tcp, apps::Host& host, unsigned room) {
  const auto alone = [&] { return tcp.sizes().connections == tcp.sizes().time_wait; };
  switch (phase_) {
    case Phase::idle:
      resets_before_ = tcp.counters().out_resets;
      tcp.unlisten_all();
      host.end_services(now);
      return enter(Phase::closing, now + kGrace);
    case Phase::closing:
      return (now >= until_ || alone()) && enter(Phase::resetting, now);
    case Phase::resetting:
      if (room == 0) return false;
      cursor_ = tcp.reset_some(now, cursor_, std::min(kBatch, room));
      if (cursor_ != 0) return false;
      return enter(Phase::lingering, tcp.counters().out_resets == resets_before_ ? now : now + kLinger);
    case Phase::lingering:
      return now >= until_ && enter(Phase::over, Instant::never());
    case Phase::over:
      return false;
  }
  return false;
}

Instant Ending::next_deadline() const {
  return begun() ? until_ : Instant::never();
}

}  // namespace sluice::engine
