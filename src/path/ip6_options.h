// IPv6 extension headers on a router (RFC 8200 4.2, 4.3, RFC 2675, RFC 2711) and at the box (RFC 8200 4.4,
// RFC 5095). The walks themselves are in wire/ip6_ext.h.
#pragma once

#include <rte_mbuf.h>

#include "packet/meta.h"
#include "path/options_result.h"

namespace sluice::path {

// For packets with kMetaIpOptions and family 6, forwarded ones and the box's own.
OptionsResult process_hop_by_hop(const rte_mbuf* m, const Meta& meta);
// For packets to one of the box's addresses: routing headers with segments left, destination options that
// must be understood, a hop-by-hop header that is not the first.
OptionsResult check_local_ext_headers(const rte_mbuf* m, const Meta& meta);

}  // namespace sluice::path
