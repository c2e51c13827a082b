// Bulk transfer through TCP's way to IP (src/stack): a host stack sends, on one core with the TCP library that receives.
// What the port between them does is free, as in hardware: it checks and completes checksums, and cuts. `port`: 0 nothing,
// so that the receiver sums, too; 1 TCP checksums; 2 chains as well; 3 segmentation as well, and the receiver gets the
// pieces as they were sent.
#include <benchmark/benchmark.h>
#include <rte_mbuf.h>

#include <array>
#include <vector>

#include "packet/buf.h"
#include "packet/clone_pool.h"
#include "packet/pool.h"
#include "stack/host_stack.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "tests/bench/eal_main.h"
#include "wire/checksum.h"

using namespace sluice;

namespace {

constexpr uint16_t kMtu = 1500, kPort = 80;
constexpr unsigned kEth = sizeof(wire::EthHdr), kIp = sizeof(wire::Ip4Hdr);
constexpr TxOffloads kPorts[] = {{}, {.tcp_checksum = true}, {.tcp_checksum = true, .segments = 40},
                                 {.tcp_checksum = true, .segments = 40, .tso_segments = 64}};
const Ip4 kHere = Ip4::from_host(0x0a000001), kThere = Ip4::from_host(0x0a000002);

tcp::Config tcp_config() {
  tcp::Config c;
  c.limits.connections = c.limits.half_open = c.limits.cookie_mark = 64;
  c.limits.time_wait = 32;
  c.tuning.receive_buffer = c.tuning.send_buffer = 1 << 20;
  return c;
}

// The sending box's engine, the port, and the peer.
class Pair final : public stack::StackOut, public stack::RouteQuery, private tcp::Sink {
 public:
  explicit Pair(unsigned port)
      : tx(kPorts[port]),
        pool(std::move(PacketPool::create("bench" + std::to_string(number), {.packets = 16384, .cache = 256, .huge_pages = false}).value())),
        clones(std::move(ClonePool::create("clones" + std::to_string(number++), 16384, 256).value())),
        neighbors(16, HashKey{{1, 2, 3, 4}}),
        received(pool->mempool(), 12000),
        peer(tcp_config(), secrets(2), received, *this) {
    ifs.port.resize(1);
    ifs.port[0].name = "p";
    ifs.port[0].mtu = kMtu;
    ifs.port[0].addresses = {Prefix{kHere, 24}};
    stack::StackConfig c;
    c.tcp = tcp_config();
    c.tcp_buffers = 12000;
    c.announce = 0;
    c.secrets = secrets(1);
    c.tx = tx;
    c.clones = clones->mempool();
    host = std::make_unique<stack::HostStack>(c, neighbors, account, pool->mempool(), *this);
    host->tick(ifs, now, *this);
    tcp::ListenerId listener;
    if (peer.listen({.port = kPort}, listener) != tcp::Outcome::ok) std::abort();
  }
  ~Pair() {
    for (rte_mbuf* m : to_peer) rte_pktmbuf_free(m);
    for (rte_mbuf* m : to_host) rte_pktmbuf_free(m);
  }

  void turn() {
    now = now + Duration::micros(5);
    std::swap(to_peer, burst);
    for (size_t i = 0; i < burst.size(); i++) {
      arrive(burst[i]);
      if ((i & 63) == 63) peer.flush(now);
    }
    burst.clear();
    peer.flush(now);
    if (now >= peer.next_deadline()) peer.tick(now);
    for (size_t at = 0; at < to_host.size();) {
      const unsigned n = static_cast<unsigned>(std::min<size_t>(kMaxBurst, to_host.size() - at));
      host->receive(ifs, now, to_host.data() + at, n, *this);
      at += n;
    }
    to_host.clear();
    if (now >= host->next_deadline()) host->tick(ifs, now, *this);
  }

  const TxOffloads tx;
  static inline unsigned number = 0;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<ClonePool> clones;
  Account account;
  NeighborTable neighbors;
  Interfaces ifs;
  Instant now{1'000'000'000};
  Buffers received;
  tcp::Stack peer;
  std::unique_ptr<stack::HostStack> host;
  uint64_t packets = 0;

 private:
  static tcp::Secrets secrets(uint64_t k) {
    tcp::Secrets s;
    s.table = {{k * 77 + 1, k * 99 + 3, k * 1234567, k * 987654321}};
    s.isn[0] = k, s.isn[1] = ~k, s.timestamp[0] = k * 3, s.cookie[0] = k * 5, s.seed = k;
    return s;
  }
  void emit(rte_mbuf* m) override {
    packets++;
    to_peer.push_back(m);
  }
  void exception(rte_mbuf* m) override { rte_pktmbuf_free(m); }
  bool hand_over(const tcp::Tuple&, rte_mbuf*) override { return false; }
  std::optional<stack::Way> towards(const IpAddr&) const override { return stack::Way{kHere, {0, 0}, kMtu}; }
  bool own(const IpAddr& a) const override { return a == IpAddr(kHere); }
  bool comes_here(const tcp::Tuple&) const override { return true; }

  // A packet at the peer: each mbuf of a chain is a segment in place.
  void arrive(rte_mbuf* m) {
    const wire::ConstBytes b = bytes_of(m).subspan(kEth + kIp);
    const wire::TcpHdr& h = *wire::at<wire::TcpHdr>(b.data());
    tcp::InSegment s{.tuple = {kThere, kHere, h.dport.host(), h.sport.host()},
                     .seq = {h.seq.host()}, .ack = {h.ack.host()}, .flags = h.flags, .window = h.window.host(),
                     .options = wire::parse_tcp_options(b.subspan(sizeof h, h.header_length() - sizeof h)), .mtu = kMtu};
    if (!tx.tcp_checksum) benchmark::DoNotOptimize(wire::sum_bytes(b.data(), b.size()));
    s.offset = static_cast<uint16_t>(kEth + kIp + h.header_length());
    s.length = static_cast<uint16_t>(m->data_len - s.offset);
    rte_mbuf* rest = m->next;
    if (!rest) return give(s, m);
    m->next = nullptr;
    m->nb_segs = 1;
    rte_pktmbuf_free(m);
    s.offset = 0;
    for (rte_mbuf* next; rest; rest = next) {
      next = rest->next;
      rest->next = nullptr;
      s.length = rest->data_len;
      const Seq end = s.seq + s.length;
      give(s, rest);
      s.seq = end;
    }
  }
  using Seq = tcp::Seq;
  void give(tcp::InSegment& s, rte_mbuf* m) {
    s.m = m;
    if (peer.receive(now, s).by != tcp::Taken::By::library) rte_pktmbuf_free(m);
  }
  // What the peer says: it has no data.
  bool send(const tcp::OutSegment& s) override {
    rte_mbuf* m = rte_pktmbuf_alloc(pool->mempool());
    if (!m) return false;
    const auto tcp = static_cast<uint16_t>(sizeof(wire::TcpHdr) + s.options.size());
    auto* p = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(kEth + kIp + tcp)));
    wire::Ip4Hdr& ip = *wire::at<wire::Ip4Hdr>(p + kEth);
    ip = {0x45, 0, be16::from(static_cast<uint16_t>(kIp + tcp)), {}, {}, 64, wire::kProtoTcp, {}, kThere, kHere};
    *wire::at<wire::TcpHdr>(p + kEth + kIp) = {be16::from(s.tuple.local_port), be16::from(s.tuple.remote_port), be32::from(s.seq.v),
                                              be32::from(s.ack.v), static_cast<uint8_t>(tcp / 4 << 4), s.flags,
                                              be16::from(s.window), {}, {}};
    std::copy(s.options.begin(), s.options.end(), p + kEth + kIp + sizeof(wire::TcpHdr));
    m->port = 0;
    m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    Meta& meta = stash(m) = Meta{};
    meta.family = 4, meta.proto = wire::kProtoTcp, meta.ethertype = wire::kEthIp4;
    meta.l3 = kEth, meta.l4 = kEth + kIp, meta.ip_length = static_cast<uint16_t>(kIp + tcp);
    meta.flags = kMetaPortsValid, meta.in_port = 0;
    to_host.push_back(m);
    return true;
  }

  std::vector<rte_mbuf*> to_peer, to_host, burst;
};

void bulk_through_ip(benchmark::State& state) {
  Pair p(static_cast<unsigned>(state.range(0)));
  tcp::Stack& sender = p.host->tcp().stack();
  Buffers& buffers = p.host->tcp().buffers();
  tcp::ConnId id;
  tcp::ConnectOptions o;
  o.tuple.remote = kThere;
  o.tuple.remote_port = kPort;
  p.host->command(p.ifs, p.now, p, [&] {
    if (p.host->tcp().connect(p.now, o, id) != tcp::Outcome::ok) std::abort();
  });
  std::array<tcp::Event, 256> ev;
  for (int i = 0; i < 10; i++) {
    p.host->flush(p.ifs, p.now, p);
    p.turn();
  }
  while (p.peer.events(ev)) {}
  while (sender.events(ev)) {}
  uint64_t received = 0;
  for (auto _ : state) {
    const uint64_t until = received + (16 << 20);
    while (received < until) {
      p.host->command(p.ifs, p.now, p, [&] {
        while (sender.send_room(id) >= 2048) {
          rte_mbuf* m = buffers.make();
          if (!m) break;
          const tcp::Slice s{rte_pktmbuf_mtod(m, const uint8_t*), 2048, m, nullptr};
          if (sender.send(p.now, id, {&s, 1}) == tcp::Outcome::ok) continue;
          buffers.free(m);
          break;
        }
      });
      p.host->flush(p.ifs, p.now, p);
      p.turn();
      unsigned n;
      while ((n = p.peer.events(ev)) != 0)
        for (unsigned i = 0; i < n; i++)
          if (ev[i].kind == tcp::EventKind::data) {
            received += ev[i].length;
            p.peer.receive_done(p.now, ev[i].conn, ev[i].length);
            p.received.free(ev[i].m);
          }
      while (sender.events(ev)) {}
    }
  }
  state.counters["Gbit/s"] = benchmark::Counter(static_cast<double>(received) * 8e-9, benchmark::Counter::kIsRate);
  state.counters["bytes/packet"] = static_cast<double>(received) / static_cast<double>(p.packets);
  state.counters["retransmitted"] = static_cast<double>(sender.counters().retransmitted_segments);
}
BENCHMARK(bulk_through_ip)->ArgNames({"port"})->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) { return bench::run(argc, argv, 512); }
