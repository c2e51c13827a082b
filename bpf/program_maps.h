/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * The program's maps (maps.h has what is in them). Those of the box are put in the place of control … list6 when the
 * program is loaded for a box that sheds; else they stay as they are here: zero, by which nothing is checked.
 */
#ifndef SLUICE_BPF_PROGRAM_MAPS_H
#define SLUICE_BPF_PROGRAM_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "maps.h"

/* ---- of the port */

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_COUNTS);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, SLUICE_MAX_KERNEL_ADDRESSES);
  __type(key, struct sluice_address);
  __type(value, __u8);
} kernel_addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, SLUICE_KERNEL_FRAGMENTS);
  __type(key, struct sluice_fragment);
  __type(value, __u8);
} kernel_fragments SEC(".maps");

#define SLUICE_ARRAY(entries, element)    \
  {                                       \
    __uint(type, BPF_MAP_TYPE_ARRAY);     \
    __uint(max_entries, entries);         \
    __uint(map_flags, BPF_F_MMAPABLE);    \
    __type(key, __u32);                   \
    __type(value, element);               \
  }

struct SLUICE_ARRAY(SLUICE_MAX_QUEUES, struct sluice_queue) queues SEC(".maps");

/* ---- of the box */

struct SLUICE_ARRAY(1, struct sluice_control) control SEC(".maps");
struct SLUICE_ARRAY(2, struct sluice_policy) policy SEC(".maps");
struct SLUICE_ARRAY(SLUICE_HINT_CELLS, struct sluice_hint_cell) hints SEC(".maps");
struct SLUICE_ARRAY(SLUICE_BUCKET_SETS, struct sluice_bucket_set) sources SEC(".maps");
struct SLUICE_ARRAY(SLUICE_BUCKET_SETS, struct sluice_bucket_set) destinations SEC(".maps");
struct SLUICE_ARRAY(SLUICE_BUCKET_SETS, struct sluice_bucket_set) syns SEC(".maps");

/* Inner maps. Of those whose lengths differ the kernel wants to know it, and does not inline the look-up. Sizes in the
   place of types, of which clang would tell nothing where they are so deep inside. */
#define SLUICE_INNER(entries, element, flags)          \
  {                                                    \
    __uint(type, BPF_MAP_TYPE_ARRAY);                  \
    __uint(max_entries, entries);                      \
    __uint(map_flags, BPF_F_MMAPABLE | flags);         \
    __uint(key_size, sizeof(__u32));                   \
    __uint(value_size, sizeof(element));               \
  }
struct slots4_slot SLUICE_INNER(SLUICE_SLOTS4_ROWS, struct sluice_slots4_row, 0);
struct groups_slot SLUICE_INNER(1, struct sluice_group, BPF_F_INNER_MAP);
struct list6_slot SLUICE_INNER(1, struct sluice_bucket6, BPF_F_INNER_MAP);

#define SLUICE_SLOTS(inner)                    \
  {                                            \
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);  \
    __uint(max_entries, 2);                    \
    __type(key, __u32);                        \
    __array(values, struct inner);             \
  }
struct SLUICE_SLOTS(slots4_slot) slots4 SEC(".maps");
struct SLUICE_SLOTS(groups_slot) groups SEC(".maps");
struct SLUICE_SLOTS(list6_slot) list6 SEC(".maps");

#endif
