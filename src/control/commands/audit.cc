#include "control/audit.h"

#include "control/commands.h"

namespace sluice::control {

json run_audit(Context& c, Params& p) {
  p.finish();
  Audit a = audit(c.box);
  auto row = [](const AuditRow& r) {
    return json{{"name", r.name},           {"received", r.received}, {"created", r.created},
                {"forwarded", r.forwarded}, {"consumed", r.consumed}, {"dropped", r.dropped},
                {"open", r.open()}};
  };
  json rows = json::array();
  for (const AuditRow& r : a.rows) rows.push_back(row(r));
  json early = json::array();
  for (const EarlyRow& r : a.early)
    early.push_back({{"port", r.port}, {"closed", r.closed()}, {"seen", r.seen}, {"dropped", r.dropped}, {"answered", r.answered},
                     {"kernel", r.kernel}, {"handed_up", r.handed_up}, {"received", r.received},
                     {"missed_in_socket", r.missed_in_socket}, {"waiting", r.waiting}, {"under_way", r.under_way()},
                     {"missed_by_device", r.missed_by_device}});
  return {{"closed", a.closed},
          {"verdict", a.verdict},
          {"rows", rows},
          {"sum", row(a.sum)},
          {"early", early},
          {"transmitted", a.transmitted},
          {"queued", a.queued},
          {"pool",
           {{"size", a.pool_size}, {"in_use", a.pool_in_use}, {"held_by_ports", a.pool_held},
            {"held_by_devices_at_most", a.pool_untold}}}};
}

}  // namespace sluice::control
