// The prefix lists at a million entries: loading all at once, one change in place, and what a look-up costs a verdict in user
// space, whose sources are random. Arg: 0 IPv4, 1 IPv6, 2 both; second: 1 in BPF maps (root).
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>

#include "shed/shed.h"

namespace sluice::shed {
namespace {

constexpr size_t kPrefixes = 1'000'000;

// Lengths as lists of attackers have them: mostly hosts, some networks.
Prefix draw(std::mt19937_64& random, bool six) {
  static constexpr uint8_t kLengths6[] = {32, 40, 48, 56, 64, 128};
  Prefix p;
  if (six) {
    Ip6 a;
    const uint64_t words[2] = {random(), random()};
    std::memcpy(a.b.data(), words, sizeof words);
    a.b[0] = 0x20;
    p = {a, kLengths6[random() % std::size(kLengths6)]};
  } else {
    p = {Ip4::from_host(static_cast<uint32_t>(random())), static_cast<uint8_t>(random() % 4 ? 32 : 16 + random() % 17)};
  }
  return p.masked();
}

std::vector<ListEntry> million(int64_t families) {
  std::mt19937_64 random(1);
  std::vector<ListEntry> all;
  for (size_t i = 0; i < kPrefixes; i++)
    all.push_back({draw(random, families == 1 || (families == 2 && i % 2)), SLUICE_ACTION_BLOCK});
  return all;
}

std::unique_ptr<Shed> make(benchmark::State& state) {
  Keys k;
  k.list[0] = 1, k.list[1] = 2;
  auto s = Shed::create(k, state.range(1) != 0);
  if (!s) state.SkipWithError(s.error().c_str());
  return s ? std::move(s).value() : nullptr;
}

void load(benchmark::State& state) {
  const auto all = million(state.range(0));
  const auto shed = make(state);
  for (auto _ : state)
    if (!shed || !shed->lists().replace(Origin::file, all)) return state.SkipWithError("not taken");
  state.counters["MiB"] = static_cast<double>(shed->lists().memory_bytes() >> 20);
}
BENCHMARK(load)->ArgsProduct({{0, 1, 2}, {0, 1}})->Unit(benchmark::kMillisecond);

void one_change(benchmark::State& state) {
  const auto shed = make(state);
  if (!shed || !shed->lists().replace(Origin::file, million(state.range(0)))) return state.SkipWithError("not taken");
  std::mt19937_64 random(2);
  for (auto _ : state) {
    Prefix p = draw(random, state.range(0) == 1);
    if (p.addr.family == 4) p.len = 32;
    benchmark::DoNotOptimize(shed->lists().add({p, SLUICE_ACTION_ALLOW}, Origin::command).ok());
    benchmark::DoNotOptimize(shed->lists().remove(p, Origin::command));
  }
}
BENCHMARK(one_change)->ArgsProduct({{0, 1}, {0, 1}});

void find(benchmark::State& state) {
  const auto shed = make(state);
  if (!shed || !shed->lists().replace(Origin::file, million(state.range(0)))) return state.SkipWithError("not taken");
  std::mt19937_64 random(3);
  std::vector<sluice_packet> sources(1 << 16);
  for (sluice_packet& p : sources) {
    p = {};
    const Prefix drawn = draw(random, state.range(0) == 1);
    p.family = drawn.addr.family;
    std::memcpy(p.src, drawn.addr.b.data(), sizeof p.src);
  }
  const sluice_env env = shed->environment();
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(sluice_list_find(&env, &sources[i++ % sources.size()]));
}
BENCHMARK(find)->ArgsProduct({{0, 1}, {0, 1}});

}  // namespace
}  // namespace sluice::shed

BENCHMARK_MAIN();
