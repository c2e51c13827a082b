#include "control/snapshot_routes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

// Entries are made family by family, in four kinds:
//
//   local      /32, /128 of each address; the subnet-router anycast address of an IPv6 network (RFC 4291 2.6.1),
//              but not of /127 (RFC 6164) and /128
//   connected  the network of each address; the destination itself is the next hop
//   broadcast  first and last address of an IPv4 network of /30 or shorter: not forwarded (RFC 1812 5.3.5)
//   static, file
//
// A local entry wins over the others of the same prefix (a /32 address has no network beside it). Any other
// prefix that is there twice is an error, which names both places. Group numbers depend on the order of the
// entries alone, IPv4 first, so that a change of IPv6 routes leaves the IPv4 table as it is.

namespace sluice::control {
namespace {

using path::NextHop;
using path::NextHopGroup;
using Kind = NextHopGroup::Kind;

IpAddr last_address(const Prefix& p) {
  IpAddr a = p.masked().addr;
  for (unsigned i = p.len; i < a.bits(); i++) a.b[i / 8] |= static_cast<uint8_t>(0x80 >> (i % 8));
  return a;
}

class Builder {
 public:
  explicit Builder(const config::Model& m) : m_(m) {}

  Status run(bool missing_files_are_empty) {
    for (const config::RouteFile& f : m_.route_files) {
      auto file = read_route_file(f.path);
      if (!file && !missing_files_are_empty) return Error{file.error()};
      files_.push_back(file ? std::move(*file) : RouteFile{f.path, {}, {}});
    }
    size_t most = 0;
    for (const RouteFile& f : files_) most += f.routes.size();
    routes_.entries.reserve(most + m_.routes.size() + 8 * m_.ports.size());
    for (unsigned family : {4u, 6u}) {
      if (Status s = own(family); !s) return s;
      if (Status s = statics(family); !s) return s;
      if (Status s = from_files(family); !s) return s;
      if (family == 4) first6_ = routes_.entries.size();
    }
    return {};
  }

  path::Routes& routes() { return routes_; }

  std::vector<FibRoute> fib_routes(unsigned family) const {
    const auto [from, to] = range(family);
    std::vector<FibRoute> out;
    out.reserve(to - from);
    for (size_t i = from; i < to; i++) out.push_back({routes_.entries[i].prefix, routes_.entries[i].group});
    return out;
  }

  std::pair<size_t, size_t> range(unsigned family) const {
    return family == 4 ? std::pair{size_t{0}, first6_} : std::pair{first6_, routes_.entries.size()};
  }

  // The first prefix that is there twice, with both places. Slow: asked for when the table was refused.
  std::optional<Error> twice(unsigned family) const {
    const auto [from, to] = range(family);
    std::map<Prefix, size_t> seen;
    for (size_t i = from; i < to; i++) {
      auto [it, fresh] = seen.emplace(routes_.entries[i].prefix, i);
      if (!fresh)
        return Error{place(i, family) + ": the prefix " + to_string(it->first) + " is there already, as " +
                     place(it->second, family) + "; remove one of them"};
    }
    return std::nullopt;
  }

 private:
  // --- groups

  uint32_t group(const NextHopGroup& g) {
    std::string key{static_cast<char>(g.kind), static_cast<char>(g.local_port & 0xff)};
    for (unsigned i = 0; i < g.hops; i++) {
      const NextHop& h = g.hop[i];
      key += {static_cast<char>(h.port & 0xff), static_cast<char>(h.via.family)};
      key.append(h.via.b.begin(), h.via.b.end());
    }
    auto [it, fresh] = known_.emplace(std::move(key), static_cast<uint32_t>(routes_.groups.size()));
    if (fresh) routes_.groups.push_back(g);
    return it->second;
  }
  uint32_t group(Kind kind, uint16_t local_port = kNoPort) {
    NextHopGroup g;
    g.kind = kind;
    g.local_port = local_port;
    return group(g);
  }
  uint32_t on_link(uint16_t port) {
    NextHopGroup g;
    g.hops = 1;
    g.hop[0].port = port;
    return group(g);
  }

  // --- what the addresses bring

  Status own(unsigned family) {
    std::map<Prefix, uint16_t> local, connected;
    for (uint16_t port = 0; port < m_.ports.size(); port++)
      for (const Prefix& a : m_.ports[port].addresses) {
        if (a.addr.family != family) continue;
        const Prefix host{a.addr, static_cast<uint8_t>(a.addr.bits())};
        auto [it, fresh] = local.emplace(host, port);
        if (!fresh)
          return Error{"the address " + to_string(a.addr) + " is on port '" + m_.ports[it->second].name +
                       "' and on port '" + name(port) + "'; an address belongs to one port"};
        add(host, group(Kind::local, port), "local");
      }
    for (uint16_t port = 0; port < m_.ports.size(); port++)
      for (const Prefix& a : m_.ports[port].addresses) {
        if (a.addr.family != family) continue;
        const Prefix net = a.masked();
        auto [it, fresh] = connected.emplace(net, port);
        if (!fresh && it->second != port)
          return Error{"the network " + to_string(net) + " is connected to port '" + name(it->second) +
                       "' and to port '" + name(port) + "'; a network belongs to one port"};
        if (!fresh || local.contains(net)) continue;
        add(net, on_link(port), "connected");
        edges(net, port, local);
      }
    return {};
  }

  void edges(const Prefix& net, uint16_t port, const std::map<Prefix, uint16_t>& local) {
    auto host = [&](const IpAddr& a) { return Prefix{a, static_cast<uint8_t>(a.bits())}; };
    if (net.addr.family == 6) {
      if (net.len <= 126 && !local.contains(host(net.addr)))
        add(host(net.addr), group(Kind::local, port), "local");
      return;
    }
    if (net.len > 30) return;
    for (const IpAddr& a : {net.addr, last_address(net)})
      if (!local.contains(host(a))) add(host(a), group(Kind::broadcast, port), "broadcast");
  }

  // --- routes

  Status statics(unsigned family) {
    first_static_[family == 6] = routes_.entries.size();
    for (size_t i = 0; i < m_.routes.size(); i++) {
      const config::Route& r = m_.routes[i];
      if (r.to.addr.family != family) continue;
      static_index_.push_back(i);
      if (r.kind != config::Route::Kind::via) {
        add(r.to, group(r.kind == config::Route::Kind::blackhole ? Kind::blackhole : Kind::unreachable), "static");
        continue;
      }
      auto g = forward(r.via, family);
      if (!g) return Error{"the route to " + to_string(r.to) + ": " + g.error()};
      add(r.to, *g, "static");
    }
    return {};
  }

  Status from_files(unsigned family) {
    for (const RouteFile& f : files_) {
      std::vector<uint32_t> groups(f.targets.size(), UINT32_MAX);
      first_of_file_[family == 6].push_back(routes_.entries.size());
      for (const RouteFile::Route& r : f.routes) {
        if (r.prefix.addr.family != family) continue;
        uint32_t& g = groups[r.target];
        if (g == UINT32_MAX) {
          auto made = target(f.targets[r.target], family);
          if (!made) return Error{f.name + ":" + std::to_string(f.targets[r.target].line) + ": " + made.error()};
          g = *made;
        }
        add(r.prefix, g, "file");
      }
    }
    return {};
  }

  Result<uint32_t> target(const RouteTarget& t, unsigned family) {
    if (t.kind == RouteTarget::Kind::blackhole) return group(Kind::blackhole);
    if (t.kind == RouteTarget::Kind::unreachable) return group(Kind::unreachable);
    std::vector<config::Via> via;
    for (const IpAddr& a : t.via) via.push_back({a, ""});
    return forward(via, family);
  }

  Result<uint32_t> forward(const std::vector<config::Via>& via, unsigned family) {
    if (via.empty() || via.size() > kMaxEcmp)
      return Error{"it has " + std::to_string(via.size()) + " next hops; expected 1 to " + std::to_string(kMaxEcmp)};
    NextHopGroup g;
    for (const config::Via& v : via) {
      auto hop = next_hop(v, family);
      if (!hop) return Error{hop.error()};
      g.hop[g.hops++] = *hop;
    }
    return group(g);
  }

  Result<NextHop> next_hop(const config::Via& v, unsigned family) const {
    std::optional<uint16_t> port;
    if (!v.port.empty()) {
      port = number(v.port);
      if (!port) return Error{"there is no port '" + v.port + "'"};
      // IPv6 can always ask for a neighbour from its link-local address; ARP needs an address to ask from.
      if (family == 4 && !has_ip4(*port))
        return Error{"port '" + v.port + "' has no IPv4 address to ask for the next hop from; give it one"};
    }
    if (v.addr.none()) {
      if (port) return NextHop{*port, {}};
      return Error{"it has neither a next hop nor a port"};
    }
    const std::string text = "the next hop " + to_string(v.addr);
    if (v.addr.family != family) return Error{text + " is of the other family"};
    if (family == 6 && v.addr.v6().link_local()) {
      if (port) return NextHop{*port, v.addr};
      return Error{text + " is link-local; say which port leads to it, in the configuration's own routes"};
    }
    const Prefix* best = nullptr;
    uint16_t owner = kNoPort;
    for (uint16_t i = 0; i < m_.ports.size(); i++)
      for (const Prefix& a : m_.ports[i].addresses)
        if ((!port || *port == i) && a.contains(v.addr) && (!best || a.len > best->len)) best = &a, owner = i;
    if (!best)
      return Error{text + " lies in no network of " + (port ? "port '" + v.port + "'" : std::string("any port")) +
                   "; a next hop is a neighbour"};
    for (const config::Port& p : m_.ports)
      for (const Prefix& a : p.addresses)
        if (a.addr == v.addr) return Error{text + " is the box's own address on port '" + p.name + "'"};
    if (family == 4 && best->len <= 30 && (v.addr == best->masked().addr || v.addr == last_address(*best)))
      return Error{text + " is the network or broadcast address of " + to_string(best->masked())};
    return NextHop{owner, v.addr};
  }

  bool has_ip4(uint16_t port) const {
    const auto& a = m_.ports[port].addresses;
    return std::any_of(a.begin(), a.end(), [](const Prefix& p) { return p.addr.family == 4; });
  }
  std::optional<uint16_t> number(const std::string& port) const {
    for (uint16_t i = 0; i < m_.ports.size(); i++)
      if (m_.ports[i].name == port) return i;
    return std::nullopt;
  }
  const std::string& name(uint16_t port) const { return m_.ports[port].name; }

  void add(const Prefix& p, uint32_t g, const char* origin) { routes_.entries.push_back({p, g, origin}); }

  // Where an entry comes from, found again by counting.
  std::string place(size_t entry, unsigned family) const {
    const bool six = family == 6;
    const path::Routes::Entry& e = routes_.entries[entry];
    if (std::string_view(e.origin) == "static") {
      const size_t before = six ? static_count(4) : 0;
      return "routes[" + std::to_string(static_index_[before + entry - first_static_[six]]) + "]";
    }
    if (std::string_view(e.origin) != "file") {
      const NextHopGroup& g = routes_.groups[e.group];
      return std::string("the ") + e.origin + " prefix of port '" +
             name(g.kind == Kind::forward ? g.hop[0].port : g.local_port) + "'";
    }
    const auto& first = first_of_file_[six];
    size_t f = static_cast<size_t>(std::upper_bound(first.begin(), first.end(), entry) - first.begin()) - 1;
    size_t nth = entry - first[f];
    for (const RouteFile::Route& r : files_[f].routes)
      if (r.prefix.addr.family == family && nth-- == 0) return files_[f].name + ":" + std::to_string(r.line);
    return files_[f].name;
  }
  size_t static_count(unsigned family) const {
    return static_cast<size_t>(std::count_if(m_.routes.begin(), m_.routes.end(), [&](const config::Route& r) {
      return r.to.addr.family == family;
    }));
  }

  const config::Model& m_;
  path::Routes routes_;
  std::vector<RouteFile> files_;
  std::unordered_map<std::string, uint32_t> known_;
  size_t first6_ = 0;
  size_t first_static_[2] = {0, 0};
  std::vector<size_t> static_index_;            // in the model, IPv4 first
  std::vector<size_t> first_of_file_[2];
};

bool same_entry(const path::Routes::Entry& a, const path::Routes::Entry& b) {
  return a.group == b.group && a.prefix == b.prefix;
}

// The table of one family: the previous one where every prefix and group number is the same.
template <class Fib>
Status table(Builder& b, unsigned family, const path::Routes* previous, std::shared_ptr<const Fib> path::Routes::*fib) {
  const auto [from, to] = b.range(family);
  const auto& now = b.routes().entries;
  if (previous) {
    const auto& old = previous->entries;
    auto six = std::partition_point(old.begin(), old.end(), [](const auto& e) { return e.prefix.addr.family == 4; });
    auto first = family == 4 ? old.begin() : six, last = family == 4 ? six : old.end();
    if (std::equal(first, last, now.begin() + static_cast<ptrdiff_t>(from), now.begin() + static_cast<ptrdiff_t>(to),
                   same_entry)) {
      b.routes().*fib = previous->*fib;
      return {};
    }
  }
  auto made = Fib::build(b.fib_routes(family));
  if (made) {
    b.routes().*fib = std::move(*made);
    return {};
  }
  if (auto e = b.twice(family)) return *e;
  return Error{made.error()};
}

}  // namespace

Result<std::shared_ptr<const path::Routes>> build_routes(const config::Model& m,
                                                         const std::shared_ptr<const path::Routes>& previous) {
  Builder b(m);
  if (Status s = b.run(false); !s) return Error{s.error()};
  if (Status s = table<Fib4>(b, 4, previous.get(), &path::Routes::fib4); !s) return Error{s.error()};
  if (Status s = table<Fib6>(b, 6, previous.get(), &path::Routes::fib6); !s) return Error{s.error()};
  path::Routes& r = b.routes();
  if (previous && r.fib4 == previous->fib4 && r.fib6 == previous->fib6 && r.groups == previous->groups &&
      std::equal(r.entries.begin(), r.entries.end(), previous->entries.begin(), previous->entries.end(),
                 [](const auto& x, const auto& y) { return std::string_view(x.origin) == y.origin; }))
    return previous;
  return std::shared_ptr<const path::Routes>(std::make_shared<path::Routes>(std::move(r)));
}

size_t routes_memory(const config::Model& m) {
  Builder b(m);
  if (!b.run(true)) return 0;
  return Fib4::memory_needed(b.fib_routes(4)) + Fib6::memory_needed(b.fib_routes(6));
}

}  // namespace sluice::control
