// Theory of operation
//
//                    ┌─ ARP ──► Arp ─────────────┐ learns         ┌─► transmit: frames with a MAC
//   receive ─ local ─┤                           ▼                │
//      │             └─ IP ──► Local ──► Icmp ► Nd ──► Neighbors ─┤ packets waited here
//      │                         │  ├──► UDP   refused            │
//      │                         │  └──► TcpReset ─┐              └─► refuse: nobody answered
//      │                         ▼                 ▼
//      │                     Reassembly          Sender ──► route: packets of the box's own
//      └──── resolve ───────────────────────────────────────────► Neighbors
//
// tick() runs what time brings: neighbour probes (Neighbors), time-outs (Reassembly), announcements
// (Announcer). Each part says in its header what it does, and what bounds it.
#include "stack/host_stack.h"

#include <algorithm>

#include "stack/announce.h"
#include "stack/arp.h"
#include "stack/local.h"

namespace sluice::stack {

struct HostStack::Impl {
  Impl(const StackConfig& c, NeighborTable& table, Account& account, rte_mempool* pool)
      : core{.config = c, .table = table, .account = account, .pool = pool, .random_state = c.seed},
        neighbors(core),
        arp(neighbors),
        local(core, neighbors) {}

  // A new configuration is seen by its generation, once.
  void follow(Turn& t) {
    if (configured && generation == t.ifs.generation) return;
    configured = true;
    generation = t.ifs.generation;
    neighbors.configure(t);
    announcer.configure(t);
  }

  void take(Turn& t, rte_mbuf* m) {
    const Meta& meta = stash(m);
    if (meta.kind == RingKind::resolve) return neighbors.output(t, m);
    if (meta.family == 4 || meta.family == 6) return local.receive(t, m);
    if (meta.ethertype == wire::kEthArp) return arp.receive(t, m);
    t.drop(m, DropReason::ethertype_unknown);
  }

  Core core;
  Neighbors neighbors;
  Arp arp;
  Local local;
  Announcer announcer;
  bool configured = false;
  uint32_t generation = 0;
};

HostStack::HostStack(const StackConfig& c, NeighborTable& neighbors, Account& account, rte_mempool* pool)
    : impl_(std::make_unique<Impl>(c, neighbors, account, pool)) {}

HostStack::~HostStack() = default;

void HostStack::receive(const Interfaces& ifs, Instant now, rte_mbuf** pkts, unsigned n, StackOut& out) {
  Turn t(impl_->core, ifs, now, out);
  impl_->follow(t);
  for (unsigned i = 0; i < n; i++) impl_->take(t, pkts[i]);
}

void HostStack::tick(const Interfaces& ifs, Instant now, StackOut& out) {
  Turn t(impl_->core, ifs, now, out);
  impl_->follow(t);
  impl_->neighbors.tick(t);
  impl_->local.tick(t);
  impl_->announcer.tick(t);
}

Instant HostStack::next_deadline() const {
  if (!impl_->configured) return Instant{};  // the first tick announces
  return std::min({impl_->neighbors.next_deadline(), impl_->local.next_deadline(),
                   impl_->announcer.next_deadline()});
}

unsigned HostStack::held() const { return impl_->neighbors.held() + impl_->local.held(); }

HostStack::Stats HostStack::stats() const { return impl_->core.stats; }

}  // namespace sluice::stack
