#include "engine/stack_engine.h"

#include <algorithm>

namespace sluice::engine {

StackEngine::StackEngine(Wiring& wiring, const stack::StackConfig& c, NeighborTable& neighbors, rte_mempool* pool,
                         bool host_is_simulated)
    : wiring_(wiring),
      host_is_simulated_(host_is_simulated),
      stack_(std::make_unique<stack::HostStack>(c, neighbors, account_, pool)) {}

unsigned StackEngine::poll(Instant now, unsigned quota) {
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (!s) return 0;
  now_ = now;
  const Interfaces& ifs = *s->interfaces;
  unsigned handled = 0;
  const unsigned workers = wiring_.workers();
  rte_mbuf* pkts[kMaxBurst];
  for (unsigned i = 0; i < workers && handled < quota; ++i) {
    Handoff& ring = *wiring_.to_stack[next_ring_];
    next_ring_ = next_ring_ + 1 == workers ? 0 : next_ring_ + 1;
    const unsigned n = ring.receive(pkts, kMaxBurst);
    if (n) stack_->receive(ifs, now, pkts, n, *this);
    handled += n;
  }
  const bool due = now >= stack_->next_deadline() || ifs.generation != seen_generation_;
  if (due) {
    stack_->tick(ifs, now, *this);
    seen_generation_ = ifs.generation;
  }
  handled += take_from_taps(now);
  for (unsigned w = 0; w < workers; ++w) flush(w);
  if (handled || due) {
    held_.store(stack_->held(), std::memory_order_relaxed);
    stats_.set(stack_->stats());
  }
  return handled;
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
  const unsigned sent = wiring_.to_worker[w]->send(b.pkt, b.n);
  for (unsigned i = sent; i < b.n; ++i) {
    account_.row(b.pkt[i]->port).drop(DropReason::tx_ring_full);
    rte_pktmbuf_free(b.pkt[i]);
  }
  b.n = 0;
}

void StackEngine::exception(rte_mbuf* m) {
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

// ---- sleep and end

Instant StackEngine::next_deadline() const { return stack_->next_deadline(); }

bool StackEngine::arm(WaitSet& set) {
  for (const auto& ring : wiring_.to_stack)
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
  stack_.reset();
  held_ = 0;
}

}  // namespace sluice::engine
