// Packets for which the flow table has no ready answer: decided together, a step at a time for the whole
// group, so that the tables' cache misses overlap.
//
//   admit     addresses that no packet may have; multicast and broadcast                  → dropped
//   route     both addresses looked up in bulk: own source, strict reverse path, local, no route, black hole
//   judge     rules, for forwarded packets: in bulk, for those whose flow does not carry a verdict that
//             still holds (session.h: by which key)
//   conclude  in the packets' order: compile the outcome into the flow's entry, link sessions, forward
//
// What draws an ICMP error is never compiled: each such packet is decided and rate-limited anew. Silent
// denials are, so that a flood of one flow that a rule denies costs a lookup a packet.
//
// Order of the tests: a packet that rules deny draws no error about its hop limit or size, so rules cannot be
// probed from outside; for the rest RFC 1812 5.2.1's order.
#pragma once

#include "path/exits.h"
#include "path/session.h"

namespace sluice::path {

// A burst's packets of one family, parsed, with their keys.
template <class F>
struct Batch {
  unsigned n = 0;
  rte_mbuf* pkt[kMaxBurst];
  uint8_t* frame[kMaxBurst];  // its first byte, so that replay need not touch the mbuf
  Meta* meta[kMaxBurst];
  typename F::Key key[kMaxBurst];
  uint64_t hash[kMaxBurst];
  uint32_t entry[kMaxBurst];  // where the flow table probably has it
};

template <class F>
class SlowPath {
 public:
  SlowPath(Context& c, Exits& e, Sessions<F>& s) : c_(c), exits_(e), sessions_(s) {}

  // Takes the packets `which[0..n)` of the batch.
  void run(Batch<F>& b, const uint8_t* which, unsigned n);

 private:
  using Key = typename F::Key;
  using Kind = NextHopGroup::Kind;
  struct Item {
    rte_mbuf* pkt;
    Meta* meta;
    const Key* key;
    uint64_t hash;
    uint32_t entry;          // its flow's, when it was judged
    uint32_t src_group;      // route to the source
    Hop hop;
    // judge's findings
    uint32_t rule;
    RuleAction action;
    bool stateful, reply;    // permitted by a stateful rule; as a session's reply direction
    DropReason reason;       // of a denial
  };

  bool admit(Item& it);
  bool route(Item& it, uint32_t group);
  bool source_ok(Item& it);
  void judge(Item* const* items, unsigned n);
  bool verdict_holds(Item& it);
  void conclude(Item& it);
  void permit(Item& it);
  void deny(Item& it);
  bool compile(Item& it);
  // Not permitted by a rule, but a session lets it pass: the session's entry, or kNoFlow.
  uint32_t through_session(Item& it);
  void deliver_local(Item& it);
  void no_route(Item& it, bool host);
  const NextHopGroup* group(uint32_t g) const { return g < c_.routes->groups.size() ? &c_.routes->groups[g] : nullptr; }
  void count(const Item& it) {
    if (!c_.rules) return;
    auto& h = c_.rules->hits(it.rule, c_.config.worker);
    h.packets.add(1);
    h.bytes.add(it.meta->ip_length);
  }

  Context& c_;
  Exits& exits_;
  Sessions<F>& sessions_;
  Item item_[kMaxBurst];
};

}  // namespace sluice::path
