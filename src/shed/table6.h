// The IPv6 half of a list slot: buckets of fingerprints (bpf/list6.h). Each change is one store; places that a verdict must
// still step over are marked as removed and used again.
#pragma once

#include "shed/entries.h"
#include "shed/list_memory.h"

namespace sluice::shed {

class Table6 {
 public:
  Table6(const ListMemory& memory, unsigned slot, const sluice_cookie_key& key) : memory_(memory), slot_(slot), key_(key) {}

  static uint32_t buckets_for(size_t prefixes);  // half full at most
  // The slot anew, with so many buckets, which it has. false: some bucket's neighbours are all full; take more.
  bool build(uint32_t buckets, const Entries& all);
  // What a prefix says from now on; SLUICE_ACTION_NONE: nothing. false: there is no place for it.
  bool set(const Entry& prefix, uint32_t action);
  uint32_t mask() const { return mask_; }

 private:
  const ListMemory& memory_;
  const unsigned slot_;
  const sluice_cookie_key key_;
  sluice_bucket6* buckets_ = nullptr;
  uint32_t mask_ = 0;
};

}  // namespace sluice::shed
