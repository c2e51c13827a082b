// What a request costs the box's web server, from the segment that brings it to the segments of its answer: the TCP
// library, the applications' host and the service, without ports and IP. A client on a stack of its own asks over a
// wire in memory; only the server's side is timed. The payload is copied and summed as on a port without offloads.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "apps/host.h"
#include "apps/service_set.h"
#include "packet/meta.h"
#include "tests/bench/eal_main.h"
#include "wire/checksum.h"
#include "wire/tcp_options.h"

using namespace sluice;

namespace {

rte_mempool* pool() {
  static rte_mempool* p = rte_pktmbuf_pool_create("bench", 8191, 256, kMbufPrivate, 2176, 0);
  return p;
}

// Keeps what one side sends until the other takes it.
class Wire final : public tcp::Sink {
 public:
  bool send(const tcp::OutSegment& s) override {
    tcp::InSegment in{.tuple = {s.tuple.remote, s.tuple.local, s.tuple.remote_port, s.tuple.local_port},
                      .seq = s.seq,
                      .ack = s.ack,
                      .flags = s.flags,
                      .window = s.window,
                      .options = wire::parse_tcp_options(s.options),
                      .ecn = s.ecn,
                      .mtu = 1500};
    uint32_t left = s.length, at = 0;
    const tcp::Slice* piece = s.payload.data();
    do {
      const uint32_t n = std::min<uint32_t>(left, s.mss);
      in.m = rte_pktmbuf_alloc(pool());
      if (!in.m) return false;
      auto* to = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(in.m, static_cast<uint16_t>(n)));
      for (uint32_t done = 0; done < n;) {
        const uint32_t k = std::min(n - done, piece->length - at);
        sum = wire::copy_and_sum(to + done, piece->data + at, k, sum);
        done += k;
        if ((at += k) == piece->length) piece++, at = 0;
      }
      in.length = static_cast<uint16_t>(n);
      left -= n;
      queue.push_back(in);
      in.seq += n;
    } while (left);
    return true;
  }
  std::vector<tcp::InSegment> queue;
  uint64_t sum = 0;
};

class Routes final : public stack::RouteQuery {
  std::optional<stack::Way> towards(const IpAddr&) const override { return std::nullopt; }
  bool own(const IpAddr&) const override { return true; }
  bool comes_here(const tcp::Tuple&) const override { return true; }
};

tcp::Secrets secrets(uint64_t k) {
  tcp::Secrets s;
  s.table = {{k * 77 + 1, k * 99 + 3, k * 1234567, k * 987654321}};
  s.seed = k;
  return s;
}

class Lab {
 public:
  Lab()
      : services_(1, [this](unsigned, const std::function<void(apps::Host&)>& f) { return f(host_), true; }),
        tcp_(std::make_unique<stack::TcpHost>(config(), secrets(1), pool(), 4000, to_client_, routes_)), host_(*tcp_),
        client_(config(), secrets(2), buffers_, to_server_) {
    apps::ServiceConfig c;
    c.name = "web";
    c.kind = apps::ServiceKind::http;
    c.listen = {{.port = 80}};
    c.http.body = "hello from sluice\n";
    auto p = services_.prepare({c}, 0);
    if (!p) std::abort();
    services_.commit(std::move(*p), {});
    serve();
  }
  ~Lab() {
    host_.end();
    tcp_.reset();  // gives back what the service's answers lie in
  }

  // `requests` at once on each of so many connections; then all of their answers are awaited.
  void connect(unsigned connections) {
    for (unsigned i = 0; i < connections; i++) {
      tcp::ConnectOptions o;
      o.tuple = {Ip4::from_host(0x0a000001), Ip4::from_host(0xc6120002), 0, 80};
      tcp::ConnId id;
      if (client_.connect(now_, o, id) != tcp::Outcome::ok) std::abort();
      ids_.push_back(id);
    }
    for (int i = 0; i < 8; i++) turn();
  }
  void ask(unsigned requests) {
    static const std::string kGet = "GET / HTTP/1.1\r\nHost: 198.18.0.2\r\n\r\n";
    std::array<tcp::Slice, 16> s;
    s.fill({reinterpret_cast<const uint8_t*>(kGet.data()), static_cast<uint32_t>(kGet.size()), nullptr, nullptr});
    for (const tcp::ConnId id : ids_)
      if (client_.send(now_, id, {s.data(), requests}) != tcp::Outcome::ok) std::abort();
    const uint64_t want = answered() + uint64_t{requests} * ids_.size();
    while (answered() < want) turn();
  }
  uint64_t answered() const { return services_.views()[0].engines[0]->requests.get(); }

  uint64_t clocks = 0;  // of the server

 private:
  static tcp::Config config() {
    tcp::Config c;
    c.limits.connections = 4096;
    c.limits.chunks = c.limits.records = 1u << 16;
    return c;
  }
  void serve() {
    std::swap(to_server_.queue, burst_);
    const uint64_t t0 = rte_rdtsc();
    for (const tcp::InSegment& s : burst_)
      if (tcp_->stack().receive(now_, s).by != tcp::Taken::By::library) rte_pktmbuf_free(s.m);
    tcp_->stack().tick(now_);
    host_.turn(now_);
    tcp_->stack().flush(now_);
    clocks += rte_rdtsc() - t0;
    burst_.clear();
  }
  void turn() {
    now_ = now_ + Duration::micros(20);
    client_.flush(now_);
    serve();
    std::swap(to_client_.queue, burst_);
    for (const tcp::InSegment& s : burst_)
      if (client_.receive(now_, s).by != tcp::Taken::By::library) rte_pktmbuf_free(s.m);
    burst_.clear();
    client_.tick(now_);
    std::array<tcp::Event, 256> ev;
    while (const unsigned n = client_.events(ev))
      for (unsigned i = 0; i < n; i++) {
        if (ev[i].kind == tcp::EventKind::failed) std::abort();
        if (ev[i].kind != tcp::EventKind::data) continue;
        client_.receive_done(now_, ev[i].conn, ev[i].length);
        buffers_.free(ev[i].m);
      }
    client_.flush(now_);
  }

  Instant now_{1'000'000'000};
  Wire to_client_, to_server_;
  Routes routes_;
  apps::Services services_;
  std::unique_ptr<stack::TcpHost> tcp_;
  apps::Host host_;
  Buffers buffers_{pool(), 4000};
  tcp::Stack client_;
  std::vector<tcp::ConnId> ids_;
  std::vector<tcp::InSegment> burst_;
};

void requests(benchmark::State& state) {
  Lab lab;
  lab.connect(64);
  const auto pipelined = static_cast<unsigned>(state.range(0));
  lab.ask(pipelined);
  const uint64_t before = lab.answered();
  lab.clocks = 0;
  for (auto _ : state) lab.ask(pipelined);
  state.counters["clk/request"] = static_cast<double>(lab.clocks) / static_cast<double>(lab.answered() - before);
}
BENCHMARK(requests)->ArgNames({"pipelined"})->Arg(1)->Arg(16)->Unit(benchmark::kMicrosecond);

}  // namespace

int main(int argc, char** argv) { return sluice::bench::run(argc, argv, 256); }
