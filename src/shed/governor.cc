#include "shed/governor.h"

#include <algorithm>
#include <cmath>

namespace sluice::shed {

namespace {

constexpr float kSpan = 7;              // effort of a band: all but e^-7 of its class is shed at its end
constexpr float kMost = 3 * kSpan;
constexpr float kMostForOthers = 2 * kSpan;  // established flows are not shed for other rings' sake
constexpr float kProportional = 3;      // effort per ring
constexpr float kRise = 60, kFall = 40;      // effort per ring and second
constexpr float kJump = 500;            // effort per second while the ring is full
constexpr float kFull = 0.95f;
constexpr Duration kAgain = Duration::millis(5);

float share(Duration d, Duration of) { return static_cast<float>(d.ns) / static_cast<float>(of.ns); }
float seconds(Duration d) { return static_cast<float>(d.ns) * 1e-9f; }

}  // namespace

// A turn that was long because of its packets counts as a queue at the high mark where it is as long as it may be.
// One that was long with few packets, or among short ones, was interrupted by somebody else, whom shedding does not help.
float Governor::pressure(const Load& l) {
  slow_[next_slow_++ % kTurns] = std::max(share(l.turn, config_.longest_turn), share(l.unserved, config_.longest_unserved));
  const float slow = *std::min_element(slow_.begin(), slow_.end());
  return std::min(1.0f, std::max(l.receive, std::min(l.quota, 1.0f) * slow * config_.high));
}

uint32_t Governor::observe(Instant now, const Load& l) {
  const int32_t held = this->held();
  if (held >= 0) [[unlikely]] {
    reset();
    const uint32_t level = std::min<uint32_t>(static_cast<uint32_t>(held), SLUICE_LEVEL_MAX);
    level_.store(level, std::memory_order_relaxed);
    return level;
  }
  const float own = pressure(l), queue = std::max(own, std::min(l.handoff, 1.0f));
  if (!active_ && queue <= config_.high) [[likely]] {
    if (level()) level_.store(0, std::memory_order_relaxed);
    return 0;
  }
  Duration gone = active_ && now > observed_ ? now - observed_ : Duration{};
  observed_ = now;
  if (gone > config_.time_out) {
    integral_ -= kFall * config_.low * seconds(gone);
    gone = {};
  }
  active_ = true;
  steer(gone, queue, l.handoff > own ? std::max(kMostForOthers, integral_) : kMost);
  if (effort_ == 0 && integral_ == 0 && queue <= config_.low) reset();
  const uint32_t level = to_level();
  level_.store(level, std::memory_order_relaxed);
  return level;
}

// What was seen last counts for the time since. After an empty ring nobody looked, maybe because the work that fills it
// kept the lcore from its core: the ring is taken to have filled evenly, and may have done so up to the brim (high is half
// of that), since the lcore will be served by the ring alone when it is kept away again.
void Governor::steer(Duration gone, float queue, float ceiling) {
  const float before = queue_ > 0 ? queue_ - config_.low : queue / 2 - config_.high, t = seconds(gone);
  const bool stuck = queue_ >= kFull && queue >= queue_;
  integral_ += stuck ? kJump * t : (before > 0 ? kRise : kFall) * before * t;
  integral_ = std::clamp(integral_, 0.0f, ceiling);
  effort_ = std::clamp(integral_ + kProportional * (queue - config_.low), 0.0f, ceiling);
  queue_ = queue;
}

// Whole levels are coarse where little passes: what one leaves over is made up for by the next.
uint32_t Governor::to_level() {
  const float band = std::min(std::floor(effort_ / kSpan), 2.0f);
  const float shed = (1 - std::exp(band * kSpan - effort_)) / (1 - std::exp(-kSpan));
  const float exact = SLUICE_BAND * (band + shed) + carry_;
  const float whole = std::clamp(std::floor(exact), 0.0f, static_cast<float>(SLUICE_LEVEL_MAX));
  carry_ = effort_ > 0 ? exact - whole : 0;
  return static_cast<uint32_t>(whole);
}

Instant Governor::next_deadline() const { return active_ ? observed_ + kAgain : Instant::never(); }

void Governor::reset() {
  active_ = false;
  observed_ = Instant::never();
  integral_ = effort_ = queue_ = carry_ = 0;
}

}  // namespace sluice::shed
