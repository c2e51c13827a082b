// SYN cookies (RFC 4987 3.6): the state of a half-open connection, kept by the peer. The function itself is in
// bpf/syn_cookie.h, shared with the XDP program, so that what XDP answers is accepted here.
#pragma once

#include "base/instant.h"
#include "tcp/config.h"
#include "tcp/segment.h"

namespace sluice::tcp {

struct CookieOffer {   // what a SYN asked for
  uint16_t mss = 536;
  bool window_scaling = false, sack = false, timestamps = false, ecn = false;
  uint8_t window_scale = 0;
};

struct Cookie {
  Seq iss;
  uint32_t ts_val = 0;  // carries window scale, SACK and ECN in its low bits; meaningful with timestamps alone
};

// The SYN-ACK's sequence number (and timestamp) for a SYN with `irs` from `t`. `ts_now`: the clock's reading that it
// must not run ahead of (its low bits are given away).
Cookie make_cookie(const Secrets& s, Instant now, const Tuple& t, Seq irs, const CookieOffer& o, uint32_t ts_now);

// Whether `ack` - 1 is a cookie of ours for (t, irs) from at most two minutes ago; fills `o`: the MSS is rounded down to
// one of a table. `ts_ecr`: null without timestamps, and then no window scale, SACK or ECN.
bool check_cookie(const Secrets& s, Instant now, const Tuple& t, Seq irs, Seq iss, const uint32_t* ts_ecr, CookieOffer& o);

}  // namespace sluice::tcp
