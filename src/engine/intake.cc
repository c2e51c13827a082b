#include "engine/intake.h"

#include <algorithm>

namespace sluice::engine {

namespace {

float share(const port::Occupancy& o) {
  return o.size ? static_cast<float>(o.used) / static_cast<float>(o.size) : 0;
}

// Buffers that frames wait in are not missing: they come back with these.
float lack(const port::Occupancy& buffers, const port::Occupancy& waiting) {
  return buffers.size ? std::max(0.0f, 1 - share(buffers) - static_cast<float>(waiting.used) / static_cast<float>(buffers.size)) : 0;
}

}  // namespace

// What is dropped here costs little, and what waits behind it in the NIC may be better: several bursts, until there
// is most of one to go on.
unsigned Intake::judged(Instant now, rte_mbuf** pkts, PortAccount& row, rte_mbuf** answer, unsigned& answers) {
  unsigned kept = 0;
  taken_ = 0;
  for (unsigned burst = 0; burst < kMostBursts && std::max(kept, answers) <= kEnough; ++burst) {
    const unsigned room = kMaxBurst - std::max(kept, answers);
    const unsigned n = port_.rx_burst(queue_, now, pkts + kept, room);
    unsigned answered = 0;
    if (n) kept += native_.run(now, pkts + kept, n, row, answer + answers, answered);
    answers += answered;
    taken_ += n;
    full_ = n == room;
    if (!full_) break;
  }
  passed_ = kept;
  return kept;
}

// Only a full burst can have left something behind, so that only then the queue is asked, which costs some NICs a walk
// over its descriptors. Where the program counts what waits by itself (bpf/maps.h: the gate), the governor has the rings
// behind the worker to look after.
void Intake::observe(Instant now, bool governed, shed::Load load) {
  Seen seen;
  if (full_) seen.waiting = port_.rx_waiting(queue_);
  if (taken_ || governor_.level()) seen.buffers = port_.rx_buffers(queue_);
  const float missing = lack(seen.buffers, seen.waiting);
  load.receive = in_front_ ? missing : std::max(share(seen.waiting), missing);
  load.quota = static_cast<float>(passed_) / kMaxBurst;
  seen.handoff = load.handoff;
  const bool look = in_front_ && gate(now, governed && governor_.held() < 0, seen);
  seen.level = shown_ = look ? std::max(shown_, level()) : level();
  seen_.set(seen);
  taken_ = passed_ = 0;
  full_ = false;
  if (!governed && governor_.held() < 0) governor_.reset();
  else governor_.observe(now, load);
  uint32_t level = governor_.level();
  if (look && level == 0) level = SLUICE_LEVEL_LOOK;
  if (level_->level != level) __atomic_store_n(&level_->level, level, __ATOMIC_RELAXED);
}

// Sets each class's part of the ring. Returns whether the gate of the rest was shut lately. A ring that ran dry all the same was
// too small for the time between two runs of what fills it, as where NAPI has a thread on the lcore's core: then the rest
// has twice its part.
bool Intake::gate(Instant now, bool on, const Seen& seen) {
  sluice_queue& q = *in_front_;
  const uint32_t room = on ? room_ : 0;
  // What this turn has taken waited there, too.
  if (room && room == q.room && full_ && seen.waiting.used + kMaxBurst >= q.rest) look_until_ = now + kLook;
  else if (!room || (look_until_ != Instant::never() && now >= look_until_)) look_until_ = Instant::never();
  const bool look = look_until_ != Instant::never();
  ran_dry_ = look && (ran_dry_ || !taken_);
  const uint32_t rest = look ? SLUICE_GATE_REST_OVERLOADED(room) * (1 + ran_dry_) : SLUICE_GATE_REST(room);
  if (q.rest != rest) __atomic_store_n(&q.rest, rest, __ATOMIC_RELAXED);
  if (q.room != room) __atomic_store_n(&q.room, room, __ATOMIC_RELAXED);
  return look;
}

void Intake::count_handed_on(unsigned of_all) {
  if (of_all) handed_on_ += (static_cast<float>(own_sends) / static_cast<float>(of_all) - handed_on_) / 8;
  own_sends = 0;
}

void Intake::reset() {
  governor_.reset();
  if (level_) __atomic_store_n(&level_->level, 0u, __ATOMIC_RELAXED);
  if (in_front_) gate(Instant{}, false, {});
}

Intake::View Intake::view() const {
  const Seen s = seen_.get();
  return {.level = std::max(governor_.level(), s.level), .held = governor_.held(), .native = native_view_.load(std::memory_order_relaxed),
          .waiting = s.waiting, .buffers = s.buffers, .handoff = s.handoff};
}

}  // namespace sluice::engine
