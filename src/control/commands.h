// The verbs of the control socket, one a file in commands/. To add one: a file there, a line in this table's
// source (commands.cc), a line in meson.build.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "control/rates.h"
#include "control/rpc.h"
#include "control/running.h"
#include "control/shed.h"
#include "engine/box.h"
#include "port/port.h"

namespace sluice::control {

struct LoggedEvent {
  uint64_t number;
  double unix_time;
  port::Event event;
};

// What the verbs work on. One control thread.
struct Context {
  engine::Box& box;
  Running& running;
  Rates& rates;
  std::string version;
  ServiceControl& services;
  double started_unix = 0;
  bool stop_requested = false;
  std::deque<LoggedEvent> events, access;  // the latest 1,000 of each
  uint64_t event_count = 0;
  PrefixLoad load;

  void log_event(const port::Event& e);
  void log_access(const std::string& what);
};

const std::vector<Verb>& verbs();

json run_version(Context&, Params&);
json run_methods(Context&, Params&);
json run_status(Context&, Params&);
json run_ports(Context&, Params&);
json run_lcores(Context&, Params&);
json run_routes(Context&, Params&);
json run_neighbors(Context&, Params&);
json run_rules(Context&, Params&);
json run_flows(Context&, Params&);
json run_services(Context&, Params&);
json run_tcp_list(Context&, Params&);
json run_tcp_show(Context&, Params&);
json run_tcp_counters(Context&, Params&);
json run_tcp_close(Context&, Params&);
json run_tcp_abort(Context&, Params&);
json run_drops(Context&, Params&);
json run_audit(Context&, Params&);
json run_events(Context&, Params&);
json run_config_get(Context&, Params&);
json run_config_check(Context&, Params&);
json run_config_apply(Context&, Params&);
json run_block_add(Context&, Params&);
json run_block_remove(Context&, Params&);
json run_block_list(Context&, Params&);
json run_block_find(Context&, Params&);
json run_block_load(Context&, Params&);
json run_block_clear(Context&, Params&);
json run_allow_add(Context&, Params&);
json run_allow_remove(Context&, Params&);
json run_allow_list(Context&, Params&);
json run_allow_find(Context&, Params&);
json run_allow_load(Context&, Params&);
json run_allow_clear(Context&, Params&);
json run_shed_status(Context&, Params&);
json run_shed_level(Context&, Params&);
json run_stop(Context&, Params&);

// The index of a port by name; throws what Params::invalid throws.
uint16_t port_named(const Context& c, const Params& p, const char* field, const std::string& name);
std::string port_name(const Context& c, uint16_t index);
// An address or prefix; none where the text is empty. Throws what Params::invalid throws.
std::optional<Prefix> prefix_of(const Params& p, const char* field, const std::string& text);
double unix_now();

}  // namespace sluice::control
