// Filter rules: building and classifying at 100 to 10,000 rules, in bursts and singly. The yardstick is rte_acl
// alone: 75 to 230 clocks in bursts at 10,000 rules, 300 singly; VPP's stateless filter adds 64 from 100 to
// 10,000 rules. A linear search stands beside it.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_malloc.h>

#include <random>

#include "table/rule_set.h"
#include "tests/bench/eal_main.h"

namespace sluice {
namespace {

// Rules as firewalls have them: a server or a network, a service, sometimes a source and a port of the box.
std::vector<Rule> firewall(unsigned family, unsigned n) {
  std::mt19937_64 rng(11);
  auto address = [&](unsigned net) {
    if (family == 4) return IpAddr(Ip4::from_host(10u << 24 | (net & 0xff) << 16 | static_cast<uint32_t>(rng() & 0xffff)));
    Ip6 a{{0x20, 0x01, 0x0d, 0xb8, 0, static_cast<uint8_t>(net)}};
    for (unsigned i = 6; i < 16; i++) a.b[i] = static_cast<uint8_t>(rng());
    return IpAddr(a);
  };
  static const uint8_t len4[] = {32, 32, 32, 28, 24, 24, 16}, len6[] = {128, 128, 128, 64, 64, 56, 48};
  static const uint16_t service[] = {22, 25, 53, 80, 110, 143, 443, 993, 3306, 5432, 8080, 8443};
  std::vector<Rule> rules(n);
  for (unsigned i = 0; i < n; i++) {
    Rule& r = rules[i];
    r.name = "r" + std::to_string(i);
    r.action = rng() % 5 ? RuleAction::permit : RuleAction::deny;
    r.destinations = {Prefix{address(static_cast<unsigned>(rng() % 64)), (family == 4 ? len4 : len6)[rng() % 7]}.masked()};
    if (rng() % 2) r.sources = {Prefix{address(static_cast<unsigned>(rng() % 64)), (family == 4 ? len4 : len6)[rng() % 7]}.masked()};
    r.protocols = {static_cast<uint8_t>(rng() % 4 ? 6 : 17)};
    uint16_t s = service[rng() % 12];
    if (rng() % 8) r.dports = {{s, static_cast<uint16_t>(rng() % 6 ? s : s + 20)}};
    if (rng() % 4 == 0) r.in_ports = {static_cast<uint16_t>(rng() % 3)};
  }
  return rules;
}

template <class Key, class Ip>
std::vector<Key> packets(const std::vector<Rule>& rules) {
  std::mt19937_64 rng(13);
  auto inside = [&](const std::vector<Prefix>& v) {
    IpAddr a = v.empty() ? rules[rng() % rules.size()].destinations[0].addr : v[0].addr;
    for (unsigned i = v.empty() ? 0 : v[0].len; i < a.bits(); i++)
      if (rng() & 1) a.b[i / 8] ^= static_cast<uint8_t>(0x80 >> (i % 8));
    Ip out;
    std::memcpy(&out, a.b.data(), sizeof out);
    return out;
  };
  std::vector<Key> keys;
  for (unsigned i = 0; i < 1 << 14; i++) {
    const Rule& r = rules[rng() % rules.size()];
    uint16_t dport = r.dports.empty() || rng() % 4 == 0 ? static_cast<uint16_t>(rng()) : r.dports[0].low;
    keys.push_back({inside(r.sources), inside(r.destinations), static_cast<uint16_t>(rng()), dport,
                    static_cast<uint16_t>(rng() % 3), 1, r.protocols[0], true});
  }
  return keys;
}

size_t heap_in_use() {
  rte_malloc_socket_stats s{};
  rte_malloc_get_socket_stats(0, &s);
  return s.heap_allocsz_bytes;
}

void BM_Build(benchmark::State& state) {
  auto rules = firewall(static_cast<unsigned>(state.range(0)), static_cast<unsigned>(state.range(1)));
  size_t entries = 0, bytes = 0;
  for (auto _ : state) {
    const size_t before = heap_in_use();
    auto s = RuleSet::build(rules, {});
    if (!s) return state.SkipWithError(s.error().c_str());
    entries = (*s)->figures().entries4 + (*s)->figures().entries6;
    bytes = heap_in_use() - before;
  }
  state.counters["bytes_per_entry"] = static_cast<double>(bytes) / static_cast<double>(entries);
  state.counters["entries"] = static_cast<double>(entries);
}
BENCHMARK(BM_Build)->ArgsProduct({{4, 6}, {100, 1000, 10'000}})->Unit(benchmark::kMillisecond);

template <class Key, class Ip>
void classify(benchmark::State& state, unsigned family) {
  auto rules = firewall(family, static_cast<unsigned>(state.range(0)));
  auto burst = static_cast<unsigned>(state.range(1));
  auto s = RuleSet::build(rules, {});
  if (!s) return state.SkipWithError(s.error().c_str());
  auto keys = packets<Key, Ip>(rules);
  uint32_t rule[kMaxBurst];
  size_t at = 0, hit = 0;
  uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    (*s)->classify(&keys[at], rule, burst);
    hit += rule[0] != RuleSet::kDefault;
    at = (at + burst) % (keys.size() - kMaxBurst);
  }
  auto n = static_cast<double>(state.iterations());
  state.counters["clk"] = static_cast<double>(rte_rdtsc() - start) / n / burst;
  state.counters["hit"] = static_cast<double>(hit) / n;
}
void BM_Classify4(benchmark::State& s) { classify<RuleKey4, Ip4>(s, 4); }
void BM_Classify6(benchmark::State& s) { classify<RuleKey6, Ip6>(s, 6); }
BENCHMARK(BM_Classify4)->ArgsProduct({{100, 1000, 10'000}, {1, 4, 32}});
BENCHMARK(BM_Classify6)->ArgsProduct({{100, 10'000}, {1, 32}});

// What the same costs one rule after the other.
void BM_Linear4(benchmark::State& state) {
  auto rules = firewall(4, static_cast<unsigned>(state.range(0)));
  auto keys = packets<RuleKey4, Ip4>(rules);
  size_t at = 0;
  uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    const RuleKey4& k = keys[at++ % keys.size()];
    size_t i = 0;
    for (; i < rules.size(); i++) {
      const Rule& r = rules[i];
      if (r.protocols[0] != k.proto || (!r.in_ports.empty() && r.in_ports[0] != k.in_port)) continue;
      if (!r.dports.empty() && (k.dport < r.dports[0].low || k.dport > r.dports[0].high)) continue;
      if (r.destinations[0].contains(k.dst) && (r.sources.empty() || r.sources[0].contains(k.src))) break;
    }
    benchmark::DoNotOptimize(i);
  }
  state.counters["clk"] = static_cast<double>(rte_rdtsc() - start) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_Linear4)->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::bench::run(argc, argv, 1024); }
