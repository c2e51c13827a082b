#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

const char* driver_name(Driver d) {
  switch (d) {
    case Driver::automatic:
      return "auto";
    case Driver::af_xdp:
      return "af_xdp";
    case Driver::dpdk:
      return "dpdk";
    case Driver::pcap:
      return "pcap";
    case Driver::generator:
      return "generator";
    case Driver::null:
      return "null";
  }
  return "";
}

// Why an address cannot be a host's; null where it can.
const char* unusable(const IpAddr& a) {
  if (a.family == 4) {
    const uint32_t h = a.v4().host();
    if (a.v4().multicast()) return "a multicast address";
    if (a.v4().loopback()) return "a loopback address";
    if (h >> 24 == 0) return "in 0.0.0.0/8, 'this network'";
    if (h >> 28 == 0xf) return "in 240.0.0.0/4, which is reserved";
    return nullptr;
  }
  const Ip6 v = a.v6();
  if (v.multicast()) return "a multicast address";
  if (v.unspecified()) return "the unspecified address";
  if (v.loopback()) return "the loopback address";
  static const Prefix mapped = *parse_prefix("::ffff:0:0/96");
  return mapped.contains(a) ? "an IPv4-mapped address" : nullptr;
}

// Why this cannot be the box's own address on a subnet of this length; empty where it can.
std::string refuse_own(const Prefix& p) {
  if (const char* why = unusable(p.addr)) return why;
  if (p.len == 0) return "without a subnet (length 0)";
  if (p.addr.family == 6) {
    if (p.addr.v6().link_local()) return "a link-local address; set it by the key link-local";
    if (p.len < 127 && !p.has_host_bits())
      return "the subnet-router anycast address of its subnet (RFC 4291)";
    return "";
  }
  if (p.len >= 31) return "";
  const uint32_t host_mask = UINT32_MAX >> p.len;
  const uint32_t host = p.addr.v4().host() & host_mask;
  if (host == 0) return "the network address of its subnet";
  if (host == host_mask) return "the broadcast address of its subnet";
  return "";
}

void check_addresses(const Port& p, const std::string& base, Findings& f) {
  bool ip6 = p.link_local.has_value();
  for (size_t i = 0; i < p.addresses.size(); i++) {
    const Prefix& a = p.addresses[i];
    const std::string path = base + ".addresses[" + std::to_string(i) + "]";
    if (a.addr.none()) continue;
    ip6 |= a.addr.family == 6;
    if (std::string why = refuse_own(a); !why.empty())
      f.add(path,
            "found '" + to_string(a) + "', which is " + why + "; expected an address that a host may have");
    for (size_t k = 0; k < i; k++)
      if (p.addresses[k].addr == a.addr)
        f.add(path, "the address '" + to_string(a.addr) + "' is given twice");
  }
  if (ip6 && p.mtu && *p.mtu < 1280)
    f.add(base + ".mtu",
          "found " + std::to_string(*p.mtu) + ", but the port has IPv6 addresses; expected at least 1280");
}

// Keys that mean nothing to the port's driver would be ignored silently.
void check_driver_keys(const Port& p, const std::string& base, Findings& f) {
  using D = Driver;
  struct Allowed {
    const char* key;
    std::set<D> drivers;
    const char* advice;
  };
  static const std::set<D> virtual_drivers{D::pcap, D::generator, D::null};
  static const Allowed keys[] = {
      {"mac", virtual_drivers, "set it on the device: ip link set dev IF address MAC"},
      {"xdp-mode", {D::automatic, D::af_xdp}, "remove it"},
      {"busy-poll", {D::automatic, D::af_xdp}, "remove it"},
      {"take-default-route", {D::automatic, D::af_xdp}, "remove it"},
      {"dispatcher", {D::automatic, D::af_xdp}, "remove it"},
      {"kernel", {D::automatic, D::af_xdp}, "use 'exception', which works with every driver"},
      {"out", {D::pcap}, "use 'capture', which works with every driver"},
      {"generator", {D::generator}, "set 'driver: generator', or remove it"},
  };
  const Node* node = f.doc().locate(base);
  if (f.doubtful(base + ".driver")) return;
  for (const Allowed& k : keys)
    if (node && node->find(k.key) && !k.drivers.contains(p.driver))
      f.add(base + "." + k.key, std::string("a port with driver: ") + driver_name(p.driver) +
                                    " has no use for '" + k.key + "'; " + k.advice);
  const bool needs_device = p.driver == D::automatic || p.driver == D::af_xdp || p.driver == D::dpdk;
  if (needs_device && p.device.empty() && !f.doubtful(base + ".device"))
    f.add(base, "the key 'device' is missing: a network interface such as eth1, or a PCI address");
  if (p.driver == D::pcap && p.queues != 1) f.add(base + ".queues", "a pcap port has one queue");
  if (p.driver == D::af_xdp && p.device.size() > 15)
    f.add(base + ".device",
          "found '" + p.device + "', expected the name of a network interface (at most 15 characters)");
  const Generator& g = p.generator;
  if (g.sources && g.destinations && g.sources->addr.family != g.destinations->addr.family)
    f.add(base + ".generator.destinations", "sources and destinations are of different families");
}

void check_overlaps(const Model& m, Findings& f) {
  struct Subnet {
    Prefix masked;
    size_t port, index;
  };
  std::vector<Subnet> all;
  for (size_t i = 0; i < m.ports.size(); i++)
    for (size_t k = 0; k < m.ports[i].addresses.size(); k++)
      if (!m.ports[i].addresses[k].addr.none()) all.push_back({m.ports[i].addresses[k].masked(), i, k});
  // Sorted by family and start, a prefix overlaps its neighbours or the last one that encloses it.
  std::sort(all.begin(), all.end(), [](const Subnet& a, const Subnet& b) {
    return std::tie(a.masked.addr.family, a.masked.addr.b, a.masked.len, a.port, a.index) <
           std::tie(b.masked.addr.family, b.masked.addr.b, b.masked.len, b.port, b.index);
  });
  std::vector<const Subnet*> enclosing;
  for (const Subnet& s : all) {
    while (!enclosing.empty() && !enclosing.back()->masked.contains(s.masked.addr)) enclosing.pop_back();
    for (const Subnet* e : enclosing) {
      if (e->port == s.port) continue;
      const Subnet& later = std::tie(e->port, e->index) < std::tie(s.port, s.index) ? s : *e;
      const Subnet& first = &later == &s ? *e : s;
      const Port& p = m.ports[later.port];
      f.add("ports." + p.name + ".addresses[" + std::to_string(later.index) + "]",
            "found '" + to_string(p.addresses[later.index]) + "', which overlaps '" +
                to_string(m.ports[first.port].addresses[first.index]) + "' of port '" +
                m.ports[first.port].name + "'; every subnet belongs to one port");
      break;
    }
    enclosing.push_back(&s);
  }
}

}  // namespace

void validate_ports(const Model& m, Findings& f) {
  std::map<std::string, std::string> devices, files;
  auto unique = [&](std::map<std::string, std::string>& seen, const std::string& value,
                    const std::string& path, const std::string& port, const char* what) {
    if (value.empty()) return;
    auto [it, fresh] = seen.emplace(value, port);
    if (!fresh)
      f.add(path, "found '" + value + "', which is " +
                      (it->second == port ? "already" : "already port '" + it->second + "'s") +
                      (it->second == port ? " used by this port as" : "") + " " + what);
  };
  for (const Port& p : m.ports) {
    const std::string base = "ports." + p.name;
    check_addresses(p, base, f);
    check_driver_keys(p, base, f);
    if (p.driver != Driver::pcap && p.driver != Driver::generator && p.driver != Driver::null)
      unique(devices, p.device, base + ".device", p.name, "device");
    unique(files, p.capture, base + ".capture", p.name, "output file");
    unique(files, p.pcap_out, base + ".out", p.name, "output file");
  }
  check_overlaps(m, f);
}

}  // namespace sluice::config
