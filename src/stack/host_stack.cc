// Theory of operation
//
//                    ┌─ ARP ──► Arp ─────────────┐ learns         ┌─► transmit: frames with a MAC
//   receive ─ local ─┤                           ▼                │
//      │             └─ IP ──► Local ──► Icmp ► Nd ──► Neighbors ─┤ packets waited here
//      │                         │  ├──► Udp ────────┐            └─► refuse: nobody answered
//      │                         │  │                ▼
//      │                         │  │              Sender ─┬─► route: packets of the box's own
//      │                         │  └──► TcpIp ─────────────┘
//      │                         ▼        │ ▲
//      │                     Reassembly   ▼ │ segments as values
//      │                               TcpHost: the library ◄──► applications
//      └──── resolve ───────────────────────────────────────────► Neighbors
//
// tick() runs what time brings: neighbour probes (Neighbors), time-outs (Reassembly), TCP's timers, announcements
// (Announcer). Each part says in its header what it does, and what bounds it.
//
// In the stack engines behind the first, Neighbors works on a table of its own that stays empty, and nothing is
// announced or probed: what they send finds its next hop at the worker.
#include "stack/host_stack.h"

#include <algorithm>

#include "stack/announce.h"
#include "stack/arp.h"
#include "stack/local.h"

namespace sluice::stack {

namespace {

StackConfig complete(StackConfig c, const rte_mempool* pool) {
  if (c.tcp_buffers == 0) c.tcp_buffers = pool->size / 2;
  c.tcp_buffers /= std::max(c.engines, 1u);
  if (c.index > 0) c.reassembly_datagrams = 1;  // fragments come to the first engine alone
  return c;
}

}  // namespace

struct HostStack::Impl {
  Impl(const StackConfig& c, NeighborTable& shared, Account& account, rte_mempool* pool, const RouteQuery& routes)
      : first(c.index == 0),
        nobody(first ? nullptr : std::make_unique<NeighborTable>(1, c.key)),
        core{.config = c, .table = first ? shared : *nobody, .account = account, .pool = pool, .random_state = c.seed},
        neighbors(core),
        arp(neighbors),
        tcp(core, routes),
        local(core, neighbors, tcp) {}

  // A new configuration is seen by its generation, once.
  void follow(Turn& t) {
    if (configured && generation == t.ifs.generation) return;
    configured = true;
    generation = t.ifs.generation;
    if (!first) return;
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

  const bool first;                       // of the stack engines
  std::unique_ptr<NeighborTable> nobody;  // of the others
  Core core;
  Neighbors neighbors;
  Arp arp;
  TcpIp tcp;
  Local local;
  Announcer announcer;
  bool configured = false;
  uint32_t generation = 0;
};

HostStack::HostStack(const StackConfig& c, NeighborTable& neighbors, Account& account, rte_mempool* pool,
                     const RouteQuery& routes)
    : impl_(std::make_unique<Impl>(complete(c, pool), neighbors, account, pool, routes)) {}

HostStack::~HostStack() = default;

void HostStack::receive(const Interfaces& ifs, Instant now, rte_mbuf** pkts, unsigned n, StackOut& out) {
  Turn t(impl_->core, ifs, now, out);
  impl_->follow(t);
  for (unsigned i = 0; i < n; i++) impl_->take(t, pkts[i]);
}

void HostStack::command(const Interfaces& ifs, Instant now, StackOut& out, const std::function<void()>& f) {
  Turn t(impl_->core, ifs, now, out);
  impl_->tcp.command(t, f);
}

void HostStack::flush(const Interfaces& ifs, Instant now, StackOut& out) {
  Turn t(impl_->core, ifs, now, out);
  impl_->tcp.flush(t);
}

void HostStack::tick(const Interfaces& ifs, Instant now, StackOut& out) {
  Turn t(impl_->core, ifs, now, out);
  impl_->follow(t);
  impl_->tcp.tick(t);
  impl_->local.tick(t);
  if (!impl_->first) return;
  impl_->neighbors.tick(t);
  impl_->announcer.tick(t);
}

Instant HostStack::next_deadline() const {
  if (!impl_->configured) return Instant{};  // the first tick announces
  const Instant tcp = std::min(impl_->tcp.next_deadline(), impl_->local.next_deadline());
  if (!impl_->first) return tcp;
  return std::min({tcp, impl_->neighbors.next_deadline(), impl_->announcer.next_deadline()});
}

unsigned HostStack::held() const { return impl_->neighbors.held() + impl_->local.held(); }

unsigned HostStack::held_by_tcp() const { return impl_->tcp.host().buffers().held(); }
TcpHost& HostStack::tcp() { return impl_->tcp.host(); }
void HostStack::serve_udp(std::vector<UdpBinding> bindings) { impl_->local.udp().serve(std::move(bindings)); }

HostStack::Stats HostStack::stats() const { return impl_->core.stats; }

}  // namespace sluice::stack
