// The model's ports, limits and sizes as the engine and its ports take them.
#include <sched.h>

#include <algorithm>

#include "control/snapshot_build.h"

namespace sluice::control {

namespace {

port::Driver driver_of(config::Driver d) {
  switch (d) {
    case config::Driver::af_xdp: return port::Driver::af_xdp;
    case config::Driver::dpdk: return port::Driver::dpdk;
    case config::Driver::pcap: return port::Driver::pcap;
    case config::Driver::generator: return port::Driver::generator;
    case config::Driver::null: return port::Driver::null;
    case config::Driver::automatic: break;
  }
  return port::Driver::automatic;
}

port::Options::XdpMode mode_of(config::XdpMode m) {
  switch (m) {
    case config::XdpMode::zero_copy: return port::Options::XdpMode::zero_copy;
    case config::XdpMode::native: return port::Options::XdpMode::native;
    case config::XdpMode::generic: return port::Options::XdpMode::generic;
    case config::XdpMode::automatic: break;
  }
  return port::Options::XdpMode::automatic;
}

port::Options::Checksum checksum_of(config::Checksum c) {
  switch (c) {
    case config::Checksum::trust: return port::Options::Checksum::trust;
    case config::Checksum::repair: return port::Options::Checksum::repair;
    case config::Checksum::refuse: return port::Options::Checksum::refuse;
    case config::Checksum::automatic: break;
  }
  return port::Options::Checksum::automatic;
}

port::GeneratorOptions generator_of(const config::Port& p) {
  port::GeneratorOptions g;
  const config::Generator& c = p.generator;
  g.flows = c.flows;
  g.random = c.random;
  g.size = c.size;
  g.burst = c.burst;
  g.packets = c.packets;
  g.proto = c.proto;
  g.seed = c.seed;
  if (c.sources) g.sources = *c.sources;
  if (c.destinations) g.destinations = *c.destinations;
  g.ip6 = c.destinations && c.destinations->addr.family == 6;
  if (p.mac) g.to = *p.mac;
  return g;
}

port::Options port_options(const config::Port& p, uint16_t index) {
  port::Options o;
  o.name = p.name;
  o.index = index;
  o.driver = driver_of(p.driver);
  o.device = p.device;
  o.queues = p.queues;
  o.mtu = p.mtu;
  o.mac = p.mac;
  o.xdp_mode = mode_of(p.xdp_mode);
  o.busy_poll = p.busy_poll;
  o.allow_default_route = p.take_default_route;
  o.ring_size = p.ring_size;
  for (const config::Match& k : p.kernel) o.kernel.push_back({k.prefix, k.proto, k.port});
  o.checksum = checksum_of(p.checksum);
  o.pcap_out = p.pcap_out;
  o.pcap_live = true;
  o.generator = generator_of(p);
  o.capture = p.capture;
  o.fault = {p.fault.loss, p.fault.duplicate, p.fault.reorder, p.fault.corrupt, p.fault.delay, p.fault.jitter, p.fault.seed};
  return o;
}

// Where the file names no CPU: the last one that this process may use. The first is where the kernel and
// everything else tends to run.
unsigned last_allowed_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  for (unsigned c = CPU_SETSIZE; c-- > 0;)
    if (CPU_ISSET(c, &set)) return c;
  return 0;
}

size_t routes_of(const config::Model& m, uint8_t family) {
  config::RouteCount files;
  for (const auto& f : m.route_files) config::count_routes(f.path, files);
  size_t n = family == 4 ? files.ip4 : files.ip6;
  for (const auto& r : m.routes) n += r.to.addr.family == family;
  for (const auto& p : m.ports)
    for (const Prefix& a : p.addresses) n += a.addr.family == family ? 4 : 0;
  return n;
}

}  // namespace

engine::BoxOptions box_options(const config::Model& m) {
  engine::BoxOptions o;
  for (size_t i = 0; i < m.ports.size(); i++) o.ports.push_back(port_options(m.ports[i], static_cast<uint16_t>(i)));
  o.worker_cpus = m.system.workers;
  if (o.worker_cpus.empty()) o.worker_cpus = {last_allowed_cpu()};
  o.stack_cpu = m.system.stack_cpu;
  o.idle = m.system.idle_busy ? engine::IdlePolicy::busy : engine::IdlePolicy::adaptive;
  o.packets = m.system.packets;
  o.neighbors = m.neighbors.max_entries;
  o.pipeline.flows4 = m.flows.ip4;
  o.pipeline.flows6 = m.flows.ip6;
  o.pipeline.idle_tcp = m.flows.idle_tcp;
  o.pipeline.idle_tcp_closing = m.flows.idle_tcp_closing;
  o.pipeline.idle_udp = m.flows.idle_udp;
  o.pipeline.idle_other = m.flows.idle_other;
  return o;
}

unsigned eal_memory_mb(const config::Model& m) {
  // Rings, mempool rings, ethdev data; then two generations of routes and of rules (a rule takes about 4 KiB
  // in rte_acl's tries, more while they are built, which is malloc'ed).
  const size_t base = 96u << 20;
  const size_t routes = Fib4::memory_estimate(routes_of(m, 4)) + Fib6::memory_estimate(routes_of(m, 6));
  // A filter may grow by config.apply: room for 16,000 rules is always there.
  const size_t rules = std::max<size_t>(m.filter.rules.size(), 16'000) * 6 * 1024;
  return static_cast<unsigned>((base + 2 * (routes + rules)) >> 20);
}

}  // namespace sluice::control
