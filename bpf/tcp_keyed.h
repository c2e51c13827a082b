/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * The keyed hash of a connection that initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 5.4) are made
 * of: one for the TCP stack and for the SYN-ACKs that are given in its place.
 */
#ifndef SLUICE_BPF_TCP_KEYED_H
#define SLUICE_BPF_TCP_KEYED_H

#include "syn_cookie.h"

/* Addresses in memory order, IPv4 in the first four bytes, the rest zero. Ports in host order, seen from this side. */
SLUICE_INLINE __u32 sluice_tcp_keyed(const struct sluice_cookie_key *key, const __u64 *local, const __u64 *remote,
                                     __u16 local_port, __u16 remote_port) {
  struct sluice_siphash s = sluice_siphash_begin(key->k0, key->k1);
  sluice_siphash_add(&s, local[0]);
  sluice_siphash_add(&s, local[1]);
  sluice_siphash_add(&s, remote[0]);
  sluice_siphash_add(&s, remote[1]);
  return sluice_siphash_end(&s, local_port | (remote_port + 0ull) << 16 | 36ull << 56) & 0xffffffff;
}

#endif
