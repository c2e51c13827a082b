// A policy as the configuration has it, to the structure that verdicts read. Control thread.
#pragma once

#include <vector>

#include "base/result.h"
#include "shed/policy.h"

namespace sluice::shed {

struct Keys;

// What is wrong with it, in a sentence.
Status check(const Policy& p);
// queues: the rates of classes are divided by it. SLUICE_CHECK_LISTS is left to whoever knows the lists.
void compile(const Policy& p, unsigned queues, const std::vector<Service>& services, const Keys& keys, sluice_policy& out);

// Sources that no packet from outside may have, by RFC 6890, RFC 8190 and the registries that they began.
//   martian: what no host may have as its source anywhere: "this network" 0.0.0.0/8, loopback 127.0.0.0/8 and ::1,
//            groups 224.0.0.0/4 and ff00::/8, the reserved 240.0.0.0/4 with broadcast, IPv4-mapped ::ffff:0:0/96.
//   full:    also what is not routed in the Internet: private 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7 and
//            fec0::/10, carriers' 100.64.0.0/10, link-local 169.254.0.0/16, protocol assignments 192.0.0.0/24,
//            documentation 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32 and 3fff::/20, benchmarks
//            198.18.0.0/15 and 2001:2::/48, discard-only 100::/64, local NAT64 64:ff9b:1::/48.
// Left out since links cannot do without: the unspecified address of IPv6 (duplicate address detection) and fe80::/10. Whoever
// serves DHCP behind a bogon filter allows 0.0.0.0/32, the source of a client that has no address yet.
std::vector<ListEntry> bogons(Policy::Bogons which);

}  // namespace sluice::shed
