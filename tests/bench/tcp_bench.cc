// Two TCP stacks joined in memory, on one core: what the library costs without ports and IP. Frames are flat, copied
// and summed as on a port without offloads ("flat"), or handed over by reference as on one with segmentation and
// checksum offload ("offload").
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

#include "packet/meta.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "tests/bench/eal_main.h"
#include "wire/checksum.h"

using namespace sluice;
using namespace sluice::tcp;

namespace {

constexpr uint16_t kMtu = 1500;

rte_mempool* pool() {
  static rte_mempool* p = rte_pktmbuf_pool_create("bench", 8191, 256, kMbufPrivate, 2176, 0);
  return p;
}

// Carries what one stack sends into the other, in bursts, on one virtual clock.
class Wire final : public Sink {
 public:
  explicit Wire(bool offload) : offload_(offload) {}

  bool send(const OutSegment& s) override {
    InSegment in{.tuple = {s.tuple.remote, s.tuple.local, s.tuple.remote_port, s.tuple.local_port},
                 .seq = s.seq,
                 .ack = s.ack,
                 .flags = s.flags,
                 .window = s.window,
                 .options = wire::parse_tcp_options(s.options),
                 .ecn = s.ecn,
                 .mtu = kMtu};
    uint32_t left = s.length;
    size_t piece = 0;
    uint32_t at = 0;
    do {
      in.m = nullptr;
      in.offset = in.length = 0;
      const uint32_t most = offload_ ? 65000 : s.mss;
      uint32_t n = left < most ? left : most;
      if (n) {
        const bool lent = offload_ && s.payload[piece].m;
        if (lent) {
          n = std::min(n, s.payload[piece].length - at);
          in.m = lend(s.payload[piece], at, n);
          if ((at += n) == s.payload[piece].length) piece++, at = 0;
        } else {
          in.m = copy(s, piece, at, n);
        }
        if (!in.m) return false;
      }
      in.length = static_cast<uint16_t>(n);
      left -= n;
      in.flags = left ? static_cast<uint8_t>(s.flags & ~(wire::kTcpFin | wire::kTcpPsh)) : s.flags;
      queue.push_back(in);
      in.seq += n;
    } while (left);
    return true;
  }

  bool offload() const { return offload_; }

  std::vector<InSegment> queue;
  uint64_t sum = 0;  // keeps the compiler from leaving the checksums out

 private:
  static rte_mbuf* lend(const Slice& s, uint32_t at, uint32_t n) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool());
    if (!m) return nullptr;
    rte_pktmbuf_attach(m, s.m);
    m->data_off = static_cast<uint16_t>(s.data + at - static_cast<uint8_t*>(m->buf_addr));
    m->data_len = static_cast<uint16_t>(n);
    m->pkt_len = n;
    return m;
  }
  rte_mbuf* copy(const OutSegment& s, size_t& piece, uint32_t& at, uint32_t n) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool());
    if (!m) return nullptr;
    auto* to = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(n)));
    for (uint32_t done = 0; done < n;) {
      const uint32_t k = std::min(n - done, s.payload[piece].length - at);
      sum = wire::copy_and_sum(to + done, s.payload[piece].data + at, k, sum);
      done += k;
      if ((at += k) == s.payload[piece].length) piece++, at = 0;
    }
    return m;
  }
  bool offload_;
};

class Pair {
 public:
  explicit Pair(bool offload, uint32_t connections = 4096)
      : to_b(offload), to_a(offload), a(config(connections), secrets(1), buffers_a, to_b), b(config(connections), secrets(2), buffers_b, to_a) {
    ListenOptions o{.port = 80};
    if (b.listen(o, listener) != Outcome::ok) std::abort();
  }

  ConnId connect(uint32_t salt = 0) {
    ConnectOptions o;
    o.tuple = {Ip4::from_host(0x0a000001 + salt), Ip4::from_host(0xc6120002), 0, 80};
    ConnId id;
    if (a.connect(now, o, id) != Outcome::ok) std::abort();
    return id;
  }

  // Both wires emptied once. Returns segments carried.
  size_t turn() {
    now = now + Duration::micros(5);
    size_t n = carry(to_b, b, buffers_b) + carry(to_a, a, buffers_a);
    if (now >= a.next_deadline()) a.tick(now);
    if (now >= b.next_deadline()) b.tick(now);
    a.flush(now);
    b.flush(now);
    return n;
  }

  size_t carry(Wire& w, Stack& to, Buffers&) {
    std::swap(w.queue, burst);
    for (size_t i = 0; i < burst.size(); i++) {
      if (i + 1 < burst.size() && burst[i + 1].m) rte_prefetch0(rte_mbuf_to_priv(burst[i + 1].m));
      InSegment& s = burst[i];
      if (s.m && !w.offload()) w.sum += wire::sum_bytes(rte_pktmbuf_mtod(s.m, const uint8_t*), s.length);
      const Taken t = to.receive(now, s);
      if (t.by != Taken::By::library && s.m) rte_pktmbuf_free(s.m);
      if ((i & 63) == 63) to.flush(now);
    }
    to.flush(now);
    const size_t n = burst.size();
    burst.clear();
    return n;
  }

  static Config config(uint32_t connections) {
    Config c;
    c.limits.connections = connections;
    c.limits.half_open = c.limits.cookie_mark = connections;
    c.limits.time_wait = std::min(connections / 2, 32768u);
    c.tuning.receive_buffer = c.tuning.send_buffer = 1 << 20;
    return c;
  }
  static Secrets secrets(uint64_t k) {
    Secrets s;
    s.table = {{k * 77 + 1, k * 99 + 3, k * 1234567, k * 987654321}};
    s.isn[0] = k, s.isn[1] = ~k, s.timestamp[0] = k * 3, s.cookie[0] = k * 5, s.seed = k;
    return s;
  }

  Instant now{1'000'000'000};
  Buffers buffers_a{pool(), 8000}, buffers_b{pool(), 8000};
  Wire to_b, to_a;
  Stack a, b;
  ListenerId listener = kNoListener;
  std::vector<InSegment> burst;
};

// Connect, one small request, one small answer, close by both: as many as go in parallel.
void connections(benchmark::State& state) {
  Pair p(true, 65536);
  constexpr unsigned kParallel = 64;
  static const uint8_t kRequest[64] = {};
  std::array<Event, 256> ev;
  uint64_t done = 0, opened = 0;
  const Slice s{kRequest, sizeof kRequest, nullptr, nullptr};
  unsigned open = 0;
  const uint64_t t0 = rte_rdtsc();
  for (auto _ : state) {
    const uint64_t until = done + 1000;
    while (done < until) {
      while (open < kParallel) p.connect(static_cast<uint32_t>(opened++ % 4096)), open++;
      p.turn();
      unsigned n;
      while ((n = p.b.events(ev)) != 0)
        for (unsigned i = 0; i < n; i++) {
          if (ev[i].kind == EventKind::data) {
            p.b.receive_done(p.now, ev[i].conn, ev[i].length);
            p.buffers_b.free(ev[i].m);
            p.b.send(p.now, ev[i].conn, {&s, 1});
          } else if (ev[i].kind == EventKind::peer_closed) {
            p.b.close(p.now, ev[i].conn);
          }
        }
      while ((n = p.a.events(ev)) != 0)
        for (unsigned i = 0; i < n; i++) {
          if (ev[i].kind == EventKind::connected) p.a.send(p.now, ev[i].conn, {&s, 1});
          if (ev[i].kind == EventKind::data) {
            p.a.receive_done(p.now, ev[i].conn, ev[i].length);
            p.buffers_a.free(ev[i].m);
            p.a.close(p.now, ev[i].conn);
            open--;
            done++;
          }
          if (ev[i].kind == EventKind::failed) std::abort();
        }
    }
  }
  state.counters["conn/s"] = benchmark::Counter(static_cast<double>(done), benchmark::Counter::kIsRate);
  state.counters["clk/conn"] = static_cast<double>(rte_rdtsc() - t0) / static_cast<double>(done);
}
BENCHMARK(connections)->Unit(benchmark::kMillisecond);

void bulk(benchmark::State& state) {
  Pair p(state.range(0) != 0);
  const ConnId id = p.connect();
  std::array<Event, 256> ev;
  ConnId peer;
  for (int i = 0; i < 10; i++) p.turn();
  while (p.b.events(ev)) peer = ev[0].conn;
  while (p.a.events(ev)) {}
  uint64_t received = 0, segments = 0;
  const uint64_t t0 = rte_rdtsc();
  for (auto _ : state) {
    const uint64_t until = received + (16 << 20);
    while (received < until) {
      while (p.a.send_room(id) >= 2048) {
        rte_mbuf* m = p.buffers_a.make();
        if (!m) break;
        const Slice s{rte_pktmbuf_mtod(m, const uint8_t*), 2048, m, nullptr};
        if (p.a.send(p.now, id, {&s, 1}) != Outcome::ok) {
          p.buffers_a.free(m);
          break;
        }
      }
      p.a.flush(p.now);
      segments += p.turn();
      unsigned n;
      while ((n = p.b.events(ev)) != 0)
        for (unsigned i = 0; i < n; i++)
          if (ev[i].kind == EventKind::data) {
            received += ev[i].length;
            p.b.receive_done(p.now, ev[i].conn, ev[i].length);
            p.buffers_b.free(ev[i].m);
          }
      while (p.a.events(ev)) {}
    }
  }
  state.counters["Gbit/s"] = benchmark::Counter(static_cast<double>(received) * 8e-9, benchmark::Counter::kIsRate);
  state.counters["clk/segment"] = static_cast<double>(rte_rdtsc() - t0) / static_cast<double>(segments);
  state.counters["retransmitted"] = static_cast<double>(p.a.counters().retransmitted_segments);
  (void)peer;
}
BENCHMARK(bulk)->ArgNames({"offload"})->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

uint64_t resident() {
  uint64_t size = 0, pages = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%lu %lu", &size, &pages) != 2) pages = 0;
    std::fclose(f);
  }
  return pages * 4096;
}

// Memory that one end's idle connections take: the growth of the process, halved, since both ends are here.
void idle_memory(benchmark::State& state) {
  const auto n = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    const uint64_t before = resident();
    Pair p(true, n + 16);
    std::array<Event, 256> ev;
    for (uint32_t i = 0; i < n;) {
      for (unsigned k = 0; k < 256 && i < n; k++, i++) p.connect(i / 20000);
      for (int t = 0; t < 4; t++) p.turn();
      while (p.b.events(ev)) {}
      while (p.a.events(ev)) {}
    }
    if (p.b.sizes().connections != n) std::abort();
    state.counters["bytes/conn"] = static_cast<double>(resident() - before) / 2 / n;
    state.counters["MiB"] = static_cast<double>(resident() - before) / 2 / (1 << 20);
  }
}
BENCHMARK(idle_memory)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, 512); }
