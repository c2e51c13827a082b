// Longest-prefix match: building and looking up at the sizes of the figures (1M IPv4, 200k IPv6 routes).
// Compare with the row "IPv4 forward, 1M random BGP-like prefixes" of the yardsticks: a lookup is a part of it.
// Needs 2 GiB: EAL without hugepages.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_malloc.h>

#include "table/fib.h"
#include "tests/bench/bgp_like.h"
#include "tests/bench/eal_main.h"

namespace sluice {
namespace {

std::vector<FibRoute> routes(unsigned family, size_t n, uint32_t groups) {
  std::mt19937_64 rng(7);
  std::vector<FibRoute> out;
  for (const Prefix& p : family == 4 ? bench::bgp_like4(n, 1) : bench::bgp_like6(n, 1))
    out.push_back({p, static_cast<uint32_t>(rng() % groups)});
  return out;
}

size_t heap_in_use() {
  rte_malloc_socket_stats s{};
  rte_malloc_get_socket_stats(0, &s);
  return s.heap_allocsz_bytes;
}

template <class Fib>
void build(benchmark::State& state, unsigned family, bool sorted) {
  auto r = routes(family, static_cast<size_t>(state.range(0)), static_cast<uint32_t>(state.range(1)));
  if (!sorted) std::shuffle(r.begin(), r.end(), std::mt19937_64(3));
  size_t bytes = 0;
  for (auto _ : state) {
    size_t before = heap_in_use();
    auto f = Fib::build(r);
    if (!f) return state.SkipWithError(f.error().c_str());
    bytes = heap_in_use() - before;
  }
  state.counters["MiB"] = static_cast<double>(bytes >> 20);
  state.counters["MiB_needed"] = static_cast<double>(Fib::memory_needed(r) >> 20);
  state.counters["MiB_estimate"] = static_cast<double>(Fib::memory_estimate(r.size()) >> 20);
}

void BM_Build4(benchmark::State& s) { build<Fib4>(s, 4, true); }
void BM_Build4Shuffled(benchmark::State& s) { build<Fib4>(s, 4, false); }
void BM_Build6(benchmark::State& s) { build<Fib6>(s, 6, true); }
BENCHMARK(BM_Build4)->Args({10, 4})->Args({10'000, 16})->Args({1'000'000, 16})->Args({1'000'000, 1000})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Build4Shuffled)->Args({1'000'000, 16})->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Build6)->Args({10, 4})->Args({10'000, 16})->Args({200'000, 16})->Unit(benchmark::kMillisecond);

constexpr unsigned kBurst = 32;

void BM_Lookup4(benchmark::State& state) {
  auto f = Fib4::build(routes(4, static_cast<size_t>(state.range(0)), 16));
  if (!f) return state.SkipWithError(f.error().c_str());
  std::mt19937_64 rng(5);
  std::vector<uint32_t> where(1 << 22);
  for (auto& a : where) a = static_cast<uint32_t>(rng());
  uint32_t group[kBurst];
  size_t at = 0;
  uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    (*f)->lookup_bulk(&where[at], group, kBurst);
    benchmark::DoNotOptimize(group);
    at = (at + kBurst) % where.size();
  }
  state.counters["clk"] = static_cast<double>(rte_rdtsc() - start) / static_cast<double>(state.iterations()) / kBurst;
}
BENCHMARK(BM_Lookup4)->Arg(10)->Arg(1'000'000);

void BM_Lookup6(benchmark::State& state) {
  auto r = routes(6, static_cast<size_t>(state.range(0)), 16);
  auto f = Fib6::build(r);
  if (!f) return state.SkipWithError(f.error().c_str());
  std::mt19937_64 rng(5);
  std::vector<Ip6> where(1 << 20);
  for (auto& a : where) {
    a = r[rng() % r.size()].prefix.addr.v6();
    for (unsigned i = 6; i < 16; i++) a.b[i] = static_cast<uint8_t>(rng());
  }
  uint32_t group[kBurst];
  size_t at = 0;
  uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    (*f)->lookup_bulk(&where[at], group, kBurst);
    benchmark::DoNotOptimize(group);
    at = (at + kBurst) % where.size();
  }
  state.counters["clk"] = static_cast<double>(rte_rdtsc() - start) / static_cast<double>(state.iterations()) / kBurst;
}
BENCHMARK(BM_Lookup6)->Arg(10)->Arg(200'000);

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::bench::run(argc, argv, 2048); }
