// What a running box can take over. Live: addresses, link-local addresses and reverse-path of ports, routes,
// neighbor timers and static neighbors, ICMP limits, the filter, reassembly-timeout and memory-limit.
#include <algorithm>

#include "config/config.h"

namespace sluice::config {
namespace {

class Changes {
 public:
  template <class V>
  void compare(const V& running, const V& wanted, std::string setting) {
    if (!(running == wanted)) settings_.push_back(std::move(setting));
  }
  void add(std::string setting) { settings_.push_back(std::move(setting)); }
  std::vector<std::string> take() { return std::move(settings_); }

 private:
  std::vector<std::string> settings_;
};

void compare_system(const System& a, const System& b, Changes& c) {
  c.compare(a.name, b.name, "system.name");
  c.compare(a.huge_pages, b.huge_pages, "system.hugepages");
  c.compare(a.packets, b.packets, "system.packets");
  c.compare(a.workers, b.workers, "system.workers");
  c.compare(a.stack_cpu, b.stack_cpu, "system.stack");
  c.compare(a.idle_busy, b.idle_busy, "system.idle");
  c.compare(a.eal, b.eal, "system.eal");
}

void compare_rest(const Model& a, const Model& b, Changes& c) {
  c.compare(a.control.socket, b.control.socket, "control.socket");
  c.compare(a.control.mode, b.control.mode, "control.mode");
  c.compare(a.control.owner, b.control.owner, "control.owner");
  c.compare(a.control.group, b.control.group, "control.group");
  c.compare(a.flows.ip4, b.flows.ip4, "flows.ip4");
  c.compare(a.flows.ip6, b.flows.ip6, "flows.ip6");
  c.compare(a.flows.idle_tcp, b.flows.idle_tcp, "flows.idle.tcp");
  c.compare(a.flows.idle_tcp_closing, b.flows.idle_tcp_closing, "flows.idle.tcp-closing");
  c.compare(a.flows.idle_udp, b.flows.idle_udp, "flows.idle.udp");
  c.compare(a.flows.idle_other, b.flows.idle_other, "flows.idle.other");
  c.compare(a.neighbors.max_entries, b.neighbors.max_entries, "neighbors.max");
}

void compare_port(const Port& a, const Port& b, Changes& c) {
  const std::string p = "ports." + a.name + ".";
  c.compare(a.driver, b.driver, p + "driver");
  c.compare(a.device, b.device, p + "device");
  c.compare(a.queues, b.queues, p + "queues");
  c.compare(a.mtu, b.mtu, p + "mtu");
  c.compare(a.mac, b.mac, p + "mac");
  c.compare(a.checksum, b.checksum, p + "checksum");
  c.compare(a.xdp_mode, b.xdp_mode, p + "xdp-mode");
  c.compare(a.busy_poll, b.busy_poll, p + "busy-poll");
  c.compare(a.take_default_route, b.take_default_route, p + "take-default-route");
  c.compare(a.ring_size, b.ring_size, p + "ring");
  c.compare(a.kernel, b.kernel, p + "kernel");
  c.compare(a.exception, b.exception, p + "exception");
  c.compare(a.capture, b.capture, p + "capture");
  c.compare(a.pcap_out, b.pcap_out, p + "out");
  c.compare(a.fault, b.fault, p + "fault");
  c.compare(a.generator, b.generator, p + "generator");
}

const Port* named(const Model& m, const std::string& name) {
  for (const Port& p : m.ports)
    if (p.name == name) return &p;
  return nullptr;
}

}  // namespace

std::vector<std::string> needs_restart(const Model& running, const Model& wanted) {
  Changes c;
  compare_system(running.system, wanted.system, c);
  compare_rest(running, wanted, c);
  bool same_ports = true;
  for (const Port& p : running.ports) {
    const Port* other = named(wanted, p.name);
    if (other)
      compare_port(p, *other, c);
    else
      c.add("ports." + p.name + " (removed)"), same_ports = false;
  }
  for (const Port& p : wanted.ports)
    if (!named(running, p.name)) c.add("ports." + p.name + " (added)"), same_ports = false;
  // Ports are known by their position below the control side.
  for (size_t i = 0; same_ports && i < running.ports.size(); i++)
    if (running.ports[i].name != wanted.ports[i].name) {
      c.add("ports (their order)");
      break;
    }
  return c.take();
}

}  // namespace sluice::config
