#include "engine/wiring.h"

#include <algorithm>
#include <unordered_map>

namespace sluice::engine {

Wiring::Wiring(const std::vector<std::unique_ptr<port::Port>>& p, const std::vector<Bell*>& worker_bells,
               const std::vector<Bell*>& stack_bells, unsigned ring_size, const HashKey& stack_key)
    : ports(p), share(stack_key, static_cast<unsigned>(stack_bells.size())) {
  const auto ring = [&](Handoff::Writers writers, Bell* reader) {
    return std::make_unique<Handoff>(ring_size, writers, reader);
  };
  for (Bell* bell : worker_bells) steer.push_back(ring(Handoff::Writers::many, bell));
  to_stack.resize(stacks());
  to_worker.resize(stacks());
  for (unsigned e = 0; e < stacks(); ++e) {
    for (Bell* bell : worker_bells) {
      to_stack[e].push_back(ring(Handoff::Writers::one, stack_bells[e]));
      to_worker[e].push_back(ring(Handoff::Writers::one, bell));
    }
    if (stacks() > 1) between.push_back(ring(Handoff::Writers::many, stack_bells[e]));
  }
  transmit.resize(ports.size());
  for (size_t i = 0; i < ports.size(); ++i) {
    const unsigned queues = ports[i]->info().tx_queues;
    for (unsigned q = 0; queues < workers() && q < queues; ++q)
      transmit[i].push_back(ring(Handoff::Writers::many, worker_bells[q]));
  }
}

std::vector<Wiring::PortQueue> Wiring::receive_queues(unsigned worker) const {
  std::vector<PortQueue> mine;
  for (uint16_t i = 0; i < ports.size(); ++i)
    for (unsigned q = worker; q < ports[i]->info().rx_queues; q += workers())
      mine.push_back({i, static_cast<uint16_t>(q)});
  return mine;
}

Wiring::Egress Wiring::egress(unsigned worker, uint16_t port) const {
  const auto& rings = transmit[port];
  if (rings.empty()) return {static_cast<uint16_t>(worker), nullptr};
  const unsigned queue = worker % static_cast<unsigned>(rings.size());
  return {static_cast<uint16_t>(queue), queue == worker ? nullptr : rings[queue].get()};
}

bool Wiring::symmetric() const {
  return std::all_of(ports.begin(), ports.end(), [&](const auto& p) {
    return p->info().symmetric_rss && p->info().rx_queues == workers();
  });
}

std::vector<Handoff*> Wiring::rings() const {
  std::vector<Handoff*> all;
  for (const auto* group : {&between, &steer})
    for (const auto& r : *group) all.push_back(r.get());
  for (const auto* groups : {&to_stack, &to_worker, &transmit})
    for (const auto& group : *groups)
      for (const auto& r : group) all.push_back(r.get());
  return all;
}

unsigned Wiring::queued() const {
  unsigned n = 0;
  for (const Handoff* r : rings()) n += r->count();
  return n;
}

// A chain's own buffers, and those that it refers to and nobody else keeps any more. Clones are of another pool.
unsigned Wiring::chained() const {
  unsigned n = 0;
  std::unordered_map<const rte_mbuf*, unsigned> references;
  for (const Handoff* r : rings())
    for (const rte_mbuf* packet : r->contents())
      for (rte_mbuf* m = packet->next; m; m = m->next)
        if (RTE_MBUF_DIRECT(m)) ++n;
        else ++references[rte_mbuf_from_indirect(m)];
  for (const auto& [m, count] : references) n += rte_mbuf_refcnt_read(m) == count;
  return n;
}

}  // namespace sluice::engine
