// sluiced bench: the real engines on the caller's thread, packets from the generator in memory, a sink
// behind. Clocks are TSC cycles per packet. Three rows tell where they go: the packet source and sink alone,
// with parsing, and the whole path.
#include <rte_cycles.h>
#include <sched.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "daemon/commands.h"
#include "daemon/startup.h"
#include "path/parse.h"

namespace sluice::daemon {

namespace {

using nlohmann::json;

struct Row {
  const char* stage;
  uint64_t flows;
  unsigned burst;
  double clocks = 0, mpps = 0;
};

Prefix prefix(const char* text) {
  return *parse_prefix(text);
}

config::Model model_of(const BenchOptions& o, uint64_t flows, unsigned burst) {
  config::Model m;
  m.system.packets = 8192;
  m.system.huge_pages = config::HugePages::automatic;
  m.system.workers = {o.cpu};
  m.flows.ip4 = o.ip6 ? 1024 : static_cast<unsigned>(std::max<uint64_t>(4096, flows * 2));
  m.flows.ip6 = o.ip6 ? static_cast<unsigned>(std::max<uint64_t>(4096, flows * 2)) : 1024;
  config::Port in, out;
  in.name = "in";
  in.driver = config::Driver::generator;
  in.mac = parse_mac("02:00:00:00:00:01");
  in.addresses = {prefix("198.18.1.1/24"), prefix("2001:db8:1::1/64")};
  in.generator.flows = flows;
  in.generator.random = o.random && flows > 1;
  in.generator.size = o.size;
  in.generator.burst = std::min(burst, kMaxBurst);
  in.generator.sources = prefix(o.ip6 ? "2001:db8:a000::/40" : "198.18.128.0/17");
  in.generator.destinations = prefix(o.ip6 ? "2001:db8:b000::/40" : "198.19.0.0/16");
  out.name = "out";
  out.driver = config::Driver::null;
  out.mac = parse_mac("02:00:00:00:00:02");
  out.addresses = {prefix("198.18.2.1/24"), prefix("2001:db8:2::1/64")};
  m.ports = {in, out};
  const Ip4 hop4 = *parse_ip4("198.18.2.10");
  const Ip6 hop6 = *parse_ip6("2001:db8:2::10");
  m.static_neighbors = {{"out", hop4, *parse_mac("02:00:00:00:00:0a")},
                        {"out", hop6, *parse_mac("02:00:00:00:00:0a")}};
  m.routes = {{prefix("198.19.0.0/16"), config::Route::Kind::via, {{hop4, "out"}}},
              {prefix("2001:db8:b000::/40"), config::Route::Kind::via, {{hop6, "out"}}}};
  for (unsigned i = 1; i < o.routes; i++)
    m.routes.push_back(
        {Prefix{Ip4::from_host(0x40000000u + i * 256), 24}, config::Route::Kind::via, {{hop4, "out"}}});
  if (o.rules) {
    m.filter.present = true;
    m.filter.stateful = true;
    for (unsigned i = 0; i < o.rules; i++) {
      config::Rule r;
      r.name = "r" + std::to_string(i);
      r.action = config::Action::deny;
      r.from = {Prefix{Ip4::from_host(0x0a000000u + i * 16), 28}};
      r.protocols = {6};
      r.to_ports = {{static_cast<uint16_t>(1 + i % 60000), static_cast<uint16_t>(1 + i % 60000)}};
      m.filter.rules.push_back(r);
    }
    config::Rule all;
    all.name = "all";
    all.action = config::Action::permit;
    m.filter.rules.push_back(all);
  }
  return m;
}

// Packets and clocks of `step` repeated for about `seconds`. One clock reading per 64 steps keeps it cheap.
template <class F>
Row measure(Row r, double seconds, F step) {
  const double hz = static_cast<double>(rte_get_tsc_hz());
  uint64_t packets = 0;
  const uint64_t start = rte_rdtsc();
  uint64_t now = start;
  while (static_cast<double>(now - start) < seconds * hz) {
    for (int i = 0; i < 64; i++) packets += step(now);
    now = rte_rdtsc();
  }
  r.clocks = packets ? static_cast<double>(now - start) / static_cast<double>(packets) : 0;
  r.mpps = static_cast<double>(packets) * hz / static_cast<double>(now - start) / 1e6;
  return r;
}

void print(const Row& r, bool as_json) {
  if (as_json) {
    std::cout << json{{"stage", r.stage},
                      {"flows", r.flows},
                      {"burst", r.burst},
                      {"clocks", r.clocks},
                      {"mpps", r.mpps}}
                     .dump()
              << std::endl;
    return;
  }
  std::printf("%-12s %9llu %6u %10.1f %8.2f\n", r.stage, static_cast<unsigned long long>(r.flows), r.burst,
              r.clocks, r.mpps);
  std::fflush(stdout);
}

Status stages(const BenchOptions& o, uint64_t flows, unsigned burst) {
  Startup s;
  s.loaded.model = model_of(o, flows, burst);
  Status st = assemble(s, [](engine::BoxOptions& b) { b.virtual_time = true; });
  if (!st) return st;
  if (st = s.box->start(); !st) return st;
  const double hz = static_cast<double>(rte_get_tsc_hz());
  auto at = [&](uint64_t tsc) { return Instant{static_cast<int64_t>(static_cast<double>(tsc) * 1e9 / hz)}; };
  port::Port &in = *s.box->ports()[0], &out = *s.box->ports()[1];
  const Interface ifc = s.box->snapshot()->interfaces->port[0];
  rte_mbuf* pkts[kMaxBurst];

  print(measure({"source+sink", flows, burst}, o.seconds,
                [&](uint64_t now) {
                  unsigned n = in.rx_burst(0, at(now), pkts, kMaxBurst);
                  out.tx_burst(0, at(now), pkts, n);
                  return n;
                }),
        o.as_json);
  print(measure({"+parse", flows, burst}, o.seconds,
                [&](uint64_t now) {
                  unsigned n = in.rx_burst(0, at(now), pkts, kMaxBurst);
                  Meta meta[kMaxBurst];
                  for (unsigned i = 0; i < n; i++) path::parse(pkts[i], ifc, meta[i]);
                  out.tx_burst(0, at(now), pkts, n);
                  return n;
                }),
        o.as_json);
  // Flows are learnt before the clock starts: the row is about established ones.
  const uint64_t warm = flows * 4 + 10'000;
  for (uint64_t n = 0; n < warm;) n += s.box->turn(at(rte_rdtsc()));
  // A burst longer than what is taken from a port at once comes in several turns of one moment.
  const unsigned turns = (burst + kMaxBurst - 1) / kMaxBurst;
  print(measure({"forward", flows, burst}, o.seconds,
                [&](uint64_t now) {
                  unsigned n = 0;
                  for (unsigned i = 0; i < turns; i++) n += s.box->turn(at(now));
                  return n;
                }),
        o.as_json);
  s.box->stop();
  return {};
}

}  // namespace

int bench(const BenchOptions& o) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(o.cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    std::cerr << "sluiced: CPU " << o.cpu << " is not there, or not allowed to this process\n";
    return 2;
  }
  if (!o.as_json) std::printf("%-12s %9s %6s %10s %8s\n", "STAGE", "FLOWS", "BURST", "CLOCKS/PKT", "MPPS");
  auto row = [&](uint64_t flows, unsigned burst) {
    Status st = stages(o, flows, burst);
    if (!st) std::cerr << "sluiced: " << st.error() << "\n";
    return st.ok();
  };
  for (unsigned b : o.bursts)
    if (!row(o.flows.front(), b)) return 1;
  for (size_t i = 1; i < o.flows.size(); i++)
    if (!row(o.flows[i], 32)) return 1;
  return 0;
}

}  // namespace sluice::daemon
