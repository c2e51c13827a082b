// The routing table of a configuration: connected networks and the box's own addresses, static routes, route
// files; next hops found by the networks that hold them; equal sets of next hops share one group.
#pragma once

#include <memory>

#include "base/result.h"
#include "config/model.h"
#include "control/route_file.h"
#include "path/snapshot.h"

namespace sluice::control {

// Shares with `previous` (may be null) what is alike: all of it, or the table of one family.
Result<std::shared_ptr<const path::Routes>> build_routes(const config::Model& m,
                                                         const std::shared_ptr<const path::Routes>& previous);

// Bytes of EAL heap that the tables take, once. Unreadable files count as nothing.
size_t routes_memory(const config::Model& m);

}  // namespace sluice::control
