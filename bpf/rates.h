/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * Rates: GCRA with a theoretical arrival time each, of a queue's classes, and of prefixes in set-associative tables.
 *
 * Several CPUs may count in one table at once, without locks: a frame may then go uncounted, or a way be taken twice;
 * the rate is that much less exact, and nothing worse.
 */
#ifndef SLUICE_BPF_RATES_H
#define SLUICE_BPF_RATES_H

#include "access.h"
#include "list6.h"
#include "parse.h"

SLUICE_BEGIN

/* Whether a frame at `now` is within the rate; if so it is counted. */
SLUICE_INLINE int sluice_rate_take(const struct sluice_rate *rate, __u64 *tat, __u64 now) {
  const __u64 interval = SLUICE_READ(rate->interval);
  if (!interval) return 1;
  __u64 t = SLUICE_READ(*tat);
  if (t < now) t = now;
  if (t - now > SLUICE_READ(rate->burst)) return 0;
  SLUICE_WRITE(*tat, t + interval);
  return 1;
}

/* The way of a tag; if it has none, the one that has waited longest, which from now on is the tag's. */
SLUICE_INLINE struct sluice_bucket_way *sluice_way_of(struct sluice_bucket_set *set, __u64 tag) {
  struct sluice_bucket_way *oldest = &set->way[0];
  __u64 least = ~0ull;
  for (int i = 0; i < SLUICE_BUCKET_WAYS; i++) {
    struct sluice_bucket_way *w = &set->way[i];
    if (SLUICE_READ(w->tag) == tag) return w;
    const __u64 tat = SLUICE_READ(w->tat);
    if (tat >= least) continue;
    least = tat;
    oldest = w;
  }
  SLUICE_WRITE(oldest->tag, tag);
  SLUICE_WRITE(oldest->tat, 0);
  return oldest;
}

SLUICE_INLINE __u64 sluice_prefix_hash(const struct sluice_cookie_key *key, const __u64 *addr, __u32 family,
                                       __u32 port) {
  struct sluice_siphash s = sluice_siphash_begin(key->k0, key->k1);
  sluice_siphash13_add(&s, addr[0]);
  sluice_siphash13_add(&s, addr[1]);
  return sluice_siphash13_end(&s, port | (family + 0ull) << 32);
}

/* Whether one more frame is within the rate of its prefix; a SYN, of its address and port. */
SLUICE_PART int sluice_prefix_within(struct sluice_env *env, const struct sluice_packet *p, __u32 table) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy || !p->family) return 1;
  const int v4 = p->family == 4;
  const struct sluice_rate *rate = &policy->syn;
  __u32 bits = 128, port = p->dport;
  __u64 addr[2] = {p->dst[0], p->dst[1]};
  if (table != SLUICE_SYNS) port = 0;
  if (table == SLUICE_DESTINATIONS) {
    rate = &policy->destination;
    bits = v4 ? policy->destination_bits4 : policy->destination_bits6;
  } else if (table == SLUICE_SOURCES) {
    rate = &policy->source;
    bits = v4 ? policy->source_bits4 : policy->source_bits6;
    addr[0] = p->src[0];
    addr[1] = p->src[1];
  }
  if (!rate->interval) return 1;
  sluice_mask6(addr, bits); /* IPv4 stands in front, as the high bits do */
  const __u64 tag = sluice_prefix_hash(&policy->table_key, addr, p->family, port);
  struct sluice_bucket_set *set = sluice_set_of(env, table, tag >> 32 & (SLUICE_BUCKET_SETS - 1));
  return !set || sluice_rate_take(rate, &sluice_way_of(set, tag | 1)->tat, sluice_clock(env));
}

SLUICE_END

#endif
