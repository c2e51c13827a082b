#include "path/parse.h"

#include "packet/buf.h"
#include "wire/ip6_ext.h"

namespace sluice::path {

namespace {

using wire::Bytes;
using wire::ConstBytes;

constexpr unsigned kMaxTags = 2;

bool tag_type(uint16_t type) {
  return type == wire::kEthVlan || type == wire::kEthQinQ || type == wire::kEthQinQOld;
}

// 802.1Q 6.9: VLAN id 0 says nothing but a priority; the frame is an untagged one. The MACs move over the
// tag, so that an Ethernet header stands right in front of the packet as everywhere else.
void strip_tag(rte_mbuf* m) {
  uint8_t* p = rte_pktmbuf_mtod(m, uint8_t*);
  std::memmove(p + sizeof(wire::VlanTag), p, 2 * sizeof(Mac));
  rte_pktmbuf_adj(m, sizeof(wire::VlanTag));
}

// Finds the EtherType behind any tags. meta.l3 is then the offset of what follows it.
DropReason parse_ethernet(rte_mbuf* m, const Interface& ifc, Meta& meta) {
  if (m->data_len < sizeof(wire::EthHdr)) return DropReason::frame_short;
  const Mac dst = wire::at<wire::EthHdr>(bytes_of(m).data())->dst;
  if (dst.group())
    meta.flags |= kMetaL2Group;
  else if (!(dst == ifc.mac) && !ifc.any_destination)
    return DropReason::frame_not_for_us;

  meta.l3 = sizeof(wire::EthHdr);
  meta.ethertype = wire::at<wire::EthHdr>(bytes_of(m).data())->type.host();
  for (unsigned tags = 0; tags < kMaxTags && tag_type(meta.ethertype); ++tags) {
    const wire::VlanTag* tag = wire::peek<wire::VlanTag>(bytes_of(m), meta.l3);
    if (!tag) return DropReason::frame_short;
    const uint16_t id = tag->tci.host() & 0xfff;
    meta.ethertype = tag->type.host();
    if (id == 0 && !meta.has(kMetaVlan)) {
      strip_tag(m);
      continue;
    }
    if (!meta.has(kMetaVlan)) meta.vlan = id;
    meta.flags |= kMetaVlan;
    meta.l3 = static_cast<uint16_t>(meta.l3 + sizeof(wire::VlanTag));
  }
  return m->data_len > meta.l3 + unsigned{ifc.mtu} ? DropReason::frame_long : DropReason::count_;
}

// Ports, or ICMP type and code. `l4`: from the transport header to the end of the packet.
void parse_l4(Meta& meta, ConstBytes l4) {
  const bool icmp = (meta.family == 4 && meta.proto == wire::kProtoIcmp) ||
                    (meta.family == 6 && meta.proto == wire::kProtoIcmp6);
  size_t header;
  if (icmp)
    header = sizeof(wire::IcmpHdr);
  else if (meta.proto == wire::kProtoTcp)
    header = sizeof(wire::TcpHdr);
  else if (meta.proto == wire::kProtoUdp)
    header = sizeof(wire::UdpHdr);
  else if (meta.proto == wire::kProtoSctp)
    header = 12;  // RFC 9260 3.1
  else
    return;
  if (l4.size() < header) meta.flags |= kMetaL4Short;
  if (icmp && l4.size() >= 2) {
    meta.sport = l4[0];
    meta.dport = l4[1];
    meta.flags |= kMetaPortsValid;
  } else if (!icmp && l4.size() >= 4) {
    meta.sport = wire::load16(l4.data());
    meta.dport = wire::load16(l4.data() + 2);
    meta.flags |= kMetaPortsValid;
  }
}

// `ip`: from the IP header to the end of the frame.
DropReason parse_ip4(ConstBytes ip, Meta& meta) {
  const wire::Ip4Hdr* h = wire::peek<wire::Ip4Hdr>(ip);
  if (!h) return DropReason::ip_truncated;
  if (h->version() != 4) return DropReason::ip_version;
  const unsigned header = h->header_length();
  if (header < sizeof(wire::Ip4Hdr)) return DropReason::ip_header_length;
  if (header > ip.size()) return DropReason::ip_truncated;
  if (!wire::ip4_checksum_ok(ip.data(), header)) return DropReason::ip_checksum;
  const unsigned length = h->total_length.host();
  if (length < header) return DropReason::ip_total_length;
  if (length > ip.size()) return DropReason::ip_truncated;

  meta.family = 4;
  meta.proto = h->proto;
  meta.l4 = static_cast<uint16_t>(meta.l3 + header);
  meta.ip_length = static_cast<uint16_t>(length);
  meta.frag_offset = h->frag_offset();
  if (header > sizeof(wire::Ip4Hdr)) meta.flags |= kMetaIpOptions;
  if (meta.frag_offset != 0)
    meta.flags |= kMetaFragLater;
  else if (h->more_fragments())
    meta.flags |= kMetaFragFirst;
  if (!meta.has(kMetaFragLater)) parse_l4(meta, ip.first(length).subspan(header));
  return DropReason::count_;
}

// A later fragment that starts with one of these hides the upper layer behind it.
bool hides_upper(uint8_t proto) {
  return proto == wire::kProtoHopByHop || proto == wire::kProtoRouting || proto == wire::kProtoDestOpts ||
         proto == wire::kProtoFragment || proto == wire::kProtoAh;
}

DropReason parse_ip6(ConstBytes ip, Meta& meta) {
  const wire::Ip6Hdr* h = wire::peek<wire::Ip6Hdr>(ip);
  if (!h) return DropReason::ip_truncated;
  if (h->version() != 6) return DropReason::ip_version;
  const bool hop_by_hop = h->next_header == wire::kProtoHopByHop;
  size_t length = sizeof(wire::Ip6Hdr) + h->payload_length.host();
  // No length and a hop-by-hop header: a jumbogram, or wrong. Either is an error that names an option or
  // the field, so the bytes are kept for process_hop_by_hop, which never passes it.
  if (hop_by_hop && h->payload_length.host() == 0) length = ip.size();
  if (length > ip.size()) return DropReason::ip_truncated;
  const ConstBytes packet = ip.first(length);

  wire::Ip6Chain chain(packet);
  for (wire::Ip6ExtHeader ext; chain.next(ext);) {
  }
  meta.family = 6;
  meta.proto = chain.proto();
  meta.l4 = static_cast<uint16_t>(meta.l3 + chain.offset());
  meta.ip_length = static_cast<uint16_t>(length);
  if (hop_by_hop) meta.flags |= kMetaIpOptions;
  if (const wire::Ip6Frag* f = chain.fragment()) {
    meta.frag_offset = f->offset();
    if (f->offset() != 0)
      meta.flags |= kMetaFragLater;
    else if (f->more())
      meta.flags |= kMetaFragFirst;
  }
  switch (chain.end()) {
    case wire::Ip6Chain::End::upper:
      parse_l4(meta, packet.subspan(chain.offset()));
      break;
    case wire::Ip6Chain::End::truncated:
      meta.flags |= kMetaExtHidden | kMetaL4Short;
      break;
    case wire::Ip6Chain::End::too_many:
      meta.flags |= kMetaExtHidden;
      break;
    case wire::Ip6Chain::End::later_fragment:
      if (hides_upper(meta.proto)) meta.flags |= kMetaExtHidden;
      break;
  }
  return DropReason::count_;
}

}  // namespace

DropReason parse_slow(rte_mbuf* m, const Interface& ifc, Meta& meta) {
  meta.flags = 0;
  meta.family = meta.proto = 0;
  meta.ethertype = meta.l3 = meta.l4 = meta.ip_length = 0;
  meta.sport = meta.dport = meta.frag_offset = meta.vlan = 0;
  meta.in_port = m->port;
  DropReason r = parse_ethernet(m, ifc, meta);
  if (r != DropReason::count_) return r;

  const ConstBytes ip = bytes_of(m).subspan(meta.l3);
  if (meta.ethertype == wire::kEthIp4)
    r = parse_ip4(ip, meta);
  else if (meta.ethertype == wire::kEthIp6)
    r = parse_ip6(ip, meta);
  else
    return meta.ethertype == wire::kEthArp ? DropReason::count_ : DropReason::ethertype_unknown;
  if (r != DropReason::count_) return r;
  m->data_len = static_cast<uint16_t>(meta.l3 + meta.ip_length);
  m->pkt_len = m->data_len;
  return DropReason::count_;
}

}  // namespace sluice::path
