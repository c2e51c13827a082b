// What forwarding changes in a packet. Lengths were checked by parse.
#pragma once

#include <rte_mbuf.h>

#include "packet/buf.h"
#include "packet/meta.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace sluice::path {

// RFC 1812 5.3.1, RFC 8200 3. The caller has seen that it is greater than 1.
inline void decrement_hop_limit(wire::Ip4Hdr& ip) {
  // TTL and protocol share a 16-bit word: it falls by 0x0100, so the checksum, its complement, rises by as
  // much, with the carry added back. 0xffff never comes out: RFC 1624 3 wants 0 where 0xfeff went in.
  uint32_t c = uint32_t{ip.checksum.raw()} + be16::from(0x0100).raw();
  c += c >= 0xffff;
  ip.checksum = be16::from_raw(static_cast<uint16_t>(c));
  ip.ttl--;
}
inline void decrement_hop_limit(wire::Ip6Hdr& ip) { ip.hop_limit--; }

inline uint8_t hop_limit(const wire::Ip4Hdr& ip) { return ip.ttl; }
inline uint8_t hop_limit(const wire::Ip6Hdr& ip) { return ip.hop_limit; }

// Destination and source MAC as words (Mac::word), in front of the EtherType that is there.
inline void write_macs(uint8_t* eth, uint64_t dst, uint64_t src) {
  const uint64_t head = dst | src << 48;
  const uint32_t tail = static_cast<uint32_t>(src >> 16);
  std::memcpy(eth, &head, 8);
  std::memcpy(eth + 8, &tail, 4);
}

// A veth sender leaves in the checksum field the folded sum of the pseudo header, for a device to complete.
// Where that is what stands there, the whole sum is computed. A right checksum that happens to have this
// value is computed again to the same; a wrong one that does (1 in 65,535) becomes right.
void repair_checksum(rte_mbuf* m, const Meta& meta);

}  // namespace sluice::path
