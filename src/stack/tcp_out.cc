// What the library sends, as packets.
//
// What becomes of a segment depends on what every port can (StackConfig::tx), from the most to the least:
//
//   cutting (TSO)     one packet for the whole of it, its payload by reference; the port cuts and sums
//   chains, checksum  packets of mss bytes, their payload by reference; the port sums
//   checksum          packets of mss bytes, copied; the port sums
//   nothing           packets of mss bytes, copied and summed in one pass
//
// Bytes that lie in no mbuf (a file's contents) are copied into fresh ones in the first two, too. Flat packets remain
// for what is not worth a chain or goes beyond the ports' limits, and for IPv4 packets that routers may fragment: no
// path is known for them, and a chain is not fragmented here. In the books and in counters, what a port cuts is one packet
// of its whole length.
//
// A clone counts as a reference to its mbuf (atomically: it is freed on the worker's lcore, or by a driver there), so that
// what is acknowledged while a port still has it stays alive until the port is done with it.
#include <algorithm>

#include "stack/own.h"
#include "stack/send.h"
#include "stack/tcp_ip.h"
#include "stack/tcp_payload.h"

namespace sluice::stack {

using wire::TcpHdr;

namespace {

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

constexpr uint32_t kWorthReferring = 256;  // bytes: fewer are copied sooner than a clone is made and freed
constexpr uint32_t kLeastCut = 256;        // mss; some devices cut into nothing smaller
// Of a packet that is to be cut: 65535 less the longest headers.
constexpr uint32_t kMostPayload = 65535 - sizeof(wire::Ip6Hdr) - 60;

}  // namespace

// Lengths and offsets, in bytes, that a segment's packets have in common.
struct TcpIp::Shape {
  explicit Shape(const tcp::OutSegment& s)
      : v4(s.tuple.local.family == 4),
        ip(static_cast<unsigned>(v4 ? sizeof(wire::Ip4Hdr) : sizeof(wire::Ip6Hdr))),
        l4(kEthRoom + ip),
        tcp(static_cast<unsigned>(sizeof(TcpHdr) + s.options.size())),
        headers(l4 + tcp) {}
  bool v4;
  unsigned ip;       // header
  unsigned l4;       // offset of the TCP header
  unsigned tcp;      // header with options
  unsigned headers;  // all of them
};

// One packet of a segment: n bytes of its payload, from byte `at` on.
struct TcpIp::Part {
  const tcp::OutSegment& s;
  const Header& ip;
  const Shape& shape;
  uint32_t at, n;

  bool cut() const { return n > s.mss; }
};

bool TcpIp::send(const tcp::OutSegment& s) {
  if (!turn_) return false;  // the box has stopped: there is no way out any more
  if (!stays_on_its_link(*turn_, s)) return false;
  const Shape shape(s);
  const Header ip = ip_header(s);
  const unsigned room = buffer_room(turn_->core.pool);
  const uint32_t flat = std::min<uint32_t>(s.mss, room - shape.ip - shape.tcp);
  Payload payload(s.payload, room);
  for (uint32_t at = 0;;) {
    const uint32_t left = s.length - at;
    Part part{s, ip, shape, at, by_reference(payload, s, left)};
    if (!part.n || !send_chain(part, payload)) {
      part.n = std::min(flat, left);
      if (!send_flat(part, payload)) return false;
    }
    at += part.n;
    if (at == s.length) return true;
  }
}

// How many bytes of the payload can be the next packet by reference: all that are left, or full segments; 0: none.
uint32_t TcpIp::by_reference(Payload payload, const tcp::OutSegment& s, uint32_t left) const {
  if (!clones_ || !tx_.tcp_checksum || tx_.segments < 2 || !s.dont_fragment || left <= kWorthReferring) return 0;
  const bool cut = tx_.tso_segments > 1 && s.mss >= kLeastCut;
  const uint32_t most = std::min<uint32_t>(left, cut ? kMostPayload : s.mss);
  const unsigned limit = cut ? tx_.tso_segments : tx_.segments;
  unsigned mbufs = 1, of_one = 1;  // in all, and in the segment that is under way; each has the headers' own
  bool refers = false;
  uint32_t n = 0;
  while (n < most) {
    const Payload::Piece p = payload.next(most - n);
    if (++mbufs > limit || ++of_one > tx_.segments) break;
    const uint32_t into = n % s.mss + p.length;
    if (into >= s.mss) of_one = into % s.mss ? 2 : 1;
    refers |= p.m != nullptr;
    n += p.length;
  }
  if (n < left) n -= n % s.mss;
  const bool worth = n / kWorthReferring >= mbufs - 1 && (refers || n > s.mss);
  return worth ? n : 0;
}

// The packet's headers, and `room` bytes behind them. Null: no buffer.
rte_mbuf* TcpIp::start(const Part& p, uint32_t room) {
  Turn& t = *turn_;
  rte_mbuf* m = t.make(p.shape.headers + room);
  if (!m) return nullptr;
  uint8_t* b = bytes_of(m).data();
  write_headers(b, p.ip, p.shape.tcp + p.n, p.s.dont_fragment ? uint16_t{0} : static_cast<uint16_t>(t.core.random()));
  *wire::at<TcpHdr>(b + p.shape.l4) = header_of(p.s, p.shape.tcp, p.at, p.n);
  std::copy(p.s.options.begin(), p.s.options.end(), b + p.shape.l4 + sizeof(TcpHdr));
  stash(m) = own_meta(p.ip, p.shape.l4, p.shape.tcp + std::min<uint32_t>(p.n, p.s.mss));
  return m;
}

// The port is to complete the checksum, and to cut what is longer than one segment.
void TcpIp::leave_to_port(const Part& p, rte_mbuf* m) {
  // Each piece of what is cut has a length of its own, which the device adds.
  const uint64_t pseudo = pseudo_sum(p.s.tuple, p.cut() ? 0 : p.shape.tcp + p.n);
  wire::at<TcpHdr>(bytes_of(m).data() + p.shape.l4)->checksum = be16::from_raw(wire::fold16(pseudo));
  m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (p.shape.v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6) |
                (p.cut() ? RTE_MBUF_F_TX_TCP_SEG : uint64_t{0});
  m->tx_offload = rte_mbuf_tx_offload(kEthRoom, p.shape.ip, p.shape.tcp, p.cut() ? p.s.mss : 0u, 0, 0, 0);
}

bool TcpIp::send_flat(const Part& p, Payload& payload) {
  rte_mbuf* m = start(p, p.n);
  if (!m) return false;
  uint8_t* const tcp = bytes_of(m).data() + p.shape.l4;
  uint8_t* to = tcp + p.shape.tcp;
  if (tx_.tcp_checksum) {
    payload.read(p.n, [&](const uint8_t* from, uint32_t k) { std::memcpy(to, from, k), to += k; });
    leave_to_port(p, m);
  } else {
    SummingCopy copy(to);
    payload.read(p.n, [&](const uint8_t* from, uint32_t k) { copy.append(from, k); });
    const uint64_t headers = wire::sum_bytes(tcp, p.shape.tcp, pseudo_sum(p.s.tuple, p.shape.tcp + p.n));
    wire::at<TcpHdr>(tcp)->checksum = wire::finish(wire::add_sums(headers, copy.sum()));
  }
  turn_->route(m);
  return true;
}

// false: no clone or no buffer, and nothing is read.
bool TcpIp::send_chain(const Part& p, Payload& payload) {
  rte_mbuf* const m = start(p, 0);
  if (!m) return false;
  Payload ahead = payload;
  rte_mbuf* last = m;
  for (uint32_t left = p.n; left > 0;) {
    const Payload::Piece piece = ahead.next(left);
    last->next = piece.m ? refer(piece) : copied(piece);
    last = last->next;
    if (!last) {
      turn_->drop(m, DropReason::no_buffer);
      return false;
    }
    m->nb_segs++;
    m->pkt_len += piece.length;
    left -= piece.length;
  }
  payload = ahead;
  leave_to_port(p, m);
  turn_->route(m);
  return true;
}

rte_mbuf* TcpIp::refer(const Payload::Piece& p) {
  rte_mbuf* m = rte_pktmbuf_alloc(clones_);
  if (!m) return nullptr;
  rte_pktmbuf_attach(m, p.m);
  m->data_off = static_cast<uint16_t>(p.data - static_cast<const uint8_t*>(m->buf_addr));
  m->data_len = static_cast<uint16_t>(p.length);
  m->pkt_len = p.length;
  return m;
}

rte_mbuf* TcpIp::copied(const Payload::Piece& p) {
  rte_mbuf* m = rte_pktmbuf_alloc(turn_->core.pool);
  if (m) std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(p.length)), p.data, p.length);
  return m;
}

}  // namespace sluice::stack
