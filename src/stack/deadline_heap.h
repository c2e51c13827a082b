// The earliest of many deadlines, each named by a small index: a binary heap that knows where each index
// stands, so that a deadline can be moved or cleared. Nothing is allocated after construction.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/instant.h"

namespace sluice::stack {

class DeadlineHeap {
 public:
  explicit DeadlineHeap(uint32_t indices) : at_(indices, kAbsent) { heap_.reserve(indices); }

  bool empty() const { return heap_.empty(); }
  Instant next() const { return heap_.empty() ? Instant::never() : heap_[0].when; }
  uint32_t top() const { return heap_[0].index; }

  void set(uint32_t index, Instant when) {
    uint32_t pos = at_[index];
    if (pos == kAbsent) {
      pos = static_cast<uint32_t>(heap_.size());
      heap_.push_back({when, index});
      at_[index] = pos;
    } else {
      heap_[pos].when = when;
    }
    down(up(pos));
  }

  void clear(uint32_t index) {
    const uint32_t pos = std::exchange(at_[index], kAbsent);
    if (pos == kAbsent) return;
    const Item last = heap_.back();
    heap_.pop_back();
    if (pos == heap_.size()) return;
    place(pos, last);
    down(up(pos));
  }

 private:
  static constexpr uint32_t kAbsent = UINT32_MAX;
  struct Item {
    Instant when;
    uint32_t index;
  };

  void place(uint32_t pos, Item i) {
    heap_[pos] = i;
    at_[i.index] = pos;
  }
  uint32_t up(uint32_t pos) {
    const Item i = heap_[pos];
    for (; pos > 0 && i.when < heap_[(pos - 1) / 2].when; pos = (pos - 1) / 2) place(pos, heap_[(pos - 1) / 2]);
    place(pos, i);
    return pos;
  }
  void down(uint32_t pos) {
    const Item i = heap_[pos];
    for (;;) {
      uint32_t child = pos * 2 + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1].when < heap_[child].when) child++;
      if (!(heap_[child].when < i.when)) break;
      place(pos, heap_[child]);
      pos = child;
    }
    place(pos, i);
  }

  std::vector<Item> heap_;
  std::vector<uint32_t> at_;
};

}  // namespace sluice::stack
