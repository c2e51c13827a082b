#include "stack/udp.h"

#include "wire/checksum.h"

namespace sluice::stack {

namespace {

bool sound(const Datagram& d) {
  const wire::Bytes b = d.payload();
  const wire::UdpHdr* u = wire::peek<wire::UdpHdr>(b);
  if (!u) return false;
  const uint16_t n = u->length.host();
  if (n < sizeof(wire::UdpHdr) || n > b.size()) return false;
  const bool v4 = d.family() == 4;
  if (u->checksum.raw() == 0) return v4;  // none was computed; IPv6 needs one
  const uint64_t pseudo = v4 ? wire::pseudo_sum(d.src.v4(), d.dst.v4(), wire::kProtoUdp, n)
                             : wire::pseudo_sum(d.src.v6(), d.dst.v6(), wire::kProtoUdp, n);
  return wire::fold16(wire::sum_bytes(b.data(), n, pseudo)) == 0xffff;
}

}  // namespace

void receive_udp(Turn& t, Datagram& d) {
  if (!sound(d)) return t.drop(d.m, DropReason::udp_invalid);
  if (d.group) return t.drop(d.m, DropReason::udp_closed);
  const bool v4 = d.family() == 4;
  t.refuse(d.m, v4 ? 3 : 1, v4 ? 3 : 4, 0, DropReason::udp_closed);
}

}  // namespace sluice::stack
