// Addresses that cannot be one host's own (RFC 1122 3.2.1.3, RFC 1812 5.3.7, RFC 4291 2.5.2, 2.5.3, 2.5.5.2).
#pragma once

#include "wire/addr.h"

namespace sluice::wire {

// Neither "this network", loopback, multicast, class E nor broadcast. Whether it is a connected network's
// broadcast address is for those who know the networks.
inline bool single_host(const Ip4& a) {
  const uint32_t net = a.host() >> 24;
  return net != 0 && net != 127 && net < 224;
}
// Neither unspecified, loopback, multicast nor IPv4-mapped.
inline bool single_host(const Ip6& a) {
  if (a.multicast()) return false;
  if (a.hi() != 0) return true;
  uint32_t third;
  std::memcpy(&third, a.b.data() + 8, 4);
  return third != byte_swapped<uint32_t>(0xffff) && !a.unspecified() && !a.loopback();
}
inline bool single_host(const IpAddr& a) {
  return a.family == 4 ? single_host(a.v4()) : single_host(a.v6());
}

}  // namespace sluice::wire
