#include "path/slow_path.h"

#include "wire/martian.h"

namespace sluice::path {

namespace {

uint8_t tcp_flags(const rte_mbuf* m, const Meta& meta) {
  if (meta.proto != wire::kProtoTcp || meta.fragment()) return 0;
  const auto* tcp = wire::peek<wire::TcpHdr>(bytes_of(m), meta.l4);
  return tcp ? tcp->flags & (wire::kTcpSyn | wire::kTcpFin | wire::kTcpRst) : uint8_t{0};
}

uint8_t all_tcp_flags(const rte_mbuf* m, const Meta& meta) {
  const auto* tcp = wire::peek<wire::TcpHdr>(bytes_of(m), meta.l4);
  return tcp ? tcp->flags : uint8_t{0};
}

// RFC 3927 2.7, RFC 4291 2.5.6: addresses that mean something on their own link alone.
bool link_local(const Ip4& a) { return (a.host() >> 16) == 0xa9fe; }
bool link_local(const Ip6& a) { return a.link_local(); }

bool has_port(const NextHopGroup& g, uint16_t port) {
  for (unsigned i = 0; i < g.hops; i++)
    if (g.hop[i].port == port) return true;
  return false;
}

void look_up(const Routes& r, const Ip4* dst, const Ip4* src, uint32_t* dst_group, uint32_t* src_group, unsigned n) {
  uint32_t d[kMaxBurst], s[kMaxBurst];
  for (unsigned i = 0; i < n; i++) d[i] = dst[i].host(), s[i] = src[i].host(), dst_group[i] = src_group[i] = Fib4::kMiss;
  if (!r.fib4) return;
  r.fib4->lookup_bulk(d, dst_group, n);
  r.fib4->lookup_bulk(s, src_group, n);
}
void look_up(const Routes& r, const Ip6* dst, const Ip6* src, uint32_t* dst_group, uint32_t* src_group, unsigned n) {
  for (unsigned i = 0; i < n; i++) dst_group[i] = src_group[i] = Fib6::kMiss;
  if (!r.fib6) return;
  r.fib6->lookup_bulk(dst, dst_group, n);
  r.fib6->lookup_bulk(src, src_group, n);
}

}  // namespace

template <class F>
void SlowPath<F>::run(Batch<F>& b, const uint8_t* which, unsigned n) {
  typename F::Addr src[kMaxBurst], dst[kMaxBurst];
  uint32_t src_group[kMaxBurst], dst_group[kMaxBurst];
  unsigned kept = 0;
  for (unsigned i = 0; i < n; i++) {
    Item& it = item_[kept];
    const unsigned w = which[i];
    it.pkt = b.pkt[w], it.meta = b.meta[w], it.key = &b.key[w], it.hash = b.hash[w];
    if (c_.shedding) [[unlikely]] c_.false_hints.add(b.entry[w] == kNoFlow && sessions_.wrongly_marked(*it.key));
    if (!admit(it)) continue;
    src[kept] = it.key->src(), dst[kept] = it.key->dst();
    kept++;
  }
  if (kept == 0) return;
  look_up(*c_.routes, dst, src, dst_group, src_group, kept);

  Item* forwarded[kMaxBurst] = {};
  unsigned m = 0;
  for (unsigned i = 0; i < kept; i++) {
    item_[i].src_group = src_group[i];
    if (route(item_[i], dst_group[i])) forwarded[m++] = &item_[i];
  }
  judge(forwarded, m);
  for (unsigned i = 0; i < m; i++) conclude(*forwarded[i]);
}

template <class F>
bool SlowPath<F>::admit(Item& it) {
  c_.told = {it.meta, RuleSet::kDefault, true};
  const auto src = it.key->src(), dst = it.key->dst();
  DropReason r = DropReason::count_;
  if (!wire::single_host(src)) r = DropReason::ip_source_invalid;
  else if (dst.multicast()) r = DropReason::multicast_policy;
  else if (!wire::single_host(dst)) r = DropReason::ip_destination_invalid;
  if constexpr (F::kFamily == 4) {
    if (r == DropReason::ip_destination_invalid && dst.host() == 0xffffffff) r = DropReason::broadcast_policy;
  }
  if (r == DropReason::count_) return true;
  exits_.drop(it.pkt, r);
  return false;
}

template <class F>
bool SlowPath<F>::source_ok(Item& it) {
  const NextHopGroup* g = group(it.src_group);
  const Interface* in = c_.interface(it.meta->in_port);
  DropReason r = DropReason::count_;
  bool own = g && g->kind == Kind::local;
  bool strict = in && in->reverse_path_strict;
  if constexpr (F::kFamily == 6) {
    const Ip6 src = it.key->src();
    own |= in && src == in->link_local;
    strict &= !src.link_local();  // is on this link by definition
  }
  if (own) r = DropReason::source_own;
  else if (g && g->kind == Kind::broadcast) r = DropReason::ip_source_invalid;
  else if (strict && !(g && g->kind == Kind::forward && has_port(*g, it.meta->in_port))) r = DropReason::reverse_path;
  if (r == DropReason::count_) return true;
  exits_.drop(it.pkt, r);
  return false;
}

template <class F>
void SlowPath<F>::no_route(Item& it, bool host) {
  if (F::kFamily == 4) exits_.refuse(it.pkt, *it.meta, 3, host ? 1 : 0, 0, DropReason::no_route);
  else exits_.refuse(it.pkt, *it.meta, 1, host ? 3 : 0, 0, DropReason::no_route);
}

// true: to be forwarded, and `hop` is set.
template <class F>
bool SlowPath<F>::route(Item& it, uint32_t dst_group) {
  c_.told = {it.meta, RuleSet::kDefault, true};
  if (!source_ok(it)) return false;
  const auto dst = it.key->dst();
  if constexpr (F::kFamily == 6) {
    const Interface* in = c_.interface(it.meta->in_port);
    if (in && dst == in->link_local) return deliver_local(it), false;
  }
  const NextHopGroup* g = group(dst_group);
  if (g && g->kind == Kind::local) return deliver_local(it), false;
  if (link_local(dst)) return exits_.drop(it.pkt, DropReason::ip_destination_invalid), false;
  if (link_local(it.key->src())) {
    // RFC 4443 3.1: beyond the scope of the source address. IPv4 has no such word.
    if (F::kFamily == 6) exits_.refuse(it.pkt, *it.meta, 1, 2, 0, DropReason::ip_source_invalid);
    else exits_.drop(it.pkt, DropReason::ip_source_invalid);
    return false;
  }
  if (!g || (g->kind == Kind::forward && g->hops == 0)) return no_route(it, false), false;
  switch (g->kind) {
    case Kind::broadcast: return exits_.drop(it.pkt, DropReason::broadcast_policy), false;
    case Kind::blackhole: return exits_.drop(it.pkt, DropReason::blackhole), false;
    case Kind::unreachable: return no_route(it, true), false;
    default: break;
  }
  it.hop = exits_.hop_of(*g, route_hash<F>(c_.config.steer_key, *it.key), dst);
  return true;
}

template <class F>
void SlowPath<F>::deliver_local(Item& it) {
  if (it.key->tail.kind() == KeyKind::whole) {
    uint32_t e = sessions_.table().find(*it.key, it.hash);
    if (e == kNoFlow) e = sessions_.insert(*it.key, it.hash, false);
    if (e != kNoFlow) {
      sessions_.dissolve(e);
      FlowAction& a = sessions_.table().at(e).value;
      a.generation = c_.generation;
      a.verdict = FlowVerdict::local;
      a.rule = RuleSet::kDefault;
      a.egress = kNoPort;
      sessions_.touch(e, *it.meta);
    }
  }
  exits_.local_checked(it.pkt, *it.meta);
}

// Whether the flow's entry answers for the rules. Else the item is to be classified.
template <class F>
bool SlowPath<F>::verdict_holds(Item& it) {
  it.rule = RuleSet::kDefault;
  it.stateful = it.reply = false;
  it.action = RuleAction::permit;
  it.reason = DropReason::count_;
  const KeyKind kind = it.key->tail.kind();
  it.entry = kind == KeyKind::tiny ? kNoFlow : sessions_.table().find(*it.key, it.hash);
  if (!c_.rules) return true;
  if (kind == KeyKind::tiny && c_.drop_tiny) {
    it.action = RuleAction::deny;
    it.reason = DropReason::fragment_tiny;
    return true;
  }
  if (it.entry == kNoFlow) return false;
  const FlowAction& a = sessions_.table().at(it.entry).value;
  if (a.generation.filter() != c_.generation.filter() || a.verdict == FlowVerdict::drop) return false;
  it.rule = a.rule;
  it.reply = a.has(kFlowReply);
  it.stateful = a.has(kFlowSession);
  // Rules may name the way out. A reply's is its route's affair.
  return it.reply || (a.verdict != FlowVerdict::local && a.egress == it.hop.port);
}

template <class F>
void SlowPath<F>::judge(Item* const* items, unsigned n) {
  typename F::RuleKey key[kMaxBurst];
  uint32_t rule[kMaxBurst];
  Item* asked[kMaxBurst];
  unsigned m = 0;
  for (unsigned i = 0; i < n; i++) {
    Item& it = *items[i];
    if (verdict_holds(it)) continue;
    it.reply = it.entry != kNoFlow && sessions_.table().at(it.entry).value.has(kFlowReply);
    if (it.reply) {
      // The original direction answers for the session: out through the route to this packet's source.
      const Key& original = sessions_.table().at(sessions_.table().at(it.entry).value.peer).key;
      const NextHopGroup* g = group(it.src_group);
      const bool routed = g && g->kind == Kind::forward && g->hops > 0;
      const uint32_t h = route_hash<F>(c_.config.steer_key, original);
      const uint16_t out = routed ? g->hop[g->hops > 1 ? uint64_t{h} * g->hops >> 32 : 0].port : kNoPort;
      key[m] = rule_key<F>(original, out);
    } else {
      key[m] = rule_key<F>(*it.key, it.hop.port);
    }
    asked[m++] = &it;
  }
  if (m == 0) return;
  c_.rules->classify(key, rule, m);
  for (unsigned i = 0; i < m; i++) {
    Item& it = *asked[i];
    it.rule = rule[i];
    it.action = c_.rules->action(it.rule);
    it.stateful = it.rule != RuleSet::kDefault && it.action == RuleAction::permit && c_.rules->rule(it.rule).stateful;
    if (it.reply && !it.stateful) {
      // The session is no longer allowed: from here on the packet is one like any other.
      sessions_.erase(it.entry);
      it.reply = false;
      it.entry = kNoFlow;
      const typename F::RuleKey own = rule_key<F>(*it.key, it.hop.port);
      c_.rules->classify(&own, &it.rule, 1);
      it.action = c_.rules->action(it.rule);
      it.stateful = it.rule != RuleSet::kDefault && it.action == RuleAction::permit && c_.rules->rule(it.rule).stateful;
    }
    if (it.action == RuleAction::deny)
      it.reason = it.rule == RuleSet::kDefault ? DropReason::default_deny : DropReason::rule_deny;
    if (it.action == RuleAction::reject) it.reason = DropReason::rule_reject;
  }
}

template <class F>
void SlowPath<F>::conclude(Item& it) {
  Item* self = &it;
  const bool cached = it.key->tail.kind() != KeyKind::tiny;
  uint32_t now = cached ? sessions_.table().find(*it.key, it.hash) : kNoFlow;
  if (now != kNoFlow && tcp_flags(it.pkt, *it.meta) && !sessions_.tcp_event(now, all_tcp_flags(it.pkt, *it.meta)))
    now = kNoFlow, it.entry = kNoFlow - 1;  // judged under a session that is gone
  // An earlier packet of the group made or removed the flow's entry.
  if (now != it.entry) judge(&self, 1);
  c_.told = {it.meta, it.rule, true};
  if (it.action == RuleAction::permit) return permit(it);
  if (it.reason != DropReason::fragment_tiny) {
    const uint32_t s = through_session(it);
    if (s != kNoFlow) {
      it.rule = sessions_.table().at(s).value.rule;
      c_.told.rule = it.rule;
      count(it);
      return exits_.forward(it.pkt, *it.meta, it.hop);
    }
  }
  deny(it);
}

// Fills the flow's entry. false: a stateful rule asks for a session, and there is no room for it.
template <class F>
bool SlowPath<F>::compile(Item& it) {
  const KeyKind kind = it.key->tail.kind();
  // First fragments are judged one by one where there are rules: each may open the way for its datagram.
  if (kind == KeyKind::tiny || (kind == KeyKind::first && c_.rules)) return true;
  const bool session = it.stateful && kind == KeyKind::whole;
  const bool fresh = it.entry == kNoFlow;
  if (fresh) it.entry = sessions_.insert(*it.key, it.hash, session);
  if (it.entry == kNoFlow) return !session || !reply_key<F>(*it.key, it.hop.port);

  FlowAction& a = sessions_.table().at(it.entry).value;
  a.generation = c_.generation;
  a.rule = it.rule;
  a.egress = it.hop.port;
  a.verdict = it.hop.ref.index != NeighborTable::kNone ? FlowVerdict::forward : FlowVerdict::uncompiled;
  if (it.hop.ref.index != NeighborTable::kNone) {
    a.neighbor = it.hop.ref.index;
    a.neighbor_generation = it.hop.ref.generation;
  }
  sessions_.touch(it.entry, *it.meta);
  if (it.reply) {
    sessions_.replied(it.entry);
  } else if (session) {
    if (!sessions_.establish(it.entry)) {
      sessions_.erase(it.entry);
      return false;
    }
  } else {
    sessions_.dissolve(it.entry);
    sessions_.mark_if_answered(it.entry);
  }
  const uint8_t events = tcp_flags(it.pkt, *it.meta);
  if (fresh) sessions_.tcp_event(it.entry, events);
  const bool syn = (events & wire::kTcpSyn) && !(all_tcp_flags(it.pkt, *it.meta) & wire::kTcpAck);
  const bool datagram = fresh && it.key->tail.proto() == wire::kProtoUdp && !sessions_.hinted(it.entry);
  if (syn || datagram) sessions_.expect_answer(it.entry);
  return true;
}

template <class F>
void SlowPath<F>::permit(Item& it) {
  count(it);
  if (!compile(it)) return exits_.drop(it.pkt, DropReason::flow_table_full);
  if (it.stateful && it.key->tail.kind() == KeyKind::first) sessions_.admit_datagram(it.pkt, *it.meta, it.rule);
  exits_.forward(it.pkt, *it.meta, it.hop);
}

template <class F>
uint32_t SlowPath<F>::through_session(Item& it) {
  const FlowTail t = it.key->tail;
  if (t.kind() == KeyKind::later) {
    const uint32_t d = sessions_.find_datagram(it.pkt, *it.meta);
    if (d != kNoFlow) sessions_.touch(d, *it.meta);
    return d;
  }
  if (t.kind() == KeyKind::first) {
    Key whole = *it.key;
    whole.tail = FlowTail::of(t.sport(), t.dport(), t.in_port(), t.proto(), KeyKind::whole);
    const uint32_t s = sessions_.find_session(whole);
    if (s == kNoFlow) return kNoFlow;
    sessions_.touch(s, *it.meta);
    if (sessions_.table().at(s).value.has(kFlowReply)) sessions_.replied(s);
    sessions_.admit_datagram(it.pkt, *it.meta, sessions_.table().at(s).value.rule);
    return s;
  }
  if (t.kind() != KeyKind::whole) return kNoFlow;
  // The quoted packet came in where the error goes out. Its source is whom the error is for.
  if (const auto quoted = embedded_key<F>(it.pkt, *it.meta, it.hop.port))
    return quoted->src() == it.key->dst() ? sessions_.find_session(*quoted) : kNoFlow;

  const NextHopGroup* back = group(it.src_group);
  if (!back || back->kind != Kind::forward || back->hops < 2 || !has_port(*back, t.in_port())) return kNoFlow;
  for (unsigned i = 0; i < back->hops; i++) {
    if (back->hop[i].port == t.in_port()) continue;
    Key other = *it.key;
    other.tail = FlowTail::of(t.sport(), t.dport(), back->hop[i].port, t.proto(), KeyKind::whole);
    const uint32_t s = sessions_.find_session(other);
    if (s == kNoFlow || !sessions_.table().at(s).value.has(kFlowReply)) continue;
    sessions_.touch(s, *it.meta);
    sessions_.replied(s);
    return s;
  }
  return kNoFlow;
}

template <class F>
void SlowPath<F>::deny(Item& it) {
  if (it.reason != DropReason::fragment_tiny) count(it);
  const KeyKind kind = it.key->tail.kind();
  const NextHopGroup* back = group(it.src_group);
  // Not where a later session may let the next packet of the same key pass.
  const bool settled = (kind == KeyKind::whole || kind == KeyKind::portless) && !is_icmp_error(*it.meta) &&
                       !(back && back->kind == Kind::forward && back->hops > 1);
  if (it.entry != kNoFlow) sessions_.dissolve(it.entry);
  if (it.action == RuleAction::deny && settled) {
    if (it.entry == kNoFlow) it.entry = sessions_.insert(*it.key, it.hash, false);
    if (it.entry != kNoFlow) {
      FlowAction& a = sessions_.table().at(it.entry).value;
      a.generation = c_.generation;
      a.verdict = FlowVerdict::drop;
      a.rule = it.rule;
      a.egress = it.hop.port;
      a.reason = it.reason;
      sessions_.touch(it.entry, *it.meta);
    }
  } else if (it.entry != kNoFlow) {
    sessions_.erase(it.entry);
  }
  if (it.action == RuleAction::reject) exits_.reject(it.pkt, *it.meta);
  else exits_.drop(it.pkt, it.reason);
}

template class SlowPath<V4>;
template class SlowPath<V6>;

}  // namespace sluice::path
