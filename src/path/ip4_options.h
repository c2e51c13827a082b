// What a router does with IPv4 options (RFC 791 3.1, RFC 1812 4.2.2.2, 5.2.4.1 and 5.3.13, RFC 7126).
//
//   record route, timestamp   our address and time are put in where there is room; the checksum is redone
//   source routes             refused without a word
//   malformed, or twice       parameter problem with a pointer to the octet at fault
//   router alert, unknown     pass unchanged
#pragma once

#include <rte_mbuf.h>

#include "base/drop_reason.h"
#include "base/instant.h"
#include "packet/meta.h"
#include "path/options_result.h"
#include "table/interfaces.h"

namespace sluice::path {

// For packets with kMetaIpOptions and family 4. `own_address` is what is recorded: the egress port's, or the
// destination of a packet that is for the box. A prespecified timestamp is filled in for that address and for
// those of `in`. Time stamps count milliseconds of `now` and say that they are not universal time (RFC 791:
// high-order bit). On refusal the packet is unchanged, so that it can be quoted.
OptionsResult process_ip4_options(rte_mbuf* m, const Meta& meta, const Interface& in, const Ip4& own_address,
                                  Instant now);

}  // namespace sluice::path
