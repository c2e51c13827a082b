#include "control/tcp_counters.h"

#include "control/commands.h"

namespace sluice::control {

json run_tcp_counters(Context& c, Params& p) {
  const bool nonzero = p.flag("nonzero");
  p.finish();
  json list = json::array();
  for (const TcpCounter& x : tcp_counters(c.box))
    if (x.value || !nonzero) list.push_back({{"name", x.name}, {"value", x.value}, {"text", x.text}});
  return list;
}

}  // namespace sluice::control
