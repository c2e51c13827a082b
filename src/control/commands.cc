#include "control/commands.h"

#include <chrono>

#include "sluice/control.h"

namespace sluice::control {

const std::vector<Verb>& verbs() {
  static const std::string level_help = std::string("the shed level by hand (level: ") + kShedLevels + "; port)";
  static const std::vector<Verb> table = {
      {"version", "version of sluice, of the protocol and of DPDK", run_version},
      {"methods", "the methods of this socket", run_methods},
      {"status", "name, uptime, ports, workers, packet pool, flows, warnings", run_status},
      {"ports", "each port: driver, addresses, link, rates, counters", run_ports},
      {"lcores", "each lcore: engines, load, sleeps, wake-up latency", run_lcores},
      {"routes", "routing table, or the route of one address (to)", run_routes},
      {"neighbors", "next hops' MAC addresses and their states", run_neighbors},
      {"rules", "filter rules in order, with what they matched", run_rules},
      {"flows", "flows (src, dst, proto, port, limit)", run_flows},
      {"services", "services and backends: state, connections, counters", run_services},
      {"tcp.list", "the box's TCP connections (state, local, remote, port, service, limit, cursor)", run_tcp_list},
      {"tcp.show", "one connection in full (id, or remote)", run_tcp_show},
      {"tcp.counters", "what TCP has done (nonzero)", run_tcp_counters},
      {"tcp.close", "ends our side of a connection (id, or remote)", run_tcp_close},
      {"tcp.abort", "resets a connection (id, or remote)", run_tcp_abort},
      {"drops", "packets not sent, by reason and port", run_drops},
      {"audit", "proof that every packet is accounted for", run_audit},
      {"events", "what happened to ports, lcores, backends; or who was served (since, access)", run_events},
      {"config.get", "the running configuration", run_config_get},
      {"config.check", "checks a configuration (text) as it would be applied", run_config_check},
      {"config.apply", "replaces the running configuration (text) without losing a packet", run_config_apply},
      {"block.add", "blocks a source prefix (prefix, for)", run_block_add},
      {"block.remove", "ends a block that was given by command (prefix)", run_block_remove},
      {"block.list", "blocked prefixes (prefix, limit, cursor)", run_block_list},
      {"block.find", "what decides about a source address (address)", run_block_find},
      {"block.load", "blocks many prefixes at one moment, a line each (text, for, replace; name, more, load)", run_block_load},
      {"block.clear", "ends all blocks that were given by command", run_block_clear},
      {"allow.add", "lets a source prefix pass (prefix, for)", run_allow_add},
      {"allow.remove", "ends an allowance that was given by command (prefix)", run_allow_remove},
      {"allow.list", "allowed prefixes (prefix, limit, cursor)", run_allow_list},
      {"allow.find", "what decides about a source address (address)", run_allow_find},
      {"allow.load", "allows many prefixes at one moment, a line each (text, for, replace; name, more, load)", run_allow_load},
      {"allow.clear", "ends all allowances that were given by command", run_allow_clear},
      {"shed.status", "early drop: levels, what was dropped and why, lists, established flows' hints (port)", run_shed_status},
      {"shed.level", level_help.c_str(), run_shed_level},
      {"stop", "drains and ends sluiced", run_stop},
  };
  return table;
}

void Context::log_event(const port::Event& e) {
  events.push_back({++event_count, unix_now(), e});
  if (events.size() > 1000) events.pop_front();
}

void Context::log_access(const std::string& what) {
  access.push_back({++event_count, unix_now(), {port::Event::Level::info, what}});
  if (access.size() > 1000) access.pop_front();
}

uint16_t port_named(const Context& c, const Params& p, const char* field, const std::string& name) {
  const auto& ports = c.box.ports();
  std::string list;
  for (size_t i = 0; i < ports.size(); i++) {
    if (ports[i]->info().name == name) return static_cast<uint16_t>(i);
    list += (list.empty() ? "" : ", ") + ports[i]->info().name;
  }
  p.invalid(field, "there is no port '" + name.substr(0, 64) + "'; ports are " + list);
}

std::optional<Prefix> prefix_of(const Params& p, const char* field, const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (auto x = parse_prefix(text)) return x;
  if (auto a = parse_ip(text)) return Prefix{*a, static_cast<uint8_t>(a->bits())};
  p.invalid(field, "'" + text.substr(0, 64) + "' is no address and no prefix");
}

std::string port_name(const Context& c, uint16_t index) {
  return index < c.box.ports().size() ? c.box.ports()[index]->info().name : "-";
}

double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace sluice::control
