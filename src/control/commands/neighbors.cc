#include "control/commands.h"

namespace sluice::control {

json run_neighbors(Context& c, Params& p) {
  const std::string only = p.text("port");
  const uint64_t limit = p.number("limit", 10'000, 1, 1'000'000);
  p.finish();
  const uint16_t port = only.empty() ? kNoPort : port_named(c, p, "port", only);
  json list = json::array();
  for (const NeighborTable::View& v : c.box.neighbors().list()) {
    if (port != kNoPort && v.port != port) continue;
    if (list.size() >= limit) break;
    list.push_back({{"port", port_name(c, v.port)},
                    {"address", to_string(v.addr)},
                    {"mac", v.mac.zero() ? json(nullptr) : json(to_string(v.mac))},
                    {"state", to_string(v.state)}});
  }
  return {{"total", c.box.neighbors().size()}, {"neighbors", list}};
}

}  // namespace sluice::control
