#include "stack/tcp_reset.h"

#include "wire/checksum.h"
#include "wire/icmp_build.h"

namespace sluice::stack {

using wire::TcpHdr;

namespace {

bool sound(const Datagram& d) {
  const wire::Bytes b = d.payload();
  const TcpHdr* tcp = wire::peek<TcpHdr>(b);
  if (!tcp || tcp->header_length() < sizeof(TcpHdr) || tcp->header_length() > b.size()) return false;
  const auto n = static_cast<uint32_t>(b.size());
  const uint64_t pseudo = d.family() == 4 ? wire::pseudo_sum(d.src.v4(), d.dst.v4(), wire::kProtoTcp, n)
                                          : wire::pseudo_sum(d.src.v6(), d.dst.v6(), wire::kProtoTcp, n);
  return wire::fold16(wire::sum_bytes(b.data(), n, pseudo)) == 0xffff;
}

}  // namespace

void TcpReset::receive(Turn& t, Datagram& d) {
  if (d.group || d.anycast || !sound(d)) return t.drop(d.m, DropReason::tcp_invalid);
  const bool v4 = d.family() == 4;
  const bool due = !(wire::at<TcpHdr>(d.payload().data())->flags & wire::kTcpRst) &&
                   rate_.take(t.now, kPerSecond, kBurst);
  rte_mbuf* m = due ? t.make(kHeaderRoom + sizeof(TcpHdr)) : nullptr;
  if (m) {
    const wire::Bytes out = bytes_of(m);
    const size_t n = v4 ? wire::build_tcp_reset4(out, d.packet, d.l4, 0) : wire::build_tcp_reset6(out, d.packet, d.l4);
    // The message alone: the sender writes the IP header that suits the way it takes.
    rte_pktmbuf_adj(m, static_cast<uint16_t>(n - sizeof(TcpHdr)));
    rte_pktmbuf_trim(m, static_cast<uint16_t>(out.size() - n));
    t.core.stats.resets_sent++;
    sender_.send(t, {.src = d.dst, .dst = d.src, .proto = wire::kProtoTcp, .dont_fragment = true,
                     .in_port = d.in_port, .worker = d.worker}, m);
  }
  t.drop(d.m, DropReason::tcp_closed);
}

}  // namespace sluice::stack
