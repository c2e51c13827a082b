/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * Where an IPv6 prefix stands in the list: whoever fills it and the verdict that searches it agree here.
 *
 * A prefix has one fingerprint, in the bucket that its hash names or, where that was full, in one of the
 * SLUICE_LIST6_PROBES - 1 next (modulo the number of buckets). A search ends at the first bucket with an empty place;
 * so a fingerprint that goes leaves SLUICE_LIST6_REMOVED in its place, which may be taken again.
 */
#ifndef SLUICE_BPF_LIST6_H
#define SLUICE_BPF_LIST6_H

#include "both.h"

#define SLUICE_LIST6_REMOVED 4ull /* no action: matches nothing, but is not empty */

/* addr: in memory order, as two words; bits behind `length` are cleared. */
SLUICE_INLINE void sluice_mask6(__u64 *addr, __u32 length) {
  const __u64 high = length >= 64 ? ~0ull : length ? ~0ull << (64 - length) : 0;
  const __u64 low = length >= 128 ? ~0ull : length > 64 ? ~0ull << (128 - length) : 0;
  addr[0] &= sluice_net64(high);
  addr[1] &= sluice_net64(low);
}

/* addr: masked. */
SLUICE_INLINE __u64 sluice_list6_hash(const struct sluice_cookie_key *key, const __u64 *addr, __u32 length) {
  struct sluice_siphash s = sluice_siphash_begin(key->k0, key->k1);
  sluice_siphash13_add(&s, addr[0]);
  sluice_siphash13_add(&s, addr[1]);
  return sluice_siphash13_end(&s, length);
}

SLUICE_INLINE __u32 sluice_list6_bucket(__u64 hash, __u32 mask6) { return hash >> 32 & mask6 & 0xffffffff; }
SLUICE_INLINE __u64 sluice_list6_fingerprint(__u64 hash, __u32 action) { return (hash & ~3ull) | action; }

/* The action of a fingerprint, if it is that of this hash; 0: it is not. */
SLUICE_INLINE __u32 sluice_list6_action(__u64 fingerprint, __u64 hash) {
  return (fingerprint ^ hash) >> 2 ? 0 : fingerprint & 3;
}

#endif
