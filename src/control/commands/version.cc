#include <rte_version.h>

#include "control/commands.h"
#include "sluice/control.h"

namespace sluice::control {

json run_version(Context& c, Params& p) {
  p.finish();
  return {{"version", c.version}, {"protocol", kProtocolVersion}, {"dpdk", rte_version()}};
}

json run_methods(Context&, Params& p) {
  p.finish();
  json out = json::array();
  for (const Verb& v : verbs()) out.push_back({{"method", v.name}, {"help", v.help}});
  return out;
}

}  // namespace sluice::control
