// Which stack engine has a TCP connection, where there are several: by a keyed hash of its ends that is the same for
// both directions, so that a worker with a segment in hand and an application that chooses a port agree. All else that
// is for the box (ARP, ICMP, UDP, fragments) is the first engine's.
#pragma once

#include "base/hash.h"
#include "packet/meta.h"
#include "tcp/segment.h"

namespace sluice::engine {

class StackShare {
 public:
  StackShare(const HashKey& key, unsigned engines) : key_(key), engines_(engines) {}

  unsigned engines() const { return engines_; }
  unsigned of(const tcp::Tuple& t) const;
  // A packet on its way to a stack, with its stash filled in.
  unsigned of(const rte_mbuf* m) const;

 private:
  HashKey key_;
  unsigned engines_;
};

}  // namespace sluice::engine
