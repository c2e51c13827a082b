/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * How the verdict reaches its memory: the one place where the two sides differ. In user space the environment holds
 * pointers. In BPF it holds numbers, and each access is a look-up (array maps': a few instructions), because pointers
 * into maps do not survive a call of a global function. Null: there is none, so nothing is found there.
 */
#ifndef SLUICE_BPF_ACCESS_H
#define SLUICE_BPF_ACCESS_H

#include "both.h"

SLUICE_BEGIN

enum sluice_table { SLUICE_SOURCES, SLUICE_DESTINATIONS, SLUICE_SYNS };

#ifdef __bpf__

#include "program_maps.h"

struct sluice_env {
  __u64 now;            /* 0: not read yet */
  __u32 policy, lists;  /* slots in force */
  __u32 queue;
  __u32 spare;
};

SLUICE_INLINE __u64 sluice_clock(struct sluice_env *env) {
  if (env->now) return env->now;
  const __u32 zero = 0;
  const struct sluice_control *c = bpf_map_lookup_elem(&control, &zero);
  env->now = !c ? 0 : c->test_now ? c->test_now : bpf_ktime_get_ns() + c->clock_ahead;
  return env->now;
}

SLUICE_INLINE const struct sluice_policy *sluice_policy_of(const struct sluice_env *env) {
  const __u32 slot = env->policy;
  return bpf_map_lookup_elem(&policy, &slot);
}

SLUICE_INLINE struct sluice_queue *sluice_queue_of(const struct sluice_env *env) {
  const __u32 n = env->queue;
  return bpf_map_lookup_elem(&queues, &n);
}

SLUICE_INLINE const struct sluice_list_info *sluice_list_of(const struct sluice_env *env) {
  const __u32 zero = 0;
  const struct sluice_control *c = bpf_map_lookup_elem(&control, &zero);
  return c ? &c->list[env->lists & 1] : 0;
}

SLUICE_INLINE const __u32 *sluice_slot4(const struct sluice_env *env, __u32 n) {
  const __u32 slot = env->lists, row = n >> 8;
  void *map = bpf_map_lookup_elem(&slots4, &slot);
  const struct sluice_slots4_row *r = map ? bpf_map_lookup_elem(map, &row) : 0;
  return r ? &r->slot[n & 255] : 0;
}

SLUICE_INLINE const struct sluice_group *sluice_group_of(const struct sluice_env *env, __u32 n) {
  const __u32 slot = env->lists;
  void *map = bpf_map_lookup_elem(&groups, &slot);
  return map ? bpf_map_lookup_elem(map, &n) : 0;
}

SLUICE_INLINE const struct sluice_bucket6 *sluice_bucket6_of(const struct sluice_env *env, __u32 n) {
  const __u32 slot = env->lists;
  void *map = bpf_map_lookup_elem(&list6, &slot);
  return map ? bpf_map_lookup_elem(map, &n) : 0;
}

SLUICE_INLINE const struct sluice_hint_cell *sluice_hint_of(const struct sluice_env *env, __u32 n) {
  (void)env;
  return bpf_map_lookup_elem(&hints, &n);
}

SLUICE_INLINE struct sluice_bucket_set *sluice_set_of(const struct sluice_env *env, __u32 table, __u32 n) {
  (void)env;
  if (table == SLUICE_SOURCES) return bpf_map_lookup_elem(&sources, &n);
  if (table == SLUICE_DESTINATIONS) return bpf_map_lookup_elem(&destinations, &n);
  return bpf_map_lookup_elem(&syns, &n);
}

#else

struct sluice_env {
  __u64 now;                          /* ns of CLOCK_MONOTONIC */
  const struct sluice_policy *policy; /* the slot in force */
  const struct sluice_list_info *list; /* of the slot in force */
  const struct sluice_slots4 *slots4;
  const void *groups;                 /* struct sluice_group[] */
  const void *list6;                  /* struct sluice_bucket6[] */
  const struct sluice_hints *hints;
  struct sluice_buckets *sources, *destinations, *syns;
  struct sluice_queue *queue;
};

SLUICE_INLINE __u64 sluice_clock(const struct sluice_env *env) { return env->now; }
SLUICE_INLINE const struct sluice_policy *sluice_policy_of(const struct sluice_env *env) { return env->policy; }
SLUICE_INLINE struct sluice_queue *sluice_queue_of(const struct sluice_env *env) { return env->queue; }
SLUICE_INLINE const struct sluice_list_info *sluice_list_of(const struct sluice_env *env) { return env->list; }
SLUICE_INLINE const __u32 *sluice_slot4(const struct sluice_env *env, __u32 n) {
  return env->slots4 ? &env->slots4->slot[n] : 0;
}
SLUICE_INLINE const struct sluice_group *sluice_group_of(const struct sluice_env *env, __u32 n) {
  return env->groups && n < SLUICE_READ(env->list->groups) ? (const struct sluice_group *)env->groups + n : 0;
}
SLUICE_INLINE const struct sluice_bucket6 *sluice_bucket6_of(const struct sluice_env *env, __u32 n) {
  return env->list6 && n <= SLUICE_READ(env->list->mask6) ? (const struct sluice_bucket6 *)env->list6 + n : 0;
}
SLUICE_INLINE const struct sluice_hint_cell *sluice_hint_of(const struct sluice_env *env, __u32 n) {
  return env->hints ? &env->hints->cell[n] : 0;
}
SLUICE_INLINE struct sluice_bucket_set *sluice_set_of(const struct sluice_env *env, __u32 table, __u32 n) {
  struct sluice_buckets *b = table == SLUICE_SOURCES        ? env->sources
                             : table == SLUICE_DESTINATIONS ? env->destinations
                                                            : env->syns;
  return b ? &b->set[n] : 0;
}

#endif

SLUICE_END

#endif
