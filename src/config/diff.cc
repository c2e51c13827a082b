// What a running box can take over. Live: addresses, link-local addresses and reverse-path of ports, routes,
// neighbor timers and static neighbors, ICMP limits, the filter, services, shed, reassembly-timeout and memory-limit.
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
  c.compare(a.stacks, b.stacks, "system.stack");
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

// All of it is given to the stacks when they are made.
void compare_tcp(const Tcp& a, const Tcp& b, Changes& c) {
  c.compare(a.newreno, b.newreno, "tcp.congestion-control");
  c.compare(a.ecn, b.ecn, "tcp.ecn");
  c.compare(a.sack, b.sack, "tcp.sack");
  c.compare(a.timestamps, b.timestamps, "tcp.timestamps");
  c.compare(a.window_scaling, b.window_scaling, "tcp.window-scaling");
  c.compare(a.nagle, b.nagle, "tcp.nagle");
  c.compare(a.initial_window, b.initial_window, "tcp.initial-window");
  c.compare(a.hop_limit, b.hop_limit, "tcp.hop-limit");
  c.compare(a.receive_buffer, b.receive_buffer, "tcp.receive-buffer");
  c.compare(a.send_buffer, b.send_buffer, "tcp.send-buffer");
  c.compare(a.syn_retries, b.syn_retries, "tcp.syn-retries");
  c.compare(a.syn_ack_retries, b.syn_ack_retries, "tcp.syn-ack-retries");
  c.compare(a.rto_initial, b.rto_initial, "tcp.rto.initial");
  c.compare(a.rto_min, b.rto_min, "tcp.rto.min");
  c.compare(a.rto_max, b.rto_max, "tcp.rto.max");
  c.compare(a.give_up, b.give_up, "tcp.give-up");
  c.compare(a.delayed_ack, b.delayed_ack, "tcp.delayed-ack");
  c.compare(a.time_wait, b.time_wait, "tcp.time-wait");
  c.compare(a.fin_wait_2, b.fin_wait_2, "tcp.fin-wait-2");
  c.compare(a.keepalive_idle, b.keepalive_idle, "tcp.keepalive.idle");
  c.compare(a.keepalive_interval, b.keepalive_interval, "tcp.keepalive.interval");
  c.compare(a.keepalive_probes, b.keepalive_probes, "tcp.keepalive.probes");
  c.compare(a.mtu_probe_floor, b.mtu_probe_floor, "tcp.mtu-probe-floor");
  c.compare(a.connections, b.connections, "tcp.limits.connections");
  c.compare(a.half_open, b.half_open, "tcp.limits.half-open");
  c.compare(a.cookie_mark, b.cookie_mark, "tcp.limits.cookie-mark");
  c.compare(a.time_waits, b.time_waits, "tcp.limits.time-wait");
  c.compare(a.out_of_order, b.out_of_order, "tcp.limits.out-of-order");
  c.compare(a.chunks, b.chunks, "tcp.limits.chunks");
  c.compare(a.records, b.records, "tcp.limits.records");
  c.compare(a.packets, b.packets, "tcp.limits.packets");
  c.compare(a.challenge_acks_per_second, b.challenge_acks_per_second, "tcp.limits.challenge-acks-per-second");
  c.compare(a.resets_per_second, b.resets_per_second, "tcp.limits.resets-per-second");
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
  c.compare(a.dispatcher, b.dispatcher, p + "dispatcher");
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
  compare_tcp(running.tcp, wanted.tcp, c);
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
