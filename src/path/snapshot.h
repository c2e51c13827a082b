// Everything the data path consults and the control side may change: immutable, replaced whole by one
// pointer store and reclaimed after every engine has reported a quiescent state. Tables that a change
// leaves alone are shared between snapshots. Only control/snapshot_build makes one.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "table/fib.h"
#include "table/interfaces.h"
#include "table/rule_set.h"

namespace sluice::path {

struct NextHop {
  uint16_t port = kNoPort;
  IpAddr via;  // none(): on-link, the destination itself is the neighbour
  bool operator==(const NextHop&) const = default;
};

struct NextHopGroup {
  enum class Kind : uint8_t {
    forward,      // to one of `hop`, by flow hash
    local,        // one of the box's addresses
    broadcast,    // a connected network's broadcast address (IPv4): not forwarded
    blackhole,    // dropped silently
    unreachable,  // dropped with an ICMP error
  };
  Kind kind = Kind::forward;
  uint8_t hops = 0;
  uint16_t local_port = kNoPort;  // local, broadcast: whose address
  std::array<NextHop, kMaxEcmp> hop;
  bool operator==(const NextHopGroup&) const = default;
};

struct Routes {
  std::shared_ptr<const Fib4> fib4;  // shared with the snapshot before where it answers alike
  std::shared_ptr<const Fib6> fib6;
  std::vector<NextHopGroup> groups;
  // For people: what was asked for. IPv4, then IPv6; of each what the addresses bring, then the file's routes in
  // its order, then those of route files.
  struct Entry {
    Prefix prefix;
    uint32_t group;
    const char* origin;  // "connected", "local", "broadcast", "static", "file"
  };
  std::vector<Entry> entries;
};

struct Filter {
  std::shared_ptr<const RuleSet> rules;  // null: everything is permitted (a plain router)
  bool drop_tiny_fragments = true;       // with rules alone: RFC 1858, RFC 7112
};

struct IcmpLimits {
  unsigned errors_per_second = 1000, errors_burst = 250;     // per worker, in all
  unsigned per_source_per_second = 10, per_source_burst = 20;  // by hash of the source address
};

struct Snapshot {
  uint64_t id = 0;
  // Generations of what flows are compiled from. A flow whose generation differs is evaluated again.
  uint32_t route_generation = 1, filter_generation = 1;
  std::shared_ptr<const Interfaces> interfaces;
  std::shared_ptr<const Routes> routes;
  Filter filter;
  IcmpLimits icmp;
};

}  // namespace sluice::path
