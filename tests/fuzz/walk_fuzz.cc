// The walks and builders of wire/ over any bytes, in buffers that end where they do. What must hold: every
// walk makes progress and ends, every offset lies inside, and what is built is summed right.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "wire/checksum.h"
#include "wire/icmp_build.h"
#include "wire/ip4_options.h"
#include "wire/ip6_ext.h"

namespace {

using namespace sluice;
using namespace sluice::wire;

void check(bool ok) {
  if (!ok) std::abort();
}

void walk4(ConstBytes header) {
  Ip4OptionWalk w(header);
  unsigned end = sizeof(Ip4Hdr);
  for (Ip4Option o; w.next(o);) {
    check(o.offset >= end && o.length >= 2 && o.offset + o.length <= header.size());
    end = o.offset + o.length;
  }
  check(w.at() <= header.size());
}

void walk6(ConstBytes packet) {
  Ip6Chain chain(packet);
  unsigned end = sizeof(Ip6Hdr), headers = 0;
  for (Ip6ExtHeader h; chain.next(h); ++headers) {
    check(h.offset == end && h.length >= 8 && h.offset + h.length <= packet.size() &&
          packet[h.named_at] == h.type);
    end = h.offset + h.length;
    Ip6OptionWalk w(packet, h);
    unsigned at = h.offset + 2;
    for (Ip6Option o; w.next(o);) {
      check(o.offset >= at && o.offset + 2 + o.length <= end);
      at = o.offset + 2 + o.length;
    }
    check(w.at() <= end);
  }
  check(headers <= kMaxIp6Chain && chain.offset() == end && packet[chain.named_at()] == chain.proto());
  for (const Ip6ExtVerdict& v : {check_hop_by_hop(packet), check_destination_headers(packet)})
    check(v.act == Ip6ExtVerdict::Act::problem || (v.code == 0 && v.pointer == 0));
}

void build(ConstBytes packet, size_t l4) {
  static uint8_t out[kIcmp6ErrorMax];
  const IcmpError e{11, 0, 0};
  if (size_t n = build_icmp4_error(out, Ip4{}, Ip4{}, 1, e, packet)) {
    check(n <= kIcmp4ErrorMax && ip4_checksum_ok(out, 20));
    check(fold16(sum_bytes(out + 20, n - 20)) == 0xffff);
  }
  if (size_t n = build_icmp6_error(out, Ip6{}, Ip6{}, e, packet)) {
    const uint64_t pseudo = pseudo_sum(Ip6{}, Ip6{}, kProtoIcmp6, static_cast<uint32_t>(n - 40));
    check(n <= kIcmp6ErrorMax && fold16(sum_bytes(out + 40, n - 40, pseudo)) == 0xffff);
  }
  if (build_tcp_reset4(out, packet, l4, 1)) {
    const Ip4Hdr* ip = at<Ip4Hdr>(out);
    check(ip4_checksum_ok(out, 20));
    check(fold16(sum_bytes(out + 20, 20, pseudo_sum(ip->src, ip->dst, kProtoTcp, 20))) == 0xffff);
  }
  if (packet.size() >= sizeof(Ip6Hdr) && build_tcp_reset6(out, packet, l4)) {
    const Ip6Hdr* ip = at<Ip6Hdr>(out);
    check(fold16(sum_bytes(out + 40, 20, pseudo_sum(ip->src, ip->dst, kProtoTcp, 20))) == 0xffff);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t n = size - 1;
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[n]);
  std::copy_n(data + 1, n, exact.get());
  const ConstBytes bytes(exact.get(), n);
  if (n >= sizeof(Ip4Hdr)) walk4(bytes.first(std::min<size_t>(n, 60)));
  if (n >= sizeof(Ip6Hdr)) walk6(bytes);
  build(bytes, data[0]);
  return 0;
}
