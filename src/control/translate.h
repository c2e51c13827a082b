// The configuration in the words of the rooms that act on it: options of ports and box, interfaces, filter rules.
// Nothing is checked here that config has checked. Control thread only.
#pragma once

#include <vector>

#include "base/result.h"
#include "apps/service_config.h"
#include "config/model.h"
#include "engine/box.h"
#include "port/options.h"
#include "table/interfaces.h"
#include "table/rule_set.h"

namespace sluice::control {

struct PortFacts {  // what only the opened port can tell
  Mac mac;
  uint16_t mtu = 1500;
  bool partial_checksums = false;
  uint32_t link_epoch = 0;       // counts the link's returns; while it is down, that of before
  bool any_destination = false;  // a capture: its frames were for other machines
  bool operator==(const PortFacts&) const = default;
};
// `before`: the facts of an earlier call, or empty.
std::vector<PortFacts> port_facts(const engine::Box& box, const std::vector<PortFacts>& before = {});

port::Options port_options(const config::Port& p, uint16_t index);
engine::BoxOptions box_options(const config::Model& m);
tcp::Config tcp_config(const config::Tcp& t);
std::vector<apps::ServiceConfig> service_configs(const config::Model& m);
std::vector<stack::UdpBinding> udp_bindings(const config::Model& m);

// MiB of EAL heap for this configuration: two generations of its tables (while one replaces the other), and what
// EAL and the drivers take. Reads the route files; what it cannot read counts as nothing, for build_snapshot will
// say so. Matters where there are no hugepages: the heap is fixed at start then.
unsigned eal_memory_mb(const config::Model& m);

// Generation 0.
Interfaces interfaces(const config::Model& m, const std::vector<PortFacts>& facts);
std::vector<Rule> filter_rules(const config::Model& m);
RuleAction action(config::Action a);

}  // namespace sluice::control
