#include "stack/udp.h"

#include <algorithm>

#include "wire/checksum.h"

namespace sluice::stack {

using wire::UdpHdr;

namespace {

constexpr unsigned kBurst = 100;
constexpr unsigned kMostCharacters = 512;  // RFC 864

uint64_t pseudo_sum(const IpAddr& a, const IpAddr& b, uint32_t n) {
  return a.family == 4 ? wire::pseudo_sum(a.v4(), b.v4(), wire::kProtoUdp, n)
                       : wire::pseudo_sum(a.v6(), b.v6(), wire::kProtoUdp, n);
}

bool sound(const Datagram& d) {
  const wire::Bytes b = d.payload();
  const UdpHdr* u = wire::peek<UdpHdr>(b);
  if (!u) return false;
  const uint16_t n = u->length.host();
  if (n < sizeof(UdpHdr) || n > b.size()) return false;
  if (u->checksum.raw() == 0) return d.family() == 4;  // none was computed; IPv6 needs one
  return wire::fold16(wire::sum_bytes(b.data(), n, pseudo_sum(d.src, d.dst, n))) == 0xffff;
}

// Services that answer whatever comes, or may be bound somewhere: echo, daytime, quote of the day, chargen.
constexpr uint16_t kTalkative[] = {0, 7, 13, 17, 19};

}  // namespace

void Udp::receive(Turn& t, Datagram& d) {
  if (!sound(d)) return t.drop(d.m, DropReason::udp_invalid);
  if (d.group) return t.drop(d.m, DropReason::udp_closed);
  const UdpHdr& u = *wire::at<UdpHdr>(d.payload().data());
  const UdpBinding* b = d.anycast ? nullptr : bound(d.dst, u.dport.host());
  if (!b) {
    const bool v4 = d.family() == 4;
    return t.refuse(d.m, v4 ? 3 : 1, v4 ? 3 : 4, 0, DropReason::udp_closed);
  }
  if (b->service == UdpService::discard) return t.consume(d.m);
  if (!answerable(t, u.sport.host())) return t.drop(d.m, DropReason::udp_unanswered);
  t.core.stats.udp_replies++;
  if (b->service == UdpService::chargen) chargen(t, d);
  answer(t, d, wire::at<UdpHdr>(d.payload().data())->length.host());
}

const UdpBinding* Udp::bound(const IpAddr& address, uint16_t port) const {
  for (const UdpBinding& b : bindings_)
    if (b.port == port && (b.address.none() || b.address == address)) return &b;
  return nullptr;
}

bool Udp::answerable(Turn& t, uint16_t source_port) {
  if (std::find(std::begin(kTalkative), std::end(kTalkative), source_port) != std::end(kTalkative)) return false;
  if (std::any_of(bindings_.begin(), bindings_.end(), [&](const UdpBinding& b) { return b.port == source_port; }))
    return false;
  return rate_.take(t.now, t.core.config.udp_replies_per_second, kBurst);
}

// Any number of characters will do (RFC 864); here, no more than were asked with. They are written over the question.
void Udp::chargen(Turn& t, Datagram& d) {
  UdpHdr& u = *wire::at<UdpHdr>(d.payload().data());
  const unsigned asked = u.length.host() - static_cast<unsigned>(sizeof(UdpHdr));
  const unsigned n = std::min(asked, static_cast<unsigned>(t.core.random() % (kMostCharacters + 1)));
  constexpr unsigned kFirst = ' ', kPrintable = 95, kLine = 72;
  const wire::Bytes text = d.payload().subspan(sizeof(UdpHdr), n);
  for (unsigned i = 0; i < n; i++) {
    const unsigned line = i / (kLine + 2), column = i % (kLine + 2);
    text[i] = static_cast<uint8_t>(column < kLine ? kFirst + (line + column) % kPrintable : column == kLine ? '\r' : '\n');
  }
  u.length = be16::from(static_cast<uint16_t>(sizeof(UdpHdr) + n));
}

// The question's first `length` bytes, from the UDP header on, go back to where it came from.
void Udp::answer(Turn& t, Datagram& d, unsigned length) {
  const wire::Bytes message = d.payload().first(length);
  UdpHdr& u = *wire::at<UdpHdr>(message.data());
  std::swap(u.sport, u.dport);
  u.checksum = {};
  u.checksum = wire::finish(wire::sum_bytes(message.data(), length, pseudo_sum(d.dst, d.src, length)));
  if (u.checksum.raw() == 0) u.checksum = be16::from_raw(0xffff);  // RFC 768: 0 would mean none
  const Header h{.src = d.dst, .dst = d.src, .proto = wire::kProtoUdp, .in_port = d.in_port, .worker = d.worker};
  if (d.reassembled) {
    sender_.send(t, h, message);
    return t.consume(d.m);
  }
  t.make_own(d.m);
  rte_pktmbuf_adj(d.m, static_cast<uint16_t>(message.data() - bytes_of(d.m).data()));
  rte_pktmbuf_trim(d.m, static_cast<uint16_t>(d.m->data_len - length));
  sender_.send(t, h, d.m);
}

}  // namespace sluice::stack
