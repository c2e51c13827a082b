// What an acknowledgment costs the sender in a bulk transfer: acknowledge() and the output() that it makes possible, with
// the segments handed to a sink that takes them as they are. Clocks of the time stamp counter per ACK.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <algorithm>
#include <vector>

#include "tcp/sender.h"

using namespace sluice;
using namespace sluice::tcp;

namespace {

struct Nowhere final : Sink {
  bool send(const OutSegment& s) override {
    benchmark::DoNotOptimize(s.seq.v);
    bytes += s.length;
    return true;
  }
  uint64_t bytes = 0;
};

struct Bulk {
  static constexpr uint32_t kWindow = 1 << 20;

  explicit Bulk(bool timestamps, CongestionControl cc) : core(config(cc), Secrets{}, buffers, sink) {
    core.now = Instant{Duration::seconds(1).ns};
    c = &core.tcbs.at(core.tcbs.take());
    c->tuple = {Ip4::from_host(1), Ip4::from_host(2), 80, 4000};
    c->iss = Seq{1};
    c->rcv_nxt = Seq{1};
    c->snd_mss = 1460;
    c->snd_wind_shift = 7;
    c->sack_ok = true;
    c->ts_ok = timestamps;
    c->tx.send_buffer = 4 * kWindow;
    c->state = State::syn_received;
    send_syn(core, *c);
    step(100);
    c->state = State::established;
    const InSegment s = ack_of(c->iss + 1);
    syn_acknowledged(core, *c, s);
    fill();
  }
  ~Bulk() { drop_sending(core, *c); }

  void step(int64_t us) { core.now = core.now + Duration::micros(us); }
  InSegment ack_of(Seq n) {
    InSegment s;
    s.tuple = c->tuple;
    s.flags = wire::kTcpAck;
    s.seq = c->rcv_nxt;
    s.ack = n;
    s.window = kWindow >> 7;
    s.options.has_timestamps = c->ts_ok;
    s.options.ts_ecr = core.timestamp_of(*c);
    return s;
  }
  void fill() {
    while (send_room(*c) >= bytes.size()) {
      const Slice s{.data = bytes.data(), .length = static_cast<uint32_t>(bytes.size())};
      enqueue(core, *c, &s, 1);
    }
    output(core, *c);
  }

  static Config config(CongestionControl cc) {
    Config k;
    k.tuning.congestion = cc;
    k.limits.connections = 16;
    return k;
  }

  std::vector<uint8_t> bytes = std::vector<uint8_t>(16384);
  Buffers buffers{nullptr, 1000};
  Nowhere sink;
  Core core;
  Tcb* c;
};

// The median over bursts of clocks per ACK: on a shared machine the mean says more about its neighbours.
class Clocks {
 public:
  void begin() { start_ = rte_rdtsc_precise(); }
  void end(unsigned acks) { all_.push_back(static_cast<double>(rte_rdtsc_precise() - start_) / acks); }
  double median() {
    std::nth_element(all_.begin(), all_.begin() + static_cast<long>(all_.size() / 2), all_.end());
    return all_[all_.size() / 2];
  }

 private:
  uint64_t start_ = 0;
  std::vector<double> all_;
};

// One ACK for every two segments, each answered with what it lets out: nothing is saved up over a burst.
void acknowledgments(benchmark::State& state, bool timestamps, CongestionControl cc) {
  Bulk b(timestamps, cc);
  const auto two = static_cast<uint32_t>(2 * b.c->tx.mss);
  constexpr unsigned kBurst = 32;
  InSegment s[kBurst];
  Clocks clocks;
  for (auto _ : state) {
    b.step(kBurst * 20);
    for (unsigned i = 0; i < kBurst; i++) s[i] = b.ack_of(b.c->snd_una + (i + 1) * two);
    clocks.begin();
    for (const InSegment& a : s) {
      acknowledge(b.core, *b.c, a);
      output(b.core, *b.c);
      b.core.now = b.core.now + Duration::nanos(1);  // no two transmissions share a record
    }
    clocks.end(kBurst);
    b.core.timers.expire(b.core.now, 10, [&](uint32_t) { retransmit_timer(b.core, *b.c); });
    b.fill();
  }
  state.counters["clocks/ACK"] = clocks.median();
  state.counters["cwnd"] = b.c->cc.cwnd();
  state.counters["sent MB"] = static_cast<double>(b.sink.bytes) / 1e6;
}
BENCHMARK_CAPTURE(acknowledgments, timestamps_cubic, true, CongestionControl::cubic);
BENCHMARK_CAPTURE(acknowledgments, timestamps_newreno, true, CongestionControl::newreno);
BENCHMARK_CAPTURE(acknowledgments, plain_cubic, false, CongestionControl::cubic);

// A hole at the front, and SACKs that grow above it: what each costs while the scoreboard is in use.
void selective(benchmark::State& state) {
  Bulk b(true, CongestionControl::cubic);
  Clocks clocks;
  std::vector<InSegment> told;
  for (auto _ : state) {
    const Seq una = b.c->snd_una, top = b.c->snd_nxt;
    const uint32_t mss = b.c->tx.mss;
    told.clear();
    b.step(100);
    for (Seq edge = una + 2 * mss; edge <= top; edge += mss) {
      InSegment s = b.ack_of(una);
      s.options.sack_blocks = 1;
      s.options.sack[0] = {(una + mss).v, edge.v};
      told.push_back(s);
    }
    clocks.begin();
    for (const InSegment& s : told) {
      acknowledge(b.core, *b.c, s);
      output(b.core, *b.c);
    }
    if (!told.empty()) clocks.end(static_cast<unsigned>(told.size()));
    b.step(100);
    acknowledge(b.core, *b.c, b.ack_of(b.c->snd_nxt));
    b.core.timers.expire(b.core.now, 10, [&](uint32_t) { retransmit_timer(b.core, *b.c); });
    b.fill();
  }
  state.counters["clocks/ACK"] = clocks.median();
}
BENCHMARK(selective);

}  // namespace

BENCHMARK_MAIN();
