// TCP segments in frames, for the box's tests: built and read field by field.
#pragma once

#include <optional>

#include "frames.h"

namespace sluice::test {

struct Segment {
  IpAddr src, dst;
  uint16_t sport = 0, dport = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t flags = 0;
  Frame data = {};
  uint16_t window = 65535;
  Frame options = {};  // a multiple of four bytes
  bool has(uint8_t f) const { return flags & f; }
};

inline uint64_t pseudo(const IpAddr& a, const IpAddr& b, uint8_t proto, size_t n) {
  const auto length = static_cast<uint32_t>(n);
  return a.family == 4 ? wire::pseudo_sum(a.v4(), b.v4(), proto, length) : wire::pseudo_sum(a.v6(), b.v6(), proto, length);
}

// Any upper-layer message behind its IP and Ethernet headers; IPv4: a fragment if `frag` says so.
inline Frame ip_frame(const Mac& dst, const Mac& src, const IpAddr& from, const IpAddr& to, uint8_t proto,
                      const Frame& message, uint16_t frag = 0, uint16_t id = 0) {
  if (from.family == 4) {
    Frame f = ip4(dst, src, from.v4(), to.v4(), proto, 64, message);
    auto* h = wire::at<wire::Ip4Hdr>(f.data() + 14);
    h->frag = be16::from(frag);
    h->id = be16::from(id);
    h->checksum = {};
    h->checksum = wire::finish(wire::sum_bytes(f.data() + 14, sizeof *h));
    return f;
  }
  Frame f;
  append(f, eth(dst, src, wire::kEthIp6));
  append(f, wire::Ip6Hdr{be32::from(6u << 28), be16::from(static_cast<uint16_t>(message.size())), proto, 64, from.v6(), to.v6()});
  f.insert(f.end(), message.begin(), message.end());
  return f;
}

inline Frame tcp_message(const Segment& s) {
  Frame m;
  append(m, wire::TcpHdr{.sport = be16::from(s.sport), .dport = be16::from(s.dport), .seq = be32::from(s.seq),
                         .ack = be32::from(s.ack), .offset_reserved = static_cast<uint8_t>(0x50 + (s.options.size() << 2)), .flags = s.flags,
                         .window = be16::from(s.window), .checksum = {}, .urgent = {}});
  m.insert(m.end(), s.options.begin(), s.options.end());
  m.insert(m.end(), s.data.begin(), s.data.end());
  const uint64_t sum = wire::sum_bytes(m.data(), m.size(), pseudo(s.src, s.dst, wire::kProtoTcp, m.size()));
  wire::at<wire::TcpHdr>(m.data())->checksum = wire::finish(sum);
  return m;
}
inline Frame tcp_frame(const Mac& dst, const Mac& src, const Segment& s) {
  return ip_frame(dst, src, s.src, s.dst, wire::kProtoTcp, tcp_message(s));
}

// The segment in a frame, if it holds one, whole and with a right checksum.
inline std::optional<Segment> segment_of(const Frame& f) {
  const auto* e = eth_of(f);
  if (!e) return std::nullopt;
  Segment s;
  wire::ConstBytes l4;
  if (e->type.host() == wire::kEthIp4) {
    const auto* h = wire::peek<wire::Ip4Hdr>(f, 14);
    if (!h || h->proto != wire::kProtoTcp) return std::nullopt;
    s.src = h->src, s.dst = h->dst;
    l4 = wire::ConstBytes(f).subspan(14 + 20, h->total_length.host() - 20u);
  } else if (e->type.host() == wire::kEthIp6) {
    const auto* h = wire::peek<wire::Ip6Hdr>(f, 14);
    if (!h || h->next_header != wire::kProtoTcp) return std::nullopt;
    s.src = h->src, s.dst = h->dst;
    l4 = wire::ConstBytes(f).subspan(14 + 40, h->payload_length.host());
  } else {
    return std::nullopt;
  }
  const auto* t = wire::peek<wire::TcpHdr>(l4);
  const bool sound = t && wire::fold16(wire::sum_bytes(l4.data(), l4.size(), pseudo(s.src, s.dst, 6, l4.size()))) == 0xffff;
  EXPECT_TRUE(sound) << "a segment with a wrong checksum";
  if (!sound) return std::nullopt;
  s.sport = t->sport.host(), s.dport = t->dport.host();
  s.seq = t->seq.host(), s.ack = t->ack.host();
  s.flags = t->flags;
  s.window = t->window.host();
  s.options.assign(l4.begin() + 20, l4.begin() + t->header_length());
  s.data.assign(l4.begin() + t->header_length(), l4.end());
  return s;
}

}  // namespace sluice::test
