#include "control/commands.h"

namespace sluice::control {

json run_status(Context& c, Params& p) {
  p.finish();
  Audit a = totals(c.box);
  json ports = json::array();
  for (size_t i = 0; i < c.box.ports().size(); i++) {
    const auto& port = *c.box.ports()[i];
    Rates::Rate r = c.rates.port(i);
    ports.push_back({{"name", port.info().name},
                     {"link", port.link_up() ? "up" : "down"},
                     {"rx_pps", r.rx_pps},
                     {"tx_pps", r.tx_pps}});
  }
  uint64_t flows = 0, capacity = 0;
  for (unsigned w = 0; w < c.box.workers(); w++)
    c.box.run_on_worker(w, [&](path::Pipeline& pl) {
      flows += pl.flows();
      capacity += pl.flow_capacity();
    });
  json warnings = json::array();
  for (const auto& e : c.events)
    if (e.event.level != port::Event::Level::info) warnings.push_back(e.event.text);
  while (warnings.size() > 5) warnings.erase(warnings.begin());
  return {{"name", c.running.model().system.name},
          {"version", c.version},
          {"uptime_seconds", unix_now() - c.started_unix},
          {"config", c.running.file()},
          {"snapshot", c.box.snapshot()->id},
          {"workers", c.box.workers()},
          {"ports", ports},
          {"received", a.sum.received},
          {"transmitted", a.transmitted},
          {"dropped", a.sum.dropped},
          {"pool", {{"size", a.pool_size}, {"in_use", a.pool_in_use}, {"huge_pages", c.box.pool().huge()}}},
          {"flows", {{"entries", flows}, {"capacity", capacity}}},
          {"neighbors", {{"entries", c.box.neighbors().size()}, {"capacity", c.box.neighbors().capacity()}}},
          {"recent_warnings", warnings}};
}

}  // namespace sluice::control
