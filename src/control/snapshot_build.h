// From model to snapshot: the only maker of what the data path consults. Tables whose inputs did not change are
// shared with the previous snapshot, and their generations stay, so that flows are not evaluated again for
// nothing. Nothing here touches a running box. Control thread only.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "config/model.h"
#include "engine/box.h"
#include "path/snapshot.h"

namespace sluice::control {

struct PortFacts {  // what only the opened port knows
  Mac mac;
  uint16_t mtu = 1500;
  bool partial_checksums = false;
  bool any_destination = false;  // a replayed capture: other machines' MACs stand in its frames
};
std::vector<PortFacts> port_facts(const engine::Box& box);

// `previous` may be null. Errors: a next hop on no connected network, a prefix given twice, no memory, a bad
// line of a route file (FILE:LINE).
Result<std::shared_ptr<const path::Snapshot>> build_snapshot(const config::Model& m, const std::vector<PortFacts>& facts,
                                                             const path::Snapshot* previous, unsigned workers);

// What the box is made with, and the EAL heap that its tables need: room for two generations of each.
engine::BoxOptions box_options(const config::Model& m);
unsigned eal_memory_mb(const config::Model& m);

}  // namespace sluice::control
