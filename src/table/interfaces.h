// What path and stack know of the box's ports: immutable, a part of the snapshot. Indexed by port number.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/instant.h"
#include "wire/addr.h"

namespace sluice {

struct LocalTraffic {  // what is handed to the host's TAP interface; unset fields match all
  uint8_t proto = 0;   // 0: any
  uint16_t dport = 0;  // host order; 0: any
  uint16_t sport = 0;
  std::optional<Prefix> source;
  bool operator==(const LocalTraffic&) const = default;
};

struct Interface {
  std::string name;
  Mac mac;
  uint16_t mtu = 1500;
  bool configured = true;          // false: a hole left by a removed port
  bool reverse_path_strict = false;
  bool repair_checksums = false;   // senders may leave partial L4 checksums (veth)
  uint32_t link_epoch = 0;         // another one: the link was away, who is behind it is to be asked again
  bool any_destination = false;    // takes frames whatever unicast MAC they are for: replayed captures
  std::vector<Prefix> addresses;   // with host bits: the box's own addresses and their on-link prefixes
  Ip6 link_local;                  // always present: EUI-64 of the MAC unless configured
  std::vector<LocalTraffic> exception;  // traffic for the host, by TAP
  bool operator==(const Interface&) const = default;
};

struct NeighborTimers {            // RFC 4861 section 10 names and defaults, used for ARP alike
  Duration reachable = Duration::seconds(30);
  Duration retrans = Duration::seconds(1);
  Duration delay_first_probe = Duration::seconds(5);
  unsigned max_multicast_solicit = 3;
  unsigned max_unicast_solicit = 3;
  Duration gc_stale = Duration::seconds(600);  // an unused entry is forgotten
  unsigned queue_packets = 16;                 // per unresolved neighbour
  bool operator==(const NeighborTimers&) const = default;
};

struct StaticNeighbor {
  uint16_t port;
  IpAddr addr;
  Mac mac;
  bool operator==(const StaticNeighbor&) const = default;
};

struct Interfaces {
  std::vector<Interface> port;
  std::vector<StaticNeighbor> neighbors;
  NeighborTimers timers;
  Duration reassembly_timeout = Duration::seconds(15);
  uint32_t generation = 0;
};

}  // namespace sluice
