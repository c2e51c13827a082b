/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * Where an established flow is marked in sluice_hints: a keyed hash of its tuple as it arrives. Workers mark
 * (src/table/flow_hints.cc), the verdict looks.
 */
#ifndef SLUICE_BPF_HINT_H
#define SLUICE_BPF_HINT_H

#include "maps.h"

/* Addresses in memory order, IPv4 in the first four bytes, the rest zero. ports: as in memory, the source's first, in
   one word; 0 without. */
SLUICE_INLINE __u64 sluice_tuple_hash(const struct sluice_cookie_key *key, const __u64 *src, const __u64 *dst,
                                      __u32 ports, __u32 family, __u32 proto) {
  struct sluice_siphash s = sluice_siphash_begin(key->k0, key->k1);
  if (family == 4) {
    sluice_siphash13_add(&s, src[0] | dst[0] << 32);
  } else {
    sluice_siphash13_add(&s, src[0]);
    sluice_siphash13_add(&s, src[1]);
    sluice_siphash13_add(&s, dst[0]);
    sluice_siphash13_add(&s, dst[1]);
  }
  return sluice_siphash13_end(&s, ports | (proto + 0ull) << 32 | (family + 0ull) << 40);
}

SLUICE_INLINE __u32 sluice_hint_cell_of(__u64 hash) { return hash & (SLUICE_HINT_CELLS - 1); }

/* The two bits of the cell's words; they may be one. */
SLUICE_INLINE __u64 sluice_hint_bits(__u64 hash) { return 1ull << (hash >> 20 & 63) | 1ull << (hash >> 26 & 63); }

#endif
