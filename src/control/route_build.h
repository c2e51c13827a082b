// The routing table of a model: own addresses, connected networks, static routes, route files.
#pragma once

#include <memory>

#include "base/result.h"
#include "config/model.h"
#include "path/snapshot.h"

namespace sluice::control {

// What the routes are made from, as text: equal inputs need no new table.
Result<std::string> route_inputs(const config::Model& m);
Result<std::shared_ptr<const path::Routes>> build_routes(const config::Model& m);

}  // namespace sluice::control
