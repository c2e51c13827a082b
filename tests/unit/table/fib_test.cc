#include "table/fib.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <unordered_map>

#define SLUICE_TEST_MEGABYTES "256"  // for the table that does not fit
#include "tests/unit/eal_env.h"

namespace sluice {
namespace {

Prefix prefix(const char* s) {
  auto p = parse_prefix(s);
  EXPECT_TRUE(p) << s;
  return *p;
}
Ip4 ip4(const char* s) { return *parse_ip4(s); }
Ip6 ip6(const char* s) { return *parse_ip6(s); }

std::unique_ptr<const Fib4> fib4(std::vector<FibRoute> r) {
  auto f = Fib4::build(std::move(r));
  EXPECT_TRUE(f.ok()) << f.error();
  return f ? std::move(*f) : nullptr;
}
std::unique_ptr<const Fib6> fib6(std::vector<FibRoute> r) {
  auto f = Fib6::build(std::move(r));
  EXPECT_TRUE(f.ok()) << f.error();
  return f ? std::move(*f) : nullptr;
}

// The longest match by trying every length: slow, and plainly right.
class Reference {
 public:
  explicit Reference(const std::vector<FibRoute>& routes) {
    for (const FibRoute& r : routes) by_length_[r.prefix.len][r.prefix.addr] = r.group;
  }
  uint32_t lookup(const IpAddr& a) const {
    for (auto it = by_length_.rbegin(); it != by_length_.rend(); ++it) {
      auto hit = it->second.find(Prefix{a, it->first}.masked().addr);
      if (hit != it->second.end()) return hit->second;
    }
    return Fib4::kMiss;
  }

 private:
  std::map<uint8_t, std::map<IpAddr, uint32_t>> by_length_;
};

// Prefixes that nest, touch and fall on both sides of the 24-bit and of the 8-bit boundaries.
std::vector<FibRoute> random_routes(std::mt19937_64& rng, unsigned family, unsigned n, uint32_t groups) {
  std::map<Prefix, uint32_t> chosen;
  std::vector<Prefix> seen;
  unsigned bits = family == 4 ? 32 : 128;
  while (chosen.size() < n) {
    IpAddr a = family == 4 ? IpAddr(Ip4{}) : IpAddr(Ip6{});
    for (unsigned i = 0; i < bits / 8; i++) a.b[i] = static_cast<uint8_t>(rng());
    if (!seen.empty() && rng() % 4) {  // inside, around or beside one that is there
      const Prefix& p = seen[rng() % seen.size()];
      unsigned keep = static_cast<unsigned>(rng() % (p.len + 1u));
      for (unsigned i = 0; i < keep; i++) {
        uint8_t m = static_cast<uint8_t>(0x80 >> (i % 8));
        a.b[i / 8] = static_cast<uint8_t>((a.b[i / 8] & ~m) | (p.addr.b[i / 8] & m));
      }
    }
    Prefix p = Prefix{a, static_cast<uint8_t>(rng() % (bits + 1))}.masked();
    if (chosen.emplace(p, rng() % groups).second) seen.push_back(p);
  }
  std::vector<FibRoute> out;
  for (const Prefix& p : seen) out.push_back({p, chosen[p]});
  return out;
}

// Addresses that matter: the edges of every prefix, one beyond them, and some at random.
std::vector<IpAddr> probes(std::mt19937_64& rng, const std::vector<FibRoute>& routes, unsigned extra) {
  std::vector<IpAddr> out;
  auto step = [](IpAddr a, int by) {
    for (int i = static_cast<int>(a.bits() / 8) - 1; i >= 0; i--) {
      auto& b = a.b[static_cast<unsigned>(i)];
      b = static_cast<uint8_t>(b + by);
      if (b != (by > 0 ? 0 : 0xff)) break;
    }
    return a;
  };
  for (const FibRoute& r : routes) {
    IpAddr first = r.prefix.addr, last = first;
    for (unsigned i = r.prefix.len; i < first.bits(); i++) last.b[i / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
    for (const IpAddr& a : {first, last, step(first, -1), step(last, 1)}) out.push_back(a);
  }
  for (unsigned n = 0; n < extra; n++) {
    IpAddr a = routes[0].prefix.addr;
    for (unsigned i = 0; i < a.bits() / 8; i++) a.b[i] = static_cast<uint8_t>(rng());
    out.push_back(a);
  }
  return out;
}

TEST(Fib4, EmptyMissesEverything) {
  auto f = fib4({});
  EXPECT_EQ(f->lookup(ip4("192.0.2.1")), Fib4::kMiss);
  EXPECT_EQ(f->size(), 0u);
  EXPECT_EQ(Fib4::memory_needed({}), 0u);
}

TEST(Fib4, DefaultRouteAloneTakesNoTable) {
  std::vector<FibRoute> r{{prefix("0.0.0.0/0"), 7}};
  EXPECT_EQ(Fib4::memory_needed(r), 0u);
  auto f = fib4(r);
  EXPECT_EQ(f->lookup(ip4("0.0.0.0")), 7u);
  EXPECT_EQ(f->lookup(ip4("255.255.255.255")), 7u);
}

TEST(Fib4, LongestWins) {
  auto f = fib4({{prefix("10.1.2.3/32"), 4}, {prefix("10.0.0.0/8"), 1}, {prefix("10.1.0.0/16"), 2},
                 {prefix("10.1.2.0/25"), 3}, {prefix("0.0.0.0/0"), 0}});
  EXPECT_EQ(f->lookup(ip4("10.1.2.3")), 4u);
  EXPECT_EQ(f->lookup(ip4("10.1.2.4")), 3u);
  EXPECT_EQ(f->lookup(ip4("10.1.2.128")), 2u);
  EXPECT_EQ(f->lookup(ip4("10.2.0.0")), 1u);
  EXPECT_EQ(f->lookup(ip4("11.0.0.0")), 0u);
  EXPECT_EQ(f->size(), 5u);
}

TEST(Fib4, ARouteInsideOneOfTheSameGroupIsStillAnswered) {
  auto f = fib4({{prefix("10.0.0.0/8"), 1}, {prefix("10.1.0.0/16"), 2}, {prefix("10.1.1.0/24"), 1},
                 {prefix("10.1.1.128/25"), 1}, {prefix("10.3.0.0/16"), 1}});
  EXPECT_EQ(f->lookup(ip4("10.1.1.129")), 1u);
  EXPECT_EQ(f->lookup(ip4("10.1.2.1")), 2u);
  EXPECT_EQ(f->lookup(ip4("10.3.2.1")), 1u);
  EXPECT_EQ(f->lookup(ip4("12.3.2.1")), Fib4::kMiss);
}

TEST(Fib4, GroupsBeyondTwoByteEntries) {
  for (uint32_t g : {32765u, 32766u, 32767u, 32768u, 1u << 20}) {
    auto f = fib4({{prefix("10.0.0.0/8"), g}, {prefix("10.1.2.3/32"), g - 1}});
    ASSERT_TRUE(f) << g;
    EXPECT_EQ(f->lookup(ip4("10.9.9.9")), g);
    EXPECT_EQ(f->lookup(ip4("10.1.2.3")), g - 1);
    EXPECT_EQ(f->lookup(ip4("11.1.2.3")), Fib4::kMiss);
  }
}

TEST(Fib4, ADuplicateIsNamed) {
  auto f = Fib4::build({{prefix("10.0.0.0/8"), 1}, {prefix("192.0.2.0/24"), 1}, {prefix("10.0.0.0/8"), 2}});
  ASSERT_FALSE(f.ok());
  EXPECT_NE(f.error().find("10.0.0.0/8 is there twice"), std::string::npos) << f.error();
}

TEST(Fib4, TheOtherFamilyIsRefused) {
  EXPECT_FALSE(Fib4::build({{prefix("2001:db8::/32"), 1}}).ok());
  EXPECT_FALSE(Fib6::build({{prefix("10.0.0.0/8"), 1}}).ok());
}

TEST(Fib4, ATableThatDoesNotFitSaysSo) {
  std::vector<FibRoute> r;
  for (uint32_t i = 0; i < 800'000; i++)
    r.push_back({{Ip4::from_host(i << 10), 24}, i & 1});
  auto f = Fib4::build(std::move(r));
  ASSERT_FALSE(f.ok());
  EXPECT_NE(f.error().find("no memory for 800000 IPv4 routes"), std::string::npos) << f.error();
  EXPECT_TRUE(fib4({{prefix("10.0.0.0/8"), 1}})) << "nothing was left behind";
}

TEST(Fib4, AgreesWithTheReference) {
  for (unsigned seed = 1; seed <= 12; seed++) {
    std::mt19937_64 rng(seed);
    auto routes = random_routes(rng, 4, 1 + static_cast<unsigned>(rng() % 2000), seed % 3 ? 5 : 40'000);
    Reference ref(routes);
    auto f = fib4(routes);
    ASSERT_TRUE(f);
    auto where = probes(rng, routes, 2000);
    std::vector<uint32_t> host, got(where.size());
    for (const IpAddr& a : where) host.push_back(a.v4().host());
    f->lookup_bulk(host.data(), got.data(), static_cast<unsigned>(host.size()));
    for (size_t i = 0; i < where.size(); i++)
      ASSERT_EQ(got[i], ref.lookup(where[i])) << to_string(where[i]) << " seed " << seed;
  }
}

TEST(Fib6, EmptyAndDefault) {
  EXPECT_EQ(fib6({})->lookup(ip6("2001:db8::1")), Fib6::kMiss);
  EXPECT_EQ(fib6({{prefix("::/0"), 9}})->lookup(ip6("2001:db8::1")), 9u);
}

TEST(Fib6, LongestWins) {
  auto f = fib6({{prefix("2001:db8::1/128"), 4}, {prefix("2001:db8::/32"), 1}, {prefix("2001:db8:1::/48"), 2},
                 {prefix("2001:db8:1:8000::/49"), 3}, {prefix("2000::/3"), 0}});
  EXPECT_EQ(f->lookup(ip6("2001:db8::1")), 4u);
  EXPECT_EQ(f->lookup(ip6("2001:db8::2")), 1u);
  EXPECT_EQ(f->lookup(ip6("2001:db8:1::1")), 2u);
  EXPECT_EQ(f->lookup(ip6("2001:db8:1:8000::1")), 3u);
  EXPECT_EQ(f->lookup(ip6("3fff::1")), 0u);
  EXPECT_EQ(f->lookup(ip6("4000::")), Fib6::kMiss);
}

TEST(Fib6, ADuplicateIsNamed) {
  auto f = Fib6::build({{prefix("2001:db8::/32"), 1}, {prefix("2001:db8::/32"), 1}});
  ASSERT_FALSE(f.ok());
  EXPECT_NE(f.error().find("2001:db8::/32 is there twice"), std::string::npos) << f.error();
}

TEST(Fib6, AgreesWithTheReference) {
  for (unsigned seed = 1; seed <= 12; seed++) {
    std::mt19937_64 rng(seed);
    auto routes = random_routes(rng, 6, 1 + static_cast<unsigned>(rng() % 1500), seed % 3 ? 5 : 40'000);
    Reference ref(routes);
    auto f = fib6(routes);
    ASSERT_TRUE(f);
    auto where = probes(rng, routes, 500);
    std::vector<Ip6> ask;
    std::vector<uint32_t> got(where.size());
    for (const IpAddr& a : where) ask.push_back(a.v6());
    f->lookup_bulk(ask.data(), got.data(), static_cast<unsigned>(ask.size()));
    for (size_t i = 0; i < where.size(); i++)
      ASSERT_EQ(got[i], ref.lookup(where[i])) << to_string(where[i]) << " seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
