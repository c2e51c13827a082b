// What the parts of one worker's pipeline share: what never changes, and what holds for the current burst.
#pragma once

#include <functional>

#include "base/account.h"
#include "path/action.h"
#include "path/icmp_error.h"
#include "path/out.h"
#include "path/pipeline.h"
#include "path/snapshot.h"
#include "table/neighbor_table.h"
#include "table/token_bucket.h"

namespace sluice::path {

// What replay needs of the egress port, close together: a snapshot's Interface is larger than a cache line.
struct EgressPort {
  uint64_t mac = 0;   // Mac::word()
  uint32_t mtu = 0;   // 0: no such port
};

struct Context {
  Context(const PipelineConfig& c, NeighborTable& n, Account& a, rte_mempool* p)
      : config(c), neighbors(n), account(a), pool(p), errors(c.flow_key, p) {}

  const PipelineConfig config;
  NeighborTable& neighbors;
  Account& account;
  rte_mempool* const pool;
  IcmpErrors errors;
  const std::function<void(const rte_mbuf*, const Verdict&)>* verdicts = nullptr;  // null: nobody asks
  // The received packet in hand, for `verdicts`; null while the box handles packets of its own.
  struct Told {
    const Meta* meta = nullptr;
    uint32_t rule = UINT32_MAX;
    bool slow = false;
  } told;

  TokenBucket expected, expected_udp;  // answers to SYNs, and to new UDP flows, that may be marked
  bool shedding = false;
  Counter false_hints;

  // Of the current call.
  const Snapshot* snapshot = nullptr;
  Instant now;
  uint32_t now_ms = 1;
  Out* out = nullptr;

  // Of the current snapshot.
  uint64_t snapshot_id = 0;
  Generation generation;
  const Routes* routes = nullptr;
  const RuleSet* rules = nullptr;  // null: everything is permitted
  bool drop_tiny = false;
  EgressPort egress[kMaxPorts];

  void begin(const Snapshot& s, Instant t, Out& o) {
    if (&s != snapshot || s.id != snapshot_id) adopt(s);
    now = t;
    set_time(t);
    out = &o;
  }
  void set_time(Instant t) {
    now_ms = static_cast<uint32_t>(static_cast<uint64_t>(t.ns) / 1000'000);
    now_ms += now_ms == 0;  // the neighbour table takes 0 for never
  }
  // Milliseconds since a coarse time; 0 if the clock stepped back (a capture that is out of order).
  uint32_t since(uint32_t ms) const {
    const int32_t d = static_cast<int32_t>(now_ms - ms);
    return d < 0 ? 0 : static_cast<uint32_t>(d);
  }
  const Interface* interface(uint16_t port) const {
    const auto& all = snapshot->interfaces->port;
    return port < all.size() && all[port].configured ? &all[port] : nullptr;
  }

  void adopt(const Snapshot& s);

 private:
  uint32_t route_epoch_ = 0, seen_routes_ = 0, seen_interfaces_ = 0;
};

}  // namespace sluice::path
