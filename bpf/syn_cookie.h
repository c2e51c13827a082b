/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * SYN cookies (RFC 4987 3.6), one source for the XDP program, which may answer a flood of SYNs, and for the TCP stack,
 * which accepts the ACKs that come back to either.
 *
 * A cookie is an initial sequence number:
 *
 *    31                           6 5       2 1     0
 *   +------------------------------+---------+-------+
 *   | tag                          | MSS     | count |
 *   +------------------------------+---------+-------+
 *
 * count  of 64-second periods, modulo 4: tells which of the last three periods it was made in.
 * MSS    an index into sluice_cookie_mss, hidden by bits of the same PRF as the tag.
 * tag    a PRF of addresses, ports, the peer's initial sequence number and the whole count.
 *
 * 3 · 16 of 2^32 acknowledgment numbers are accepted at any time, so that a blind guess has a chance of 2^-26; checking
 * one takes a single SipHash. What an MSS cannot say stands in the low bits of the SYN-ACK's timestamp, which the peer
 * echoes: window scale, SACK permitted, ECN. Those are not authenticated: whoever changes them harms himself alone.
 */
#ifndef SLUICE_BPF_SYN_COOKIE_H
#define SLUICE_BPF_SYN_COOKIE_H

#include "siphash.h"

#define SLUICE_COOKIE_PERIOD 64 /* seconds; the count is the clock's reading divided by this */
#define SLUICE_COOKIE_AGE 2     /* periods, beyond the one that it was made in */
#define SLUICE_COOKIE_MSS_BITS 4
#define SLUICE_COOKIE_TS_BITS 6
#define SLUICE_COOKIE_TS_MASK 63
#define SLUICE_COOKIE_TS_NO_SCALE 15 /* the peer offered no window scaling */
#define SLUICE_COOKIE_TS_SACK 16
#define SLUICE_COOKIE_TS_ECN 32

struct sluice_cookie_key {
  __u64 k0, k1;
};

/* Addresses in memory order; IPv4 stands in the first word, the rest is zero. Ports in host order, both seen from this
   side. irs: the peer's initial sequence number, host order. */
struct sluice_cookie_input {
  __u32 local[4], remote[4];
  __u16 local_port, remote_port;
  __u32 irs;
};

/* What peers announce: Ethernet under IPv4 and IPv6, plain, in PPPoE and in common tunnels; jumbo frames; and some for
   the rest. The smallest is also used for less than that. */
#define SLUICE_COOKIE_MSS(X) \
  X(48) X(256) X(536) X(1024) X(1220) X(1260) X(1300) X(1360) X(1380) X(1400) X(1420) X(1440) X(1452) X(1460) \
  X(8940) X(8960)

/* The largest of the table that is not above `mss`. Comparisons, not a table: BPF keeps them in registers. */
SLUICE_INLINE __u32 sluice_cookie_mss_index(__u32 mss) {
  __u32 n = 0;
#define SLUICE_X(value) n += mss >= value;
  SLUICE_COOKIE_MSS(SLUICE_X)
#undef SLUICE_X
  return n ? n - 1 : 0;
}

SLUICE_INLINE __u32 sluice_cookie_mss(__u32 index) {
  __u32 n = 0, mss = 0;
#define SLUICE_X(value) mss = index == n++ ? value : mss;
  SLUICE_COOKIE_MSS(SLUICE_X)
#undef SLUICE_X
  return mss;
}

SLUICE_INLINE __u32 sluice_cookie_prf(const struct sluice_cookie_key *key, const struct sluice_cookie_input *in,
                                      __u32 count) {
  struct sluice_siphash s = sluice_siphash_begin(key->k0, key->k1);
  sluice_siphash_add(&s, in->local[0] | (in->local[1] + 0ull) << 32);
  sluice_siphash_add(&s, in->local[2] | (in->local[3] + 0ull) << 32);
  sluice_siphash_add(&s, in->remote[0] | (in->remote[1] + 0ull) << 32);
  sluice_siphash_add(&s, in->remote[2] | (in->remote[3] + 0ull) << 32);
  sluice_siphash_add(&s, in->local_port | (in->remote_port + 0ull) << 16 | (in->irs + 0ull) << 32);
  return sluice_siphash_end(&s, count | 44ull << 56) & 0xffffffff;
}

SLUICE_INLINE __u32 sluice_cookie_make(const struct sluice_cookie_key *key, const struct sluice_cookie_input *in,
                                       __u32 count, __u32 mss_index) {
  return ((sluice_cookie_prf(key, in, count) ^ mss_index << 2) & ~3u) | (count & 3);
}

/* The MSS index of a cookie made at most SLUICE_COOKIE_AGE counts ago; negative: it is none. */
SLUICE_INLINE int sluice_cookie_check(const struct sluice_cookie_key *key, const struct sluice_cookie_input *in,
                                      __u32 count, __u32 cookie) {
  const __u32 age = (count - cookie) & 3;
  if (age > SLUICE_COOKIE_AGE) return -1;
  const __u32 rest = (cookie ^ sluice_cookie_prf(key, in, count - age)) >> 2;
  if (rest >> SLUICE_COOKIE_MSS_BITS) return -1;
  return rest & 15;
}

/* The low bits of the SYN-ACK's timestamp. scale: as offered, or SLUICE_COOKIE_TS_NO_SCALE. */
SLUICE_INLINE __u32 sluice_cookie_ts_bits(__u32 scale, int sack, int ecn) {
  return (scale & 15) | (sack ? SLUICE_COOKIE_TS_SACK : 0) | (ecn ? SLUICE_COOKIE_TS_ECN : 0);
}

/* The latest timestamp with these bits that is not ahead of `now`. */
SLUICE_INLINE __u32 sluice_cookie_timestamp(__u32 now, __u32 bits) {
  return now - ((now - bits) & SLUICE_COOKIE_TS_MASK);
}

#endif
