// The flow table against DPDK's rte_hash, in the shape that forwarding uses: bursts of 32 keys at random among
// N flows, key compared, and 48 bytes of data beside the key read. rte_hash keeps keys in a store of its own
// and returns a position; the data is in an array by position, as its users have it. Both get the same keyed
// hash, so that what differs is the table.
//   FlowTable   tags (2 bytes a flow, mostly in L2/L3), then the entry: one miss to memory
//   rte_hash    bucket (8 signatures, 8 positions), then the key, then the data: three
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_hash.h>

#include <algorithm>
#include <vector>

#include "base/hash.h"
#include "table/flow_table.h"
#include "tests/bench/eal_main.h"

namespace sluice {
namespace {

struct Key {
  uint64_t a, b;
  bool operator==(const Key&) const = default;
};
struct Data {
  uint64_t w[6];
};

const HashKey kKey{{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5}};
constexpr unsigned kBurst = 32;

struct Random {
  uint64_t x = 0x9e3779b97f4a7c15;
  Key key(uint64_t flows) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    const uint64_t i = (x >> 32) * flows >> 32;
    return {i << 32 | 0xc0a80001, 0x11000007d003e8};
  }
};

void report(benchmark::State& state, std::vector<uint64_t>& clk, uint64_t found) {
  const double n = static_cast<double>(state.iterations()) * kBurst;
  std::nth_element(clk.begin(), clk.begin() + static_cast<long>(clk.size() / 2), clk.end());
  state.counters["clk"] = static_cast<double>(clk[clk.size() / 2]) / kBurst;  // the median burst
  if (static_cast<double>(found) < 0.999 * n) state.SkipWithError("flows were not found");
}

void BM_FlowTable(benchmark::State& state) {
  const auto flows = static_cast<uint64_t>(state.range(0));
  FlowTable<Key, Data> t(flows);
  for (uint64_t i = 0; i < flows; i++) {
    const Key k{i << 32 | 0xc0a80001, 0x11000007d003e8};
    t.insert(k, hash_words(kKey, k.a, k.b), [](uint32_t) { return 0; }, [](uint32_t) {});
  }
  state.counters["MiB"] = static_cast<double>(t.memory_bytes() >> 20);
  Random r;
  std::vector<uint64_t> clk;
  uint64_t found = 0, sum = 0;
  for (auto _ : state) {
    Key k[kBurst];
    for (auto& key : k) key = r.key(flows);
    const uint64_t start = rte_rdtsc();
    uint64_t h[kBurst];
    uint32_t c[kBurst];
    for (unsigned i = 0; i < kBurst; i++) t.prefetch(h[i] = hash_words(kKey, k[i].a, k[i].b));
    for (unsigned i = 0; i < kBurst; i++) c[i] = t.candidate(h[i]);
    for (unsigned i = 0; i < kBurst; i++) {
      if (c[i] == t.kNone) continue;
      if (!(t.at(c[i]).key == k[i])) c[i] = t.find(k[i], h[i]);
      if (c[i] == t.kNone) continue;
      sum += t.at(c[i]).value.w[0]++;
      found++;
    }
    clk.push_back(rte_rdtsc() - start);
  }
  benchmark::DoNotOptimize(sum);
  report(state, clk, found);
}

void BM_RteHash(benchmark::State& state) {
  const auto flows = static_cast<uint64_t>(state.range(0));
  rte_hash_parameters p{};
  p.name = "bench";
  p.entries = static_cast<uint32_t>(flows + flows / 16 + 64);
  p.key_len = sizeof(Key);
  p.socket_id = SOCKET_ID_ANY;
  p.hash_func = [](const void* key, uint32_t, uint32_t) {
    const auto* k = static_cast<const Key*>(key);
    return static_cast<uint32_t>(hash_words(kKey, k->a, k->b));
  };
  rte_hash* t = rte_hash_create(&p);
  if (!t) return state.SkipWithError("rte_hash_create: no memory");
  MappedMemory memory((p.entries + 1) * sizeof(Data), -1);
  auto* data = reinterpret_cast<Data*>(memory.data());
  for (uint64_t i = 0; i < flows; i++) {
    const Key k{i << 32 | 0xc0a80001, 0x11000007d003e8};
    if (rte_hash_add_key(t, &k) < 0) return state.SkipWithError("rte_hash is full");
  }
  Random r;
  std::vector<uint64_t> clk;
  uint64_t found = 0, sum = 0;
  for (auto _ : state) {
    Key k[kBurst];
    const void* kp[kBurst];
    for (unsigned i = 0; i < kBurst; i++) k[i] = r.key(flows), kp[i] = &k[i];
    const uint64_t start = rte_rdtsc();
    int32_t pos[kBurst];
    rte_hash_lookup_bulk(t, kp, kBurst, pos);
    for (unsigned i = 0; i < kBurst; i++)
      if (pos[i] >= 0) __builtin_prefetch(&data[pos[i]]);
    for (unsigned i = 0; i < kBurst; i++) {
      if (pos[i] < 0) continue;
      sum += data[pos[i]].w[0]++;
      found++;
    }
    clk.push_back(rte_rdtsc() - start);
  }
  benchmark::DoNotOptimize(sum);
  rte_hash_free(t);
  report(state, clk, found);
}

BENCHMARK(BM_FlowTable)->Arg(1)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(BM_RteHash)->Arg(1)->Arg(1000)->Arg(100'000)->Arg(1'000'000);

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::bench::run(argc, argv, 512); }
