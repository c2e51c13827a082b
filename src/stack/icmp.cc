#include "stack/icmp.h"

#include <array>
#include <cstring>

#include "stack/own.h"
#include "wire/checksum.h"
#include "wire/icmp_build.h"
#include "wire/ip4_options.h"

namespace sluice::stack {

using wire::IcmpHdr;
using wire::Ip4Hdr;
using wire::Ip6Hdr;

namespace {

constexpr uint8_t kEcho4 = 8, kEcho6 = 128, kTooBig = 2;
constexpr uint8_t kFirstNd = 133, kLastNd = 137;

bool checksum_ok(const Datagram& d) {
  const wire::Bytes b = d.payload();
  const auto n = static_cast<uint32_t>(b.size());
  const uint64_t pseudo = d.family() == 4 ? 0 : wire::pseudo_sum(d.src.v6(), d.dst.v6(), wire::kProtoIcmp6, n);
  return wire::fold16(wire::sum_bytes(b.data(), n, pseudo)) == 0xffff;
}

// RFC 1122 3.2.2.6: record route and timestamp, to which this host has been added, go back with the reply.
unsigned reflected_options(wire::ConstBytes header, std::array<uint8_t, 40>& out) {
  wire::Ip4OptionWalk walk(header);
  wire::Ip4Option o;
  unsigned n = 0;
  while (walk.next(o)) {
    if (o.type != wire::kIp4OptRecordRoute && o.type != wire::kIp4OptTimestamp) continue;
    std::memcpy(out.data() + n, header.data() + o.offset, o.length);
    n += o.length;
  }
  while (n % 4 != 0) out[n++] = wire::kIp4OptEnd;
  return n;
}

}  // namespace

void Icmp::receive(Turn& t, Datagram& d) {
  if (d.payload().size() < sizeof(IcmpHdr) || !checksum_ok(d)) return t.drop(d.m, DropReason::icmp_invalid);
  if (d.family() == 4) receive4(t, d);
  else receive6(t, d);
}

void Icmp::receive4(Turn& t, Datagram& d) {
  if (d.payload()[0] == kEcho4) return echo(t, d, d.dst);
  if (!tcp_.icmp(t, d)) t.drop(d.m, DropReason::icmp_unhandled);
}

void Icmp::receive6(Turn& t, Datagram& d) {
  const uint8_t type = d.payload()[0];
  if (type >= kFirstNd && type <= kLastNd) return nd_.receive(t, d);
  if (d.src.v6().unspecified()) return t.drop(d.m, DropReason::ip_source_invalid);
  if (tcp_.icmp(t, d)) return;
  if (type == kTooBig) return too_big(t, d);
  if (type != kEcho6) return t.drop(d.m, DropReason::icmp_unhandled);
  echo(t, d, d.group || d.anycast ? source_towards(*t.port(d.in_port), d.src) : d.dst);
}

// Of echo replies and the like. Believed only about a packet that the box may have sent: from one of its addresses.
void Icmp::too_big(Turn& t, Datagram& d) {
  const Ip6Hdr* quoted = wire::peek<Ip6Hdr>(d.payload(), sizeof(IcmpHdr));
  if (d.group || !quoted || quoted->version() != 6 || !owns_any(t.ifs, d.in_port, quoted->src))
    return t.drop(d.m, DropReason::icmp_invalid);
  sender_.path_mtu().learn(t.now, quoted->dst, wire::at<IcmpHdr>(d.payload().data())->rest.host());
  t.consume(d.m);
}

void Icmp::echo(Turn& t, Datagram& d, const IpAddr& from) {
  t.core.stats.echo_requests++;
  const bool v4 = d.family() == 4;
  const Header h{.src = from,
                 .dst = d.src,
                 .proto = d.proto,
                 .traffic_class = d.traffic_class,
                 .in_port = d.in_port,
                 .worker = d.worker};
  std::array<uint8_t, 40> options{};
  const unsigned n = v4 && !d.reassembled ? reflected_options(d.packet.first(d.l4), options) : 0;
  wire::at<IcmpHdr>(d.payload().data())->code = 0;
  if (v4) wire::echo_reply4(d.payload());
  else wire::echo_reply6(d.payload(), from.v6(), d.src.v6());

  if (d.reassembled) {
    sender_.send(t, h, d.payload());
    return t.consume(d.m);
  }
  t.make_own(d.m);
  rte_pktmbuf_adj(d.m, static_cast<uint16_t>(d.payload().data() - bytes_of(d.m).data()));
  sender_.send(t, h, d.m, wire::ConstBytes(options).first(n));
}

}  // namespace sluice::stack
