// IPv4 fragmentation on the way out (RFC 791 3.2, RFC 1812 4.2.2.7).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "packet/meta.h"

namespace sluice::path {

// Copies the packet at meta.l3 of `m`, which is larger than `mtu`, into fragments of at most `mtu` bytes
// each, in order, every one behind a copy of the Ethernet header that stands in front of meta.l3. They
// carry `m`'s TTL, identification and DSCP; each has its own header checksum. Later ones carry the options
// with the copy flag alone. The pieces of a fragment keep its offset and its MF.
// Returns how many there are in `out`, ready to be sent; or 0, and then nothing was kept: the pool is empty,
// more than `room` are needed, or `mtu` is too small for the header and 8 bytes. `m` stays the caller's.
// The DF flag is the caller's to look at.
unsigned fragment4(rte_mbuf* m, const Meta& meta, uint16_t mtu, rte_mempool* pool, rte_mbuf** out,
                   unsigned room);

}  // namespace sluice::path
