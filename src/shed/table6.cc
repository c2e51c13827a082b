#include "shed/table6.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "list6.h"

namespace sluice::shed {

uint32_t Table6::buckets_for(size_t prefixes) {
  const auto wanted = static_cast<uint32_t>(std::bit_ceil(prefixes / 4 + 1));
  return std::clamp(wanted, 1024u, ListMemory::kMostBuckets);
}

bool Table6::build(uint32_t buckets, const Entries& all) {
  buckets_ = memory_.slot(slot_).list6.load(std::memory_order_relaxed);
  mask_ = buckets - 1;
  std::fill_n(buckets_->fingerprint, size_t{buckets} * 8, 0);
  Entry first6;
  first6.family = 6;
  const Entry* before = nullptr;
  for (auto c = all.from(first6); c; ++c) {
    if (before && before->same_prefix(*c)) continue;
    before = &*c;
    if (!set(*c, c->action)) return false;
  }
  return true;
}

bool Table6::set(const Entry& prefix, uint32_t action) {
  const __u64 addr[2] = {byte_swapped<uint64_t>(prefix.hi), byte_swapped<uint64_t>(prefix.lo)};
  const uint64_t hash = sluice_list6_hash(&key_, addr, prefix.len);
  const uint32_t home = sluice_list6_bucket(hash, mask_);
  __u64* place = nullptr;
  bool chain_ends = false;  // a search goes no further than this bucket
  for (uint32_t probe = 0; probe < SLUICE_LIST6_PROBES && !chain_ends; probe++) {
    for (__u64& f : buckets_[(home + probe) & mask_].fingerprint) {
      if (f == 0) chain_ends = true;
      if ((f == 0 || f == SLUICE_LIST6_REMOVED) && !place) place = &f;
      if (f == 0 || !sluice_list6_action(f, hash)) continue;
      std::atomic_ref(f).store(action ? sluice_list6_fingerprint(hash, action) : SLUICE_LIST6_REMOVED,
                               std::memory_order_relaxed);
      return true;
    }
  }
  if (action == SLUICE_ACTION_NONE) return true;
  if (!place) return false;
  std::atomic_ref(*place).store(sluice_list6_fingerprint(hash, action), std::memory_order_relaxed);
  return true;
}

}  // namespace sluice::shed
