#include "engine/intake.h"

#include <algorithm>

namespace sluice::engine {

namespace {

float share(const port::Occupancy& o) {
  return o.size ? static_cast<float>(o.used) / static_cast<float>(o.size) : 0;
}

}  // namespace

// Only a full burst can have left something behind, so that only then the queue is asked, which costs some NICs a walk
// over its descriptors.
void Intake::observe(Instant now, bool governed, shed::Load load) {
  Seen seen;
  if (burst_ == kMaxBurst) seen.waiting = port_.rx_waiting(queue_);
  if (burst_ > 0) seen.buffers = port_.rx_buffers(queue_);
  const float lack = seen.buffers.size ? 1 - share(seen.buffers) : 0;
  load.receive = std::max(share(seen.waiting), lack);
  load.quota = static_cast<float>(burst_) / kMaxBurst;
  seen.handoff = load.handoff;
  seen_.set(seen);
  burst_ = 0;
  if (!governed && governor_.held() < 0) governor_.reset();
  else governor_.observe(now, load);
  if (level_->level != governor_.level()) __atomic_store_n(&level_->level, governor_.level(), __ATOMIC_RELAXED);
}

void Intake::count_handed_on(unsigned of_all) {
  if (of_all) handed_on_ += (static_cast<float>(own_sends) / static_cast<float>(of_all) - handed_on_) / 8;
  own_sends = 0;
}

void Intake::reset() {
  governor_.reset();
  if (level_) __atomic_store_n(&level_->level, 0u, __ATOMIC_RELAXED);
}

Intake::View Intake::view() const {
  const Seen s = seen_.get();
  return {.level = governor_.level(), .held = governor_.held(), .native = native_view_.load(std::memory_order_relaxed),
          .waiting = s.waiting, .buffers = s.buffers, .handoff = s.handoff};
}

}  // namespace sluice::engine
