// What TCP pays per segment in its small parts, in clocks of the time stamp counter: timers, options, the connection
// table, congestion control, cookies. Tables are as large as a busy box's, and visited at random. On a machine with
// other work, CPU time says more than clocks, which go on while others run.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <vector>

#include "table/timer_wheel.h"
#include "tcp/congestion.h"
#include "tcp/connection_table.h"
#include "tcp/cookie.h"
#include "tcp/isn.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {
namespace {

constexpr int64_t kMs = 1'000'000;

struct Random {
  uint64_t x = 0x9e3779b97f4a7c15;
  uint32_t below(uint64_t n) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return static_cast<uint32_t>((x >> 32) * n >> 32);
  }
};

class Clocks {
 public:
  explicit Clocks(benchmark::State& s) : state_(s), start_(rte_rdtsc()) {}
  ~Clocks() {
    const auto spent = static_cast<double>(rte_rdtsc() - start_);
    state_.counters["clk"] = spent / static_cast<double>(state_.iterations());
  }

 private:
  benchmark::State& state_;
  uint64_t start_;
};

// A segment comes in and one goes out: the retransmission timer moves, the delayed ACK is armed and cancelled.
void BM_WheelSegment(benchmark::State& state) {
  const auto connections = static_cast<uint32_t>(state.range(0));
  TimerWheel w(connections * 3);
  Random random;
  Instant now{1'000'000'000'000};
  uint64_t fired = 0;
  for (uint32_t c = 0; c < connections; c++) w.arm(c * 3, now + Duration::nanos(200 * kMs));
  const Clocks clocks(state);
  for (auto _ : state) {
    const uint32_t c = random.below(connections) * 3;
    now = now + Duration::nanos(100);
    w.arm(c, now + Duration::nanos(200 * kMs));
    w.arm(c + 1, now + Duration::nanos(40 * kMs));
    w.cancel(c + 1);
    fired += w.expire(now, 64, [](uint32_t) {});
  }
  state.counters["fired"] = static_cast<double>(fired);
}
BENCHMARK(BM_WheelSegment)->Arg(1)->Arg(1000)->Arg(1'000'000);

void BM_WheelArmCancel(benchmark::State& state) {
  TimerWheel w(static_cast<uint32_t>(state.range(0)));
  Random random;
  const Instant now{1'000'000'000'000};
  const Clocks clocks(state);
  for (auto _ : state) {
    const uint32_t t = random.below(static_cast<uint64_t>(state.range(0)));
    w.arm(t, now + Duration::nanos(200 * kMs));
    w.cancel(t);
  }
}
BENCHMARK(BM_WheelArmCancel)->Arg(1000);

// Armed once and fired: what a timer costs that is not moved.
void BM_WheelFire(benchmark::State& state) {
  const auto timers = static_cast<uint32_t>(state.range(0));
  TimerWheel w(timers);
  Random random;
  Instant now{1'000'000'000'000};
  for (uint32_t i = 0; i < timers; i++) w.arm(i, now + Duration::nanos(random.below(1'000'000'000)));
  uint64_t fired = 0;
  const uint64_t start = rte_rdtsc();
  for (auto _ : state) {
    now = now + Duration::nanos(10'000);
    fired += w.expire(now, 64, [&](uint32_t t) { w.arm(t, now + Duration::nanos(500'000'000 + random.below(1'000'000'000))); });
  }
  state.counters["clk_each"] = static_cast<double>(rte_rdtsc() - start) / static_cast<double>(fired ? fired : 1);
}
BENCHMARK(BM_WheelFire)->Arg(1'000'000);

void BM_WheelIdlePoll(benchmark::State& state) {
  TimerWheel w(1000);
  Instant now{1'000'000'000'000};
  for (uint32_t i = 0; i < 1000; i++) w.arm(i, now + Duration::seconds(7200 + i));
  const Clocks clocks(state);
  for (auto _ : state) benchmark::DoNotOptimize(w.expire(now, 64, [](uint32_t) {}));
}
BENCHMARK(BM_WheelIdlePoll);

void BM_OptionsParse(benchmark::State& state) {
  wire::TcpOptions o{.has_timestamps = true, .ts_val = 1, .ts_ecr = 2, .sack = {{1, 2}, {3, 4}, {5, 6}}};
  o.sack_blocks = static_cast<uint8_t>(state.range(0));
  uint8_t wire[wire::kMaxTcpOptions];
  const unsigned n = wire::build_tcp_options(wire, o);
  const Clocks clocks(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(wire);
    benchmark::DoNotOptimize(wire::parse_tcp_options({wire, n}));
  }
}
BENCHMARK(BM_OptionsParse)->ArgName("sack")->Arg(0)->Arg(3);

void BM_OptionsBuild(benchmark::State& state) {
  wire::TcpOptions o{.has_timestamps = true, .ts_val = 1, .ts_ecr = 2};
  uint8_t wire[wire::kMaxTcpOptions];
  const Clocks clocks(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(o);
    benchmark::DoNotOptimize(wire::build_tcp_options(wire, o));
    benchmark::DoNotOptimize(wire);
  }
}
BENCHMARK(BM_OptionsBuild);

Tuple client(uint32_t i) {
  return {Ip4::from_host(0xc6120001), Ip4::from_host(0xc6130000 + (i >> 15)), 80, static_cast<uint16_t>(i & 0x7fff)};
}

// A burst of 32, as a stack engine takes them: hashed and prefetched, then found.
void BM_TableFind(benchmark::State& state) {
  const auto connections = static_cast<uint32_t>(state.range(0));
  Slab<Tcb> slab(connections);
  const HashKey key{{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5}};
  ConnectionTable table(key, slab);
  for (uint32_t i = 0; i < connections; i++) {
    Tcb& c = slab.at(slab.take());
    c.tuple = client(i);
    c.hash = table.hash(c.tuple);
    table.insert(i);
  }
  Random random;
  uint64_t missed = 0;
  constexpr unsigned kBurst = 32;
  uint64_t spent = 0;
  for (auto _ : state) {
    Tuple t[kBurst];
    for (Tuple& x : t) x = client(random.below(connections));
    const uint64_t start = rte_rdtsc();
    uint64_t h[kBurst];
    for (unsigned i = 0; i < kBurst; i++) table.prefetch(h[i] = table.hash(t[i]));
    for (unsigned i = 0; i < kBurst; i++) table.prefetch_block(h[i]);
    for (unsigned i = 0; i < kBurst; i++) missed += table.find(t[i], h[i]) == kNone;
    spent += rte_rdtsc() - start;
  }
  state.counters["clk"] = static_cast<double>(spent) / static_cast<double>(state.iterations()) / kBurst;
  if (missed) state.SkipWithError("connections were not found");
}
BENCHMARK(BM_TableFind)->Arg(100)->Arg(100'000)->Arg(1'000'000);

void BM_OnAck(benchmark::State& state) {
  Tuning t;
  t.congestion = state.range(0) ? CongestionControl::cubic : CongestionControl::newreno;
  Instant now{1'000'000'000'000};
  Congestion c;
  c.start(t, now, 1448, false);
  while (c.cwnd() < 4'000'000) c.on_ack(now, 14'480, c.cwnd(), Duration::millis(20));
  c.enter_recovery(now, c.cwnd());
  c.leave_recovery();
  uint64_t n = 0;
  const Clocks clocks(state);
  for (auto _ : state) {
    now = now + Duration::nanos(20'000);
    c.on_ack(now, 2896, c.cwnd(), Duration::millis(20));
    if (++n % 100'000 == 0) c.enter_recovery(now, c.cwnd()), c.leave_recovery();
  }
  benchmark::DoNotOptimize(c.cwnd());
}
BENCHMARK(BM_OnAck)->ArgName("cubic")->Arg(0)->Arg(1);

void BM_Cookie(benchmark::State& state) {
  const Secrets secrets{.cookie = {1, 2}};
  const Tuple t = client(77);
  Instant now{1'000'000'000'000};
  uint32_t irs = 0, bad = 0;
  const Clocks clocks(state);
  for (auto _ : state) {
    CookieOffer o{.mss = 1460};
    const Cookie c = make_cookie(secrets, now, t, {++irs}, o, 5);
    bad += !check_cookie(secrets, now, t, {irs}, c.iss, &c.ts_val, o);
  }
  if (bad) state.SkipWithError("a cookie was refused");
}
BENCHMARK(BM_Cookie)->Name("BM_CookieMakeAndCheck");

void BM_InitialSequence(benchmark::State& state) {
  const Secrets secrets{.isn = {1, 2}};
  Tuple t = client(77);
  const Clocks clocks(state);
  for (auto _ : state) {
    t.remote_port++;
    benchmark::DoNotOptimize(initial_sequence(secrets, Instant{5}, t));
  }
}
BENCHMARK(BM_InitialSequence);

}  // namespace
}  // namespace sluice::tcp

BENCHMARK_MAIN();
