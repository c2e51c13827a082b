// One worker's pipeline over packets from memory: clocks a packet, by burst size, number of flows and features.
//
// Each row runs twice: `clk` is the pipeline alone, after taking off what the same loop costs without it
// (allocate, write 64 bytes, free: `source_clk`). A flow's packets are drawn at random, so the prefetcher is of
// no help. Compare with the yardsticks: VPP forwards one flow in 55 clk and holds a stateful ACL in 206 (100k
// flows); testpmd's macswap takes 47 with no source at all.
//   BM_Forward/FLOWS/BURST    plain router, one route
//   BM_Forward6               the same, IPv6
//   BM_Stateful               100 rules, sessions, established flows
//   BM_NewFlows               every packet is a new flow: the slow path
//   BM_Local/FLOWS            packets for the box itself, to the stack's ring
//   BM_Own/DESTINATIONS       packets of the box's own from the stack's ring, as TCP's answers are
#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "packet/pool.h"
#include "path/pipeline.h"
#include "tests/bench/eal_main.h"
#include "wire/checksum.h"

namespace sluice {
namespace {

struct Sink : path::Out {
  uint64_t sent = 0, punted = 0;
  void drain() {
    while (dirty) {
      const auto p = static_cast<uint16_t>(__builtin_ctzll(dirty));
      flush_tx(p);
    }
    flush_stack();
  }
  void flush_tx(uint16_t p) override {
    rte_pktmbuf_free_bulk(tx[p].pkt, tx[p].n);
    sent += tx[p].n;
    tx[p].n = 0;
    dirty &= ~(uint64_t{1} << p);
  }
  void flush_stack() override {
    rte_pktmbuf_free_bulk(stack.pkt, stack.n);
    punted += stack.n;
    stack.n = 0;
  }
  void flush_worker(unsigned) override {}
};

const Mac kMac[2] = {{{2, 0, 0, 0, 0, 1}}, {{2, 0, 0, 0, 0, 2}}};

// Writes frames of 60 bytes, UDP, 10.x.x.x or 2001:db8::x to one destination: a flow is a source address.
class Source {
 public:
  explicit Source(bool six) : six_(six) {
    auto* eth = wire::at<wire::EthHdr>(template_);
    eth->dst = kMac[0];
    eth->src = {{2, 9, 9, 9, 9, 9}};
    eth->type = be16::from(six ? wire::kEthIp6 : wire::kEthIp4);
    size_t l4;
    if (six) {
      auto* ip = wire::at<wire::Ip6Hdr>(template_ + 14);
      ip->version_class_flow = be32::from(6u << 28);
      ip->payload_length = be16::from(8);
      ip->next_header = wire::kProtoUdp, ip->hop_limit = 64;
      ip->src = *parse_ip6("2001:db8:1::"), ip->dst = *parse_ip6("2001:db8:2::2");
      l4 = 54;
    } else {
      auto* ip = wire::at<wire::Ip4Hdr>(template_ + 14);
      ip->version_ihl = 0x45, ip->total_length = be16::from(46);
      ip->ttl = 64, ip->proto = wire::kProtoUdp;
      ip->src = *parse_ip4("10.0.0.0"), ip->dst = *parse_ip4("198.18.2.2");
      sum_ = wire::sum_bytes(template_ + 14, 20);
      l4 = 34;
    }
    auto* udp = wire::at<wire::UdpHdr>(template_ + l4);
    udp->sport = be16::from(1000), udp->dport = be16::from(2000), udp->length = be16::from(six ? 8 : 26);
  }
  void write(rte_mbuf* m, uint32_t flow) const {
    uint8_t* p = rte_pktmbuf_mtod(m, uint8_t*);
    std::memcpy(p, template_, 64);
    const uint32_t raw = be32::from(flow).raw();
    if (six_) {
      std::memcpy(p + 14 + 20, &raw, 4);
    } else {
      const uint32_t src = be32::from(0x0a000000 | flow).raw();
      std::memcpy(p + 26, &src, 4);
      const uint16_t c = static_cast<uint16_t>(~wire::fold16(sum_ + raw));
      std::memcpy(p + 24, &c, 2);
    }
    m->data_len = 62;
    m->pkt_len = 62;
    m->port = 0;
  }

 private:
  bool six_;
  alignas(64) uint8_t template_[64] = {};
  uint64_t sum_ = 0;
};

struct Lab {
  Lab(bool six, uint32_t flows, unsigned rules) : neighbors(64, HashKey{{1, 2, 3, 4}}), source(six) {
    PacketPool::Options o;
    o.packets = 4096;
    pool = std::move(PacketPool::create("bench", o).value());
    Interfaces ifs;
    for (unsigned p = 0; p < 2; p++) {
      Interface i;
      i.mac = kMac[p];
      i.link_local = link_local_of(i.mac);
      ifs.port.push_back(i);
    }
    s.interfaces = std::make_shared<Interfaces>(ifs);
    auto r = std::make_shared<path::Routes>();
    path::NextHopGroup g;
    g.hops = 1;
    g.hop[0] = {1, six ? IpAddr(*parse_ip6("2001:db8:2::9")) : IpAddr(*parse_ip4("198.18.2.9"))};
    r->groups.push_back(g);
    r->fib4 = std::move(Fib4::build({{*parse_prefix("198.18.0.0/16"), 0}}).value());
    r->fib6 = std::move(Fib6::build({{*parse_prefix("2001:db8:2::/48"), 0}}).value());
    s.routes = r;
    neighbors.set(neighbors.insert(1, g.hop[0].via), NeighborState::reachable, {{2, 8, 8, 8, 8, 8}}, true);
    if (rules) add_rules(rules);
    path::PipelineConfig c;
    c.flows4 = six ? 1024 : flows * 2 + 1024;
    c.flows6 = six ? flows * 2 + 1024 : 1024;
    c.flow_key = {{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5}};
    pipeline = std::make_unique<path::Pipeline>(c, neighbors, *account, pool->mempool());
  }
  void add_rules(unsigned n) {
    std::vector<Rule> rules;
    for (unsigned i = 1; i < n; i++) {
      Rule r;
      r.name = "r" + std::to_string(i);
      r.destinations = {*parse_prefix("192.0." + std::to_string(i % 256) + ".0/24")};
      r.dports = {{static_cast<uint16_t>(i), static_cast<uint16_t>(i)}};
      rules.push_back(r);
    }
    Rule last;
    last.name = "permit";
    last.action = RuleAction::permit;
    rules.push_back(last);
    s.filter.rules = std::move(RuleSet::build(rules, {}).value());
  }
  uint32_t random() {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return static_cast<uint32_t>(x >> 16);
  }
  // One burst of `n`; clocks. Flows from `first` on in order, or at random below `flows`.
  template <bool kPipeline>
  uint64_t burst(unsigned n, uint32_t flows, uint32_t first, bool in_order) {
    const uint64_t start = rte_rdtsc();
    rte_mbuf* m[kMaxBurst];
    rte_pktmbuf_alloc_bulk(pool->mempool(), m, n);
    for (unsigned i = 0; i < n; i++)
      source.write(m[i], in_order ? first + i : static_cast<uint32_t>(uint64_t{random()} * flows >> 32));
    if constexpr (kPipeline) {
      pipeline->receive(s, now, 0, m, n, sink);
      sink.drain();
    } else {
      rte_pktmbuf_free_bulk(m, n);
    }
    return rte_rdtsc() - start;
  }

  NeighborTable neighbors;
  Source source;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<Account> account = std::make_unique<Account>();
  path::Snapshot s;
  Sink sink;
  std::unique_ptr<path::Pipeline> pipeline;
  Instant now{Duration::seconds(1).ns};
  uint64_t x = 0x9e3779b97f4a7c15;
};

constexpr unsigned kBursts = 64;  // timed together

// Of samples short enough that few are interrupted: other work on the machine does not count.
double median(std::vector<uint64_t>& v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return static_cast<double>(v[v.size() / 2]);
}

void run(benchmark::State& state, Lab& lab, unsigned n) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  for (uint32_t f = 0; f < flows; f += 32) lab.burst<true>(32, flows, f, flows >= 32);
  std::vector<uint64_t> with, without;
  for (auto _ : state) {
    uint64_t clk = 0;
    for (unsigned i = 0; i < kBursts; i++) clk += lab.burst<true>(n, flows, 0, false);
    with.push_back(clk);
    clk = 0;
    for (unsigned i = 0; i < kBursts; i++) clk += lab.burst<false>(n, flows, 0, false);
    without.push_back(clk);
  }
  const double total = median(with) / (kBursts * n), source = median(without) / (kBursts * n);
  state.counters["clk"] = total - source;
  state.counters["source_clk"] = source;
  state.counters["total_clk"] = total;
  state.counters["flows"] = static_cast<double>(lab.pipeline->flows());
}

void forward(benchmark::State& state, bool six, unsigned rules) {
  Lab lab(six, static_cast<uint32_t>(state.range(0)), rules);
  run(state, lab, static_cast<unsigned>(state.range(1)));
  if (lab.sink.punted != 0 || lab.sink.sent == 0) state.SkipWithError("packets were not forwarded");
}

void BM_Forward(benchmark::State& s) { forward(s, false, 0); }
void BM_Forward6(benchmark::State& s) { forward(s, true, 0); }
void BM_Stateful(benchmark::State& s) { forward(s, false, 100); }
BENCHMARK(BM_Forward)->Args({1, 1})->Args({1, 4})->Args({1, 16})->Args({1, 32})->Args({1, 64})
    ->Args({1000, 32})->Args({100'000, 32})->Args({1'000'000, 32});
BENCHMARK(BM_Forward6)->Args({1, 32})->Args({1'000'000, 32});
BENCHMARK(BM_Stateful)->Args({1, 32})->Args({100'000, 32})->Args({1'000'000, 32});

void BM_NewFlows(benchmark::State& state) {
  const uint32_t kFlows = 1'000'000;
  Lab lab(false, kFlows, static_cast<unsigned>(state.range(0)));
  uint32_t next = 0;
  std::vector<uint64_t> with;
  for (auto _ : state) {
    with.push_back(lab.burst<true>(32, kFlows, next, true));
    next = (next + 32) % (1u << 24);  // the table fills, then the oldest entries go
    lab.now = lab.now + Duration::micros(10);
  }
  state.counters["total_clk"] = median(with) / 32;
  state.counters["flows"] = static_cast<double>(lab.pipeline->flows());
}
BENCHMARK(BM_NewFlows)->Arg(0)->Arg(100);

void BM_Local(benchmark::State& state) {
  Lab lab(false, static_cast<uint32_t>(state.range(0)), 0);
  auto routes = std::make_shared<path::Routes>(*lab.s.routes);
  routes->groups[0].kind = path::NextHopGroup::Kind::local;
  lab.s.routes = routes;
  run(state, lab, 32);
  if (lab.sink.sent != 0 || lab.sink.punted == 0) state.SkipWithError("packets did not go to the stack");
}
BENCHMARK(BM_Local)->Arg(1)->Arg(1000)->Arg(100'000);

void BM_Own(benchmark::State& state) {
  constexpr unsigned kBurst = 32;
  Lab lab(false, 1, 0);
  const auto destinations = static_cast<uint32_t>(state.range(0));
  Meta meta;
  meta.kind = RingKind::route;
  meta.flags = kMetaLocalOrigin;
  meta.family = 4, meta.proto = wire::kProtoTcp;
  meta.l3 = 14, meta.l4 = 34, meta.ip_length = 46, meta.in_port = 1;
  const auto burst = [&](bool pipeline) {
    const uint64_t start = rte_rdtsc();
    rte_mbuf* m[kBurst];
    rte_pktmbuf_alloc_bulk(lab.pool->mempool(), m, kBurst);
    for (unsigned i = 0; i < kBurst; i++) {
      lab.source.write(m[i], 1);
      const auto to = static_cast<uint32_t>(uint64_t{lab.random()} * destinations >> 32);
      wire::at<wire::Ip4Hdr>(rte_pktmbuf_mtod_offset(m[i], uint8_t*, 14))->dst = Ip4::from_host(0xc6120000 | to);
      stash(m[i]) = meta;
      m[i]->port = RTE_MBUF_PORT_INVALID;
    }
    if (pipeline) {
      lab.pipeline->from_ring(lab.s, lab.now, m, kBurst, lab.sink);
      lab.sink.drain();
    } else {
      rte_pktmbuf_free_bulk(m, kBurst);
    }
    return rte_rdtsc() - start;
  };
  std::vector<uint64_t> with, without;
  for (auto _ : state) {
    uint64_t clk = 0;
    for (unsigned i = 0; i < kBursts; i++) clk += burst(true);
    with.push_back(clk);
    clk = 0;
    for (unsigned i = 0; i < kBursts; i++) clk += burst(false);
    without.push_back(clk);
  }
  state.counters["clk"] = (median(with) - median(without)) / (kBursts * kBurst);
  if (lab.sink.punted != 0 || lab.sink.sent == 0) state.SkipWithError("packets did not leave");
}
BENCHMARK(BM_Own)->Arg(1)->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::bench::run(argc, argv, 512); }
