#include "control/commands.h"

namespace sluice::control {

json run_stop(Context& c, Params& p) {
  p.finish();
  c.stop_requested = true;
  return {{"stopping", true}};
}

}  // namespace sluice::control
