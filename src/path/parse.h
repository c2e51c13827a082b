// Parse once: lengths are checked here, what is found goes into the Meta, and nobody behind trusts the
// packet again. The common frame (untagged, IPv4 without options, whole, TCP or UDP, to our MAC) is
// settled inline with one unlikely branch; all others take parse_slow.
//
// What a router has no business with is let through: short or odd transport headers (kMetaL4Short),
// overlapping or overlong fragments (the stack refuses those that are for the box), extension header
// chains that end early (kMetaExtHidden). Rules look at the flags.
//
// Sources: RFC 791 3.1, RFC 1812 5.2.2, RFC 8200 3 and 4, IEEE 802.1Q 6.9 (priority tags).
#pragma once

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include <bit>

#include "base/drop_reason.h"
#include "packet/meta.h"
#include "table/interfaces.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace sluice::path {

DropReason parse_slow(rte_mbuf* m, const Interface& ifc, Meta& meta);

// DropReason::count_: the frame is fine. `m` is one segment, received on m->port, which `ifc` describes.
// Fills every field of `meta` that describes the frame (up to in_port); egress and what follows it are
// left alone. Cuts the frame behind the IP packet, so that padding is never forwarded, and takes
// priority tags (VLAN id 0) out of it. A tagged frame comes back fine, with kMetaVlan.
// A first fragment whose transport header is not whole has kMetaL4Short, later fragments never.
[[gnu::always_inline]] inline DropReason parse(rte_mbuf* m, const Interface& ifc, Meta& meta) {
  constexpr unsigned kL3 = sizeof(wire::EthHdr), kL4 = kL3 + sizeof(wire::Ip4Hdr);
  const unsigned frame = m->data_len;
  if (std::endian::native != std::endian::little || unlikely(frame < kL4 + sizeof(wire::UdpHdr)))
    return parse_slow(m, ifc, meta);

  // Three words hold all that matters: EtherType to IPv4 id, fragment field to source, rest to source port.
  const uint8_t* p = rte_pktmbuf_mtod(m, const uint8_t*);
  const uint64_t w12 = wire::load64(p + 12), w20 = wire::load64(p + 20), w28 = wire::load64(p + 28);
  const uint64_t differs = (wire::at<wire::EthHdr>(p)->dst.word() ^ ifc.mac.word()) |  // to our MAC
                           ((w12 & 0xffffff) ^ 0x450008) |  // IPv4, 20 bytes of header
                           (w20 & 0xff3f);                  // offset 0, no more fragments
  const unsigned ip_length = byte_swapped(wire::load16(p + 16));
  const uint8_t proto = static_cast<uint8_t>(w20 >> 24);
  const unsigned l4_min = proto == wire::kProtoTcp ? sizeof(wire::TcpHdr) : sizeof(wire::UdpHdr);
  if (unlikely(differs != 0 || (proto != wire::kProtoTcp && proto != wire::kProtoUdp) ||
               ip_length < sizeof(wire::Ip4Hdr) + l4_min || kL3 + ip_length > frame ||
               frame > kL3 + unsigned{ifc.mtu}))
    return parse_slow(m, ifc, meta);

  uint64_t sum = (w12 >> 16) + (w28 << 16 >> 16);
  sum += w20;
  sum += sum < w20;
  if (unlikely(!wire::folds_to_ones(sum))) return parse_slow(m, ifc, meta);

  meta.flags = kMetaPortsValid;
  meta.family = 4;
  meta.proto = proto;
  meta.ethertype = wire::kEthIp4;
  meta.l3 = kL3;
  meta.l4 = kL4;
  meta.ip_length = static_cast<uint16_t>(ip_length);
  meta.sport = static_cast<uint16_t>(w28 >> 48);
  meta.dport = wire::load16(p + kL4 + 2);
  meta.frag_offset = 0;
  meta.vlan = 0;
  meta.in_port = m->port;
  m->data_len = static_cast<uint16_t>(kL3 + ip_length);
  m->pkt_len = kL3 + ip_length;
  return DropReason::count_;
}

}  // namespace sluice::path
