#include "control/translate.h"

#include <sched.h>

#include <algorithm>

#include "control/shed.h"
#include "control/snapshot_routes.h"
#include "port/open.h"

namespace sluice::control {
namespace {

// The two rooms' enumerations are apart on purpose (port knows no configuration); a switch per pair keeps them so.
port::Driver driver(config::Driver d) {
  switch (d) {
    case config::Driver::automatic: return port::Driver::automatic;
    case config::Driver::af_xdp: return port::Driver::af_xdp;
    case config::Driver::dpdk: return port::Driver::dpdk;
    case config::Driver::pcap: return port::Driver::pcap;
    case config::Driver::generator: return port::Driver::generator;
    case config::Driver::null: return port::Driver::null;
  }
  return port::Driver::automatic;
}

port::Options::XdpMode xdp_mode(config::XdpMode m) {
  using To = port::Options::XdpMode;
  switch (m) {
    case config::XdpMode::automatic: return To::automatic;
    case config::XdpMode::zero_copy: return To::zero_copy;
    case config::XdpMode::native: return To::native;
    case config::XdpMode::generic: return To::generic;
  }
  return To::automatic;
}

port::Options::Checksum checksum(config::Checksum c) {
  using To = port::Options::Checksum;
  switch (c) {
    case config::Checksum::automatic: return To::automatic;
    case config::Checksum::trust: return To::trust;
    case config::Checksum::repair: return To::repair;
    case config::Checksum::refuse: return To::refuse;
  }
  return To::automatic;
}

port::GeneratorOptions generator(const config::Port& p, const Mac& to) {
  const config::Generator& g = p.generator;
  port::GeneratorOptions o;
  o.flows = g.flows;
  o.random = g.random;
  o.size = g.size;
  o.burst = g.burst;
  o.packets = g.packets;
  o.proto = g.proto;
  o.ip6 = (g.sources && g.sources->addr.family == 6) || (g.destinations && g.destinations->addr.family == 6);
  // Addresses for benchmarks: RFC 2544 and RFC 5180.
  o.sources = g.sources.value_or(*parse_prefix(o.ip6 ? "2001:2::/49" : "198.18.0.0/16"));
  o.destinations = g.destinations.value_or(*parse_prefix(o.ip6 ? "2001:2:0:8000::/49" : "198.19.0.0/16"));
  o.to = to;
  o.seed = g.seed;
  return o;
}

// A match names the service's port; the host may be its server or its client.
std::vector<LocalTraffic> exception(const std::vector<config::Match>& list) {
  std::vector<LocalTraffic> out;
  for (const config::Match& m : list) {
    out.push_back({m.proto, m.port, 0, m.prefix});
    if (m.port) out.push_back({m.proto, 0, m.port, m.prefix});
  }
  return out;
}

bool repairs(config::Checksum want, const PortFacts& f) {
  return want == config::Checksum::repair || (want == config::Checksum::automatic && f.partial_checksums);
}

// The last CPU that this process may use: the first ones have the machine's interrupts.
unsigned last_cpu() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (unsigned c = CPU_SETSIZE; c-- > 0;)
      if (CPU_ISSET(c, &set)) return c;
  return 0;
}

// Heap of one expanded entry: as rte_acl keeps it, and its share of the tries (measured: at most 2.4 and 3 KiB in all).
constexpr size_t kEntry4 = 160 + 3072, kEntry6 = 256 + 4096;
constexpr size_t kMiB = size_t{1} << 20;

size_t filter_memory(const config::Model& m) {
  const size_t most = RuleSet::Options().max_expanded;  // more are refused
  size_t entries4 = 0, entries6 = 0;
  for (const Rule& r : filter_rules(m)) {
    const RuleSet::Figures f = RuleSet::count(r);
    entries4 = std::min(most, entries4 + std::min(most, f.entries4));
    entries6 = std::min(most, entries6 + std::min(most, f.entries6));
  }
  return entries4 * kEntry4 + entries6 * kEntry6;
}

}  // namespace

std::vector<PortFacts> port_facts(const engine::Box& box, const std::vector<PortFacts>& before) {
  std::vector<PortFacts> out;
  for (size_t i = 0; i < box.ports().size(); i++) {
    const port::Info& info = box.ports()[i]->info();
    PortFacts f;
    if (i < before.size()) f = before[i];
    if (box.ports()[i]->link_up()) {
      f.mac = info.mac;
      f.mtu = info.mtu;
      f.link_epoch = static_cast<uint32_t>(box.ports()[i]->stats().link_changes);
    } else if (i >= before.size()) {
      f.mac = info.mac;
      f.mtu = info.mtu;
    }
    f.partial_checksums = info.partial_checksums;
    f.any_destination = info.driver == "pcap";
    out.push_back(f);
  }
  return out;
}

port::Options port_options(const config::Port& p, uint16_t index) {
  port::Options o;
  o.name = p.name;
  o.index = index;
  o.driver = driver(p.driver);
  o.device = p.device;
  o.queues = p.queues;
  o.mtu = p.mtu;
  o.mac = p.mac;
  o.xdp_mode = xdp_mode(p.xdp_mode);
  o.busy_poll = p.busy_poll;
  o.allow_default_route = p.take_default_route;
  o.ring_size = p.ring_size;
  o.dispatcher = p.dispatcher;
  for (const config::Match& m : p.kernel) o.kernel.push_back({m.prefix, m.proto, m.port});
  o.checksum = checksum(p.checksum);
  o.pcap_out = p.pcap_out;
  o.generator = generator(p, port::software_mac(o));
  o.capture = p.capture;
  o.fault = {p.fault.loss, p.fault.duplicate, p.fault.reorder, p.fault.corrupt, p.fault.delay, p.fault.jitter,
             p.fault.seed};
  return o;
}

engine::BoxOptions box_options(const config::Model& m) {
  engine::BoxOptions b;
  for (size_t i = 0; i < m.ports.size(); i++) b.ports.push_back(port_options(m.ports[i], static_cast<uint16_t>(i)));
  b.worker_cpus = m.system.workers;
  if (b.worker_cpus.empty()) b.worker_cpus.push_back(last_cpu());
  b.stack_cpus = m.system.stacks;
  b.stack.tcp = tcp_config(m.tcp);
  b.stack.tcp_buffers = m.tcp.packets;
  b.idle = m.system.idle_busy ? engine::IdlePolicy::busy : engine::IdlePolicy::adaptive;
  b.packets = m.system.packets;
  b.neighbors = m.neighbors.max_entries;
  b.huge_pages = m.system.huge_pages != config::HugePages::off;
  b.pipeline.flows4 = m.flows.ip4;
  b.pipeline.flows6 = m.flows.ip6;
  b.pipeline.idle_tcp = m.flows.idle_tcp;
  b.pipeline.idle_tcp_closing = m.flows.idle_tcp_closing;
  b.pipeline.idle_udp = m.flows.idle_udp;
  b.pipeline.idle_other = m.flows.idle_other;
  b.shed = shed_policy(m);
  return b;
}

unsigned eal_memory_mb(const config::Model& m) {
  constexpr size_t kBase = 64 * kMiB;  // EAL itself, mempool and driver structures
  // A small file may grow by config.apply, and the heap may not: room for 20,000 IPv4 rules or a quarter of that
  // for IPv6, and for a few thousand routes, is always there. Untouched memory costs nothing.
  const size_t routes = std::max(routes_memory(m), Fib4::memory_estimate(4096) + Fib6::memory_estimate(4096));
  const size_t tables = routes + std::max(filter_memory(m), 20'000 * kEntry4);
  const size_t bytes = kBase + tables * 2 + tables / 4 + size_t{m.system.packets} * 64;  // a quarter: fragmentation
  return static_cast<unsigned>((bytes + kMiB - 1) / kMiB);
}

Interfaces interfaces(const config::Model& m, const std::vector<PortFacts>& facts) {
  Interfaces out;
  for (size_t i = 0; i < m.ports.size(); i++) {
    const config::Port& p = m.ports[i];
    Interface f;
    f.name = p.name;
    f.mac = facts[i].mac;
    f.mtu = facts[i].mtu;
    f.reverse_path_strict = p.reverse_path_strict;
    f.repair_checksums = repairs(p.checksum, facts[i]);
    f.link_epoch = facts[i].link_epoch;
    f.any_destination = facts[i].any_destination;
    f.addresses = p.addresses;
    f.link_local = p.link_local.value_or(link_local_of(f.mac));
    f.exception = exception(p.exception);
    out.port.push_back(std::move(f));
  }
  for (const config::Neighbor& n : m.static_neighbors)
    for (size_t i = 0; i < m.ports.size(); i++)
      if (m.ports[i].name == n.port) out.neighbors.push_back({static_cast<uint16_t>(i), n.addr, n.mac});
  out.timers.reachable = m.neighbors.reachable;
  out.timers.retrans = m.neighbors.retrans;
  out.timers.delay_first_probe = m.neighbors.delay_first_probe;
  out.timers.gc_stale = m.neighbors.gc_stale;
  out.timers.queue_packets = m.neighbors.queue_packets;
  out.reassembly_timeout = Duration::seconds(m.system.reassembly_seconds);
  return out;
}

RuleAction action(config::Action a) {
  switch (a) {
    case config::Action::permit: return RuleAction::permit;
    case config::Action::deny: return RuleAction::deny;
    case config::Action::reject: return RuleAction::reject;
  }
  return RuleAction::deny;
}

std::vector<Rule> filter_rules(const config::Model& m) {
  auto numbers = [&](const std::vector<std::string>& names) {
    std::vector<uint16_t> out;
    for (const std::string& n : names)
      for (size_t i = 0; i < m.ports.size(); i++)
        if (m.ports[i].name == n) out.push_back(static_cast<uint16_t>(i));
    return out;
  };
  auto ranges = [](const std::vector<config::PortSpan>& spans) {
    std::vector<PortRange> out;
    for (const config::PortSpan& s : spans) out.push_back({s.low, s.high});
    return out;
  };
  std::vector<Rule> rules;
  rules.reserve(m.filter.rules.size());
  for (const config::Rule& from : m.filter.rules) {
    Rule r;
    r.name = from.name;
    r.action = action(from.action);
    r.in_ports = numbers(from.in);
    r.out_ports = numbers(from.out);
    r.sources = from.from;
    r.destinations = from.to;
    r.protocols = from.protocols;
    r.sports = ranges(from.from_ports);
    r.dports = ranges(from.to_ports);
    r.icmp = from.icmp;
    r.icmp4 = from.icmp4;
    r.icmp6 = from.icmp6;
    r.stateful = from.stateful;
    rules.push_back(std::move(r));
  }
  return rules;
}

}  // namespace sluice::control
