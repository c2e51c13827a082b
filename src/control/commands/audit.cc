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
  return {{"closed", a.closed},
          {"verdict", a.verdict},
          {"rows", rows},
          {"sum", row(a.sum)},
          {"transmitted", a.transmitted},
          {"queued", a.queued},
          {"pool", {{"size", a.pool_size}, {"in_use", a.pool_in_use}, {"held_by_ports", a.pool_held}}}};
}

}  // namespace sluice::control
