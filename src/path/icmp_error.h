// ICMP and ICMPv6 errors, and TCP resets for rules that reject. One object per worker.
//
// An error is due only where the RFCs allow one (RFC 1812 4.3.2.7, RFC 4443 2.4 (e)), and within two
// rates: one for the worker in all, and one by keyed hash of the offender's source, so that one source
// that is probed or spoofed does not use up what others may need. Two sources that share a bucket share
// its rate, and nothing grows.
#pragma once

#include <rte_mbuf.h>

#include <memory>

#include "base/hash.h"
#include "base/instant.h"
#include "packet/meta.h"
#include "path/snapshot.h"
#include "table/token_bucket.h"

namespace sluice::path {

class IcmpErrors {
 public:
  static constexpr unsigned kSources = 4096;  // buckets; a power of two

  IcmpErrors(const HashKey& key, rte_mempool* pool);

  // The error about `offender`, which came in through `in_port` and was parsed into `meta`; or null: none is
  // due, the rate is used up, the box has no address of the family, or the pool is empty.
  // The quote is what `offender` holds now: call it before TTL, addresses or options are rewritten.
  // `info`: MTU (3/4, ICMPv6 2/0) or pointer (12/0, ICMPv6 4/x), host order, else 0.
  // The packet: 14 bytes for the Ethernet header, then IP. Its stash says kMetaLocalOrigin, family, proto, l3,
  // l4, ip_length, ports as type and code, and `in_port`. It is the caller's, to be routed and counted.
  rte_mbuf* make(const Snapshot& s, Instant now, const rte_mbuf* offender, const Meta& meta, uint8_t type,
                 uint8_t code, uint32_t info, uint16_t in_port);
  // The reset that a TCP segment to a closed port would draw from its destination (RFC 9293 3.10.7.1); null as
  // above, and for segments that carry RST, fragments, wrong checksums, and headers that are cut short or
  // impossible.
  rte_mbuf* make_tcp_reset(const Snapshot& s, Instant now, const rte_mbuf* offender, const Meta& meta);

  uint64_t limited() const { return limited_; }  // due, but over a rate

 private:
  bool within_rate(const IcmpLimits& l, Instant now, const IpAddr& source);

  HashKey key_;
  rte_mempool* pool_;
  TokenBucket all_;
  std::unique_ptr<TokenBucket[]> source_;
  uint64_t limited_ = 0;
  uint16_t id_;
};

}  // namespace sluice::path
