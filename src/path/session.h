// The flow table of one family, and sessions in it.
//
// Theory of operation. An entry is one direction of a flow. There are two kinds of them:
//
//   cached    the outcome of routes and rules for one direction, remembered: each direction by itself. It may
//             go at any time; the next packet makes it again. So it is for all flows of a plain router, for
//             stateless rules, and for what rules deny.
//   session   a stateful rule permits the original direction; two entries, linked by `peer`, are made at once.
//             The reply direction passes without a rule; its route is found when its first packet comes.
//             The two live and die together. Any packet that the rule permits makes a session, for TCP too: a
//             connection that was there before the box was started goes on ("pick-up").
//
//   a's first packet      permitted by a stateful rule   original: key (a, b, in port I), out through E
//                                                        reply: key (b, a, in port E), not compiled
//   b's answer, from E    hit, not compiled              reply: routed, forwarded; both entries `replied`
//   after a change        hit, stale filter              whichever comes first: the ORIGINAL's key and egress
//   of the rules                                         go through the rules. Permitted: both go on. Else the
//                                                        session ends, and the packet is judged by itself.
//
// An answer through another port than E passes only if the route back to its source has that port too (ECMP).
// ICMP errors pass if the packet they quote belongs to a session. Later fragments have no ports: a first
// fragment that a session or a stateful rule lets through leaves an entry (`datagram`) under its
// identification, and they pass under it. One that arrives before the first is judged by the rules alone.
// With several workers, errors and fragments find a session only if they come to its worker: steering by
// hash sees to it for errors, not for fragments.
//
// TCP: after a FIN each way, or a reset, a session lives for idle_tcp_closing. In that time a SYN of the
// original direction opens it again; one of the reply direction ends it and is judged by the rules.
//
// Established flows are marked for the verdict in front of the ports (table/flow_hints.h), each direction as its packets
// arrive: a session when it is answered; a cached flow when it is made and the other direction has an entry. That costs
// a hit nothing, since the first packet either way is a miss. A SYN, and the first packet of a UDP flow, mark the tuple of
// their answer, and no more: who sends them has proven nothing yet. The sweep marks them again in each generation, as long as the entries live. A plain router that
// sees one direction alone has no established flows.
//
// Full: of the 32 places that a new flow may have, the best victim goes: an expired entry, else the cached one
// that was idle longest, else, for a session, the one that was idle longest of those that were never
// answered. Sessions with traffic both ways are never pushed out, so a flood of new flows cannot end them; a
// new session that finds no room is refused (flow_table_full), a cached flow is forwarded without an entry.
#pragma once

#include "path/context.h"
#include "path/flow_key.h"

namespace sluice::path {

// Cached entries cost a slow path to make again, and nothing else: they need not outlive a pause in the flow.
inline constexpr Duration kIdleCached = Duration::seconds(60), kIdleDenied = Duration::seconds(10),
                          kIdleDatagram = Duration::seconds(30);

template <class F>
class Sessions {
 public:
  using Key = typename F::Key;
  using Table = typename F::Table;

  Sessions(Context& c, size_t flows) : c_(c), table_(flows, c.config.numa_node) {}

  Table& table() { return table_; }
  const Table& table() const { return table_; }
  uint64_t hash(const Key& k) const { return F::hash(c_.config.flow_key, k); }

  // An entry for a key that has none. `session`: it may push out more. kNoFlow: no room.
  uint32_t insert(const Key& k, uint64_t hash, bool session, uint32_t keep = kNoFlow);
  // With its peer.
  void erase(uint32_t i);
  // Makes `i` the original direction of a session whose answers come in through its egress. What stood
  // under the reply's key goes, unless it is a session of its own. false: no room, and `i` is a cached entry.
  bool establish(uint32_t i);
  // The session is over: `i` becomes a cached entry, its peer goes.
  void dissolve(uint32_t i);
  // Both directions have been seen.
  void replied(uint32_t i);
  // Of a cached entry: marks both directions, if the other one has an entry as well.
  void mark_if_answered(uint32_t i);
  // A SYN went on under entry `i`, or it is new and UDP: marks the tuple of its answer, within a limit. Each of the two has its
  // own, so that a flood of the one leaves the other its part.
  void expect_answer(uint32_t i);
  bool hinted(uint32_t i) const { return table_.at(i).value.hinted != 0; }
  // A packet without an entry: whether the hints call its flow established.
  bool wrongly_marked(const Key& k) const;

  // An entry of a session, not stale, under this key; kNoFlow: none.
  uint32_t find_session(const Key& k) const;
  // Remembers that later fragments of this fragment's datagram may pass; finds out whether they may.
  void admit_datagram(const rte_mbuf* m, const Meta& meta, uint32_t rule);
  uint32_t find_datagram(const rte_mbuf* m, const Meta& meta) const;

  // A TCP segment of the flow `i` with SYN, FIN or RST. false: the session was closing and this opens one in
  // its reply direction: both entries are gone.
  bool tcp_event(uint32_t i, uint8_t tcp_flags);

  void touch(uint32_t i, const Meta& meta) {
    FlowAction& a = table_.at(i).value;
    a.last_seen_ms = c_.now_ms;
    a.packets++;
    a.bytes += meta.ip_length;
  }
  // Of the flow: the shorter of both directions' pauses.
  uint32_t idle_ms(uint32_t i) const;
  bool expired(uint32_t i) const;
  void sweep(unsigned budget);

 private:
  uint64_t worth(uint32_t i, bool session, uint32_t keep) const;
  Duration limit(uint32_t i) const;
  void mark(uint32_t i);
  void mark_again(uint32_t i);

  Context& c_;
  Table table_;
  uint64_t cursor_ = 0;
};

}  // namespace sluice::path
