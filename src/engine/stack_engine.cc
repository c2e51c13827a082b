#include "engine/stack_engine.h"

#include <algorithm>

#include "stack/own.h"

namespace sluice::engine {

StackEngine::StackEngine(Wiring& wiring, const stack::StackConfig& c, NeighborTable& neighbors, rte_mempool* pool,
                         bool host_is_simulated)
    : wiring_(wiring),
      index_(c.index),
      host_is_simulated_(host_is_simulated),
      stack_(std::make_unique<stack::HostStack>(c, neighbors, account_, pool,
                                                  static_cast<const stack::RouteQuery&>(*this))),
      host_(std::make_unique<apps::Host>(stack_->tcp())) {
  for (const auto& ring : wiring.to_stack[index_]) rings_.push_back(ring.get());
  if (!wiring.between.empty()) rings_.push_back(wiring.between[index_].get());
}

unsigned StackEngine::poll(Instant now, unsigned quota) {
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (!s) return 0;
  now_ = now;
  const Interfaces& ifs = *s->interfaces;
  unsigned handled = take_from_rings(ifs, now, quota);
  const bool due = now >= stack_->next_deadline() || ifs.generation != seen_generation_;
  if (due) {
    stack_->tick(ifs, now, *this);
    seen_generation_ = ifs.generation;
  }
  stack_->command(ifs, now, *this, [&] {
    handled += host_->turn(now_);
    if (ending_.begun()) [[unlikely]] ending_.turn(now_, stack_->tcp().stack(), *host_, room());
  });
  stack_->flush(ifs, now, *this);  // behind the applications, so that what they answer carries the ACK
  handled += take_from_taps(now);
  for (unsigned w = 0; w < wiring_.workers(); ++w) flush(w);
  if (handled || due) publish();
  return handled;
}

unsigned StackEngine::take_from_rings(const Interfaces& ifs, Instant now, unsigned quota) {
  unsigned handled = 0;
  rte_mbuf* pkts[kMaxBurst];
  // As much as a worker may give it in a turn, whichever ring it comes by.
  for (size_t empty = 0; empty < rings_.size() && handled < quota;) {
    Handoff& ring = *rings_[next_ring_];
    next_ring_ = next_ring_ + 1 == rings_.size() ? 0 : next_ring_ + 1;
    const unsigned n = ring.receive(pkts, kMaxBurst);
    if (n) stack_->receive(ifs, now, pkts, n, *this);
    empty = n ? 0 : empty + 1;
    handled += n;
  }
  return handled;
}

void StackEngine::publish() {
  held_.store(stack_->held(), std::memory_order_relaxed);
  held_by_tcp_.store(stack_->held_by_tcp(), std::memory_order_relaxed);
  stats_.set(stack_->stats());
}

void StackEngine::execute(const std::function<void(stack::HostStack&, apps::Host&)>& f) {
  if (!stack_) return;
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (s) stack_->command(*s->interfaces, now_, *this, [&] { f(*stack_, *host_); });
  else f(*stack_, *host_);
  publish();
}

unsigned StackEngine::take_from_taps(Instant now) {
  unsigned handled = 0;
  for (uint16_t i = 0; i < wiring_.ports.size(); ++i) {
    port::Port* tap = tap_[i].load(std::memory_order_acquire);
    if (!tap) continue;
    rte_mbuf* pkts[kMaxBurst];
    const unsigned n = tap->rx_burst(0, now, pkts, kMaxBurst);
    for (unsigned k = 0; k < n; ++k) {
      Meta meta;
      meta.kind = RingKind::transmit;
      meta.flags = kMetaLocalOrigin;
      meta.egress = i;
      stash(pkts[k]) = meta;
      pkts[k]->port = RTE_MBUF_PORT_INVALID;
      emit(pkts[k]);
    }
    account_.box.created.add(n);
    handled += n;
  }
  return handled;
}

// ---- the ways out

void StackEngine::emit(rte_mbuf* m) {
  const unsigned w = stash(m).worker < wiring_.workers() ? stash(m).worker : 0;
  Batch& b = to_worker_[w];
  b.pkt[b.n++] = m;
  if (b.n == kMaxBurst) flush(w);
}

void StackEngine::flush(unsigned w) {
  Batch& b = to_worker_[w];
  if (!b.n) return;
  const unsigned sent = wiring_.to_worker[index_][w]->send(b.pkt, b.n);
  for (unsigned i = sent; i < b.n; ++i) {
    account_.row(b.pkt[i]->port).drop(DropReason::tx_ring_full);
    rte_pktmbuf_free(b.pkt[i]);
  }
  b.n = 0;
}

// Packets that may leave in this turn without more than half filling a worker's ring.
unsigned StackEngine::room() const {
  unsigned least = UINT32_MAX;
  for (const auto& ring : wiring_.to_worker[index_]) {
    const unsigned half = ring->size() / 2;
    least = std::min(least, half - std::min(half, ring->count()));
  }
  return least;
}

void StackEngine::give(unsigned engine, rte_mbuf* m) {
  if (wiring_.between[engine]->send(&m, 1) == 1) return;
  account_.row(m->port).drop(DropReason::stack_ring_full);
  rte_pktmbuf_free(m);
}

bool StackEngine::hand_over(const tcp::Tuple& t, rte_mbuf* m) {
  const unsigned owner = wiring_.share.of(t);
  if (owner == index_) return false;
  give(owner, m);
  return true;
}

void StackEngine::exception(rte_mbuf* m) {
  if (index_ != 0) return give(0, m);
  const uint16_t in = stash(m).in_port;
  PortAccount& row = account_.row(m->port);
  port::Port* tap = in < kMaxPorts ? tap_[in].load(std::memory_order_acquire) : nullptr;
  if (tap && tap->tx_burst(0, now_, &m, 1) == 1) {
    row.consumed.add(1);
    return;
  }
  // A replay has no host to hand it to: it ends as it would have.
  if (!tap && host_is_simulated_) row.consumed.add(1);
  else row.drop(DropReason::exception_full);
  rte_pktmbuf_free(m);
}

// ---- what the routes say

// The snapshot is asked for anew: the control side's actions between turns ask, too.
std::optional<stack::Way> StackEngine::towards(const IpAddr& remote) const {
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (!s || remote.none()) return std::nullopt;
  const path::Routes& r = *s->routes;
  const uint32_t found = remote.family == 4 ? r.fib4 ? r.fib4->lookup(remote.v4()) : Fib4::kMiss
                                            : r.fib6 ? r.fib6->lookup(remote.v6()) : Fib6::kMiss;
  if (found >= r.groups.size()) return std::nullopt;
  const path::NextHopGroup& g = r.groups[found];
  if (g.kind != path::NextHopGroup::Kind::forward || g.hops == 0) return std::nullopt;
  const auto& ports = s->interfaces->port;
  stack::Way way;
  way.mtu = UINT16_MAX;
  for (unsigned i = 0; i < g.hops; ++i)
    if (g.hop[i].port < ports.size()) way.mtu = std::min(way.mtu, ports[g.hop[i].port].mtu);
  const path::NextHop& hop = g.hop[0];
  if (hop.port >= ports.size() || !ports[hop.port].configured) return std::nullopt;
  way.local = stack::source_towards(ports[hop.port], hop.via.none() ? remote : hop.via);
  way.path = {.port = hop.port, .worker = static_cast<uint8_t>(index_ % wiring_.workers())};
  const bool speechless = way.local.none() || (remote.family == 6 && way.local.v6().link_local());
  return speechless ? std::nullopt : std::optional(way);
}

bool StackEngine::own(const IpAddr& address) const {
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  return s && stack::owns_any(*s->interfaces, kNoPort, address);
}

bool StackEngine::comes_here(const tcp::Tuple& t) const {
  return wiring_.stacks() == 1 || (t.local_port != 0 && wiring_.share.of(t) == index_);
}

// ---- sleep and end

Instant StackEngine::next_deadline() const {
  return std::min({stack_->next_deadline(), host_->next_deadline(), ending_.next_deadline()});
}

bool StackEngine::arm(WaitSet& set) {
  for (const Handoff* ring : rings_)
    if (!ring->empty()) return false;
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (s && s->interfaces->generation != seen_generation_) return false;
  for (uint16_t i = 0; i < wiring_.ports.size(); ++i)
    if (port::Port* tap = tap_[i].load(std::memory_order_acquire)) {
      if (!tap->arm(0)) return false;
      set.add(tap->wait_fd(0));
    }
  return true;
}

void StackEngine::disarm() {
  for (uint16_t i = 0; i < wiring_.ports.size(); ++i)
    if (port::Port* tap = tap_[i].load(std::memory_order_acquire)) tap->disarm(0);
}

void StackEngine::count_lost(rte_mbuf* m) {
  account_.row(m->port).drop(DropReason::shutdown);
  rte_pktmbuf_free(m);
}

void StackEngine::release() {
  stats_.set(stack_->stats());
  host_->end();
  stack_.reset();  // what it still sends is kept by the host's applications
  host_.reset();
  held_ = held_by_tcp_ = 0;
}

}  // namespace sluice::engine
