#include "apps/timeouts.h"

#include <algorithm>
#include <bit>

namespace sluice::apps {

Timeouts::Timeouts(uint32_t items) : item_(items), head_(kSlots, kNobody) {}

// The first step that begins at or behind `when`, so that one visit is enough; at most a turn of the wheel ahead.
void Timeouts::link(uint32_t i, int64_t now) {
  if (item_[i].slot != kNowhere) unlink(i);
  if (linked_++ == 0) turn_ = now / kStep;
  const int64_t want = item_[i].when > INT64_MAX - kStep ? INT64_MAX / kStep : (item_[i].when + kStep - 1) / kStep;
  const int64_t step = std::clamp(want, turn_ + 1, turn_ + kSlots - 1);
  const auto slot = static_cast<uint16_t>(static_cast<uint64_t>(step) % kSlots);
  Item& it = item_[i];
  it.slot = slot;
  it.visit = step * kStep;
  it.prev = kNobody;
  it.next = head_[slot];
  if (it.next != kNobody) item_[it.next].prev = i;
  head_[slot] = i;
  busy_[slot / 64] |= uint64_t{1} << (slot % 64);
}

void Timeouts::unlink(uint32_t i) {
  Item& it = item_[i];
  if (it.prev != kNobody) item_[it.prev].next = it.next;
  else head_[it.slot] = it.next;
  if (it.next != kNobody) item_[it.next].prev = it.prev;
  if (head_[it.slot] == kNobody) busy_[it.slot / 64] &= ~(uint64_t{1} << (it.slot % 64));
  it.slot = kNowhere;
  linked_--;
}

uint32_t Timeouts::next_due(int64_t now) {
  const int64_t d = deadline();
  if (d > now) {
    turn_ = std::max(turn_, now / kStep);
    return kNobody;
  }
  // What is linked while a slot is being emptied lands behind it.
  turn_ = std::max(turn_, d / kStep);
  return head_[static_cast<uint64_t>(d / kStep) % kSlots];
}

int64_t Timeouts::deadline() const {
  if (linked_ == 0) return INT64_MAX;
  // A slot stands for the step behind turn_ that falls on it; turn_'s own slot may still have items.
  const auto from = static_cast<unsigned>(static_cast<uint64_t>(turn_) % kSlots);
  for (unsigned k = 0; k <= kSlots / 64; k++) {
    const unsigned word = (from / 64 + k) % (kSlots / 64);
    uint64_t bits = busy_[word];
    if (k == 0) bits &= ~uint64_t{0} << (from % 64);
    else if (k == kSlots / 64) bits &= (uint64_t{1} << (from % 64)) - 1;
    if (!bits) continue;
    const unsigned slot = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
    return (turn_ + (slot + kSlots - from) % kSlots) * kStep;
  }
  return INT64_MAX;
}

}  // namespace sluice::apps
