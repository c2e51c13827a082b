#include "table/timer_wheel.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace sluice {

TimerWheel::TimerWheel(uint32_t timers) : timers_(std::max(timers, 1u)) {
  const size_t bytes = size_t{timers_} * sizeof(Node);
  if (timers_ >= kEnd) throw std::bad_alloc();
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  madvise(p, bytes, MADV_HUGEPAGE);
  nodes_ = static_cast<Node*>(p);  // zeroes: in no slot
  std::ranges::fill(heads_, kEnd);
}

TimerWheel::~TimerWheel() { munmap(nodes_, size_t{timers_} * sizeof(Node)); }

bool TimerWheel::settle(uint32_t timer, uint32_t place) {
  const Node& n = nodes_[timer];
  if (n.deadline == Instant::never()) {
    unlink(timer);
    return true;
  }
  const uint32_t to = place_of(n.deadline);
  if (to == place) return false;
  unlink(timer);
  link(timer, to);
  return true;
}

bool TimerWheel::deal(uint32_t place, unsigned& work) {
  while (heads_[place - 1] != kEnd) {
    if (work == 0) return false;
    work--;
    const uint32_t i = heads_[place - 1];
    if (nodes_[i].next != kEnd) __builtin_prefetch(&nodes_[nodes_[i].next]);
    settle(i, place);
  }
  return true;
}

void TimerWheel::look_ahead() {
  next_ = Instant::never();
  while (const uint32_t place = first_place()) {
    if (place > kSlots) {
      next_ = start_of(first_tick(place));
      return;
    }
    for (uint32_t i = heads_[place - 1], after; i != kEnd; i = after) {
      after = static_cast<uint32_t>(nodes_[i].next);
      if (!settle(i, place)) next_ = std::min(next_, nodes_[i].deadline);
    }
    if (next_ != Instant::never()) return;
  }
}

}  // namespace sluice
