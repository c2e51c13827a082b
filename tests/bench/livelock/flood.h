/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What the flood's program and the process that runs it share. Addresses and ports in network order unless said. */
#ifndef SLUICE_FLOOD_H
#define SLUICE_FLOOD_H

#include <linux/types.h>

enum flood_kind {
  FLOOD_UDP,        /* to a destination behind the box, from one of 2^source_bits sources */
  FLOOD_SYN,        /* to a host behind the box, random source and port */
  FLOOD_FRAGMENT,   /* a later fragment, for the same destination as FLOOD_UDP, of a datagram that has no first */
  FLOOD_BOX_SYN,    /* to a service of the box, random source and port */
  FLOOD_BOX_UDP,    /* to a closed port of the box, random source and port */
  FLOOD_KINDS
};

#define FLOOD_SLOTS 256
#define FLOOD_FRAME 60 /* bytes without FCS */
#define FLOOD_PAGE 61  /* of the frame that the test run begins with: see flood.bpf.c */
#define FLOOD_BURST 64

struct flood_config {
  __u32 ifindex;              /* frames leave here */
  __u32 source_mask;          /* of FLOOD_UDP, host order */
  __u8 slot[FLOOD_SLOTS];     /* enum flood_kind, in the order of sending */
  __u8 to[6], from[6];        /* Ethernet */
  __be32 sources;             /* first address of the sources: a /16 */
  __be32 destination[FLOOD_KINDS];
  __be16 port[FLOOD_KINDS];
  __u64 random;               /* state, not 0 */
  __u64 interval;             /* between frames, in 1/1024 ns; 0: as fast as it goes */
  __u64 gather;               /* frames that are sent together, less one */
};

struct flood_counts {
  __u64 offered[FLOOD_KINDS];
  __u64 given_up;             /* frames that were due, and that the CPU had no time for */
};

#endif
