// The memory of the prefix lists: two slots, each of slots4, groups and list6 (bpf/maps.h), made when they are first
// needed, so that a box without lists pays nothing.
//
// Threads: control thread, and of the slot that is not in force a builder's thread; the pointers of slot() also any lcore,
// which reads those of the slot in force.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "maps.h"
#include "shed/shared_array.h"

namespace sluice::shed {

class ListMemory {
 public:
  struct Slot {
    std::atomic<sluice_slots4*> slots4{nullptr};
    std::atomic<sluice_group*> groups{nullptr};
    std::atomic<sluice_bucket6*> list6{nullptr};
    uint32_t group_count = 0, buckets = 0;  // what there is
  };
  static constexpr uint32_t kMostGroups = 1u << 21, kMostBuckets = 1u << 20;

  static Result<std::unique_ptr<ListMemory>> create(bool kernel);

  const Slot& slot(unsigned i) const { return slots_[i]; }
  // At least so much in a slot. What is there already stays; a groups or list6 that must grow is made anew, empty, so
  // its slot must be out of use (grace).
  Status want_slots4(unsigned slot);
  Status want_groups(unsigned slot, uint32_t n);
  Status want_list6(unsigned slot, uint32_t buckets);  // a power of two
  // Returns when no verdict still looks at what was taken out of use before the call. Control thread alone.
  void grace();
  // For verdicts in user space: returns after every lcore has left its current turn.
  void set_quiesce(std::function<void()> f) { quiesce_ = std::move(f); }

  // Of a box with maps: what they take. Of plain memory: what a slot with so many groups and buckets uses at most.
  size_t bytes(unsigned slot, size_t groups, size_t buckets) const;
  int slots4_fd() const { return outer_[0].fd(); }
  int groups_fd() const { return outer_[1].fd(); }
  int list6_fd() const { return outer_[2].fd(); }

 private:
  explicit ListMemory(bool kernel) : kernel_(kernel) {}
  Status make(unsigned kind, unsigned slot, uint32_t entries);

  const bool kernel_;
  SharedArray outer_[3];     // kernel: array-of-maps of slots4, groups, list6
  SharedArray inner_[3][2];
  SharedArray fence_, in_fence_;  // kernel: an array-of-maps for grace() alone, and what is in it
  Slot slots_[2];
  std::function<void()> quiesce_;
};

}  // namespace sluice::shed
