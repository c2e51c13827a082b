// From the configuration to what the data path reads: interfaces, routes, filter rules. Whatever a change leaves
// alone is shared with the snapshot before, and its generation stays: a new filter rule rebuilds no routing table.
//
// Errors are sentences that name what is wrong, where config's own checks could not see it: route files, the
// machine's memory. A failed build leaves nothing behind. Control thread only; EAL is up.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "config/model.h"
#include "control/translate.h"
#include "path/snapshot.h"

namespace sluice::control {

// `facts` has one entry per port of the model. `previous` is the snapshot in use, or null at start; no engine may
// still use the one before it.
Result<std::shared_ptr<const path::Snapshot>> build_snapshot(const config::Model& m,
                                                             const std::vector<PortFacts>& facts,
                                                             const path::Snapshot* previous, unsigned workers);

}  // namespace sluice::control
