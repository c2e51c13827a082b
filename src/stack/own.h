// Which addresses are the box's, and which are on a link. Linear: a port has a handful of addresses, and
// only packets for the box itself ask.
#pragma once

#include "table/interfaces.h"

namespace sluice::stack {

inline bool owns(const Interface& i, const IpAddr& a) {
  if (a.family == 6 && a.v6() == i.link_local) return true;
  for (const Prefix& p : i.addresses)
    if (p.addr == a) return true;
  return false;
}

// An address of any port; link-local ones count on their own port alone (RFC 4007 6).
inline bool owns_any(const Interfaces& ifs, uint16_t in_port, const IpAddr& a) {
  const bool scoped = a.family == 6 && a.v6().link_local();
  for (size_t p = 0; p < ifs.port.size(); p++)
    if (ifs.port[p].configured && (!scoped || p == in_port) && owns(ifs.port[p], a)) return true;
  return false;
}

// The subnet-router anycast address of one of the port's prefixes (RFC 4291 2.6.1; RFC 6164: none on a /127).
inline bool router_anycast(const Interface& i, const IpAddr& a) {
  for (const Prefix& p : i.addresses)
    if (p.addr.family == 6 && p.len < 127 && a == p.masked().addr) return true;
  return false;
}
inline bool router_anycast_any(const Interfaces& ifs, const IpAddr& a) {
  for (const Interface& i : ifs.port)
    if (i.configured && router_anycast(i, a)) return true;
  return false;
}

inline const Prefix* connected(const Interface& i, const IpAddr& a) {
  for (const Prefix& p : i.addresses)
    if (p.contains(a)) return &p;
  return nullptr;
}

inline bool on_link(const Interface& i, const IpAddr& a) {
  return (a.family == 6 && a.v6().link_local()) || connected(i, a);
}

// The network's own and its broadcast address; a /31 and a /32 have none (RFC 3021).
inline bool network_edge(const Prefix& p, const Ip4& a) {
  if (p.len >= 31) return false;
  const uint32_t host_bits = a.host() & (p.len == 0 ? UINT32_MAX : UINT32_MAX >> p.len);
  return host_bits == 0 || host_bits == UINT32_MAX >> p.len;
}

inline bool directed_broadcast(const Interface& i, const Ip4& a) {
  for (const Prefix& p : i.addresses)
    if (p.addr.family == 4 && p.len < 31 && p.contains(a) && network_edge(p, a)) return true;
  return false;
}

// The address to speak from towards `peer` on this link: one that shares a prefix with it, a link-local one
// among link-local ones, else any of the family. none(): the port has no address of the family.
inline IpAddr source_towards(const Interface& i, const IpAddr& peer) {
  if (peer.family == 6 && peer.v6().link_local()) return i.link_local;
  if (const Prefix* p = connected(i, peer)) return p->addr;
  for (const Prefix& p : i.addresses)
    if (p.addr.family == peer.family) return p.addr;
  return peer.family == 6 ? IpAddr(i.link_local) : IpAddr();
}

// A MAC that a neighbour may have.
inline bool station(const Mac& m) { return !m.group() && !m.zero(); }

}  // namespace sluice::stack
