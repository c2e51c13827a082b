#include "stack/tcp_ip.h"

#include <algorithm>

#include "stack/send.h"
#include "wire/checksum.h"
#include "wire/tcp_options.h"

namespace sluice::stack {

using wire::Ip4Hdr;
using wire::Ip6Hdr;
using wire::TcpHdr;

namespace {

// The header, with its options; null: it cannot be one.
const TcpHdr* header_of(const Datagram& d) {
  const TcpHdr* h = wire::peek<TcpHdr>(d.payload());
  return h && h->header_length() >= sizeof(TcpHdr) && h->header_length() <= d.payload().size() ? h : nullptr;
}

bool checksum_ok(const Datagram& d) {
  const uint64_t known = d.m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (!d.reassembled && known == RTE_MBUF_F_RX_L4_CKSUM_GOOD) return true;
  const wire::Bytes b = d.payload();
  const auto n = static_cast<uint32_t>(b.size());
  const uint64_t pseudo = d.family() == 4 ? wire::pseudo_sum(d.src.v4(), d.dst.v4(), wire::kProtoTcp, n)
                                          : wire::pseudo_sum(d.src.v6(), d.dst.v6(), wire::kProtoTcp, n);
  return wire::fold16(wire::sum_bytes(b.data(), n, pseudo)) == 0xffff;
}

tcp::Tuple tuple_of(const Datagram& d, const TcpHdr& h) {
  return {.local = d.dst, .remote = d.src, .local_port = h.dport.host(), .remote_port = h.sport.host()};
}

}  // namespace

// The library may send while this lives.
struct TcpIp::Scope {
  Scope(TcpIp& t, Turn& turn) : tcp(t) { tcp.turn_ = &turn; }
  ~Scope() { tcp.turn_ = nullptr; }
  TcpIp& tcp;
};

TcpIp::TcpIp(Core& core, const RouteQuery& routes)
    : tx_(core.config.tx),
      clones_(core.config.clones),
      routes_(routes),
      hints_(core.config.hints),
      host_(core.config.tcp, core.config.secrets, core.pool, core.config.tcp_buffers, *this, routes) {}

void TcpIp::receive(Turn& t, Datagram& d) {
  const TcpHdr* h = d.group || d.anycast ? nullptr : header_of(d);
  if (!h) return t.drop(d.m, DropReason::tcp_invalid);
  const tcp::Tuple tuple = tuple_of(d, *h);
  if (!d.reassembled && t.hand_over(tuple, d.m)) return;
  if (!checksum_ok(d)) return t.drop(d.m, DropReason::tcp_checksum);
  if (d.reassembled) cut(t, d, *h, tuple);
  else segment(t, d, *h, tuple);
}

void TcpIp::segment(Turn& t, Datagram& d, const TcpHdr& h, const tcp::Tuple& tuple) {
  const unsigned data = d.l4 + h.header_length();
  tcp::InSegment s{.tuple = tuple,
                   .seq = {h.seq.host()},
                   .ack = {h.ack.host()},
                   .flags = h.flags,
                   .window = h.window.host(),
                   .urgent = h.urgent.host(),
                   .options = wire::parse_tcp_options(d.payload().subspan(sizeof(TcpHdr), h.header_length() - sizeof(TcpHdr))),
                   .m = d.m,
                   .offset = static_cast<uint16_t>(d.packet.data() + data - bytes_of(d.m).data()),
                   .length = static_cast<uint16_t>(d.packet.size() - data),
                   .ecn = static_cast<tcp::Ecn>(d.traffic_class & 3),
                   .mtu = mtu_of(t, d, h),
                   .path = {.port = d.in_port, .worker = d.worker}};
  const uint16_t row = d.m->port;  // the mbuf may be gone when the library returns
  const Scope scope(*this, t);
  const tcp::Taken taken = host_.stack().receive(t.now, s);
  switch (taken.by) {
    case tcp::Taken::By::caller: return t.consume(d.m);
    case tcp::Taken::By::nobody: return t.drop(d.m, taken.reason);
    case tcp::Taken::By::library: t.core.account.row(row).consumed.add(1);
  }
}

// What the peer is told it may send (MSS): the smaller of the links that it came in by and that answers leave by.
uint16_t TcpIp::mtu_of(const Turn& t, const Datagram& d, const TcpHdr& h) const {
  const Interface* in = t.port(d.in_port);
  const uint16_t mtu = in ? in->mtu : 1500;
  if (!(h.flags & wire::kTcpSyn)) return mtu;
  const auto way = routes_.towards(d.src);
  return way ? std::min(mtu, way->mtu) : mtu;
}

// ---- fragments

// A datagram in the reassembly buffer, as segments in buffers of their own.
void TcpIp::cut(Turn& t, const Datagram& whole, const TcpHdr& h, const tcp::Tuple& tuple) {
  const unsigned headers = whole.l4 + h.header_length();
  const auto length = static_cast<uint32_t>(whole.packet.size() - headers);
  const unsigned room = buffer_room(t.core.pool) - static_cast<unsigned>(sizeof(Ip6Hdr)) - h.header_length();
  for (uint32_t from = 0; from == 0 || from < length; from += room) {
    rte_mbuf* m = piece(t, whole, from, std::min(room, length - from));
    if (!m) break;
    if (t.hand_over(tuple, m)) continue;
    Datagram d = whole;
    const Meta& meta = stash(m);
    d.m = m;
    d.packet = bytes_of(m).subspan(meta.l3);
    d.l4 = static_cast<unsigned>(meta.l4 - meta.l3);
    d.reassembled = false;
    segment(t, d, *header_of(d), tuple);
  }
  t.consume(whole.m);
}

// `n` bytes of its payload, with headers that say so. The checksum was right, and is not made again: ol_flags say it.
rte_mbuf* TcpIp::piece(Turn& t, const Datagram& whole, uint32_t from, uint32_t n) {
  const TcpHdr& h = *header_of(whole);
  const bool v4 = whole.family() == 4;
  const unsigned ip = v4 ? sizeof(Ip4Hdr) : sizeof(Ip6Hdr), tcp = h.header_length(), l4 = kEthRoom + ip;
  rte_mbuf* m = t.make(l4 + tcp + n);
  if (!m) return nullptr;
  uint8_t* p = bytes_of(m).data();
  const Header ip_header{.src = whole.src, .dst = whole.dst, .proto = wire::kProtoTcp,
                         .traffic_class = whole.traffic_class, .hops = whole.hop_limit,
                         .in_port = whole.in_port, .worker = whole.worker};
  write_headers(p, ip_header, tcp + n);
  const uint8_t* message = whole.payload().data();
  std::memcpy(p + l4, message, tcp);
  std::memcpy(p + l4 + tcp, message + tcp + from, n);
  TcpHdr& part = *wire::at<TcpHdr>(p + l4);
  const bool first = from == 0, last = tcp + from + n == whole.payload().size();
  if (!first) {
    const uint32_t syn = h.flags & wire::kTcpSyn ? 1 : 0;
    part.seq = be32::from(h.seq.host() + from + syn);
    part.flags = static_cast<uint8_t>(part.flags & ~wire::kTcpSyn);
  }
  if (!last) part.flags = static_cast<uint8_t>(part.flags & ~(wire::kTcpFin | wire::kTcpPsh));
  Meta meta = own_meta(ip_header, l4, tcp + n);
  meta.flags = kMetaPortsValid;
  meta.sport = h.sport.raw();
  meta.dport = h.dport.raw();
  stash(m) = meta;
  m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  return m;
}

// ---- errors

namespace {

constexpr uint8_t kUnreachable4 = 3, kTimeExceeded4 = 11, kProblem4 = 12;
constexpr uint8_t kUnreachable6 = 1, kTooBig6 = 2, kTimeExceeded6 = 3, kProblem6 = 4;
using Kind = tcp::IcmpError::Kind;

// RFC 1122 3.2.2.1 and 4.2.3.9, RFC 1812 5.2.7.1.
std::optional<Kind> kind4(uint8_t type, uint8_t code) {
  if (type == kTimeExceeded4 || type == kProblem4) return Kind::soft;
  if (type != kUnreachable4) return std::nullopt;
  switch (code) {
    case 4: return Kind::too_big;
    case 2: case 3: case 9: case 10: case 13: return Kind::hard;  // protocol, port; prohibited
    default: return Kind::soft;
  }
}

// RFC 4443 3: no route, out of scope, address unreachable are soft.
std::optional<Kind> kind6(uint8_t type, uint8_t code) {
  switch (type) {
    case kUnreachable6: return code == 1 || code >= 4 ? Kind::hard : Kind::soft;
    case kTooBig6: return Kind::too_big;
    case kTimeExceeded6: return Kind::soft;
    case kProblem6: return code == 1 ? Kind::hard : Kind::soft;  // unrecognized next header
    default: return std::nullopt;
  }
}

// What a quoted packet must hold of TCP: RFC 792 promises eight bytes.
struct Quoted {
  be16 sport, dport;
  be32 seq;
};

// The quoted segment; null where the quote is something else, or a later fragment. Fills in the addresses.
const Quoted* quoted_tcp(wire::ConstBytes quote, uint8_t family, tcp::Tuple& tuple) {
  if (family == 4) {
    const Ip4Hdr* ip = wire::peek<Ip4Hdr>(quote);
    if (!ip || ip->version() != 4 || ip->header_length() < sizeof(Ip4Hdr) || ip->proto != wire::kProtoTcp ||
        ip->frag_offset() != 0)
      return nullptr;
    tuple.local = ip->src;
    tuple.remote = ip->dst;
    return wire::peek<Quoted>(quote, ip->header_length());
  }
  const Ip6Hdr* ip = wire::peek<Ip6Hdr>(quote);
  if (!ip || ip->version() != 6 || ip->next_header != wire::kProtoTcp) return nullptr;
  tuple.local = ip->src;
  tuple.remote = ip->dst;
  return wire::peek<Quoted>(quote, sizeof(Ip6Hdr));
}

}  // namespace

bool TcpIp::icmp(Turn& t, Datagram& d) {
  const wire::IcmpHdr* h = wire::peek<wire::IcmpHdr>(d.payload());
  const auto kind = h ? d.family() == 4 ? kind4(h->type, h->code) : kind6(h->type, h->code) : std::nullopt;
  if (!kind || d.group || d.anycast) return false;
  tcp::IcmpError e{.kind = *kind, .tuple = {}, .seq = {}};
  const Quoted* q = quoted_tcp(d.payload().subspan(sizeof *h), d.family(), e.tuple);
  // Who is not the quoted segment's source has nothing to learn from it.
  if (!q || !(e.tuple.local == d.dst)) return false;
  e.tuple.local_port = q->sport.host();
  e.tuple.remote_port = q->dport.host();
  e.seq = {q->seq.host()};
  if (*kind == Kind::too_big) e.mtu = d.family() == 4 ? h->rest.host() & 0xffff : h->rest.host();
  // In fragments, an error has no packet of its own to be handed over in; none is as long as that.
  if (!d.reassembled && t.hand_over(e.tuple, d.m)) return true;
  const Scope scope(*this, t);
  host_.stack().icmp(t.now, e);
  t.consume(d.m);
  return true;
}

// ---- hints

namespace {

constexpr uint32_t kMarkSlots = 256;
constexpr Duration kMarkEvery = Duration::millis(1);

void mark_tuple(FlowHints& hints, const tcp::Tuple& t) {
  hints.mark(t.remote, t.local, be16::from(t.remote_port).raw(), be16::from(t.local_port).raw(), wire::kProtoTcp);
}

}  // namespace

void TcpIp::opened(const tcp::Tuple& t) {
  if (hints_) mark_tuple(*hints_, t);
}

// Nobody has proven to be there yet, so that there is a limit. A cookie's SYN-ACK needs no mark: its answer is known by the
// cookie.
void TcpIp::expects(const tcp::Tuple& t) {
  if (hints_ && turn_ && expected_.take(turn_->now, FlowHints::kExpectedPerSecond, FlowHints::kExpectedBurst))
    mark_tuple(*hints_, t);
}

// A generation that changes on the way begins anew.
void TcpIp::mark_some(Instant now) {
  if (hints_->generation() != marked_) {
    marked_ = hints_->generation();
    cursor_ = 0;
  } else if (now < mark_at_) {
    return;
  }
  cursor_ = host_.stack().list_open(cursor_, kMarkSlots, hints_, [](void* hints, const tcp::Tuple& t) {
    mark_tuple(*static_cast<FlowHints*>(hints), t);
  });
  mark_at_ = cursor_ ? now + kMarkEvery : Instant::never();
}

// ---- time

void TcpIp::command(Turn& t, const std::function<void()>& f) {
  const Scope scope(*this, t);
  f();
}

void TcpIp::flush(Turn& t) {
  {
    const Scope scope(*this, t);
    host_.stack().flush(t.now);
  }
  if (hints_ && (hints_->generation() != marked_ || mark_at_ != Instant::never())) mark_some(t.now);
}

void TcpIp::tick(Turn& t) {
  const Scope scope(*this, t);
  host_.stack().tick(t.now);
}

}  // namespace sluice::stack
