// A pipeline between three ports, with tables of its own. Frames go in one by one or in bursts; what comes out
// lies in `sent`, `stack` and `handed`. Every test ends with closed books and an empty pool.
//
//   port 0  198.18.1.1/24  2001:db8:1::1/64  MTU 1500      198.18.64.0/18, 2001:db8:40::/44 → .2.10, ::10 on 1
//   port 1  198.18.2.1/24  2001:db8:2::1/64  MTU 1500      198.18.97.0/24 → .2.10 and .2.11 on 1
//   port 2  198.18.3.1/24  2001:db8:3::1/64  MTU 1400      198.18.98.0/24 → .2.10 on 1 and .3.10 on 2
//                                                         198.18.96.0/24 black hole, 198.18.99.0/24 unreachable
//   0.0.0.0/7, 126.0.0.0/7 and ::/8 → port 1, as bait for martians; hosts .10 and .11 (::10, ::11) on every
//   port have a MAC.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "packet/pool.h"
#include "path/pipeline.h"
#include "tests/unit/frames.h"

namespace sluice::test {

class Collect : public path::Out {
 public:
  struct Sent {
    uint16_t port;
    Octets frame;
  };
  struct Punted {
    Meta meta;
    Octets frame;
  };
  Account* account = nullptr;
  std::vector<Sent> sent;
  std::vector<Punted> stack, handed;
  std::map<uint16_t, uint64_t> held;  // handed over, by the books still under way; by row

  void flush() {
    for (uint16_t p = 0; p < kMaxPorts; p++) flush_tx(p);
    for (unsigned w = 0; w < kMaxWorkers; w++) flush_worker(w);
    flush_stack();
  }

 private:
  void flush_tx(uint16_t port) override {
    for (unsigned i = 0; i < tx[port].n; i++) {
      rte_mbuf* m = tx[port].pkt[i];
      sent.push_back({port, octets_of(m)});
      account->row(m->port).forwarded.add(1);
      rte_pktmbuf_free(m);
    }
    tx[port].n = 0;
  }
  void take(Queue& q, std::vector<Punted>& to) {
    for (unsigned i = 0; i < q.n; i++) {
      to.push_back({stash(q.pkt[i]), octets_of(q.pkt[i])});
      held[q.pkt[i]->port]++;
      rte_pktmbuf_free(q.pkt[i]);
    }
    q.n = 0;
  }
  void flush_stack() override { take(stack_queue(), stack); }
  void flush_worker(unsigned w) override { take(worker[w], handed); }
  Queue& stack_queue() { return Out::stack; }
};

class PipelineTest : public ::testing::Test {
 protected:
  static constexpr uint16_t kA = 0, kB = 1, kC = 2;
  static inline const Mac kMac[3] = {{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 3}}};
  static Mac host_mac(unsigned port, unsigned n) { return {{2, 0x54, static_cast<uint8_t>(port), 0, 0, static_cast<uint8_t>(n)}}; }

  PipelineTest() : neighbors(256, HashKey{{1, 2, 3, 4}}) {
    static PacketPool* shared = nullptr;  // never freed: EAL is gone before static objects are
    if (!shared) {
      PacketPool::Options o;
      o.packets = 2048;
      o.cache = 64;
      o.huge_pages = false;
      shared = PacketPool::create("path", o).value().release();
    }
    pool = shared;
    snapshot.interfaces = std::make_shared<Interfaces>(default_interfaces());
    config.flows4 = config.flows6 = 4096;
    config.flow_key = {{11, 12, 13, 14}};
    config.steer_key = {{21, 22, 23, 24}};
    default_routes();
    for (unsigned p = 0; p < 3; p++) {
      for (unsigned n : {10u, 11u}) {
        const std::string four = "198.18." + std::to_string(p + 1) + "." + std::to_string(n);
        const std::string six = "2001:db8:" + std::to_string(p + 1) + "::" + std::to_string(n);
        reachable(static_cast<uint16_t>(p), a4(four), host_mac(p, n));
        reachable(static_cast<uint16_t>(p), a6(six), host_mac(p, n));
      }
    }
    out.account = &account;
    restart();
  }

  void TearDown() override {
    out.flush();
    for (uint16_t p = 0; p <= 3; p++) {
      const uint16_t at = p < 3 ? p : RTE_MBUF_PORT_INVALID;
      const PortAccount& row = account.row(at);
      uint64_t done = row.forwarded.get() + row.consumed.get() + out.held[at];
      for (const Counter& d : row.drops) done += d.get();
      EXPECT_EQ(row.rx_packets.get() + row.created.get(), done)
          << "row " << p << " (3: box): received + created ≠ forwarded + consumed + drops + handed over";
    }
    pipeline.reset();
    EXPECT_EQ(pool->in_use(), 0u) << "mbufs leaked";
  }

  void restart() { pipeline = std::make_unique<path::Pipeline>(config, neighbors, account, pool->mempool()); }

  static Interfaces default_interfaces() {
    Interfaces ifs;
    for (unsigned p = 0; p < 3; p++) {
      Interface i;
      i.name = std::string(1, static_cast<char>('a' + p));
      i.mac = kMac[p];
      i.mtu = p == 2 ? 1400 : 1500;
      i.addresses = {*parse_prefix("198.18." + std::to_string(p + 1) + ".1/24"),
                     *parse_prefix("2001:db8:" + std::to_string(p + 1) + "::1/64")};
      i.link_local = link_local_of(i.mac);
      ifs.port.push_back(i);
    }
    return ifs;
  }
  Interface& interface(uint16_t p) { return const_cast<Interfaces&>(*snapshot.interfaces).port[p]; }

  // --- routes
  using Kind = path::NextHopGroup::Kind;
  uint32_t group(Kind kind, std::vector<path::NextHop> hops = {}, uint16_t local_port = kNoPort) {
    path::NextHopGroup g;
    g.kind = kind;
    g.local_port = local_port;
    for (auto& h : hops) g.hop[g.hops++] = h;
    groups.push_back(g);
    return static_cast<uint32_t>(groups.size() - 1);
  }
  void route(const std::string& prefix, uint32_t g) {
    const Prefix p = parse_prefix(prefix)->masked();
    (p.addr.family == 4 ? routes4 : routes6).push_back({p, g});
    entries.push_back({p, g, "static"});
  }
  void default_routes() {
    for (uint16_t p = 0; p < 3; p++) {
      const std::string n = std::to_string(p + 1);
      const uint32_t connected = group(Kind::forward, {{p, {}}}), local = group(Kind::local, {}, p);
      route("198.18." + n + ".0/24", connected);
      route("2001:db8:" + n + "::/64", connected);
      route("198.18." + n + ".1/32", local);
      route("2001:db8:" + n + "::1/128", local);
      route("198.18." + n + ".255/32", group(Kind::broadcast, {}, p));
    }
    const uint32_t b4 = group(Kind::forward, {{kB, a4("198.18.2.10")}});
    const uint32_t b6 = group(Kind::forward, {{kB, a6("2001:db8:2::10")}});
    for (const char* p : {"198.18.64.0/18", "0.0.0.0/7", "126.0.0.0/7"}) route(p, b4);
    for (const char* p : {"2001:db8:40::/44", "::/8"}) route(p, b6);
    route("198.19.0.0/17", group(Kind::forward, {{kA, a4("198.18.1.10")}}));
    route("2001:db8:a000::/36", group(Kind::forward, {{kA, a6("2001:db8:1::10")}}));
    route("198.18.96.0/24", group(Kind::blackhole));
    route("198.18.99.0/24", group(Kind::unreachable));
    route("198.18.97.0/24", group(Kind::forward, {{kB, a4("198.18.2.10")}, {kB, a4("198.18.2.11")}}));
    route("198.18.98.0/24", group(Kind::forward, {{kB, a4("198.18.2.10")}, {kC, a4("198.18.3.10")}}));
    build_routes();
  }
  void build_routes() {
    auto r = std::make_shared<path::Routes>();
    auto f4 = Fib4::build(routes4);
    auto f6 = Fib6::build(routes6);
    ASSERT_TRUE(f4.ok() && f6.ok()) << (f4.ok() ? f6.error() : f4.error());
    r->fib4 = std::move(f4.value());
    r->fib6 = std::move(f6.value());
    r->groups = groups;
    r->entries = entries;
    snapshot.routes = r;
    snapshot.route_generation++;
    snapshot.id++;
  }

  // --- rules
  static Rule rule(const std::string& name, RuleAction action) {
    Rule r;
    r.name = name;
    r.action = action;
    return r;
  }
  // Permits `proto` from port a to port b, to these destination ports.
  static Rule permit_ab(const std::string& name, uint8_t proto, bool stateful, std::vector<PortRange> dports = {}) {
    Rule r = rule(name, RuleAction::permit);
    r.in_ports = {kA};
    r.out_ports = {kB};
    r.protocols = {proto};
    r.dports = std::move(dports);
    r.stateful = stateful;
    return r;
  }
  void filter(std::vector<Rule> rules) {
    auto r = RuleSet::build(std::move(rules), {});
    ASSERT_TRUE(r.ok()) << r.error();
    snapshot.filter.rules = r.value();
    snapshot.filter_generation++;
    snapshot.id++;
  }

  // --- neighbours
  void reachable(uint16_t port, const IpAddr& a, const Mac& mac) {
    uint32_t i = neighbors.find(port, a).index;
    if (i == NeighborTable::kNone) i = neighbors.insert(port, a);
    neighbors.set(i, NeighborState::reachable, mac, true);
  }

  // --- packets
  rte_mbuf* mbuf(uint16_t port, const Octets& frame) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool->mempool());
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(frame.size())), frame.data(), frame.size());
    m->port = port;
    return m;
  }
  // A frame to the port's MAC, padded as a NIC would.
  static Octets frame(uint16_t port, const Octets& ip) {
    Octets f = eth(ip, ip[0] >> 4 == 4 ? 0x800 : 0x86dd, kMac[port], host_mac(port, 10));
    if (f.size() < 60) f.resize(60);
    return f;
  }
  void burst(uint16_t port, const std::vector<Octets>& frames) {
    rte_mbuf* m[kMaxBurst];
    unsigned n = 0;
    for (const Octets& f : frames) m[n++] = mbuf(port, f);
    pipeline->receive(snapshot, now, port, m, n, out);
    out.flush();
  }
  // Sends one packet after clearing what came out before.
  void in(uint16_t port, const Octets& ip) { raw(port, frame(port, ip)); }
  void raw(uint16_t port, const Octets& f) {
    out.sent.clear();
    out.stack.clear();
    out.handed.clear();
    burst(port, {f});
  }
  void ring(RingKind kind, const Octets& f, Meta meta, uint16_t mbuf_port = RTE_MBUF_PORT_INVALID) {
    out.sent.clear();
    out.stack.clear();
    rte_mbuf* m = mbuf(mbuf_port, f);
    if (mbuf_port < kMaxPorts) account.port[mbuf_port].rx_packets.add(1);
    else account.box.created.add(1);
    meta.kind = kind;
    stash(m) = meta;
    pipeline->from_ring(snapshot, now, &m, 1, out);
    out.flush();
  }
  uint64_t drops(DropReason r) const {
    uint64_t n = account.box.drops[static_cast<unsigned>(r)].get();
    for (uint16_t p = 0; p < 3; p++) n += account.port[p].drops[static_cast<unsigned>(r)].get();
    return n;
  }
  uint64_t all_drops() const {
    uint64_t n = 0;
    for (unsigned r = 0; r < kDropReasons; r++) n += drops(static_cast<DropReason>(r));
    return n;
  }
  void later(Duration d) { now = now + d; }

  // One packet in, one out through `egress`, its TTL one less.
  void expect_forwarded(uint16_t port, const Octets& ip, uint16_t egress, const std::string& what = "") {
    in(port, ip);
    ASSERT_EQ(out.sent.size(), 1u) << what;
    EXPECT_EQ(out.sent[0].port, egress) << what;
    Octets want = ip;
    if (ip[0] >> 4 == 4) {
      want[8]--;
      put16(want, 10, 0);
      put16(want, 10, plain_checksum(Octets(want.begin(), want.begin() + (ip[0] & 15) * 4)));
    } else {
      want[7]--;
    }
    EXPECT_EQ(Octets(out.sent[0].frame.begin() + 14, out.sent[0].frame.end()), want) << what;
  }
  void expect_dropped(uint16_t port, const Octets& ip, DropReason r, const std::string& what = "") {
    const uint64_t before = drops(r);
    in(port, ip);
    EXPECT_TRUE(out.sent.empty()) << what;
    EXPECT_TRUE(out.stack.empty()) << what;
    EXPECT_EQ(drops(r), before + 1) << what << ": " << drop_info(r).name;
  }
  // One packet in, an ICMP error out through the same port.
  void expect_error(uint16_t port, const Octets& ip, unsigned type, unsigned code, DropReason r,
                    const std::string& what = "") {
    const uint64_t before = drops(r);
    in(port, ip);
    EXPECT_EQ(drops(r), before + 1) << what;
    ASSERT_EQ(out.sent.size(), 1u) << what;
    EXPECT_EQ(out.sent[0].port, port) << what;
    const Octets& f = out.sent[0].frame;
    const size_t l4 = ip[0] >> 4 == 4 ? 34 : 54;
    EXPECT_EQ(f.at(l4), type) << what;
    EXPECT_EQ(f.at(l4 + 1), code) << what;
  }
  std::vector<path::FlowView> flows() {
    std::vector<path::FlowView> v;
    uint64_t cursor = 0;
    do cursor = pipeline->visit_flows(now, snapshot, cursor, 1000, [&](const path::FlowView& f) { v.push_back(f); });
    while (cursor);
    return v;
  }

  PacketPool* pool;
  NeighborTable neighbors;
  Account account;
  path::PipelineConfig config;
  path::Snapshot snapshot;
  Collect out;
  Instant now{Duration::seconds(1000).ns};
  std::vector<path::NextHopGroup> groups;
  std::vector<FibRoute> routes4, routes6;
  std::vector<path::Routes::Entry> entries;
  std::unique_ptr<path::Pipeline> pipeline;
};

// Packets between the hosts .10 of two ports.
inline Octets udp4(std::string_view src, std::string_view dst, unsigned sport = 1000, unsigned dport = 2000,
                   const Octets& data = pattern(18), V4 h = {}) {
  h.src = src, h.dst = dst, h.proto = 17;
  return ip4(h, udp(sport, dport, data));
}
inline Octets tcp4(std::string_view src, std::string_view dst, unsigned sport, unsigned dport, uint8_t flags) {
  V4 h;
  h.src = src, h.dst = dst, h.proto = 6;
  Octets p = ip4(h, tcp(sport, dport, flags, 1, 1, pattern(10)));
  seal_tcp(p, 20);
  return p;
}
inline Octets udp6(std::string_view src, std::string_view dst, unsigned sport = 1000, unsigned dport = 2000,
                   const Octets& data = pattern(18), V6 h = {}) {
  h.src = src, h.dst = dst, h.next = 17;
  return ip6(h, udp(sport, dport, data));
}

inline constexpr std::string_view kA4 = "198.18.1.10", kB4 = "198.18.2.10", kC4 = "198.18.3.10",
                                  kA6 = "2001:db8:1::10", kB6 = "2001:db8:2::10", kC6 = "2001:db8:3::10";

}  // namespace sluice::test
