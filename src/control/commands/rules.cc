#include "control/commands.h"

namespace sluice::control {

namespace {

const char* action_name(RuleAction a) {
  return a == RuleAction::permit ? "permit" : a == RuleAction::deny ? "deny" : "reject";
}

json strings(const std::vector<Prefix>& v) {
  json j = json::array();
  for (const Prefix& p : v) j.push_back(to_string(p));
  return j;
}

json spans(const std::vector<PortRange>& v) {
  json j = json::array();
  for (const PortRange& r : v)
    j.push_back(r.low == r.high ? std::to_string(r.low)
                                : std::to_string(r.low) + "-" + std::to_string(r.high));
  return j;
}

}  // namespace

json run_rules(Context& c, Params& p) {
  const uint64_t limit = p.number("limit", 10'000, 1, 1'000'000);
  p.finish();
  auto s = c.box.snapshot();
  const RuleSet* rules = s->filter.rules.get();
  if (!rules) return {{"filter", false}, {"rules", json::array()}};
  json list = json::array();
  for (uint32_t i = 0; i < rules->size() && list.size() < limit; i++) {
    const Rule& r = rules->rule(i);
    RuleSet::Sum h = rules->sum(i);
    json in = json::array(), out = json::array(), protocols = json::array();
    for (uint16_t x : r.in_ports) in.push_back(port_name(c, x));
    for (uint16_t x : r.out_ports) out.push_back(port_name(c, x));
    for (uint8_t x : r.protocols) protocols.push_back(x);
    list.push_back({{"name", r.name},
                    {"action", action_name(r.action)},
                    {"in", in},
                    {"out", out},
                    {"from", strings(r.sources)},
                    {"to", strings(r.destinations)},
                    {"protocols", protocols},
                    {"from_ports", spans(r.sports)},
                    {"to_ports", spans(r.dports)},
                    {"stateful", r.stateful},
                    {"packets", h.packets},
                    {"bytes", h.bytes}});
  }
  RuleSet::Sum d = rules->sum(RuleSet::kDefault);
  return {{"filter", true},
          {"total", rules->size()},
          {"rules", list},
          {"default",
           {{"action", action_name(rules->action(RuleSet::kDefault))},
            {"packets", d.packets},
            {"bytes", d.bytes}}}};
}

}  // namespace sluice::control
