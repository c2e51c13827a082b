#include "shed/list_memory.h"

#include <algorithm>
#include <memory>

namespace sluice::shed {

namespace {

enum Kind : unsigned { kSlots4, kGroups, kList6 };

constexpr SharedArray::Shape kShapes[] = {
    {"slots4", sizeof(sluice_slots4_row), SLUICE_SLOTS4_ROWS, false},
    {"groups", sizeof(sluice_group), ListMemory::kMostGroups, true},
    {"list6", sizeof(sluice_bucket6), ListMemory::kMostBuckets, true},
};

}  // namespace

Result<std::unique_ptr<ListMemory>> ListMemory::create(bool kernel) {
  std::unique_ptr<ListMemory> self(new ListMemory(kernel));
  if (!kernel) return self;
  // An outer map is made after the pattern of an inner one.
  for (unsigned kind : {kSlots4, kGroups, kList6}) {
    SharedArray::Shape like = kShapes[kind];
    if (like.any_length) like.entries = 1;
    auto pattern = SharedArray::make(like, true);
    if (!pattern) return Error{pattern.error()};
    auto outer = SharedArray::make_outer(like.name, *pattern);
    if (!outer) return Error{outer.error()};
    self->outer_[kind] = std::move(outer).value();
    if (kind == kGroups) self->in_fence_ = std::move(pattern).value();
  }
  auto fence = SharedArray::make_outer("fence", self->in_fence_);
  if (!fence) return Error{fence.error()};
  self->fence_ = std::move(fence).value();
  return self;
}

// Plain memory is only address space until it is used, so there is no need to be sparing, nor ever to grow.
Status ListMemory::make(unsigned kind, unsigned slot, uint32_t entries) {
  SharedArray::Shape shape = kShapes[kind];
  if (kernel_ && shape.any_length) shape.entries = entries;
  auto fresh = SharedArray::make(shape, kernel_);
  if (!fresh) return Error{fresh.error()};
  if (kernel_)
    if (Status s = outer_[kind].put(slot, *fresh); !s) return s;
  inner_[kind][slot] = std::move(fresh).value();
  return {};
}

Status ListMemory::want_slots4(unsigned slot) {
  if (inner_[kSlots4][slot]) return {};
  if (Status s = make(kSlots4, slot, SLUICE_SLOTS4_ROWS); !s) return s;
  slots_[slot].slots4.store(inner_[kSlots4][slot].as<sluice_slots4>(), std::memory_order_release);
  return {};
}

Status ListMemory::want_groups(unsigned slot, uint32_t n) {
  Slot& s = slots_[slot];
  if (s.group_count >= n && inner_[kGroups][slot]) return {};
  if (Status made = make(kGroups, slot, std::clamp(n, 1024u, kMostGroups)); !made) return made;
  s.group_count = static_cast<uint32_t>(inner_[kGroups][slot].bytes() / sizeof(sluice_group));
  s.groups.store(inner_[kGroups][slot].as<sluice_group>(), std::memory_order_release);
  return {};
}

Status ListMemory::want_list6(unsigned slot, uint32_t buckets) {
  Slot& s = slots_[slot];
  if (s.buckets >= buckets && inner_[kList6][slot]) return {};
  if (Status made = make(kList6, slot, buckets); !made) return made;
  s.buckets = static_cast<uint32_t>(inner_[kList6][slot].bytes() / sizeof(sluice_bucket6));
  s.list6.store(inner_[kList6][slot].as<sluice_bucket6>(), std::memory_order_release);
  return {};
}

void ListMemory::grace() {
  // Whatever is put into an outer map, even what is there already, makes the kernel wait for its programs.
  if (kernel_) (void)fence_.put(0, in_fence_).ok();
  if (quiesce_) quiesce_();
}

size_t ListMemory::bytes(unsigned slot, size_t groups, size_t buckets) const {
  if (!kernel_) return inner_[kSlots4][slot].bytes() + groups * sizeof(sluice_group) + buckets * sizeof(sluice_bucket6);
  size_t n = 0;
  for (const auto& kind : inner_)
    for (const SharedArray& a : kind) n += a.bytes();
  return n;
}

}  // namespace sluice::shed
