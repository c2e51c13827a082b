#include "control/commands.h"

namespace sluice::control {

namespace {

json describe(const Context& c, const path::NextHopGroup& g) {
  using Kind = path::NextHopGroup::Kind;
  switch (g.kind) {
    case Kind::local:
      return {{"kind", "local"}, {"port", port_name(c, g.local_port)}};
    case Kind::broadcast:
      return {{"kind", "broadcast"}, {"port", port_name(c, g.local_port)}};
    case Kind::blackhole:
      return {{"kind", "blackhole"}};
    case Kind::unreachable:
      return {{"kind", "unreachable"}};
    case Kind::forward:
      break;
  }
  json hops = json::array();
  for (unsigned i = 0; i < g.hops; i++)
    hops.push_back({{"via", g.hop[i].via.none() ? "on-link" : to_string(g.hop[i].via)},
                    {"port", port_name(c, g.hop[i].port)}});
  return {{"kind", "forward"}, {"hops", hops}};
}

}  // namespace

json run_routes(Context& c, Params& p) {
  const std::string to = p.text("to");
  const uint64_t limit = p.number("limit", 1000, 1, 2'000'000);
  p.finish();
  auto s = c.box.snapshot();
  const path::Routes& r = *s->routes;
  json list = json::array();
  if (!to.empty()) {
    auto a = parse_ip(to);
    if (!a) p.invalid("to", "'" + to.substr(0, 64) + "' is no IPv4 or IPv6 address");
    const uint32_t g = a->family == 4 ? r.fib4->lookup(a->v4()) : r.fib6->lookup(a->v6());
    const path::Routes::Entry* best = nullptr;  // the table knows the group, the list knows the prefix
    for (const auto& e : r.entries)
      if (e.prefix.contains(*a) && (!best || e.prefix.len > best->prefix.len)) best = &e;
    if (!best || g == Fib4::kMiss) return {{"to", to}, {"route", nullptr}};
    json j = describe(c, r.groups[g]);
    j["prefix"] = to_string(best->prefix);
    j["origin"] = best->origin;
    return {{"to", to}, {"route", j}};
  }
  for (const auto& e : r.entries) {
    if (list.size() >= limit) break;
    json j = describe(c, r.groups[e.group]);
    j["prefix"] = to_string(e.prefix);
    j["origin"] = e.origin;
    list.push_back(std::move(j));
  }
  return {{"total", r.entries.size()}, {"ip4", r.fib4->size()}, {"ip6", r.fib6->size()}, {"routes", list}};
}

}  // namespace sluice::control
