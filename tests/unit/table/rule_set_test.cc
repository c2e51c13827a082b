#include "table/rule_set.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/eal_env.h"

namespace sluice {
namespace {

Prefix prefix(const char* s) { return *parse_prefix(s); }
Ip4 ip4(const char* s) { return *parse_ip4(s); }
Ip6 ip6(const char* s) { return *parse_ip6(s); }

RuleKey4 tcp4(const char* src, const char* dst, uint16_t dport) {
  return {ip4(src), ip4(dst), 40000, dport, 0, 1, 6, true};
}
RuleKey6 tcp6(const char* src, const char* dst, uint16_t dport) {
  return {ip6(src), ip6(dst), 40000, dport, 0, 1, 6, true};
}

Rule rule(const char* name, RuleAction action) {
  Rule r;
  r.name = name;
  r.action = action;
  return r;
}

std::shared_ptr<const RuleSet> build(std::vector<Rule> rules, const RuleSet* previous = nullptr,
                                     RuleSet::Options o = {}) {
  auto s = RuleSet::build(std::move(rules), o, previous);
  EXPECT_TRUE(s.ok()) << s.error();
  return s ? *s : nullptr;
}

template <class Key>
uint32_t match(const RuleSet& s, const Key& k) {
  uint32_t r = 12345;
  s.classify(&k, &r, 1);
  return r;
}

constexpr uint32_t kDefault = RuleSet::kDefault;

TEST(RuleSet, NoRulesIsTheDefault) {
  auto s = build({});
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "192.0.2.2", 80)), kDefault);
  EXPECT_EQ(match(*s, tcp6("2001:db8::1", "2001:db8::2", 80)), kDefault);
  EXPECT_EQ(s->action(kDefault), RuleAction::deny);
}

TEST(RuleSet, FirstMatchWins) {
  Rule a = rule("web", RuleAction::permit), b = rule("net", RuleAction::reject), c = rule("all", RuleAction::permit);
  a.destinations = {prefix("10.1.0.0/16")};
  a.protocols = {6};
  a.dports = {{80, 80}, {443, 443}};
  b.destinations = {prefix("10.0.0.0/8")};
  auto s = build({a, b, c});
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "10.1.0.1", 80)), 0u);
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "10.1.0.1", 443)), 0u);
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "10.1.0.1", 81)), 1u);
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "10.2.0.1", 80)), 1u);
  EXPECT_EQ(match(*s, tcp4("192.0.2.1", "11.2.0.1", 80)), 2u);
  EXPECT_EQ(s->action(1), RuleAction::reject);
}

TEST(RuleSet, ARuleOfOneFamilyDoesNotExistInTheOther) {
  Rule a = rule("v4", RuleAction::permit), b = rule("v6", RuleAction::permit), c = rule("mixed", RuleAction::permit);
  a.sources = {prefix("0.0.0.0/0")};
  b.destinations = {prefix("::/0")};
  c.sources = {prefix("10.0.0.0/8")};
  c.destinations = {prefix("2001:db8::/32")};  // no packet has both
  auto s = build({c, b, a});
  EXPECT_EQ(match(*s, tcp4("10.0.0.1", "10.0.0.2", 1)), 2u);
  EXPECT_EQ(match(*s, tcp6("2001:db8::1", "2001:db8::2", 1)), 1u);
}

TEST(RuleSet, PortsOfTheBox) {
  Rule a = rule("in", RuleAction::permit), b = rule("out", RuleAction::permit), c = rule("both", RuleAction::permit);
  c.in_ports = {1, 2};
  c.out_ports = {3, 4};
  a.in_ports = {1};
  b.out_ports = {4};
  auto s = build({c, a, b});
  RuleKey4 k = tcp4("10.0.0.1", "10.0.0.2", 1);
  auto at = [&](uint16_t in, uint16_t out) {
    k.in_port = in;
    k.out_port = out;
    return match(*s, k);
  };
  EXPECT_EQ(at(1, 3), 0u);
  EXPECT_EQ(at(2, 4), 0u);
  EXPECT_EQ(at(1, 5), 1u);
  EXPECT_EQ(at(0, 4), 2u);
  EXPECT_EQ(at(2, 5), kDefault);
  EXPECT_EQ(at(1, kNoPort), 1u);
  EXPECT_EQ(at(0, kNoPort), kDefault);
}

TEST(RuleSet, PortNumbersOutOfRangeAreRefused) {
  Rule a = rule("far", RuleAction::permit);
  a.out_ports = {kMaxPorts};
  auto s = RuleSet::build({a}, {});
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().find("'far'"), std::string::npos);
}

TEST(RuleSet, IcmpTypesByFamily) {
  Rule a = rule("ping", RuleAction::permit), b = rule("any unreachable", RuleAction::permit);
  a.protocols = {1, 58};
  a.icmp4 = {8 << 8 | 0xff};
  a.icmp6 = {128 << 8 | 0xff};
  b.icmp = {3 << 8 | 4};
  auto s = build({a, b});
  RuleKey4 k4{ip4("10.0.0.1"), ip4("10.0.0.2"), 8, 0, 0, 1, 1, true};
  RuleKey6 k6{ip6("::1"), ip6("::2"), 128, 0, 0, 1, 58, true};
  EXPECT_EQ(match(*s, k4), 0u);
  EXPECT_EQ(match(*s, k6), 0u);
  k4.sport = 128, k6.sport = 8;
  EXPECT_EQ(match(*s, k4), kDefault);
  EXPECT_EQ(match(*s, k6), kDefault);
  k4.sport = 3, k4.dport = 4;
  EXPECT_EQ(match(*s, k4), 1u);
  k4.dport = 3;
  EXPECT_EQ(match(*s, k4), kDefault);
  k4 = {ip4("10.0.0.1"), ip4("10.0.0.2"), 8, 0, 0, 1, 58, true};  // ICMPv6 in IPv4 is no ping
  EXPECT_EQ(match(*s, k4), kDefault);
}

TEST(RuleSet, WhatARuleNamesOfL4MustBeThere) {
  Rule ports = rule("dns", RuleAction::permit);  // no protocol: all that have ports
  ports.dports = {{53, 53}};
  Rule both = rule("both", RuleAction::permit);
  both.protocols = {6, 1};
  both.dports = {{80, 80}};
  both.icmp = {8 << 8 | 0xff};
  auto s = build({ports, both});
  RuleKey4 k = tcp4("10.0.0.1", "10.0.0.2", 53);
  for (unsigned proto = 0; proto < 256; proto++) {
    k.proto = static_cast<uint8_t>(proto);
    bool has = proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
    EXPECT_EQ(match(*s, k), has ? 0u : kDefault) << proto;
  }
  k.proto = 6, k.dport = 80;
  EXPECT_EQ(match(*s, k), 1u);
  k.proto = 1, k.sport = 8, k.dport = 0;
  EXPECT_EQ(match(*s, k), 1u);
  k.sport = 80, k.dport = 80;
  EXPECT_EQ(match(*s, k), kDefault);
}

// The table in rule_set.cc, row by row.
TEST(RuleSet, HiddenPortsGetNobodyThrough) {
  struct Row {
    RuleAction action;
    bool names_l4, known;
    bool matches;
  };
  for (Row row : {Row{RuleAction::permit, false, true, true}, Row{RuleAction::permit, false, false, true},
                  Row{RuleAction::deny, false, true, true}, Row{RuleAction::deny, false, false, true},
                  Row{RuleAction::reject, false, true, true}, Row{RuleAction::reject, false, false, true},
                  Row{RuleAction::permit, true, true, true}, Row{RuleAction::permit, true, false, false},
                  Row{RuleAction::deny, true, true, true}, Row{RuleAction::deny, true, false, true},
                  Row{RuleAction::reject, true, true, true}, Row{RuleAction::reject, true, false, false}}) {
    Rule r = rule("r", row.action);
    r.protocols = {17, 1, 58};
    if (row.names_l4) {
      r.dports = {{53, 53}};
      r.icmp = {8 << 8 | 0xff, 128 << 8 | 0xff};
    }
    auto s = build({r});
    uint32_t want = row.matches ? 0 : kDefault;
    uint16_t port = row.known ? 53 : 0, type4 = row.known ? 8 : 0, type6 = row.known ? 128 : 0;
    EXPECT_EQ(match(*s, RuleKey4{ip4("10.0.0.1"), ip4("10.0.0.2"), 0, port, 0, 1, 17, row.known}), want);
    EXPECT_EQ(match(*s, RuleKey6{ip6("::1"), ip6("::2"), 0, port, 0, 1, 17, row.known}), want);
    EXPECT_EQ(match(*s, RuleKey4{ip4("10.0.0.1"), ip4("10.0.0.2"), type4, 0, 0, 1, 1, row.known}), want);
    EXPECT_EQ(match(*s, RuleKey6{ip6("::1"), ip6("::2"), type6, 0, 0, 1, 58, row.known}), want);
    EXPECT_EQ(match(*s, RuleKey4{ip4("10.0.0.1"), ip4("10.0.0.2"), 0, port, 0, 1, 6, row.known}), kDefault)
        << "another protocol";
  }
}

TEST(RuleSet, ADenyThatHidesPortsKeepsItsOtherFields) {
  Rule r = rule("no telnet", RuleAction::deny), all = rule("all", RuleAction::permit);
  r.protocols = {6};
  r.dports = {{23, 23}};
  r.destinations = {prefix("10.0.0.0/8")};
  r.in_ports = {2};
  auto s = build({r, all});
  RuleKey4 k{ip4("192.0.2.1"), ip4("10.0.0.1"), 0, 0, 2, 1, 6, false};
  EXPECT_EQ(match(*s, k), 0u);
  k.in_port = 1;
  EXPECT_EQ(match(*s, k), 1u);
  k.in_port = 2, k.dst = ip4("11.0.0.1");
  EXPECT_EQ(match(*s, k), 1u);
}

TEST(RuleSet, TooManyEntriesNameTheRule) {
  Rule a = rule("small", RuleAction::permit), b = rule("huge", RuleAction::permit);
  for (uint32_t i = 0; i < 300; i++) {
    b.sources.push_back({Ip4::from_host(i << 8), 24});
    b.destinations.push_back({Ip4::from_host(i << 8), 24});
  }
  RuleSet::Options o;
  o.max_expanded = 89'999;
  auto s = RuleSet::build({a, b}, o);
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().find("'huge' multiplies out to 90000"), std::string::npos) << s.error();
  EXPECT_NE(s.error().find("89999"), std::string::npos) << s.error();
  for (unsigned i = 0; i < 5000; i++) b.sports.push_back({static_cast<uint16_t>(i), static_cast<uint16_t>(i)});
  b.dports = b.sports;
  b.protocols.assign(255, 6);
  b.in_ports.assign(10'000, 1);
  EXPECT_FALSE(RuleSet::build({b}, o).ok()) << "beyond 2^64 entries";
}

TEST(RuleSet, ExpansionIsTheProduct) {
  Rule r = rule("r", RuleAction::deny);
  r.sources = {prefix("10.0.0.0/8"), prefix("11.0.0.0/8"), prefix("2001:db8::/32")};
  r.destinations = {prefix("12.0.0.0/8"), prefix("2001:db8::/32")};
  r.protocols = {6, 17};
  r.sports = {{1, 2}, {5, 9}};
  r.dports = {{1, 2}, {5, 9}, {20, 30}};
  r.in_ports = {0, 1};
  auto s = build({r});
  EXPECT_EQ(s->figures().entries4, 2u * 1 * 2 * (2 * 3 + 1) * 2);
  EXPECT_EQ(s->figures().entries6, 1u * 1 * 2 * (2 * 3 + 1) * 2);
}

TEST(RuleSet, CountersGoToTheRuleOfTheSameName) {
  RuleSet::Options two;
  two.workers = 2;
  Rule a = rule("a", RuleAction::permit), b = rule("b", RuleAction::deny), c = rule("c", RuleAction::deny);
  auto first = build({a, b}, nullptr, two);
  first->hits(0, 0).packets.add(1);
  first->hits(0, 1).packets.add(2);
  first->hits(1, 1).bytes.add(100);
  first->hits(kDefault, 0).packets.add(7);

  auto second = build({c, b, a}, first.get(), two);
  EXPECT_EQ(second->sum(0).packets, 0u);
  EXPECT_EQ(second->sum(1).bytes, 100u);
  EXPECT_EQ(second->sum(2).packets, 3u);
  EXPECT_EQ(second->sum(kDefault).packets, 7u);

  first->hits(0, 1).packets.add(10);  // a worker that has not moved on yet
  second->hits(2, 0).packets.add(100);
  first.reset();
  EXPECT_EQ(second->sum(2).packets, 113u);

  auto failed = build({a}, second.get(), two);  // never published
  EXPECT_EQ(failed->sum(0).packets, 113u);
  failed->hits(0, 0).packets.add(1'000'000);
  auto third = build({b, a}, second.get(), two);
  second->hits(2, 1).packets.add(1000);
  EXPECT_EQ(third->sum(1).packets, 1113u);
  EXPECT_EQ(third->sum(0).bytes, 100u);
  auto fourth = build({a}, third.get(), two);
  EXPECT_EQ(fourth->sum(0).packets, 1113u);
  EXPECT_EQ(fourth->sum(kDefault).packets, 7u);
}

// --- against a reference that reads the rules as they are written

bool in_ranges(const std::vector<PortRange>& v, uint16_t p) {
  if (v.empty()) return true;
  for (const PortRange& r : v)
    if (p >= r.low && p <= r.high) return true;
  return false;
}
template <class T>
bool lists(const std::vector<T>& v, T x) {
  return v.empty() || std::find(v.begin(), v.end(), x) != v.end();
}
bool in_prefixes(const std::vector<Prefix>& v, const IpAddr& a) {
  if (v.empty()) return true;
  for (const Prefix& p : v)
    if (p.contains(a)) return true;
  return false;
}

struct Packet {
  IpAddr src, dst;
  uint16_t sport, dport, in, out;
  uint8_t proto;
  bool known;
};

bool matches(const Rule& r, const Packet& k) {
  if (!in_prefixes(r.sources, k.src) || !in_prefixes(r.destinations, k.dst)) return false;
  if (!lists(r.in_ports, k.in) || !lists(r.out_ports, k.out)) return false;
  if (!lists(r.protocols, k.proto)) return false;
  if (!r.names_l4()) return true;
  bool port_proto = k.proto == 6 || k.proto == 17 || k.proto == 33 || k.proto == 132 || k.proto == 136;
  bool icmp_proto = k.proto == (k.src.family == 4 ? 1 : 58);
  if (port_proto && r.names_ports())
    return k.known ? in_ranges(r.sports, k.sport) && in_ranges(r.dports, k.dport) : r.action == RuleAction::deny;
  if (!icmp_proto || !r.names_icmp()) return false;
  if (!k.known) return r.action == RuleAction::deny;
  for (uint16_t t : r.icmp)
    if (t >> 8 == k.sport && ((t & 0xff) == 0xff || (t & 0xff) == k.dport)) return true;
  return false;
}

struct Generator {
  std::mt19937_64 rng;
  unsigned below(unsigned n) { return static_cast<unsigned>(rng() % n); }
  IpAddr address(unsigned family) {  // few distinct bytes, so that rules and packets meet
    IpAddr a = family == 4 ? IpAddr(Ip4{}) : IpAddr(Ip6{});
    for (unsigned i = 0; i < a.bits() / 8; i++) a.b[i] = static_cast<uint8_t>(below(3) * 0x55);
    return a;
  }
  std::vector<Prefix> prefixes() {
    std::vector<Prefix> v;
    for (unsigned n = below(3); n; n--) {
      unsigned family = below(2) ? 4 : 6;
      IpAddr a = address(family);
      unsigned longest = family == 4 ? 32 : below(2) ? 16 : 128;
      v.push_back(Prefix{a, static_cast<uint8_t>(below(longest + 1))}.masked());
    }
    return v;
  }
  uint16_t port() { return static_cast<uint16_t>(below(4) ? below(12) : below(65536)); }
  std::vector<PortRange> ranges() {
    std::vector<PortRange> v;
    for (unsigned n = below(3); n; n--) {
      uint16_t a = port(), b = port();
      v.push_back({std::min(a, b), std::max(a, b)});
    }
    return v;
  }
  uint8_t proto() {
    static const uint8_t some[] = {6, 17, 1, 58, 132, 47, 0, 255};
    return some[below(sizeof some)];
  }
  Rule rule(unsigned i) {
    Rule r;
    r.name = "r" + std::to_string(i);
    r.action = static_cast<RuleAction>(below(3));
    r.sources = prefixes();
    r.destinations = prefixes();
    if (below(3) == 0) r.sports = ranges();
    if (below(3) == 0) r.dports = ranges();
    for (unsigned n = below(3); n; n--) r.protocols.push_back(proto());
    if (std::find(r.protocols.begin(), r.protocols.end(), 1) != r.protocols.end() &&
        std::find(r.protocols.begin(), r.protocols.end(), 58) != r.protocols.end())
      r.protocols = {6};  // the pair has its own test
    if (below(4) == 0)
      for (unsigned n = below(3); n; n--) r.icmp.push_back(static_cast<uint16_t>(below(12) << 8 | (below(2) ? 0xff : below(3))));
    for (unsigned n = below(2); n; n--) r.in_ports.push_back(static_cast<uint16_t>(below(4)));
    for (unsigned n = below(2); n; n--) r.out_ports.push_back(static_cast<uint16_t>(below(4)));
    return r;
  }
  Packet packet() {
    unsigned family = below(2) ? 4 : 6;
    bool known = below(4) != 0;
    return {address(family), address(family), known ? port() : uint16_t{0}, known ? port() : uint16_t{0},
            static_cast<uint16_t>(below(4)), static_cast<uint16_t>(below(8) ? below(4) : kNoPort), proto(), known};
  }
};

TEST(RuleSet, AgreesWithTheReference) {
  unsigned hits = 0, packets = 0;
  for (unsigned seed = 1; seed <= 40; seed++) {
    Generator g{std::mt19937_64(seed)};
    std::vector<Rule> rules;
    for (unsigned n = 1 + g.below(60); n; n--) rules.push_back(g.rule(n));
    auto s = build(rules);
    ASSERT_TRUE(s);
    for (unsigned round = 0; round < 60; round++) {
      Packet p[kMaxBurst];
      std::vector<RuleKey4> k4;
      std::vector<RuleKey6> k6;
      unsigned n = 1 + g.below(kMaxBurst);
      for (unsigned i = 0; i < n; i++) {
        p[i] = g.packet();
        if (p[i].src.family == 4)
          k4.push_back({p[i].src.v4(), p[i].dst.v4(), p[i].sport, p[i].dport, p[i].in, p[i].out, p[i].proto, p[i].known});
        else
          k6.push_back({p[i].src.v6(), p[i].dst.v6(), p[i].sport, p[i].dport, p[i].in, p[i].out, p[i].proto, p[i].known});
      }
      uint32_t r4[kMaxBurst], r6[kMaxBurst];
      s->classify(k4.data(), r4, static_cast<unsigned>(k4.size()));
      s->classify(k6.data(), r6, static_cast<unsigned>(k6.size()));
      for (unsigned i = 0, a = 0, b = 0; i < n; i++) {
        uint32_t got = p[i].src.family == 4 ? r4[a++] : r6[b++];
        uint32_t want = kDefault;
        for (uint32_t r = 0; r < rules.size() && want == kDefault; r++)
          if (matches(rules[r], p[i])) want = r;
        ASSERT_EQ(got, want) << "seed " << seed << " " << to_string(p[i].src) << " > " << to_string(p[i].dst)
                             << " proto " << int{p[i].proto} << " ports " << p[i].sport << " " << p[i].dport
                             << " known " << p[i].known;
        packets++;
        hits += want != kDefault;
      }
    }
  }
  EXPECT_GT(hits, packets / 10) << "the generator must reach the rules";
}

}  // namespace
}  // namespace sluice
