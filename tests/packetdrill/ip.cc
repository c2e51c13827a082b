#include "packetdrill/ip.h"

#include <algorithm>
#include <cstring>

#include "wire/checksum.h"

namespace sluice::drill {
namespace {

using namespace wire;

constexpr uint8_t kIcmpUnreachable = 3, kIcmp6Unreachable = 1, kIcmp6TooBig = 2;

// Addresses, protocol and where the upper layer lies; nothing where the header is not whole or not IP.
struct Layer3 {
  IpAddr src, dst;
  uint8_t proto = 0, tos = 0;
  ConstBytes upper;
};

std::optional<Layer3> layer3(ConstBytes p, bool may_be_cut) {
  if (p.empty()) return {};
  if (p[0] >> 4 == 4) {
    const Ip4Hdr* h = peek<Ip4Hdr>(p);
    if (!h || h->header_length() < 20 || h->header_length() > p.size()) return {};
    const size_t total = h->total_length.host();
    if (total < h->header_length() || (total > p.size() && !may_be_cut)) return {};
    if (!may_be_cut && !ip4_checksum_ok(p.data(), h->header_length())) return {};
    return Layer3{h->src, h->dst, h->proto, h->tos, p.first(std::min(total, p.size())).subspan(h->header_length())};
  }
  const Ip6Hdr* h = peek<Ip6Hdr>(p);
  if (!h || h->version() != 6) return {};
  const size_t total = sizeof(Ip6Hdr) + h->payload_length.host();
  if (total > p.size() && !may_be_cut) return {};
  return Layer3{h->src, h->dst, h->next_header, static_cast<uint8_t>(h->version_class_flow.host() >> 20),
                p.first(std::min(total, p.size())).subspan(sizeof(Ip6Hdr))};
}

uint64_t pseudo(const IpAddr& src, const IpAddr& dst, uint32_t length) {
  return src.family == 4 ? pseudo_sum(src.v4(), dst.v4(), kProtoTcp, length)
                         : pseudo_sum(src.v6(), dst.v6(), kProtoTcp, length);
}

void parse_tcp(const Layer3& ip, Parsed& out) {
  const TcpHdr* h = peek<TcpHdr>(ip.upper);
  const uint32_t n = static_cast<uint32_t>(ip.upper.size());
  if (!h || h->header_length() < sizeof(TcpHdr) || h->header_length() > n) return;
  if (fold16(sum_bytes(ip.upper.data(), n, pseudo(ip.src, ip.dst, n))) != 0xffff) return;
  tcp::InSegment& s = out.segment.emplace();
  s.tuple = {ip.dst, ip.src, h->dport.host(), h->sport.host()};
  s.seq = {h->seq.host()};
  s.ack = {h->ack.host()};
  s.flags = h->flags;
  s.window = h->window.host();
  s.urgent = h->urgent.host();
  s.options = parse_tcp_options(ip.upper.subspan(sizeof(TcpHdr), h->header_length() - sizeof(TcpHdr)));
  out.payload = ip.upper.subspan(h->header_length());
  s.length = static_cast<uint16_t>(out.payload.size());
  s.ecn = static_cast<tcp::Ecn>(ip.tos & 3);
}

void parse_icmp(const Layer3& ip, Parsed& out) {
  using Kind = tcp::IcmpError::Kind;
  const IcmpHdr* h = peek<IcmpHdr>(ip.upper);
  if (!h) return;
  tcp::IcmpError e;
  if (ip.proto == kProtoIcmp) {
    if (h->type != kIcmpUnreachable) return;
    if (h->code == 4) e = {.kind = Kind::too_big, .mtu = h->rest.host() & 0xffff};
    else if (h->code == 2 || h->code == 3 || h->code == 9 || h->code == 10 || h->code == 13) e.kind = Kind::hard;
  } else if (h->type == kIcmp6TooBig) {
    e = {.kind = Kind::too_big, .mtu = h->rest.host()};
  } else if (h->type == kIcmp6Unreachable) {
    if (h->code == 1 || h->code == 4) e.kind = Kind::hard;
  } else {
    return;
  }
  const std::optional<Layer3> quoted = layer3(ip.upper.subspan(sizeof(IcmpHdr)), true);
  if (!quoted || quoted->proto != kProtoTcp || quoted->upper.size() < 8) return;
  e.tuple = {quoted->src, quoted->dst, be16::from_raw(load16(&quoted->upper[0])).host(),
             be16::from_raw(load16(&quoted->upper[2])).host()};
  e.seq = {be32::from_raw(load32(&quoted->upper[4])).host()};
  out.icmp = e;
}

void copy_payload(const tcp::OutSegment& s, uint32_t from, uint32_t length, uint8_t* to) {
  for (const tcp::Slice& piece : s.payload) {
    if (from >= piece.length) {
      from -= piece.length;
      continue;
    }
    const uint32_t n = std::min(length, piece.length - from);
    std::memcpy(to, piece.data + from, n);
    to += n;
    length -= n;
    from = 0;
    if (length == 0) return;
  }
}

size_t put_ip(const tcp::OutSegment& s, uint32_t upper, uint8_t* p) {
  const uint8_t tos = static_cast<uint8_t>(s.ecn);
  if (s.tuple.local.family == 4) {
    Ip4Hdr* h = at<Ip4Hdr>(p);
    *h = {};
    h->version_ihl = 0x45;
    h->tos = tos;
    h->total_length = be16::from(static_cast<uint16_t>(sizeof(Ip4Hdr) + upper));
    h->frag = be16::from(s.dont_fragment ? 0x4000 : 0);
    h->ttl = s.hop_limit;
    h->proto = kProtoTcp;
    h->src = s.tuple.local.v4();
    h->dst = s.tuple.remote.v4();
    h->checksum = finish(sum_bytes(p, sizeof(Ip4Hdr)));
    return sizeof(Ip4Hdr);
  }
  Ip6Hdr* h = at<Ip6Hdr>(p);
  h->version_class_flow = be32::from(6u << 28 | uint32_t{tos} << 20);
  h->payload_length = be16::from(static_cast<uint16_t>(upper));
  h->next_header = kProtoTcp;
  h->hop_limit = s.hop_limit;
  h->src = s.tuple.local.v6();
  h->dst = s.tuple.remote.v6();
  return sizeof(Ip6Hdr);
}

}  // namespace

Parsed parse(ConstBytes packet) {
  Parsed out;
  const std::optional<Layer3> ip = layer3(packet, false);
  if (!ip) return out;
  if (ip->proto == kProtoTcp) parse_tcp(*ip, out);
  else if (ip->proto == (ip->src.family == 4 ? kProtoIcmp : kProtoIcmp6)) parse_icmp(*ip, out);
  return out;
}

Packet build(const tcp::OutSegment& s, uint32_t from, uint32_t length) {
  const uint32_t header = static_cast<uint32_t>(sizeof(TcpHdr) + s.options.size());
  Packet p((s.tuple.local.family == 4 ? sizeof(Ip4Hdr) : sizeof(Ip6Hdr)) + header + length);
  uint8_t* tcp_at = p.data() + put_ip(s, header + length, p.data());
  const bool first = from == 0, last = from + length == s.length;
  TcpHdr* h = at<TcpHdr>(tcp_at);
  h->sport = be16::from(s.tuple.local_port);
  h->dport = be16::from(s.tuple.remote_port);
  h->seq = be32::from((s.seq + from).v);
  h->ack = be32::from(s.ack.v);
  h->offset_reserved = static_cast<uint8_t>(header / 4 << 4);
  h->flags = s.flags;
  if (!last) h->flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  if (!first) h->flags &= static_cast<uint8_t>(~kTcpCwr);
  h->window = be16::from(s.window);
  h->urgent = be16::from(s.urgent);
  std::memcpy(tcp_at + sizeof(TcpHdr), s.options.data(), s.options.size());
  copy_payload(s, from, length, tcp_at + header);
  h->checksum = {};
  h->checksum = finish(sum_bytes(tcp_at, header + length, pseudo(s.tuple.local, s.tuple.remote, header + length)));
  return p;
}

void set_psh(Packet& p, bool on) {
  TcpHdr* h = at<TcpHdr>(p.data() + (p[0] >> 4 == 4 ? sizeof(Ip4Hdr) : sizeof(Ip6Hdr)));
  uint8_t* word = reinterpret_cast<uint8_t*>(h) + offsetof(TcpHdr, offset_reserved);
  const uint16_t before = load16(word);
  h->flags = static_cast<uint8_t>(on ? h->flags | kTcpPsh : h->flags & ~kTcpPsh);
  h->checksum = updated(h->checksum, before, load16(word));
}

}  // namespace sluice::drill
