#include "control/snapshot_build.h"

#include "control/snapshot_routes.h"

namespace sluice::control {
namespace {

bool same(const Interfaces& a, const Interfaces& b) {
  return a.port == b.port && a.neighbors == b.neighbors && a.timers == b.timers &&
         a.reassembly_timeout == b.reassembly_timeout;
}

Result<std::shared_ptr<const RuleSet>> build_rules(const config::Model& m,
                                                   const std::shared_ptr<const RuleSet>& previous, unsigned workers) {
  if (!m.filter.present) return std::shared_ptr<const RuleSet>();
  std::vector<Rule> rules = filter_rules(m);
  const RuleAction otherwise = action(m.filter.default_action);
  if (previous && previous->default_action() == otherwise && previous->rules() == rules) return previous;
  RuleSet::Options o;
  o.default_action = otherwise;
  o.workers = workers;
  auto built = RuleSet::build(std::move(rules), o, previous.get());
  if (!built) return Error{built.error()};
  return *built;
}

}  // namespace

Result<std::shared_ptr<const path::Snapshot>> build_snapshot(const config::Model& m,
                                                             const std::vector<PortFacts>& facts,
                                                             const path::Snapshot* previous, unsigned workers) {
  if (facts.size() != m.ports.size())
    return Error{"the box has " + std::to_string(facts.size()) + " ports and the configuration " +
                 std::to_string(m.ports.size()) + "; restart for another set of ports"};
  auto s = std::make_shared<path::Snapshot>();
  if (previous) {
    s->id = previous->id + 1;
    s->route_generation = previous->route_generation;
    s->filter_generation = previous->filter_generation;
  }

  Interfaces ifs = interfaces(m, facts);
  const bool same_interfaces = previous && same(ifs, *previous->interfaces);
  ifs.generation = previous ? previous->interfaces->generation + 1 : 1;
  s->interfaces = same_interfaces ? previous->interfaces : std::make_shared<const Interfaces>(std::move(ifs));

  auto routes = build_routes(m, previous ? previous->routes : nullptr);
  if (!routes) return Error{routes.error()};
  s->routes = *routes;
  // What flows take from the interfaces (MTU, source MAC, reverse-path check) goes with the routes' generation.
  if (previous && (s->routes != previous->routes || !same_interfaces)) s->route_generation++;

  auto rules = build_rules(m, previous ? previous->filter.rules : nullptr, workers);
  if (!rules) return Error{rules.error()};
  s->filter = {*rules, m.filter.drop_tiny_fragments};
  if (previous && (s->filter.rules != previous->filter.rules ||
                   s->filter.drop_tiny_fragments != previous->filter.drop_tiny_fragments))
    s->filter_generation++;

  s->icmp = {m.icmp.errors_per_second, m.icmp.errors_burst, m.icmp.per_source_per_second, m.icmp.per_source_burst};
  return std::shared_ptr<const path::Snapshot>(std::move(s));
}

}  // namespace sluice::control
