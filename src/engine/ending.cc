#include "engine/ending.h"

#include <algorithm>

#include "tcp/core.h"

namespace sluice::engine {

void Ending::enter(Phase p, Instant until) {
  phase_ = p;
  until_ = until;
  if (p == Phase::over) over_.store(true, std::memory_order_release);
}

void Ending::turn(Instant now, tcp::Stack& tcp, apps::Host& host, unsigned room) {
  const auto alone = [&] { return tcp.sizes().connections == tcp.sizes().time_wait; };
  switch (phase_) {
    case Phase::idle:
      resets_before_ = tcp.counters().out_resets;
      tcp.unlisten_all();
      host.end_services(now);
      return enter(Phase::closing, now + kGrace);
    case Phase::closing:
      if (now >= until_ || alone()) enter(Phase::resetting, now);
      return;
    case Phase::resetting:
      if (room == 0) return;
      cursor_ = tcp.reset_some(now, cursor_, std::min(kBatch, room));
      if (cursor_ == 0) enter(Phase::lingering, tcp.counters().out_resets == resets_before_ ? now : now + kLinger);
      return;
    case Phase::lingering:
      if (now >= until_) enter(Phase::over, Instant::never());
      return;
    case Phase::over:
      return;
  }
}

Instant Ending::next_deadline() const {
  return begun() ? until_ : Instant::never();
}

}  // namespace sluice::engine
