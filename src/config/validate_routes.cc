#include <algorithm>
#include <map>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

// The connected subnets, for a question per next hop.
class Connected {
 public:
  explicit Connected(const Model& m) {
    for (const Port& p : m.ports) {
      ports_[p.name] = &p;
      names_.push_back(p.name);
    }
  }
  const Port* port(const std::string& name) const {
    auto it = ports_.find(name);
    return it == ports_.end() ? nullptr : it->second;
  }
  const std::vector<std::string>& names() const { return names_; }
  // The subnet that holds the address, of any port or of one.
  std::pair<const Port*, const Prefix*> subnet(const IpAddr& a, const Port* only) const {
    for (auto& [name, p] : ports_)
      if (!only || only == p)
        for (const Prefix& s : p->addresses)
          if (s.contains(a)) return {p, &s};
    return {nullptr, nullptr};
  }

 private:
  std::map<std::string, const Port*> ports_;
  std::vector<std::string> names_;
};

// Why no host can answer at this address of a connected subnet; null where one can.
const char* not_a_host(const Prefix& subnet, const IpAddr& a) {
  if (a == subnet.addr) return "the box's own address";
  if (subnet.addr.family != 4 || subnet.len >= 31) return nullptr;
  const uint32_t mask = subnet.len ? UINT32_MAX >> subnet.len : UINT32_MAX;
  const uint32_t host = a.v4().host() & mask;
  return host == 0      ? "the network address of its subnet"
         : host == mask ? "the broadcast address of its subnet"
                        : nullptr;
}

void check_hop(const Route& route, const Via& v, const std::string& path, const Connected& c, Findings& f) {
  const Port* port = v.port.empty() ? nullptr : c.port(v.port);
  if (!v.port.empty() && !port) {
    f.add(path + ".port",
          "found '" + v.port + "', but there is no such port" + did_you_mean(v.port, c.names()));
    return;
  }
  if (v.addr.none()) return;
  const std::string where = v.port.empty() ? path : path + ".address";
  const std::string found = "found '" + to_string(v.addr) + "'";
  if (v.addr.family != route.to.addr.family) {
    f.add(where,
          found + " as the next hop of '" + to_string(route.to) + "'; both must be IPv4, or both IPv6");
    return;
  }
  if (v.addr.family == 6 && v.addr.v6().link_local()) {
    if (!port)
      f.add(where, found + ", which is link-local: say which port leads to it, {address: " +
                       to_string(v.addr) + ", port: NAME}");
    return;
  }
  if (f.doubtful("ports")) return;
  auto [owner, subnet] = c.subnet(v.addr, port);
  if (!subnet)
    f.add(where, found + ", which lies in no subnet of " + (port ? "port '" + port->name + "'" : "any port") +
                     "; a next hop is a neighbor");
  else if (const char* why = not_a_host(*subnet, v.addr))
    f.add(where, found + ", which is " + why + " on port '" + owner->name + "'");
}

void check_hops(const Route& route, const std::string& base, const Connected& c, Findings& f) {
  for (size_t i = 0; i < route.via.size(); i++) {
    const std::string path = route.via.size() > 1 ? base + ".via[" + std::to_string(i) + "]" : base + ".via";
    check_hop(route, route.via[i], path, c, f);
    for (size_t k = 0; k < i; k++)
      if (route.via[k].addr == route.via[i].addr && route.via[k].port == route.via[i].port)
        f.add(path, "the same next hop is given twice");
  }
}

// A prefix that nothing may be routed to.
const char* refuse_destination(const Prefix& p) {
  static const Prefix multicast4 = *parse_prefix("224.0.0.0/4"), multicast6 = *parse_prefix("ff00::/8"),
                      link_local = *parse_prefix("fe80::/10"), loopback4 = *parse_prefix("127.0.0.0/8");
  auto within = [&](const Prefix& big) { return p.len >= big.len && big.contains(p.addr); };
  if (within(multicast4) || within(multicast6)) return "multicast is not routed";
  if (within(link_local)) return "link-local addresses are not routed";
  if (within(loopback4) || (p.addr.family == 6 && p.len == 128 && p.addr.v6().loopback()))
    return "loopback addresses are not routed";
  return nullptr;
}

}  // namespace

void validate_routes(const Model& m, Findings& f) {
  const Connected connected(m);
  std::map<Prefix, size_t> first;
  std::map<Prefix, std::string> subnets;
  for (const Port& p : m.ports)
    for (const Prefix& a : p.addresses) subnets.emplace(a.masked(), p.name);
  for (size_t i = 0; i < m.routes.size(); i++) {
    const Route& route = m.routes[i];
    const std::string base = "routes[" + std::to_string(i) + "]";
    if (f.doubtful(base)) continue;
    const Node* n = f.doc().locate(base);
    const int said = !!n->find("via") + !!n->find("blackhole") + !!n->find("unreachable");
    if (said != 1) {
      f.add(base, said ? "a route has one of via, blackhole and unreachable"
                       : "what becomes of the packets is missing: via, blackhole or unreachable");
      continue;
    }
    if (const char* why = refuse_destination(route.to))
      f.add(base + ".to", "found '" + to_string(route.to) + "'; " + why);
    auto [it, fresh] = first.emplace(route.to, i);
    if (!fresh)
      f.add(base + ".to", "there is a route to '" + to_string(route.to) + "' already, routes[" +
                              std::to_string(it->second) + "]; several next hops are a list: via: [A, B]");
    if (auto s = subnets.find(route.to); s != subnets.end())
      f.add(base + ".to", "found '" + to_string(route.to) + "', which is the subnet of port '" + s->second +
                              "' and reached by itself");
    check_hops(route, base, connected, f);
  }
}

}  // namespace sluice::config
