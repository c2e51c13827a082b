/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * The verdict on a frame, one function for XDP and for user space: what is dropped before it costs anything, in which
 * class the others are, and which SYNs are to be answered with a cookie. Time and maps are arguments; nothing is
 * assumed about the frame.
 */
#ifndef SLUICE_BPF_VERDICT_H
#define SLUICE_BPF_VERDICT_H

#include "maps.h"

/* What the verdict looks into. Pointers to what is not asked for (policy.checks, control.list) may be null. In BPF they
   are map values. */
struct sluice_env {
  __u64 now;  /* ns of CLOCK_MONOTONIC; 0: not read yet (sluice_clock) */
  const struct sluice_policy *policy;       /* the slot in force */
  const struct sluice_list_info *list;      /* of the slot in force */
  const struct sluice_slots4 *slots4;
  const void *groups;                       /* BPF: the inner map; user space: struct sluice_group[] */
  const void *list6;                        /* BPF: the inner map; user space: struct sluice_bucket6[] */
  const struct sluice_hints *hints;
  struct sluice_buckets *sources, *destinations, *syns;
  struct sluice_queue *queue;
};

struct sluice_verdict {
  __u32 outcome; /* enum sluice_outcome: REDIRECTED, ANSWERED (the caller writes the answer) or a drop */
  __u32 cls;     /* enum sluice_class */
};

#endif
