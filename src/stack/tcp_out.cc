// What the library sends, as packets.
#include <algorithm>

#include "stack/own.h"
#include "stack/send.h"
#include "stack/tcp_ip.h"
#include "wire/checksum.h"

namespace sluice::stack {

using wire::TcpHdr;

namespace {

// A place in a segment's payload that moves on.
class Reader {
 public:
  explicit Reader(std::span<const tcp::Slice> slices) : slices_(slices) {}

  // The next n bytes, all of which are there, to `append(bytes, length)`.
  template <class Append>
  void read(uint32_t n, Append&& append) {
    while (n > 0) {
      const tcp::Slice& s = slices_.front();
      const uint32_t part = std::min(n, s.length - at_);
      append(s.data + at_, part);
      n -= part;
      at_ += part;
      if (at_ < s.length) return;
      slices_ = slices_.subspan(1);
      at_ = 0;
    }
  }

 private:
  std::span<const tcp::Slice> slices_;
  uint32_t at_ = 0;
};

// Copies pieces behind each other and keeps the one's complement sum of all of it.
class SummingCopy {
 public:
  explicit SummingCopy(uint8_t* to) : to_(to) {}
  void append(const uint8_t* from, uint32_t n) {
    uint64_t sum = wire::copy_and_sum(to_, from, n);
    // Behind an odd number of bytes the words begin in the middle of the checksum's.
    if (odd_) sum = byte_swapped(wire::fold16(sum));
    sum_ = wire::add_sums(sum_, sum);
    odd_ ^= n & 1;
    to_ += n;
  }
  uint64_t sum() const { return sum_; }

 private:
  uint8_t* to_;
  uint64_t sum_ = 0;
  bool odd_ = false;
};

Header ip_header(const tcp::OutSegment& s) {
  return {.src = s.tuple.local,
          .dst = s.tuple.remote,
          .proto = wire::kProtoTcp,
          .traffic_class = static_cast<uint8_t>(s.ecn),
          .hops = s.hop_limit,
          .dont_fragment = s.dont_fragment,
          .in_port = s.path.port,
          .worker = s.path.worker};
}

// Of a link-local address the link is known, and no other may be taken (RFC 4007 6).
bool stays_on_its_link(const Turn& t, const tcp::OutSegment& s) {
  if (s.tuple.local.family == 4) return true;
  if (!s.tuple.local.v6().link_local() && !s.tuple.remote.v6().link_local()) return true;
  const Interface* link = t.port(s.path.port);
  return link && on_link(*link, s.tuple.remote);
}

uint64_t pseudo_sum(const tcp::Tuple& t, uint32_t length) {
  return t.local.family == 4 ? wire::pseudo_sum(t.local.v4(), t.remote.v4(), wire::kProtoTcp, length)
                             : wire::pseudo_sum(t.local.v6(), t.remote.v6(), wire::kProtoTcp, length);
}

// The part of the segment from `at` on, of `n` bytes: sequence number and flags are its own.
TcpHdr header_of(const tcp::OutSegment& s, unsigned header, uint32_t at, uint32_t n) {
  uint8_t flags = s.flags;
  if (at != 0) flags = static_cast<uint8_t>(flags & ~wire::kTcpCwr);
  if (at + n != s.length) flags = static_cast<uint8_t>(flags & ~(wire::kTcpFin | wire::kTcpPsh));
  return {.sport = be16::from(s.tuple.local_port),
          .dport = be16::from(s.tuple.remote_port),
          .seq = be32::from((s.seq + at).v),
          .ack = be32::from(s.ack.v),
          .offset_reserved = static_cast<uint8_t>(header / 4 << 4),
          .flags = flags,
          .window = be16::from(s.window),
          .checksum = {},
          .urgent = be16::from(s.urgent)};
}

}  // namespace

bool TcpIp::send(const tcp::OutSegment& s) {
  if (!turn_) return false;  // the box has stopped: there is no way out any more
  Turn& t = *turn_;
  if (!stays_on_its_link(t, s)) return false;
  const bool v4 = s.tuple.local.family == 4;
  const auto ip = static_cast<unsigned>(v4 ? sizeof(wire::Ip4Hdr) : sizeof(wire::Ip6Hdr));
  const auto tcp = static_cast<unsigned>(sizeof(TcpHdr) + s.options.size());
  const unsigned l4 = kEthRoom + ip;
  const uint32_t most = std::min<uint32_t>(s.mss, buffer_room(t.core.pool) - ip - tcp);
  const Header h = ip_header(s);
  Reader payload(s.payload);
  for (uint32_t at = 0, n; at == 0 || at < s.length; at += n) {
    n = std::min(most, s.length - at);
    rte_mbuf* m = t.make(l4 + tcp + n);
    if (!m) return false;
    uint8_t* p = bytes_of(m).data();
    write_headers(p, h, tcp + n, s.dont_fragment ? uint16_t{0} : static_cast<uint16_t>(t.core.random()));
    TcpHdr& out = *wire::at<TcpHdr>(p + l4);
    out = header_of(s, tcp, at, n);
    std::copy(s.options.begin(), s.options.end(), p + l4 + sizeof(TcpHdr));
    const uint64_t pseudo = pseudo_sum(s.tuple, tcp + n);
    if (ports_finish_checksums_) {
      payload.read(n, [to = p + l4 + tcp](const uint8_t* from, uint32_t k) mutable { std::memcpy(to, from, k), to += k; });
      out.checksum = be16::from_raw(wire::fold16(pseudo));
      m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
      m->tx_offload = rte_mbuf_tx_offload(kEthRoom, ip, tcp, 0, 0, 0, 0);
    } else {
      SummingCopy copy(p + l4 + tcp);
      payload.read(n, [&](const uint8_t* from, uint32_t k) { copy.append(from, k); });
      const uint64_t headers = wire::sum_bytes(p + l4, tcp, pseudo);
      out.checksum = wire::finish(wire::add_sums(headers, copy.sum()));
    }
    stash(m) = own_meta(h, l4, tcp + n);
    t.route(m);
    if (s.length == 0) break;
  }
  return true;
}

}  // namespace sluice::stack
