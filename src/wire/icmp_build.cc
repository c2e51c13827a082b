#include "wire/icmp_build.h"

#include <algorithm>

#include "wire/checksum.h"

namespace sluice::wire {

namespace {

// What stands in the second word of the ICMP header (RFC 792, RFC 1191 4).
uint32_t icmp4_rest(const IcmpError& e) {
  if (e.type == 3) return e.code == 4 ? e.info & 0xffff : 0;
  if (e.type == 12) return e.info << 24;
  return e.type == 5 ? e.info : 0;
}

// The reset's TCP header, but for its checksum; 0 where none is due.
size_t write_reset(TcpHdr& rst, ConstBytes segment) {
  const TcpHdr* seg = peek<TcpHdr>(segment);
  if (!seg || seg->flags & kTcpRst) return 0;
  const unsigned header = seg->header_length();
  if (header < sizeof(TcpHdr) || header > segment.size()) return 0;
  rst = TcpHdr{.sport = seg->dport, .dport = seg->sport, .offset_reserved = sizeof(TcpHdr) / 4 << 4};
  if (seg->flags & kTcpAck) {
    rst.seq = seg->ack;
    rst.flags = kTcpRst;
  } else {
    const size_t seg_len =
        segment.size() - header + ((seg->flags & kTcpSyn) != 0) + ((seg->flags & kTcpFin) != 0);
    rst.ack = be32::from(seg->seq.host() + static_cast<uint32_t>(seg_len));
    rst.flags = kTcpRst | kTcpAck;
  }
  return sizeof(TcpHdr);
}

}  // namespace

void write_ip4(Ip4Hdr& h, const Ip4& src, const Ip4& dst, uint8_t proto, uint16_t total_length, uint16_t id,
               uint8_t ttl, uint8_t tos, bool dont_fragment) {
  h = {.version_ihl = 0x45,
       .tos = tos,
       .total_length = be16::from(total_length),
       .id = be16::from(id),
       .frag = be16::from(dont_fragment ? 0x4000 : 0),
       .ttl = ttl,
       .proto = proto,
       .checksum = {},
       .src = src,
       .dst = dst};
  h.checksum = finish(sum_bytes(&h.version_ihl, sizeof h));
}

void write_ip6(Ip6Hdr& h, const Ip6& src, const Ip6& dst, uint8_t next_header, uint16_t payload_length,
               uint8_t hop_limit) {
  h = {be32::from(6u << 28), be16::from(payload_length), next_header, hop_limit, src, dst};
}

void seal_icmp4(Bytes icmp) {
  IcmpHdr* h = at<IcmpHdr>(icmp.data());
  h->checksum = {};
  h->checksum = finish(sum_bytes(icmp.data(), icmp.size()));
}

void seal_icmp6(Bytes icmp, const Ip6& src, const Ip6& dst) {
  IcmpHdr* h = at<IcmpHdr>(icmp.data());
  h->checksum = {};
  const uint64_t pseudo = pseudo_sum(src, dst, kProtoIcmp6, static_cast<uint32_t>(icmp.size()));
  h->checksum = finish(sum_bytes(icmp.data(), icmp.size(), pseudo));
}

size_t build_icmp4_error(Bytes out, const Ip4& src, const Ip4& dst, uint16_t id, const IcmpError& e,
                         ConstBytes offender) {
  constexpr size_t kHeaders = sizeof(Ip4Hdr) + sizeof(IcmpHdr);
  const size_t quote = std::min(offender.size(), kIcmp4ErrorMax - kHeaders);
  if (out.size() < kHeaders + quote || offender.size() < sizeof(Ip4Hdr)) return 0;
  // The offender's DSCP below the precedence is kept; its ECN bits are not ours to claim (RFC 3168 18).
  const uint8_t tos = static_cast<uint8_t>(0xc0 | (at<Ip4Hdr>(offender.data())->tos & 0x1c));
  write_ip4(*at<Ip4Hdr>(out.data()), src, dst, kProtoIcmp, static_cast<uint16_t>(kHeaders + quote), id, 64,
            tos);
  *at<IcmpHdr>(out.data() + sizeof(Ip4Hdr)) = {e.type, e.code, {}, be32::from(icmp4_rest(e))};
  std::memcpy(out.data() + kHeaders, offender.data(), quote);
  seal_icmp4(out.subspan(sizeof(Ip4Hdr), sizeof(IcmpHdr) + quote));
  return kHeaders + quote;
}

size_t build_icmp6_error(Bytes out, const Ip6& src, const Ip6& dst, const IcmpError& e, ConstBytes offender) {
  constexpr size_t kHeaders = sizeof(Ip6Hdr) + sizeof(IcmpHdr);
  const size_t quote = std::min(offender.size(), kIcmp6ErrorMax - kHeaders);
  if (out.size() < kHeaders + quote) return 0;
  write_ip6(*at<Ip6Hdr>(out.data()), src, dst, kProtoIcmp6, static_cast<uint16_t>(sizeof(IcmpHdr) + quote));
  const uint32_t rest = e.type == 2 || e.type == 4 ? e.info : 0;
  *at<IcmpHdr>(out.data() + sizeof(Ip6Hdr)) = {e.type, e.code, {}, be32::from(rest)};
  std::memcpy(out.data() + kHeaders, offender.data(), quote);
  seal_icmp6(out.subspan(sizeof(Ip6Hdr), sizeof(IcmpHdr) + quote), src, dst);
  return kHeaders + quote;
}

void echo_reply4(Bytes icmp) {
  at<IcmpHdr>(icmp.data())->type = 0;
  seal_icmp4(icmp);
}

void echo_reply6(Bytes icmp, const Ip6& src, const Ip6& dst) {
  at<IcmpHdr>(icmp.data())->type = 129;
  seal_icmp6(icmp, src, dst);
}

size_t build_tcp_reset4(Bytes out, ConstBytes offender, size_t l4, uint16_t id) {
  constexpr size_t kLength = sizeof(Ip4Hdr) + sizeof(TcpHdr);
  if (out.size() < kLength || offender.size() < sizeof(Ip4Hdr) || l4 > offender.size()) return 0;
  const Ip4Hdr* ip = at<Ip4Hdr>(offender.data());
  TcpHdr* tcp = at<TcpHdr>(out.data() + sizeof(Ip4Hdr));
  if (!write_reset(*tcp, offender.subspan(l4))) return 0;
  write_ip4(*at<Ip4Hdr>(out.data()), ip->dst, ip->src, kProtoTcp, kLength, id, 64, 0, true);
  tcp->checksum = finish(sum_bytes(out.data() + sizeof(Ip4Hdr), sizeof(TcpHdr),
                                   pseudo_sum(ip->dst, ip->src, kProtoTcp, sizeof(TcpHdr))));
  return kLength;
}

size_t build_tcp_reset6(Bytes out, ConstBytes offender, size_t l4) {
  constexpr size_t kLength = sizeof(Ip6Hdr) + sizeof(TcpHdr);
  if (out.size() < kLength || offender.size() < sizeof(Ip6Hdr) || l4 > offender.size()) return 0;
  const Ip6Hdr* ip = at<Ip6Hdr>(offender.data());
  TcpHdr* tcp = at<TcpHdr>(out.data() + sizeof(Ip6Hdr));
  if (!write_reset(*tcp, offender.subspan(l4))) return 0;
  write_ip6(*at<Ip6Hdr>(out.data()), ip->dst, ip->src, kProtoTcp, sizeof(TcpHdr));
  tcp->checksum = finish(sum_bytes(out.data() + sizeof(Ip6Hdr), sizeof(TcpHdr),
                                   pseudo_sum(ip->dst, ip->src, kProtoTcp, sizeof(TcpHdr))));
  return kLength;
}

}  // namespace sluice::wire
