// The keys of a route.
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

const Object<Via>& via_keys() {
  static const Object<Via> keys =
      Object<Via>("a next hop")
          .key("address",
               "The next hop's address. Left out: the destinations are neighbors on the port itself.",
               ip_address(), &Via::addr)
          .key("port", "The port that leads to it; needed for link-local addresses and without an address.",
               port_name(), &Via::port);
  return keys;
}

bool read_hop(Reader& r, const At& at, Via& v) {
  if (at.node->kind == Node::Kind::scalar) return ip_address().read(r, at, v.addr);
  if (at.node->kind != Node::Kind::map)
    return r.expected(at, "an address, or a map such as {address: fe80::1, port: lan}");
  if (at.node->items.empty())
    return r.mistake(at, "found a next hop without keys, expected address, port or both");
  return via_keys().read(r, at, v);
}

Type<std::vector<Via>> next_hops() {
  const Type<Via> hop = {Json{{"anyOf", Json::array({ip_address().schema, via_keys().schema()})}}, read_hop};
  Type<std::vector<Via>> many = one_or_many(hop, "next hops");
  auto read = many.read;
  many.read = [read](Reader& r, const At& at, std::vector<Via>& out) {
    if (at.node->kind == Node::Kind::sequence && at.node->items.size() > kMaxEcmp)
      return r.mistake(at, "found " + std::to_string(at.node->items.size()) +
                               " next hops, expected at most " + std::to_string(kMaxEcmp));
    return read(r, at, out);
  };
  return many;
}

bool read_destination(Reader& r, const At& at, Prefix& out) {
  if (at.node->kind == Node::Kind::scalar) {
    const std::string& s = at.node->text;
    if (s == "default4") return out = Prefix{Ip4{}, 0}, true;
    if (s == "default6") return out = Prefix{Ip6{}, 0}, true;
    if (s.starts_with("def"))
      return r.mistake(at, "found " + found(*at.node) + ", expected default4 (IPv4) or default6 (IPv6)");
  }
  return network().read(r, at, out);
}

void special(Reader& r, const At& at, Route& route, Route::Kind kind) {
  bool on = false;
  if (!boolean().read(r, at, on)) return;
  if (!on)
    r.mistake(at, "found " + found(*at.node) + ", expected yes; leave the key out otherwise");
  else
    route.kind = kind;
}

}  // namespace

const Object<Route>& route_keys() {
  const Type<Prefix> to = {
      Json{{"anyOf", Json::array({Json{{"enum", {"default4", "default6"}}}, network().schema})}},
      read_destination};
  static const Object<Route> keys =
      Object<Route>("a route")
          .key("to", "The destination: default4, default6, a prefix, or an address.", to, &Route::to)
          .required()
          .key("via",
               "The next hop: an address, {port: NAME} for hosts on the link itself, {address: …, port: …}; "
               "or a "
               "list of them, among which flows are spread.",
               next_hops(), &Route::via)
          .own("blackhole", "yes: drop silently.", boolean().schema,
               [](Reader& r, const At& at, Route& route) { special(r, at, route, Route::Kind::blackhole); })
          .own(
              "unreachable", "yes: drop, and say so with an ICMP error.", boolean().schema,
              [](Reader& r, const At& at, Route& route) { special(r, at, route, Route::Kind::unreachable); });
  return keys;
}

}  // namespace sluice::config
