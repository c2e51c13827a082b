/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What the XDP program and user space share: map keys, values and bounds. Plain C, so that both sides
 * compile it. Addresses are 16 bytes in memory order; IPv4 stands in the first four, the rest is zero.
 */
#ifndef SLUICE_BPF_MAPS_H
#define SLUICE_BPF_MAPS_H

#include <linux/types.h>

#define SLUICE_MAX_QUEUES 64          /* entries of xsks */
#define SLUICE_MAX_KERNEL_RULES 32
#define SLUICE_MAX_KERNEL_ADDRESSES 1024
#define SLUICE_KERNEL_FRAGMENTS 4096  /* datagrams whose later fragments follow the first to the kernel */

/* counts: a per-CPU array, one slot for each way out of the program. */
enum sluice_xdp_count {
  SLUICE_XDP_REDIRECTED, /* to the queue's socket */
  SLUICE_XDP_KERNEL,     /* left to the kernel: a `kernel:` rule */
  SLUICE_XDP_SHARED,     /* ARP and neighbour discovery while there are rules: the kernel's, with a copy for sluice */
  SLUICE_XDP_UNBOUND,    /* the queue has no socket (yet): the kernel's */
  SLUICE_XDP_COUNTS
};

/* One line of `kernel:`; rules lie in .rodata, set before the program is loaded. */
struct sluice_kernel_rule {
  __u8 addr[16]; /* masked */
  __u8 mask[16];
  __u8 family;   /* 4, 6: source or destination in addr/mask. 0: the destination is one of kernel_addresses,
                    or a group */
  __u8 proto;    /* 0: any */
  __u16 port;    /* either port, network order; 0: any */
};

/* kernel_addresses: the addresses that the kernel has on this machine. */
struct sluice_address {
  __u8 addr[16];
  __u32 family;
};

/* kernel_fragments: first fragments that went to the kernel. */
struct sluice_fragment {
  __u8 src[16];
  __u8 dst[16];
  __u32 id;
  __u8 family, proto;
  __u16 zero;
};

#endif
