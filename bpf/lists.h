/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What the prefix lists say of a source: the action of the longest prefix that holds it.
 */
#ifndef SLUICE_BPF_LISTS_H
#define SLUICE_BPF_LISTS_H

#include "access.h"
#include "list6.h"
#include "parse.h"

SLUICE_BEGIN

/* addr: host order. */
SLUICE_INLINE __u32 sluice_list4_find(const struct sluice_env *env, __u32 addr) {
  const __u32 *at = sluice_slot4(env, addr >> 8);
  const __u32 slot = at ? SLUICE_READ(*at) : 0;
  if (slot < SLUICE_ACTIONS) return slot;
  const struct sluice_group *g = sluice_group_of(env, slot - SLUICE_ACTIONS);
  return g ? SLUICE_READ(g->word[addr >> 5 & 7]) >> (addr & 31) * 2 & 3 : 0;
}

/* The action of the prefix with this hash; 0: it is not in the list. */
SLUICE_PART int sluice_list6_probe(const struct sluice_env *env, __u64 hash) {
  const struct sluice_list_info *list = env ? sluice_list_of(env) : 0;
  if (!list) return 0;
  const __u32 mask = SLUICE_READ(list->mask6), first = sluice_list6_bucket(hash, mask);
  for (__u32 n = 0; n < SLUICE_LIST6_PROBES; n++) {
    const struct sluice_bucket6 *b = sluice_bucket6_of(env, (first + n) & mask);
    if (!b) return 0;
    __u64 full = 1; /* without branches, of which the verifier would follow every combination */
    for (int i = 0; i < 8; i++) {
      const __u64 fingerprint = SLUICE_READ(b->fingerprint[i]);
      const __u32 action = sluice_list6_action(fingerprint, hash);
      if (action) return action;
      full &= (fingerprint | -fingerprint) >> 63;
    }
    if (!full) return 0;
  }
  return 0;
}

SLUICE_PART int sluice_list6_find(const struct sluice_env *env, const struct sluice_packet *p) {
  const struct sluice_list_info *list = env && p ? sluice_list_of(env) : 0;
  if (!list) return 0;
  const __u32 lengths = SLUICE_READ(list->lengths6);
  for (__u32 n = 0; n < SLUICE_MAX_LENGTHS6 && n < lengths; n++) {
    const __u32 length = SLUICE_READ(list->length6[n]);
    __u64 addr[2] = {p->src[0], p->src[1]};
    sluice_mask6(addr, length);
    const int action = sluice_list6_probe(env, sluice_list6_hash(&list->key, addr, length));
    if (action) return action;
  }
  return 0;
}

SLUICE_INLINE __u32 sluice_list_find(const struct sluice_env *env, const struct sluice_packet *p) {
  const struct sluice_list_info *list = sluice_list_of(env);
  if (!list) return 0;
  if (p->family == 4) return SLUICE_READ(list->has4) ? sluice_list4_find(env, sluice_net32(p->src[0])) : 0;
  return p->family == 6 && SLUICE_READ(list->has6) ? sluice_list6_find(env, p) : 0;
}

SLUICE_END

#endif
