#include "control/commands.h"

namespace sluice::control {

json run_lcores(Context& c, Params& p) {
  p.finish();
  json out = json::array();
  for (const engine::LcoreView& l : c.box.lcores())
    out.push_back({{"cpu", l.cpu},
                   {"role", l.role},
                   {"tid", l.tid},
                   {"turns", l.turns},
                   {"busy_turns", l.busy_turns},
                   {"busy_share", l.busy_share},
                   {"packets", l.packets},
                   {"sleeps", l.sleeps},
                   {"wakeups", l.wakeups},
                   {"wake_p50_us", static_cast<double>(l.wake_p50_ns) / 1000},
                   {"wake_p99_us", static_cast<double>(l.wake_p99_ns) / 1000},
                   {"last_turn_age_ms", static_cast<double>(l.last_turn_age_ns) / 1e6}});
  return out;
}

}  // namespace sluice::control
