// A router with two fake ports: lan 198.18.1.1/24 and wan 198.18.2.1/24, no filter. Of IPv6, 2001:db8:1::1/64 and
// 2001:db8:2::1/64 where a test asks for it.
#pragma once

#include <gtest/gtest.h>

#include "engine/box.h"
#include "engine/nap.h"
#include "frames.h"

namespace sluice::test {

inline const Ip4 kLanBox = ip("198.18.1.1"), kLanHost = ip("198.18.1.10"), kWanBox = ip("198.18.2.1"),
                 kWanHost = ip("198.18.2.10");
inline const Mac kLanMac = mac(1), kWanMac = mac(2), kLanHostMac = mac(0x10), kWanHostMac = mac(0x20);
inline constexpr Duration kLong = Duration::seconds(10);  // what only a broken box needs

inline std::shared_ptr<const Interfaces> two_interfaces(uint32_t generation, bool six) {
  auto ifs = std::make_shared<Interfaces>();
  const std::pair<const char*, Ip4> names[] = {{"lan", kLanBox}, {"wan", kWanBox}};
  for (const auto& [name, addr] : names) {
    Interface i;
    i.name = name;
    i.mac = ifs->port.empty() ? kLanMac : kWanMac;
    i.addresses = {{addr, 24}};
    if (six) i.addresses.push_back(*parse_prefix(ifs->port.empty() ? "2001:db8:1::1/64" : "2001:db8:2::1/64"));
    i.link_local = link_local_of(i.mac);
    ifs->port.push_back(i);
  }
  ifs->generation = generation;
  return ifs;
}

inline std::shared_ptr<const path::Snapshot> router_snapshot(uint32_t generation = 1, bool six = false) {
  using Group = path::NextHopGroup;
  auto routes = std::make_shared<path::Routes>();
  std::vector<FibRoute> fib, fib_six;
  const auto add = [&](const char* text, Group g) {
    const Prefix prefix = *parse_prefix(text);
    (prefix.addr.family == 4 ? fib : fib_six).push_back({prefix, static_cast<uint32_t>(routes->groups.size())});
    routes->groups.push_back(g);
  };
  const auto connected = [](uint16_t port) {
    Group g;
    g.hops = 1;
    g.hop[0].port = port;
    return g;
  };
  const auto own = [](uint16_t port) { return Group{.kind = Group::Kind::local, .local_port = port, .hop = {}}; };
  add("198.18.1.0/24", connected(0));
  add("198.18.2.0/24", connected(1));
  add("198.18.1.1/32", own(0));
  add("198.18.2.1/32", own(1));
  if (six) {
    add("2001:db8:1::/64", connected(0));
    add("2001:db8:2::/64", connected(1));
    add("2001:db8:1::1/128", own(0));
    add("2001:db8:2::1/128", own(1));
  }
  auto fib4 = Fib4::build(fib);
  auto fib6 = Fib6::build(fib_six);
  EXPECT_TRUE(fib4) << fib4.error();
  EXPECT_TRUE(fib6) << fib6.error();
  routes->fib4 = std::move(*fib4);
  routes->fib6 = std::move(*fib6);
  auto s = std::make_shared<path::Snapshot>();
  s->id = generation;
  s->route_generation = s->filter_generation = generation;
  s->interfaces = two_interfaces(generation, six);
  s->routes = std::move(routes);
  return s;
}

struct Books {
  uint64_t in = 0, out = 0, consumed = 0, dropped = 0, transmitted = 0;
  uint64_t by_reason[kDropReasons] = {};
  uint64_t drops(DropReason r) const { return by_reason[static_cast<unsigned>(r)]; }
};
inline Books books(engine::Box& box) {
  Books b;
  const auto add = [&](const PortAccount& a) {
    b.in += a.rx_packets.get() + a.created.get();
    b.out += a.forwarded.get();
    b.consumed += a.consumed.get();
    b.transmitted += a.tx_packets.get();
    for (unsigned r = 0; r < kDropReasons; ++r) {
      b.by_reason[r] += a.drops[r].get();
      b.dropped += a.drops[r].get();
    }
  };
  const auto add_all = [&](const Account& a) {
    for (const auto& p : a.port) add(p);
    add(a.box);
  };
  for (unsigned w = 0; w < box.workers(); ++w) add_all(box.worker_account(w));
  for (unsigned e = 0; e < box.stacks(); ++e) add_all(box.stack_account(e));
  return b;
}
// At rest, every packet is accounted for, and the pool agrees.
inline void expect_audit_closed(engine::Box& box) {
  const Books b = books(box);
  EXPECT_EQ(b.in, b.out + b.consumed + b.dropped + box.queued());
  EXPECT_EQ(b.out, b.transmitted);
  unsigned held = 0;
  for (const auto& p : box.ports()) held += p->stats().held;
  EXPECT_EQ(box.pool().in_use(), held + box.queued() + box.chained() + box.held_by_tcp());
}

class BoxTest : public ::testing::Test {
 protected:
  // `queues` is (receive, transmit) per port.
  void make(engine::BoxOptions o, std::pair<unsigned, unsigned> queues = {1, 1}, bool symmetric = false) {
    o.ports = {{.name = "lan", .index = 0}, {.name = "wan", .index = 1}};
    if (o.worker_cpus.empty()) o.worker_cpus = {0};
    o.packets = 2048;
    if (o.ring_size == engine::BoxOptions{}.ring_size) o.ring_size = 512;
    o.neighbors = 64;
    o.stack.tcp.limits.connections = 1024;
    o.pipeline.flows4 = o.pipeline.flows6 = 1024;
    o.huge_pages = false;
    o.seed = 1;
    o.open_port = [=, this](const port::Options& p, PacketPool& pool) -> Result<std::unique_ptr<port::Port>> {
      auto made = std::make_unique<FakePort>(p.index, p.name, p.index ? kWanMac : kLanMac, queues.first,
                                             queues.second, pool);
      made->mutable_info().symmetric_rss = symmetric;
      made->mutable_info().tx = p.index && odd_port_tx ? *odd_port_tx : port_tx;
      return std::unique_ptr<port::Port>(std::move(made));
    };
    auto made = engine::Box::create(o);
    ASSERT_TRUE(made) << made.error();
    box = std::move(*made);
    lan = static_cast<FakePort*>(box->ports()[0].get());
    wan = static_cast<FakePort*>(box->ports()[1].get());
    box->publish(router_snapshot());
    const Status s = box->start();
    ASSERT_TRUE(s) << s.error();
  }
  void make_simulated(unsigned workers = 1, std::pair<unsigned, unsigned> queues = {1, 1}, bool symmetric = false) {
    engine::BoxOptions o;
    o.virtual_time = true;
    o.worker_cpus.assign(workers, 0);
    make(o, queues, symmetric);
    settle();
    while (!lan->take().empty()) {}  // announcements
    while (!wan->take().empty()) {}
  }

  // Turns until nothing moves; a turn takes a microsecond.
  void settle() {
    int quiet = 0;
    for (int i = 0; i < 1000 && quiet < 3; ++i) {
      quiet = box->turn(now) ? 0 : quiet + 1;
      now = now + Duration::micros(1);
    }
    EXPECT_EQ(quiet, 3) << "the box does not come to rest";
  }
  void pass(Duration d) {
    const Instant end = now + d;
    while (now < end) {
      settle();
      now = std::max(now, std::min(end, box->next_deadline()));
    }
    settle();
  }
  // Makes both hosts known to the box, as their own ARP requests would.
  void introduce_hosts() {
    lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
    wan->feed(arp(1, kWanHostMac, kWanHost, {}, kWanBox));
    settle();
    ASSERT_FALSE(lan->take().empty());
    ASSERT_FALSE(wan->take().empty());
  }
  void TearDown() override {
    if (!box) return;
    box->stop();
    EXPECT_EQ(box->pool().in_use(), 0u) << "packets leaked";
    const Books b = books(*box);
    EXPECT_EQ(b.in, b.out + b.consumed + b.dropped);
    for (const port::Event& e : box->maintain()) EXPECT_NE(e.level, port::Event::Level::error) << e.text;
  }

  std::unique_ptr<engine::Box> box;
  FakePort *lan = nullptr, *wan = nullptr;
  TxOffloads port_tx;  // of both ports, for make()
  std::optional<TxOffloads> odd_port_tx;  // of wan instead
  Instant now{Duration::seconds(100).ns};
};

}  // namespace sluice::test
