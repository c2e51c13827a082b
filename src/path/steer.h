// Which worker owns a flow, where the hardware does not spread flows symmetrically. A keyed hash of both
// ends in an order that does not depend on the direction, the same on all workers, so that both directions
// of a flow, and ICMP errors about it, meet on one. Fragments go by addresses and protocol alone, so that
// those of a datagram stay together, if not with the rest of their flow.
#pragma once

#include <utility>

#include "path/flow_key.h"

namespace sluice::path {

inline uint64_t symmetric_hash(const HashKey& k, const FlowKey4& key, uint64_t ports) {
  const uint32_t a = static_cast<uint32_t>(key.addresses), b = static_cast<uint32_t>(key.addresses >> 32);
  return hash_words(k, a < b ? key.addresses : uint64_t{a} << 32 | b, ports);
}
inline uint64_t symmetric_hash(const HashKey& k, const FlowKey6& key, uint64_t ports) {
  const bool swap = std::pair(key.address[0], key.address[1]) > std::pair(key.address[2], key.address[3]);
  const uint64_t* lo = key.address + (swap ? 2 : 0);
  const uint64_t* hi = key.address + (swap ? 0 : 2);
  const uint64_t w[5] = {lo[0], lo[1], hi[0], hi[1], ports};
  return hash_words(k, w, 5);
}

template <class F>
unsigned owner_of(const HashKey& k, const typename F::Key& key, unsigned workers) {
  uint64_t ports = key.tail.proto();
  if (key.tail.kind() == KeyKind::whole && !is_icmp(key.tail.proto())) {
    const uint16_t s = key.tail.sport(), d = key.tail.dport();
    ports |= uint64_t{s < d ? s : d} << 16 | uint64_t{s < d ? d : s} << 32;
  }
  return static_cast<unsigned>((symmetric_hash(k, key, ports) >> 32) * workers >> 32);
}

}  // namespace sluice::path
