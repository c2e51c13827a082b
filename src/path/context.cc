#include "path/context.h"

namespace sluice::path {

void Context::adopt(const Snapshot& s) {
  snapshot = &s;
  snapshot_id = s.id;
  // A changed address or reverse-path setting matters to flows as a changed route does.
  if (route_epoch_ == 0 || seen_routes_ != s.route_generation || seen_interfaces_ != s.interfaces->generation) {
    route_epoch_++;
    seen_routes_ = s.route_generation;
    seen_interfaces_ = s.interfaces->generation;
  }
  generation = Generation::of(route_epoch_, s.filter_generation);
  routes = s.routes.get();
  rules = s.filter.rules.get();
  drop_tiny = rules && s.filter.drop_tiny_fragments;
  for (unsigned i = 0; i < kMaxPorts; i++) {
    const Interface* ifc = interface(static_cast<uint16_t>(i));
    egress[i] = ifc ? EgressPort{ifc->mac.word(), ifc->mtu} : EgressPort{};
  }
}

}  // namespace sluice::path
