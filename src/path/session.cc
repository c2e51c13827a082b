#include "path/session.h"

#include <algorithm>

namespace sluice::path {

template <class F>
uint32_t Sessions<F>::insert(const Key& k, uint64_t h, bool session, uint32_t keep) {
  return table_.insert(
      k, h, [&](uint32_t i) { return worth(i, session, keep); }, [&](uint32_t i) { erase(i); });
}

template <class F>
uint64_t Sessions<F>::worth(uint32_t i, bool session, uint32_t keep) const {
  if (i == keep) return 0;
  const FlowAction& a = table_.at(i).value;
  const uint64_t idle = uint64_t{idle_ms(i)} + 1;
  if (expired(i)) return idle | uint64_t{3} << 40;
  if (!a.has(kFlowSession)) return idle | uint64_t{2} << 40;
  if (session && !a.has(kFlowReplied)) return idle | uint64_t{1} << 40;
  return 0;
}

template <class F>
void Sessions<F>::erase(uint32_t i) {
  const uint32_t peer = table_.at(i).value.peer;
  if (peer != kNoFlow) table_.erase(peer);
  table_.erase(i);
}

template <class F>
bool Sessions<F>::establish(uint32_t i) {
  const Key key = table_.at(i).key;
  const uint16_t egress = table_.at(i).value.egress;
  const auto back = reply_key<F>(key, egress);
  if (!back) return true;  // one-way by nature
  if (const uint32_t old = table_.at(i).value.peer; old != kNoFlow) {
    if (table_.at(old).key == *back) return true;
    dissolve(i);  // its way out has changed, and so has the port that answers come through
  }
  if (*back == key) return true;
  const uint64_t h = hash(*back);
  uint32_t r = table_.find(*back, h);
  if (r != kNoFlow) {
    if (table_.at(r).value.has(kFlowSession)) return true;
    table_.erase(r);
  }
  r = insert(*back, h, true, i);
  if (r == kNoFlow) return false;

  FlowAction& original = table_.at(i).value;
  FlowAction& reply = table_.at(r).value;
  original.flags |= kFlowSession;
  original.peer = r;
  reply.flags = kFlowSession | kFlowReply;
  reply.peer = i;
  reply.rule = original.rule;
  reply.generation = Generation::of(0, c_.generation.filter());  // permitted, and its route still to be found
  reply.last_seen_ms = c_.now_ms;
  return true;
}

template <class F>
void Sessions<F>::dissolve(uint32_t i) {
  FlowAction& a = table_.at(i).value;
  if (a.peer != kNoFlow) table_.erase(a.peer);
  a.peer = kNoFlow;
  a.flags = 0;
}

template <class F>
void Sessions<F>::replied(uint32_t i) {
  FlowAction& a = table_.at(i).value;
  a.flags |= kFlowReplied;
  mark(i);
  if (a.peer == kNoFlow) return;
  table_.at(a.peer).value.flags |= kFlowReplied;
  mark(a.peer);
}

// ---- hints

namespace {

// ICMP has a class of its own, and ports that are none; fragments are no flow.
template <class Key>
bool hintable(const Key& k) {
  return k.tail.kind() == KeyKind::whole && !is_icmp(k.tail.proto());
}

// The tuple that bpf/classes.h makes of a packet: it knows these protocols' ports alone.
template <class Key, class Do>
auto with_tuple(const Key& k, Do&& f) {
  const uint8_t proto = k.tail.proto();
  const bool ports = proto == wire::kProtoTcp || proto == wire::kProtoUdp || proto == wire::kProtoSctp;
  return f(k.src(), k.dst(), ports ? k.tail.sport() : uint16_t{0}, ports ? k.tail.dport() : uint16_t{0}, proto);
}

}  // namespace

template <class F>
void Sessions<F>::mark(uint32_t i) {
  FlowHints* const hints = c_.config.hints;
  auto& e = table_.at(i);
  if (!hints || e.value.hinted == hints->generation() || !hintable(e.key)) return;
  with_tuple(e.key, [&](const auto&... tuple) { hints->mark(tuple...); });
  const uint16_t g = hints->generation();
  e.value.hinted = g ? g : UINT16_MAX;  // 0 stands for never
}

template <class F>
void Sessions<F>::mark_if_answered(uint32_t i) {
  const FlowHints* const hints = c_.config.hints;
  if (!hints || table_.at(i).value.hinted == hints->generation() || !hintable(table_.at(i).key)) return;
  const auto back = reply_key<F>(table_.at(i).key, table_.at(i).value.egress);
  if (!back) return;
  const uint32_t other = table_.find(*back, hash(*back));
  if (other == kNoFlow || other == i || table_.at(other).value.verdict == FlowVerdict::drop) return;
  mark(i);
  mark(other);
}

template <class F>
void Sessions<F>::expect_answer(uint32_t i) {
  FlowHints* const hints = c_.config.hints;
  const auto& e = table_.at(i);
  if (!hints || !hintable(e.key)) return;
  const auto back = reply_key<F>(e.key, e.value.egress);
  TokenBucket& limit = e.key.tail.proto() == wire::kProtoUdp ? c_.expected_udp : c_.expected;
  if (!back || !limit.take(c_.now, FlowHints::kExpectedPerSecond, FlowHints::kExpectedBurst)) return;
  with_tuple(*back, [&](const auto&... tuple) { hints->mark(tuple...); });
}

template <class F>
void Sessions<F>::mark_again(uint32_t i) {
  const FlowAction& a = table_.at(i).value;
  if (a.hinted == 0 || a.hinted == c_.config.hints->generation()) return;
  if (a.has(kFlowReplied)) mark(i);
  else if (a.verdict == FlowVerdict::forward && !a.has(kFlowSession)) mark_if_answered(i);
}

template <class F>
bool Sessions<F>::wrongly_marked(const Key& k) const {
  return c_.config.hints && hintable(k) &&
         with_tuple(k, [&](const auto&... tuple) { return c_.config.hints->marked(tuple...); });
}

template <class F>
uint32_t Sessions<F>::find_session(const Key& k) const {
  const uint32_t i = table_.find(k, hash(k));
  if (i == kNoFlow) return kNoFlow;
  const FlowAction& a = table_.at(i).value;
  const bool good = a.has(kFlowSession) && a.generation.filter() == c_.generation.filter() &&
                    a.verdict != FlowVerdict::drop && !expired(i);
  return good ? i : kNoFlow;
}

template <class F>
void Sessions<F>::admit_datagram(const rte_mbuf* m, const Meta& meta, uint32_t rule) {
  const Key k = datagram_key<F>(m, meta);
  const uint64_t h = hash(k);
  uint32_t i = table_.find(k, h);
  if (i == kNoFlow) i = insert(k, h, false);
  if (i == kNoFlow) return;
  FlowAction& a = table_.at(i).value;
  a.flags = kFlowDatagram;
  a.generation = c_.generation;
  a.rule = rule;
  touch(i, meta);
}

template <class F>
uint32_t Sessions<F>::find_datagram(const rte_mbuf* m, const Meta& meta) const {
  const Key k = datagram_key<F>(m, meta);
  const uint32_t i = table_.find(k, hash(k));
  if (i == kNoFlow || expired(i)) return kNoFlow;
  return table_.at(i).value.generation.filter() == c_.generation.filter() ? i : kNoFlow;
}

template <class F>
bool Sessions<F>::tcp_event(uint32_t i, uint8_t tcp_flags) {
  FlowAction& a = table_.at(i).value;
  FlowAction* peer = a.peer != kNoFlow ? &table_.at(a.peer).value : nullptr;
  if ((tcp_flags & (wire::kTcpSyn | wire::kTcpAck)) == wire::kTcpSyn && a.has(kFlowClosing)) {
    if (a.has(kFlowReply)) {
      erase(i);
      return false;
    }
    constexpr uint8_t kOver = kFlowFin | kFlowClosing;
    a.flags = static_cast<uint8_t>(a.flags & ~kOver);
    if (peer) peer->flags = static_cast<uint8_t>(peer->flags & ~kOver);
  }
  if (tcp_flags & wire::kTcpFin) a.flags |= kFlowFin;
  const bool both = a.has(kFlowFin) && (!peer || peer->has(kFlowFin));
  if (both || (tcp_flags & wire::kTcpRst)) {
    a.flags |= kFlowClosing;
    if (peer) peer->flags |= kFlowClosing;
  }
  return true;
}

template <class F>
uint32_t Sessions<F>::idle_ms(uint32_t i) const {
  const FlowAction& a = table_.at(i).value;
  const uint32_t own = c_.since(a.last_seen_ms);
  return a.peer == kNoFlow ? own : std::min(own, c_.since(table_.at(a.peer).value.last_seen_ms));
}

template <class F>
Duration Sessions<F>::limit(uint32_t i) const {
  const auto& e = table_.at(i);
  const FlowAction& a = e.value;
  if (a.has(kFlowDatagram)) return kIdleDatagram;
  if (a.verdict == FlowVerdict::drop) return kIdleDenied;
  Duration d = c_.config.idle_other;
  if (e.key.tail.proto() == wire::kProtoTcp) {
    // Half open counts as closing: what answers at all does so soon.
    const bool open = !a.has(kFlowClosing) && (a.has(kFlowReplied) || !a.has(kFlowSession));
    d = open ? c_.config.idle_tcp : c_.config.idle_tcp_closing;
  } else if (e.key.tail.proto() == wire::kProtoUdp) {
    d = c_.config.idle_udp;
  }
  return a.has(kFlowSession) ? d : std::min(d, kIdleCached);
}

template <class F>
bool Sessions<F>::expired(uint32_t i) const {
  const int64_t most = limit(i).ms();
  // The peer's line is read only where this direction alone would have expired.
  return int64_t{c_.since(table_.at(i).value.last_seen_ms)} > most && int64_t{idle_ms(i)} > most;
}

template <class F>
void Sessions<F>::sweep(unsigned budget) {
  cursor_ = table_.scan(cursor_, budget, [&](uint32_t i) {
    if (expired(i)) erase(i);
    else if (c_.config.hints) mark_again(i);
  });
}

template class Sessions<V4>;
template class Sessions<V6>;

}  // namespace sluice::path
