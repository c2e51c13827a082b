#include "control/snapshot_build.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/bench/bgp_like.h"
#include "tests/unit/eal_env.h"

namespace sluice::control {
namespace {

using path::NextHopGroup;
using Kind = NextHopGroup::Kind;

// A file of routes that goes with its object.
class RoutesText {
 public:
  RoutesText(const std::string& name, const std::string& text) : path_(::testing::TempDir() + "sluice_" + name) {
    std::ofstream(path_) << text;
  }
  ~RoutesText() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

config::Model two_ports() {
  config::Model m;
  m.ports.resize(2);
  m.ports[0].name = "lan";
  m.ports[0].addresses = {*parse_prefix("192.0.2.1/24"), *parse_prefix("2001:db8:1::1/64")};
  m.ports[1].name = "wan";
  m.ports[1].addresses = {*parse_prefix("198.51.100.1/30"), *parse_prefix("2001:db8:2::1/127")};
  return m;
}

void add_route(config::Model& m, const char* to, std::vector<config::Via> via) {
  m.routes.push_back({*parse_prefix(to), config::Route::Kind::via, std::move(via)});
}
config::Via via(const char* a, const char* port = "") { return {a[0] ? *parse_ip(a) : IpAddr(), port}; }

std::vector<PortFacts> facts(const config::Model& m) {
  std::vector<PortFacts> f(m.ports.size());
  for (size_t i = 0; i < f.size(); i++) f[i].mac = Mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(i)}};
  return f;
}

std::shared_ptr<const path::Snapshot> build(const config::Model& m, const path::Snapshot* previous = nullptr) {
  auto s = build_snapshot(m, facts(m), previous, 1);
  EXPECT_TRUE(s.ok()) << s.error();
  return s ? *s : nullptr;
}
std::string refused(const config::Model& m) {
  auto s = build_snapshot(m, facts(m), nullptr, 1);
  EXPECT_FALSE(s.ok());
  return s ? "" : s.error();
}

// The group that an address gets; null: no route.
const NextHopGroup* group(const path::Snapshot& s, const char* address) {
  IpAddr a = *parse_ip(address);
  uint32_t g = a.family == 4 ? s.routes->fib4->lookup(a.v4()) : s.routes->fib6->lookup(a.v6());
  return g == Fib4::kMiss ? nullptr : &s.routes->groups[g];
}

void expect(const path::Snapshot& s, const char* address, Kind kind, uint16_t port) {
  const NextHopGroup* g = group(s, address);
  ASSERT_TRUE(g) << address;
  EXPECT_EQ(g->kind, kind) << address;
  if (kind == Kind::forward) EXPECT_EQ(g->hop[0].port, port) << address;
  else EXPECT_EQ(g->local_port, port) << address;
}

TEST(Snapshot, WhatAddressesBring) {
  auto s = build(two_ports());
  expect(*s, "192.0.2.1", Kind::local, 0);
  expect(*s, "192.0.2.77", Kind::forward, 0);
  EXPECT_TRUE(group(*s, "192.0.2.77")->hop[0].via.none()) << "on-link";
  expect(*s, "192.0.2.0", Kind::broadcast, 0);
  expect(*s, "192.0.2.255", Kind::broadcast, 0);
  expect(*s, "198.51.100.1", Kind::local, 1);
  expect(*s, "198.51.100.2", Kind::forward, 1);
  expect(*s, "198.51.100.3", Kind::broadcast, 1);
  EXPECT_FALSE(group(*s, "198.51.100.4"));
  expect(*s, "2001:db8:1::1", Kind::local, 0);
  expect(*s, "2001:db8:1::", Kind::local, 0);  // subnet-router anycast
  expect(*s, "2001:db8:1::2", Kind::forward, 0);
  expect(*s, "2001:db8:2::", Kind::forward, 1);  // no anycast on a /127
  EXPECT_FALSE(group(*s, "2001:db8:3::"));
}

TEST(Snapshot, ShortSubnets) {
  config::Model m = two_ports();
  m.ports[0].addresses = {*parse_prefix("10.0.0.0/31"), *parse_prefix("10.0.1.1/32"), *parse_prefix("2001:db8::1/128")};
  auto s = build(m);
  expect(*s, "10.0.0.0", Kind::local, 0);
  expect(*s, "10.0.0.1", Kind::forward, 0);
  expect(*s, "10.0.1.1", Kind::local, 0);
  EXPECT_FALSE(group(*s, "10.0.1.2"));
  expect(*s, "2001:db8::1", Kind::local, 0);
}

TEST(Snapshot, TwoAddressesOfOneNetwork) {
  config::Model m = two_ports();
  m.ports[0].addresses.push_back(*parse_prefix("192.0.2.9/24"));
  auto s = build(m);
  expect(*s, "192.0.2.9", Kind::local, 0);
  expect(*s, "192.0.2.10", Kind::forward, 0);
}

TEST(Snapshot, StaticRoutesAndTheirPorts) {
  config::Model m = two_ports();
  add_route(m, "0.0.0.0/0", {via("198.51.100.2")});
  add_route(m, "10.0.0.0/8", {via("192.0.2.3"), via("198.51.100.2"), via("192.0.2.2")});
  add_route(m, "10.1.0.0/16", {via("", "wan")});
  add_route(m, "::/0", {via("fe80::1", "wan")});
  m.routes.push_back({*parse_prefix("10.2.0.0/16"), config::Route::Kind::blackhole, {}});
  m.routes.push_back({*parse_prefix("10.3.0.0/16"), config::Route::Kind::unreachable, {}});
  auto s = build(m);
  expect(*s, "8.8.8.8", Kind::forward, 1);
  const NextHopGroup* ecmp = group(*s, "10.9.9.9");
  ASSERT_EQ(ecmp->hops, 3);
  EXPECT_EQ(to_string(ecmp->hop[0].via), "192.0.2.3") << "the order is kept";
  EXPECT_EQ(ecmp->hop[0].port, 0);
  EXPECT_EQ(ecmp->hop[1].port, 1);
  EXPECT_EQ(to_string(ecmp->hop[2].via), "192.0.2.2");
  expect(*s, "10.1.2.3", Kind::forward, 1);
  EXPECT_TRUE(group(*s, "10.1.2.3")->hop[0].via.none());
  EXPECT_EQ(group(*s, "10.2.0.1")->kind, Kind::blackhole);
  EXPECT_EQ(group(*s, "10.3.0.1")->kind, Kind::unreachable);
  EXPECT_EQ(to_string(group(*s, "2400::1")->hop[0].via), "fe80::1");
  expect(*s, "2400::1", Kind::forward, 1);
}

TEST(Snapshot, TheLongestConnectedNetworkHoldsTheNextHop) {
  config::Model m = two_ports();
  m.ports[0].addresses.push_back(*parse_prefix("10.0.0.1/8"));
  m.ports[1].addresses.push_back(*parse_prefix("10.1.0.1/16"));
  add_route(m, "172.16.0.0/12", {via("10.1.0.2")});
  auto s = build(m);
  expect(*s, "172.16.0.1", Kind::forward, 1);
}

TEST(Snapshot, EqualNextHopsShareAGroup) {
  config::Model m = two_ports();
  size_t before = build(m)->routes->groups.size();
  for (const char* to : {"10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"}) add_route(m, to, {via("192.0.2.3"), via("192.0.2.2")});
  add_route(m, "13.0.0.0/8", {via("192.0.2.2"), via("192.0.2.3")});
  EXPECT_EQ(build(m)->routes->groups.size(), before + 2) << "another order is another group";
}

TEST(Snapshot, RoutesThatCannotBe) {
  struct Case {
    const char *to, *via, *port, *says;
  };
  for (const Case& c : {Case{"10.0.0.0/8", "203.0.113.1", "", "lies in no network of any port"},
                        Case{"10.0.0.0/8", "203.0.113.1", "lan", "lies in no network of port 'lan'"},
                        Case{"10.0.0.0/8", "192.0.2.1", "", "the box's own address on port 'lan'"},
                        Case{"10.0.0.0/8", "192.0.2.255", "", "network or broadcast address"},
                        Case{"10.0.0.0/8", "2001:db8:1::2", "", "other family"},
                        Case{"2400::/12", "fe80::1", "", "say which port"},
                        Case{"10.0.0.0/8", "", "", "neither a next hop nor a port"},
                        Case{"10.0.0.0/8", "192.0.2.2", "dmz", "no port 'dmz'"}}) {
    config::Model m = two_ports();
    add_route(m, c.to, {via(c.via, c.port)});
    std::string e = refused(m);
    EXPECT_NE(e.find(c.says), std::string::npos) << e;
    EXPECT_NE(e.find(c.to), std::string::npos) << e;
  }
  config::Model m = two_ports();
  m.ports[1].addresses = {*parse_prefix("2001:db8:2::1/127")};
  add_route(m, "10.0.0.0/8", {via("", "wan")});
  EXPECT_NE(refused(m).find("port 'wan' has no IPv4 address"), std::string::npos);
}

TEST(Snapshot, OneNetworkOnTwoPorts) {
  config::Model m = two_ports();
  m.ports[1].addresses = {*parse_prefix("192.0.2.2/24")};
  EXPECT_NE(refused(m).find("192.0.2.0/24 is connected to port 'lan' and to port 'wan'"), std::string::npos);
  m.ports[1].addresses = {*parse_prefix("192.0.2.1/25")};
  EXPECT_NE(refused(m).find("192.0.2.1 is on port 'lan' and on port 'wan'"), std::string::npos);
}

TEST(Snapshot, APrefixThatIsThereTwiceIsNamedWithBothPlaces) {
  config::Model m = two_ports();
  add_route(m, "2001:db8:77::/48", {via("2001:db8:1::2")});
  add_route(m, "10.0.0.0/8", {via("192.0.2.2")});
  RoutesText one("one.txt", "11.0.0.0/8 192.0.2.2\n2001:db8:78::/48 2001:db8:1::2\n12.0.0.0/8 192.0.2.2\n");
  m.route_files.push_back({one.path()});
  EXPECT_TRUE(build(m));

  RoutesText two("two.txt", "13.0.0.0/8 192.0.2.2\n12.0.0.0/8 192.0.2.3\n");
  m.route_files.push_back({two.path()});
  std::string e = refused(m);
  EXPECT_NE(e.find(two.path() + ":2: the prefix 12.0.0.0/8 is there already, as " + one.path() + ":3"), std::string::npos) << e;

  m.route_files.pop_back();
  RoutesText three("three.txt", "# x\n10.0.0.0/8 192.0.2.2\n");
  m.route_files.push_back({three.path()});
  e = refused(m);
  EXPECT_NE(e.find(three.path() + ":2: the prefix 10.0.0.0/8 is there already, as routes[1]"), std::string::npos) << e;

  m.route_files.pop_back();
  RoutesText four("four.txt", "2001:db8:77::/48 blackhole\n");
  m.route_files.push_back({four.path()});
  e = refused(m);
  EXPECT_NE(e.find("as routes[0]"), std::string::npos) << e;

  m.route_files.pop_back();
  RoutesText five("five.txt", "192.0.2.0/24 blackhole\n");
  m.route_files.push_back({five.path()});
  e = refused(m);
  EXPECT_NE(e.find("the connected prefix of port 'lan'"), std::string::npos) << e;
}

TEST(Snapshot, ABadNextHopInAFileNamesTheLine) {
  config::Model m = two_ports();
  RoutesText f("hop.txt", "10.0.0.0/8 192.0.2.2\n11.0.0.0/8 203.0.113.9\n");
  m.route_files.push_back({f.path()});
  std::string e = refused(m);
  EXPECT_NE(e.find(f.path() + ":2: the next hop 203.0.113.9 lies in no network"), std::string::npos) << e;
  m.route_files = {{"/nonexistent"}};
  EXPECT_NE(refused(m).find("/nonexistent"), std::string::npos);
}

TEST(Snapshot, NothingChangedSharesEverything) {
  config::Model m = two_ports();
  m.filter.present = true;
  m.filter.rules.resize(1);
  m.filter.rules[0].name = "r";
  auto a = build(m);
  auto b = build(m, a.get());
  EXPECT_EQ(a->routes, b->routes);
  EXPECT_EQ(a->interfaces, b->interfaces);
  EXPECT_EQ(a->filter.rules, b->filter.rules);
  EXPECT_EQ(a->route_generation, b->route_generation);
  EXPECT_EQ(a->filter_generation, b->filter_generation);
  EXPECT_EQ(a->interfaces->generation, b->interfaces->generation);
  EXPECT_EQ(b->id, a->id + 1);
}

TEST(Snapshot, AFilterChangeLeavesTheRoutes) {
  config::Model m = two_ports();
  m.filter.present = true;
  auto a = build(m);
  m.filter.rules.resize(1);
  m.filter.rules[0].name = "r";
  auto b = build(m, a.get());
  EXPECT_EQ(a->routes, b->routes);
  EXPECT_NE(a->filter.rules, b->filter.rules);
  EXPECT_EQ(b->filter_generation, a->filter_generation + 1);
  EXPECT_EQ(b->route_generation, a->route_generation);
  m.filter.default_action = config::Action::permit;
  auto c = build(m, b.get());
  EXPECT_EQ(c->filter_generation, b->filter_generation + 1);
  m.filter.drop_tiny_fragments = false;
  auto d = build(m, c.get());
  EXPECT_EQ(d->filter.rules, c->filter.rules);
  EXPECT_EQ(d->filter_generation, c->filter_generation + 1);
  m.filter.present = false;
  auto e = build(m, d.get());
  EXPECT_FALSE(e->filter.rules);
  EXPECT_EQ(e->filter_generation, d->filter_generation + 1);
}

TEST(Snapshot, ARouteChangeLeavesTheOtherFamilyAndTheFilter) {
  config::Model m = two_ports();
  m.filter.present = true;
  add_route(m, "10.0.0.0/8", {via("192.0.2.2")});
  add_route(m, "2400::/12", {via("2001:db8:1::2")});
  auto a = build(m);
  add_route(m, "2600::/12", {via("2001:db8:1::3")});
  auto b = build(m, a.get());
  EXPECT_EQ(a->routes->fib4, b->routes->fib4);
  EXPECT_NE(a->routes->fib6, b->routes->fib6);
  EXPECT_EQ(b->route_generation, a->route_generation + 1);
  EXPECT_EQ(b->filter_generation, a->filter_generation);
  EXPECT_EQ(b->filter.rules, a->filter.rules);
  EXPECT_EQ(b->interfaces, a->interfaces);
  m.routes[0].via = {via("192.0.2.3")};  // the same prefixes and numbers, another next hop
  auto c = build(m, b.get());
  EXPECT_NE(c->routes, b->routes);
  EXPECT_EQ(c->route_generation, b->route_generation + 1);
  EXPECT_EQ(to_string(group(*c, "10.0.0.1")->hop[0].via), "192.0.2.3");
}

TEST(Snapshot, AnInterfaceChangeAgesTheFlows) {
  config::Model m = two_ports();
  auto a = build(m);
  auto f = facts(m);
  f[1].mtu = 9000;
  auto b = build_snapshot(m, f, a.get(), 1);
  ASSERT_TRUE(b.ok()) << b.error();
  EXPECT_EQ((*b)->interfaces->generation, a->interfaces->generation + 1);
  EXPECT_EQ((*b)->route_generation, a->route_generation + 1);
  EXPECT_EQ((*b)->routes, a->routes);
}

TEST(Snapshot, Interfaces) {
  config::Model m = two_ports();
  m.ports[0].reverse_path_strict = true;
  m.ports[0].exception = {{*parse_prefix("192.0.2.0/28"), 6, 179}, {std::nullopt, 89, 0}};
  m.ports[1].link_local = *parse_ip6("fe80::99");
  m.ports[1].checksum = config::Checksum::trust;
  m.static_neighbors = {{"wan", *parse_ip("198.51.100.2"), Mac{{2, 9, 9, 9, 9, 9}}}};
  auto f = facts(m);
  f[0].partial_checksums = f[1].partial_checksums = true;
  auto s = build_snapshot(m, f, nullptr, 1);
  ASSERT_TRUE(s.ok()) << s.error();
  const Interfaces& i = *(*s)->interfaces;
  EXPECT_TRUE(i.port[0].reverse_path_strict);
  EXPECT_TRUE(i.port[0].repair_checksums);
  EXPECT_FALSE(i.port[1].repair_checksums) << "trust";
  EXPECT_EQ(to_string(i.port[0].link_local), "fe80::ff:fe00:0");
  EXPECT_EQ(to_string(i.port[1].link_local), "fe80::99");
  ASSERT_EQ(i.port[0].exception.size(), 3u) << "a port number on either side, a protocol once";
  EXPECT_EQ(i.port[0].exception[0].dport, 179);
  EXPECT_EQ(i.port[0].exception[1].sport, 179);
  ASSERT_EQ(i.neighbors.size(), 1u);
  EXPECT_EQ(i.neighbors[0].port, 1);
}

TEST(Snapshot, FilterRulesKeepTheirMeaning) {
  config::Model m = two_ports();
  m.filter.present = true;
  config::Rule r;
  r.name = "ping";
  r.action = config::Action::permit;
  r.in = {"wan"};
  r.protocols = {1, 58};
  r.icmp4 = {8 << 8 | 0xff};
  r.icmp6 = {128 << 8 | 0xff};
  m.filter.rules = {r};
  auto s = build(m);
  RuleKey4 k4{*parse_ip4("10.0.0.1"), *parse_ip4("10.0.0.2"), 8, 0, 1, 0, 1, true};
  RuleKey6 k6{*parse_ip6("::1"), *parse_ip6("::2"), 128, 0, 1, 0, 58, true};
  uint32_t got = 9;
  s->filter.rules->classify(&k4, &got, 1);
  EXPECT_EQ(got, 0u);
  s->filter.rules->classify(&k6, &got, 1);
  EXPECT_EQ(got, 0u);
  k4.in_port = 0;
  s->filter.rules->classify(&k4, &got, 1);
  EXPECT_EQ(got, RuleSet::kDefault);
}

TEST(Snapshot, TheHeapIsSizedFromTheRoutes) {
  config::Model m = two_ports();
  unsigned small = eal_memory_mb(m);
  EXPECT_GE(small, 128u);  // two tables of 32 MiB, twice
  EXPECT_LE(small, 512u);
  std::string text;
  unsigned i = 0;
  for (const Prefix& p : bench::bgp_like4(100'000, 1))
    text += to_string(p) + " 192.0.2." + std::to_string(2 + i++ % 8) + "\n";
  RoutesText f("many.txt", text);
  m.route_files.push_back({f.path()});
  EXPECT_GT(eal_memory_mb(m), small + 50);
}

TEST(Snapshot, BoxOptions) {
  config::Model m = two_ports();
  m.system.workers = {3, 5};
  m.system.stacks = {4};
  m.flows.ip4 = 1000;
  m.ports[1].driver = config::Driver::pcap;
  m.ports[1].take_default_route = true;
  engine::BoxOptions b = box_options(m);
  EXPECT_EQ(b.worker_cpus, (std::vector<unsigned>{3, 5}));
  EXPECT_EQ(b.stack_cpus, std::vector<unsigned>{4});
  EXPECT_EQ(b.pipeline.flows4, 1000u);
  ASSERT_EQ(b.ports.size(), 2u);
  EXPECT_EQ(b.ports[1].index, 1);
  EXPECT_EQ(b.ports[1].name, "wan");
  EXPECT_EQ(b.ports[1].driver, port::Driver::pcap);
  EXPECT_TRUE(b.ports[1].allow_default_route);
  m.system.workers.clear();
  EXPECT_EQ(box_options(m).worker_cpus.size(), 1u);
}

}  // namespace
}  // namespace sluice::control
