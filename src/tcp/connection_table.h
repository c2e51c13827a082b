// Connections by four-tuple: a keyed hash, chains through the blocks themselves. (leaf author: complete it)
#pragma once

#include "base/hash.h"
#include "tcp/slab.h"
#include "tcp/tcb.h"

namespace sluice::tcp {

class ConnectionTable {
 public:
  ConnectionTable(const HashKey& key, Slab<Tcb>& tcbs);  // heads for twice the slab's capacity, a power of two
  uint64_t hash(const Tuple& t) const;
  uint32_t find(const Tuple& t, uint64_t hash) const;    // kNone: none
  void insert(uint32_t index);                           // its tuple and hash are set; not in the table yet
  void remove(uint32_t index);
};

}  // namespace sluice::tcp
