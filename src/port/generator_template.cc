#include "port/generator_template.h"

namespace sluice::port {

namespace {

// Raw words with ones where the host bits of a prefix are.
void host_mask(const Prefix& p, uint64_t (&mask)[2]) {
  std::array<uint8_t, 16> b{};
  for (unsigned bit = p.len; bit < p.addr.bits(); bit++)
    b[bit / 8] = static_cast<uint8_t>(b[bit / 8] | 0x80u >> bit % 8);
  std::memcpy(mask, b.data(), 16);
}

void fixed_bits(const Prefix& p, uint64_t (&fixed)[2]) {
  std::memcpy(fixed, p.masked().addr.b.data(), 16);
}

}  // namespace

FlowSpace FlowSpace::of(const Prefix& sources, const Prefix& destinations) {
  FlowSpace s;
  fixed_bits(sources, s.src_fixed);
  fixed_bits(destinations, s.dst_fixed);
  host_mask(sources, s.src_mask);
  host_mask(destinations, s.dst_mask);
  return s;
}

FrameTemplate FrameTemplate::build(const GeneratorOptions& g, unsigned size, const Mac& from) {
  FrameTemplate t;
  t.size_ = size;
  uint8_t* b = t.bytes_.data();
  *wire::at<wire::EthHdr>(b) = {g.to, from, be16::from(g.ip6 ? wire::kEthIp6 : wire::kEthIp4)};
  const unsigned l3 = sizeof(wire::EthHdr), head = g.ip6 ? sizeof(wire::Ip6Hdr) : sizeof(wire::Ip4Hdr),
                 l4 = l3 + head;
  const auto l4_length = static_cast<uint16_t>(size - l4);
  if (g.ip6) {
    auto* ip = wire::at<wire::Ip6Hdr>(b + l3);
    ip->version_class_flow = be32::from(6u << 28);
    ip->payload_length = be16::from(l4_length);
    ip->next_header = g.proto;
    ip->hop_limit = 64;
  } else {
    auto* ip = wire::at<wire::Ip4Hdr>(b + l3);
    ip->version_ihl = 0x45;
    ip->total_length = be16::from(static_cast<uint16_t>(size - l3));
    ip->frag = be16::from(0x4000);
    ip->ttl = 64;
    ip->proto = g.proto;
    t.l3_sum_ = wire::fold16(wire::sum_bytes(b + l3, head));
  }
  if (g.proto == wire::kProtoTcp) {
    auto* tcp = wire::at<wire::TcpHdr>(b + l4);
    tcp->seq = be32::from(1);
    tcp->ack = be32::from(1);
    tcp->offset_reserved = 5 << 4;
    tcp->flags = wire::kTcpAck;
    tcp->window = be16::from(0xffff);
  } else {
    wire::at<wire::UdpHdr>(b + l4)->length = be16::from(l4_length);
  }
  uint64_t pseudo = uint64_t{be16::from(g.proto).raw()} + be16::from(l4_length).raw();
  t.l4_sum_ = wire::fold16(wire::add_sums(pseudo, wire::sum_bytes(b + l4, l4_length)));
  return t;
}

}  // namespace sluice::port
