#include "path/pipeline.h"

#include "path/parse.h"
#include "path/rewrite.h"
#include "path/slow_path.h"
#include "path/steer.h"

namespace sluice::path {

namespace {

constexpr unsigned kEthHeader = sizeof(wire::EthHdr);
constexpr unsigned kFetchAhead = 4;  // packets, between asking for a line and using it
constexpr unsigned kTagLag = 12;    // a million flows' tags are in L3

// What a frame that parse refused is told with: nothing in it is known.
constexpr Meta kUnparsed{};

// What replay reads for every packet, by value: packets are written through byte pointers, which may alias
// anything, so that members would be loaded again each time.
struct Hot {
  Generation generation;
  uint32_t now_ms;
  bool told;
  const EgressPort* egress;
  RuleSet::Hits* hits;      // this worker's, by rule; null: no rules
  uint32_t default_hits;    // where the default's are
};

}  // namespace

struct Pipeline::Impl {
  Impl(const PipelineConfig& config, NeighborTable& n, Account& a, rte_mempool* p)
      : c(config, n, a, p), exits(c), flows4(c, config.flows4), flows6(c, config.flows6),
        slow4(c, exits, flows4), slow6(c, exits, flows6), steering(config.steer && config.workers > 1) {}

  void begin(const Snapshot& s, Instant now, Out& out, const Pipeline& p) {
    c.begin(s, now, out);
    c.verdicts = p.verdicts ? &p.verdicts : nullptr;
    batch4.n = batch6.n = 0;
  }
  void finish() {
    if (batch4.n) run(batch4, flows4, slow4);
    if (batch6.n) run(batch6, flows6, slow6);
  }

  void sort(rte_mbuf* m, Meta& mt);
  void sort_odd(rte_mbuf* m, Meta& mt);
  void group_frame(rte_mbuf* m, Meta& mt);
  bool joined(const Ip6& group, uint16_t port) const;
  bool for_host(const Interface& ifc, const rte_mbuf* m, const Meta& mt) const;
  template <class F>
  void add(Batch<F>& b, Sessions<F>& flows, rte_mbuf* m, Meta& mt);
  template <class F>
  void run(Batch<F>& b, Sessions<F>& flows, SlowPath<F>& slow);
  template <class F>
  bool replay(const Hot& hot, rte_mbuf* m, uint8_t* frame, const Meta& mt, FlowAction& a);
  template <class F>
  bool replay_forward(const Hot& hot, rte_mbuf* m, uint8_t* frame, const Meta& mt, FlowAction& a);
  template <class F>
  bool replay_other(const Hot& hot, rte_mbuf* m, const Meta& mt, const FlowAction& a);
  void drop(rte_mbuf* m, DropReason r, const Meta& mt = kUnparsed) {
    c.told = {&mt, RuleSet::kDefault, false};
    exits.drop(m, r);
  }
  void from_ring_one(rte_mbuf* m, Meta& mt);
  template <class F>
  uint64_t visit(const Sessions<F>& flows, uint64_t cursor, unsigned budget,
                 const std::function<void(const FlowView&)>& f) const;

  Context c;
  Exits exits;
  Sessions<V4> flows4;
  Sessions<V6> flows6;
  SlowPath<V4> slow4;
  SlowPath<V6> slow6;
  const bool steering;
  bool repair = false;
  Meta meta[kMaxBurst];
  Batch<V4> batch4;
  Batch<V6> batch6;
};

template <class F>
[[gnu::always_inline]] inline void Pipeline::Impl::add(Batch<F>& b, Sessions<F>& flows, rte_mbuf* m, Meta& mt) {
  const typename F::Key key = make_key<F>(m, mt);
  if (steering && !mt.has(kMetaSteered)) {
    const auto quoted = is_icmp_error(mt) ? embedded_key<F>(m, mt, mt.in_port) : std::nullopt;
    const unsigned owner = owner_of<F>(c.config.steer_key, quoted ? *quoted : key, c.config.workers);
    if (owner != c.config.worker) {
      Meta& s = stash(m);
      s = mt;
      s.flags |= kMetaSteered;
      s.kind = RingKind::steer;
      return c.out->to_worker(owner, m);
    }
  }
  const unsigned i = b.n++;
  b.pkt[i] = m;
  b.frame[i] = rte_pktmbuf_mtod(m, uint8_t*);
  b.meta[i] = &mt;
  b.key[i] = key;
  b.hash[i] = flows.hash(key);
  flows.table().prefetch(b.hash[i]);
  // Its tags are there by now: on to the entry. Spread over the loop, as many misses as the core can have
  // under way never come at once.
  if (i >= kTagLag) b.entry[i - kTagLag] = flows.table().candidate(b.hash[i - kTagLag]);
}

Pipeline::Pipeline(const PipelineConfig& config, NeighborTable& neighbors, Account& account, rte_mempool* pool)
    : impl_(std::make_unique<Impl>(config, neighbors, account, pool)) {}
Pipeline::~Pipeline() = default;

void Pipeline::receive(const Snapshot& s, Instant now, uint16_t in_port, rte_mbuf** pkts, unsigned n, Out& out) {
  Impl& p = *impl_;
  p.begin(s, now, out, *this);
  PortAccount& row = p.c.account.row(in_port);
  const Interface* ifc = p.c.interface(in_port);
  uint64_t bytes = 0;
  for (unsigned i = 0; i < n && i < kFetchAhead; i++) __builtin_prefetch(rte_pktmbuf_mtod(pkts[i], char*));
  p.repair = ifc && ifc->repair_checksums;
  for (unsigned i = 0; i < n; i++) {
    rte_mbuf* m = pkts[i];
    if (i + kFetchAhead < n) __builtin_prefetch(rte_pktmbuf_mtod(pkts[i + kFetchAhead], char*));
    bytes += m->pkt_len;
    const DropReason r = ifc ? parse(m, *ifc, p.meta[i]) : DropReason::port_down;
    if (r == DropReason::count_) [[likely]] p.sort(m, p.meta[i]);
    else p.drop(m, r);
  }
  row.rx_packets.add(n);
  row.rx_bytes.add(bytes);
  p.finish();
}

// By what has to be done with it: flows by family, or an end right here.
[[gnu::always_inline]] inline void Pipeline::Impl::sort(rte_mbuf* m, Meta& mt) {
  if (mt.family == 4 && !(mt.flags & (kMetaL2Group | kMetaVlan))) [[likely]] {
    if (repair) repair_checksum(m, mt);
    return add(batch4, flows4, m, mt);
  }
  sort_odd(m, mt);
}

void Pipeline::Impl::sort_odd(rte_mbuf* m, Meta& mt) {
  if (mt.has(kMetaVlan)) return drop(m, DropReason::vlan_unknown, mt);
  c.told = {&mt, RuleSet::kDefault, false};
  if (mt.family == 0) {
    if (mt.ethertype == wire::kEthArp) return exits.local(m, mt);
    return drop(m, DropReason::ethertype_unknown, mt);
  }
  if (repair) repair_checksum(m, mt);
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(m, const uint8_t*, mt.l3);
  const bool multicast6 = mt.family == 6 && wire::at<wire::Ip6Hdr>(l3)->dst.multicast();
  if (mt.has(kMetaL2Group) || multicast6) return group_frame(m, mt);
  if (mt.family == 6) add(batch6, flows6, m, mt);
  else add(batch4, flows4, m, mt);
}

// A frame to a group, or an IPv6 packet to one: for the box, for the host behind the TAP, or dropped by policy.
// Unicast in a group frame is dropped too (RFC 1122 3.3.6, RFC 1812 5.3.4).
void Pipeline::Impl::group_frame(rte_mbuf* m, Meta& mt) {
  const auto* eth = wire::at<wire::EthHdr>(rte_pktmbuf_mtod(m, const uint8_t*));
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(m, const uint8_t*, mt.l3);
  if (mt.family == 6 && joined(wire::at<wire::Ip6Hdr>(l3)->dst, mt.in_port)) return exits.local_checked(m, mt);
  const Interface* ifc = c.interface(mt.in_port);
  if (ifc && for_host(*ifc, m, mt)) return exits.local(m, mt);
  drop(m, eth->dst.broadcast() ? DropReason::broadcast_policy : DropReason::multicast_policy, mt);
}

// RFC 4291 2.8: all nodes, all routers, and the solicited-node groups of the port's addresses.
bool Pipeline::Impl::joined(const Ip6& group, uint16_t port) const {
  static constexpr Ip6 kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  static constexpr Ip6 kAllRouters{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
  if (group == kAllNodes || group == kAllRouters) return true;
  const Interface* ifc = c.interface(port);
  if (!ifc) return false;
  if (group == solicited_node(ifc->link_local)) return true;
  for (const Prefix& p : ifc->addresses)
    if (p.addr.family == 6 && group == solicited_node(p.addr.v6())) return true;
  return false;
}

bool Pipeline::Impl::for_host(const Interface& ifc, const rte_mbuf* m, const Meta& mt) const {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(m, const uint8_t*, mt.l3);
  const IpAddr src = mt.family == 4 ? IpAddr(wire::at<wire::Ip4Hdr>(l3)->src) : IpAddr(wire::at<wire::Ip6Hdr>(l3)->src);
  for (const LocalTraffic& t : ifc.exception) {
    if (t.proto && t.proto != mt.proto) continue;
    if ((t.dport || t.sport) && !mt.has(kMetaPortsValid)) continue;
    if (t.dport && t.dport != be16::from_raw(mt.dport).host()) continue;
    if (t.sport && t.sport != be16::from_raw(mt.sport).host()) continue;
    if (t.source && !t.source->contains(src)) continue;
    return true;
  }
  return false;
}

template <class F>
void Pipeline::Impl::run(Batch<F>& b, Sessions<F>& flows, SlowPath<F>& slow) {
  uint8_t missing[kMaxBurst];
  unsigned n_missing = 0;
  auto& table = flows.table();
  const unsigned n = b.n;
  for (unsigned i = n > kTagLag ? n - kTagLag : 0; i < n; i++) b.entry[i] = table.candidate(b.hash[i]);

  const Hot hot{c.generation,
                c.now_ms,
                c.verdicts != nullptr,
                c.egress,
                c.rules ? &c.rules->hits(0, c.config.worker) : nullptr,
                c.rules ? static_cast<uint32_t>(c.rules->size()) : 0};
  for (unsigned i = 0; i < n; i++) {
    // Chunks are 4 KiB apart and share a few sets of L1: what parse read is back in L2.
    if (i + kFetchAhead < n) __builtin_prefetch(b.frame[i + kFetchAhead], 1);
    uint32_t e = b.entry[i];
    if (e != kNoFlow && !(table.at(e).key == b.key[i])) [[unlikely]] e = table.find(b.key[i], b.hash[i]);
    if (e == kNoFlow || !replay<F>(hot, b.pkt[i], b.frame[i], *b.meta[i], table.at(e).value)) [[unlikely]]
      missing[n_missing++] = static_cast<uint8_t>(i);
  }
  if (n_missing) slow.run(b, missing, n_missing);
}

// false: the slow path has to see it.
template <class F>
[[gnu::always_inline]] inline bool Pipeline::Impl::replay(const Hot& hot, rte_mbuf* m, uint8_t* frame, const Meta& mt,
                                                          FlowAction& a) {
  if (a.generation != hot.generation) [[unlikely]] return false;
  if (hot.told) [[unlikely]] c.told = {&mt, a.rule, false};
  if (a.verdict == FlowVerdict::forward) [[likely]] {
    if (!replay_forward<F>(hot, m, frame, mt, a)) return false;
  } else if (!replay_other<F>(hot, m, mt, a)) {
    return false;
  }
  const uint16_t bytes = mt.ip_length;
  if (hot.hits && a.verdict != FlowVerdict::local) {  // rules are for what is forwarded
    RuleSet::Hits& h = hot.hits[a.rule == RuleSet::kDefault ? hot.default_hits : a.rule];
    h.packets.add(1);
    h.bytes.add(bytes);
  }
  a.last_seen_ms = hot.now_ms;
  a.packets++;
  a.bytes += bytes;
  return true;
}

// The way of nearly all packets. Whatever is out of the ordinary goes the slow path, unchanged.
template <class F>
[[gnu::always_inline]] inline bool Pipeline::Impl::replay_forward(const Hot& hot, rte_mbuf* m, uint8_t* frame,
                                                                  const Meta& mt, FlowAction& a) {
  auto& ip = *wire::at<typename F::Hdr>(frame + mt.l3);
  const uint16_t out_port = a.egress;
  const EgressPort egress = hot.egress[out_port];
  const NeighborTable::Word word = c.neighbors.word(a.neighbor);
  // SYN, FIN, RST: the session's state changes.
  const bool tcp_event = mt.proto == wire::kProtoTcp && mt.has(kMetaPortsValid) &&
                         (frame[mt.l4 + offsetof(wire::TcpHdr, flags)] &
                          (wire::kTcpSyn | wire::kTcpFin | wire::kTcpRst)) != 0;
  // One branch for all of it.
  const unsigned odd = unsigned{!word.usable()} | unsigned{word.generation() != a.neighbor_generation} |
                       unsigned{hop_limit(ip) <= 1} | unsigned{mt.ip_length > egress.mtu} |
                       (mt.flags & unsigned{kMetaIpOptions}) | unsigned{mt.l3 != kEthHeader} | unsigned{tcp_event};
  if (odd) [[unlikely]] return false;

  decrement_hop_limit(ip);
  write_macs(frame, word.mac().word(), egress.mac);
  c.neighbors.touch(a.neighbor, hot.now_ms);
  if (hot.told) [[unlikely]] exits.tell(m, "forward", DropReason::count_, out_port);
  c.out->transmit(out_port, m);
  return true;
}

template <class F>
[[gnu::noinline]] bool Pipeline::Impl::replay_other(const Hot&, rte_mbuf* m, const Meta& mt, const FlowAction& a) {
  if (a.verdict == FlowVerdict::drop) {
    exits.drop(m, a.reason);
    return true;
  }
  const bool plain = !mt.has(kMetaIpOptions) && (F::kFamily == 4 || mt.l4 == mt.l3 + sizeof(wire::Ip6Hdr));
  if (a.verdict != FlowVerdict::local || !plain) return false;
  exits.local(m, mt);
  return true;
}

void Pipeline::from_ring(const Snapshot& s, Instant now, rte_mbuf** pkts, unsigned n, Out& out) {
  Impl& p = *impl_;
  p.begin(s, now, out, *this);
  p.repair = false;  // was done where the packet came in
  for (unsigned i = 0; i < n; i++) {
    p.meta[i] = stash(pkts[i]);
    p.from_ring_one(pkts[i], p.meta[i]);
  }
  p.finish();
}

void Pipeline::Impl::from_ring_one(rte_mbuf* m, Meta& mt) {
  if (mt.kind == RingKind::steer) return sort(m, mt);
  c.told.meta = nullptr;  // its verdict was told when it came in
  switch (mt.kind) {
    case RingKind::transmit: return exits.transmit(m, mt.egress);
    case RingKind::route: return exits.route_own(m, mt);
    default: return exits.refuse(m, mt, mt.icmp_type, mt.icmp_code, mt.icmp_info, mt.reason);
  }
}

void Pipeline::sweep(Instant now, unsigned budget) {
  impl_->c.set_time(now);
  impl_->flows4.sweep(budget - budget / 4);
  impl_->flows6.sweep(budget / 4);
}

void Pipeline::shedding(bool yes) { impl_->c.shedding = yes; }
uint64_t Pipeline::false_hints() const { return impl_->c.false_hints.get(); }

size_t Pipeline::flows() const { return impl_->flows4.table().size() + impl_->flows6.table().size(); }
size_t Pipeline::flow_capacity() const { return impl_->flows4.table().capacity() + impl_->flows6.table().capacity(); }
size_t Pipeline::memory_bytes() const {
  return impl_->flows4.table().memory_bytes() + impl_->flows6.table().memory_bytes() + sizeof(Impl);
}
size_t Pipeline::memory_estimate(const PipelineConfig& config) {
  return V4::Table::memory_estimate(config.flows4) + V6::Table::memory_estimate(config.flows6) + sizeof(Impl);
}

template <class F>
uint64_t Pipeline::Impl::visit(const Sessions<F>& flows, uint64_t cursor, unsigned budget,
                               const std::function<void(const FlowView&)>& f) const {
  return flows.table().scan(cursor, budget, [&](uint32_t i) {
    const auto& e = flows.table().at(i);
    const FlowAction& a = e.value;
    const FlowTail t = e.key.tail;
    if (a.has(kFlowDatagram) || flows.expired(i)) return;
    FlowView v{};
    v.family = F::kFamily, v.proto = t.proto();
    v.src = e.key.src(), v.dst = e.key.dst();
    const bool icmp = is_icmp(t.proto());
    v.sport = icmp ? t.sport() : be16::from_raw(t.sport()).host();
    v.dport = be16::from_raw(t.dport()).host();
    v.in_port = t.in_port(), v.egress = a.egress;
    v.reply = a.has(kFlowReply);
    v.packets = a.packets, v.bytes = a.bytes;
    v.idle = Duration::millis(flows.idle_ms(i));
    if (c.rules && a.generation.filter() == c.generation.filter() && a.rule < c.rules->size())
      v.rule = c.rules->rule(a.rule).name;
    f(v);
  });
}

uint64_t Pipeline::visit_flows(Instant now, const Snapshot& s, uint64_t cursor, unsigned budget,
                               const std::function<void(const FlowView&)>& f) const {
  Impl& p = *impl_;
  p.c.set_time(now);
  // Rule names are those of the snapshot that flows were compiled from.
  if (p.c.snapshot != &s || p.c.snapshot_id != s.id) p.c.adopt(s);
  const uint64_t end4 = p.flows4.table().capacity();
  if (cursor < end4) {
    const uint64_t next = p.visit(p.flows4, cursor, budget, f);
    return next ? next : end4;
  }
  const uint64_t next = p.visit(p.flows6, cursor - end4, budget, f);
  return next ? end4 + next : 0;
}

}  // namespace sluice::path
