#include "control/commands.h"

namespace sluice::control {

json run_drops(Context& c, Params& p) {
  const std::string only = p.text("port");
  const bool all = p.flag("all");
  p.finish();
  if (!only.empty() && only != "box") port_named(c, p, "port", only);
  Audit a = totals(c.box);
  json list = json::array();
  for (unsigned r = 0; r < kDropReasons; r++) {
    const DropInfo& info = drop_info(static_cast<DropReason>(r));
    json by_port = json::object();
    uint64_t total = 0;
    for (const AuditRow& row : a.rows) {
      if (!only.empty() && row.name != only) continue;
      total += row.drops[r];
      if (row.drops[r]) by_port[row.name] = row.drops[r];
    }
    if (total || all)
      list.push_back({{"reason", info.name},
                      {"severity", to_string(info.severity)},
                      {"packets", total},
                      {"ports", by_port},
                      {"text", info.text}});
  }
  return list;
}

}  // namespace sluice::control
