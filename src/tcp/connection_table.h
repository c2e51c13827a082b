// Connections by four-tuple: a keyed hash, chains through the blocks themselves. Bounded by the slab: what fits there
// fits here. Lookups of a burst are overlapped by the caller: hash and prefetch() all, then prefetch_block() all, then
// find() each.
#pragma once

#include <bit>

#include "base/hash.h"
#include "tcp/slab.h"
#include "tcp/tcb.h"

namespace sluice::tcp {

class ConnectionTable {
 public:
  // Heads for twice the slab's capacity, a power of two: chains stay near one block.
  ConnectionTable(const HashKey& key, Slab<Tcb>& tcbs)
      : key_(key), tcbs_(tcbs), mask_(std::bit_ceil(uint64_t{tcbs.capacity()} * 2 + 1) - 1),
        memory_((mask_ + 1) * sizeof(uint32_t)) {}

  uint64_t hash(const Tuple& t) const {
    const uint64_t ports = t.local_port | uint64_t{t.remote_port} << 16 | uint64_t{t.local.family} << 32;
    if (t.local.family == 4)
      return hash_words(key_, t.local.v4().v.raw() | uint64_t{t.remote.v4().v.raw()} << 32, ports);
    const uint64_t words[] = {t.local.v6().hi(), t.local.v6().lo(), t.remote.v6().hi(), t.remote.v6().lo(), ports};
    return hash_words(key_, words, 5);
  }

  void prefetch(uint64_t hash) const { __builtin_prefetch(&head(hash)); }
  void prefetch_block(uint64_t hash) const {
    if (const uint32_t h = head(hash)) __builtin_prefetch(&tcbs_.at(h - 1));
  }

  // kNone: none.
  uint32_t find(const Tuple& t, uint64_t hash) const {
    for (uint32_t i = head(hash) - 1; i != kNone; i = tcbs_.at(i).hash_next) {
      const Tcb& c = tcbs_.at(i);
      if (c.hash == hash && c.tuple == t) [[likely]] return i;
    }
    return kNone;
  }
  // Its tuple and hash are set; not in the table yet.
  void insert(uint32_t index) {
    Tcb& c = tcbs_.at(index);
    c.hash_next = head(c.hash) - 1;
    head(c.hash) = index + 1;
  }
  // It is in the table.
  void remove(uint32_t index) {
    Tcb& c = tcbs_.at(index);
    uint32_t before = head(c.hash) - 1;
    if (before == index) {
      head(c.hash) = c.hash_next + 1;
    } else {
      while (tcbs_.at(before).hash_next != index) before = tcbs_.at(before).hash_next;
      tcbs_.at(before).hash_next = c.hash_next;
    }
    c.hash_next = kNone;
  }

 private:
  // A block's index + 1, so that untouched memory means an empty chain (and kNone + 1 is that).
  uint32_t& head(uint64_t hash) const { return reinterpret_cast<uint32_t*>(memory_.data())[hash & mask_]; }

  HashKey key_;
  Slab<Tcb>& tcbs_;
  uint64_t mask_;
  Mapping memory_;
};

}  // namespace sluice::tcp
