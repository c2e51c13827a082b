// Path MTUs that ICMPv6 packet-too-big told of, for the box's own IPv6 packets (RFC 8201). A small
// direct-mapped table with a keyed hash: a collision forgets the older one, and costs one more error.
#pragma once

#include <algorithm>

#include "base/hash.h"
#include "base/instant.h"
#include "wire/addr.h"

namespace sluice::stack {

class PathMtu {
 public:
  static constexpr unsigned kMinimum = 1280;                     // RFC 8200 5
  static constexpr Duration kLifetime = Duration::seconds(600);  // RFC 8201 4

  explicit PathMtu(const HashKey& key) : key_(key) {}

  void learn(Instant now, const Ip6& to, uint32_t mtu) {
    if (mtu >= UINT16_MAX) return;
    Entry& e = slot(to);
    const bool known = e.to == to && now < e.until;
    const auto m = static_cast<uint16_t>(std::max(mtu, kMinimum));
    if (known && e.mtu <= m) return;  // an error never raises the path MTU
    e = {to, m, now + kLifetime};
  }
  unsigned towards(Instant now, const Ip6& to, unsigned link_mtu) const {
    const Entry& e = entry_[index(to)];
    return e.to == to && now < e.until ? std::min<unsigned>(e.mtu, link_mtu) : link_mtu;
  }

 private:
  struct Entry {
    Ip6 to;
    uint16_t mtu = 0;
    Instant until{INT64_MIN};
  };
  static constexpr unsigned kEntries = 256;
  unsigned index(const Ip6& a) const { return hash_words(key_, a.hi(), a.lo()) % kEntries; }
  Entry& slot(const Ip6& a) { return entry_[index(a)]; }

  HashKey key_;
  Entry entry_[kEntries];
};

}  // namespace sluice::stack
