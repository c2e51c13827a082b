/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What the XDP program and user space share: map keys, values and bounds. Plain C, so that both sides
 * compile it. Addresses are 16 bytes in memory order; IPv4 stands in the first four, the rest is zero.
 *
 * Two kinds of maps. Those of one port belong to its program: xsks, counts, queues, kernel_addresses,
 * kernel_fragments. Those of the box are made once by src/shed and shared by the programs of all ports: control,
 * policy, hints, sources, destinations, syns and the prefix lists. Where a box has no AF_XDP port, the same structures
 * lie in plain memory, for the same verdict in user space.
 */
#ifndef SLUICE_BPF_MAPS_H
#define SLUICE_BPF_MAPS_H

#include "syn_cookie.h"

/* Shapes of the shared maps, all mmapable arrays (BPF_F_MMAPABLE) whose memory is that of the structure below, since
   every value is a multiple of eight bytes; none is larger than old kernels allow (4 MiB):
     control       1 of struct sluice_control
     policy        2 of struct sluice_policy
     hints         SLUICE_HINT_CELLS of struct sluice_hint_cell
     sources, destinations, syns   SLUICE_BUCKET_SETS of struct sluice_bucket_set, each
     slots4        array-of-maps, 2: arrays of SLUICE_SLOTS4_ROWS of struct sluice_slots4_row
     groups        array-of-maps, 2: arrays of struct sluice_group, with BPF_F_INNER_MAP, of any length
     list6         array-of-maps, 2: arrays of struct sluice_bucket6, with BPF_F_INNER_MAP, of any length
   and of a port's own: queues, SLUICE_MAX_QUEUES of struct sluice_queue, mmapable; counts, SLUICE_COUNTS, per CPU. */

#define SLUICE_MAX_QUEUES 64          /* entries of xsks and queues */
#define SLUICE_MAX_KERNEL_RULES 32
#define SLUICE_MAX_KERNEL_ADDRESSES 1024
#define SLUICE_KERNEL_FRAGMENTS 4096  /* datagrams whose later fragments follow the first to the kernel */

/* ---- what becomes of a frame */

/* The first is shed last. */
enum sluice_class {
  SLUICE_CLASS_CONTROL,     /* ARP, ND, BGP, BFD, VRRP, small ICMP: up to its rate, never by level */
  SLUICE_CLASS_ESTABLISHED, /* flows that answer: told by `hints` */
  SLUICE_CLASS_NEW,         /* what may begin one: SYNs, and ACKs that bring a cookie */
  SLUICE_CLASS_REST,
  SLUICE_CLASSES
};

/* Why the verdict drops a frame. base/drop_reason.def has each as shed_NAME. */
#define SLUICE_EARLY_DROPS(X) \
  X(malformed)        /* not what its headers say; tiny or impossible fragments */ \
  X(block)            /* the source is on the block list */ \
  X(bogon)            /* the source is an address that no packet from outside may have */ \
  X(protocol)         /* block-protocols */ \
  X(port)             /* block-ports, by destination port */ \
  X(tcp_flags)        /* a combination that no TCP sends */ \
  X(amplification)    /* UDP from a port that amplifiers answer from, of no established flow */ \
  X(icmp)             /* ICMP above its size or rate */ \
  X(source_rate)      \
  X(destination_rate) \
  X(class_rate)       \
  X(syn_rate)         /* SYNs above the rate of their destination, which is not a service of the box */ \
  X(overload)         /* by the shed level */

enum sluice_outcome {
  SLUICE_OUT_REDIRECTED, /* to the queue's socket; in user space: goes on */
  SLUICE_OUT_KERNEL,     /* left to the kernel: a `kernel:` rule */
  SLUICE_OUT_SHARED,     /* ARP and neighbour discovery while there are rules: the kernel's, with a copy for sluice */
  SLUICE_OUT_UNBOUND,    /* the queue has no socket (yet): the kernel's */
  SLUICE_OUT_ANSWERED,   /* a SYN for a service of the box: its SYN-ACK with a cookie went back in its place */
#define SLUICE_X(name) SLUICE_DROP_##name,
  SLUICE_EARLY_DROPS(SLUICE_X)
#undef SLUICE_X
  SLUICE_OUTCOMES
};

/* counts: per CPU, frames by outcome and class; key outcome * SLUICE_CLASSES + class. */
#define SLUICE_COUNTS ((SLUICE_OUTCOMES + 0u) * (SLUICE_CLASSES + 0u))

/* ---- the shed level: 0 nothing is shed; then three bands. In each, a growing share of one class is dropped. */

#define SLUICE_BAND 256
#define SLUICE_LEVEL_LOOK 1                        /* nothing is shed by it, but frames are looked at */
#define SLUICE_LEVEL_REST SLUICE_BAND              /* from here on, nothing of the rest passes */
#define SLUICE_LEVEL_NEW (2 * SLUICE_BAND)         /* nor of new flows */
#define SLUICE_LEVEL_MAX (3 * SLUICE_BAND)         /* established: 255 of 256 are dropped */

/* queues: one a receive queue, mmap'ed. The first line is written by user space, the second by the verdict
   (a queue has one NAPI context, so nobody else does). */
struct sluice_queue {
  __u32 level;
  __u32 no_answers;  /* 1: this device cannot send what the verdict answers; such SYNs go on to the stack */
  __u32 room;        /* frames that the socket's ring holds; 0: how full it is does not count */
  __u32 rest;        /* of those, the part of the rest */
  __u64 taken;       /* of `handed`, what does not wait in the ring any more */
  __u32 spare2[10];
  __u64 class_tat[SLUICE_CLASSES]; /* theoretical arrival times of policy.class_rate */
  __u64 icmp_tat;
  __u64 handed;      /* frames that were handed to the socket */
  __u64 spare3[2];
};

/* The gate: a class of frames passes while fewer than its part of the ring waits there, so that what floods never takes the
   room of what is established, however long the lcore is away. The ring is never empty meanwhile: nothing is lost
   by it. The rest has half of the ring, for bursts; and little of it, for a while, after the lcore has seen that gate shut,
   since what waits in an overload only makes what passes wait. So long the level is SLUICE_LEVEL_LOOK at least, so
   that rates which hold while something is shed do not come and go from frame to frame. */
#define SLUICE_GATE_REST(room) ((room) / 2)
#define SLUICE_GATE_REST_OVERLOADED(room) ((room) / 8)
#define SLUICE_GATE_NEW(room) ((room) - (room) / 4)
#define SLUICE_GATE_ESTABLISHED(room) ((room) - (room) / 16)

/* ---- policy: what the configuration asks for. Two slots, of which control.policy is in force; a change is
   written into the other one. */

enum sluice_check {
  SLUICE_CHECK_FRAMES = 1 << 0,      /* malformed frames are dropped at level 0 too */
  SLUICE_CHECK_LISTS = 1 << 1,       /* some prefix is blocked or allowed */
  SLUICE_CHECK_PROTOCOLS = 1 << 2,
  SLUICE_CHECK_PORTS = 1 << 3,
  SLUICE_CHECK_TCP_FLAGS = 1 << 4,
  SLUICE_CHECK_AMPLIFICATION = 1 << 5,
  SLUICE_CHECK_ICMP = 1 << 6,
  SLUICE_CHECK_SOURCES = 1 << 7,     /* rates */
  SLUICE_CHECK_DESTINATIONS = 1 << 8,
  SLUICE_CHECK_CLASSES = 1 << 9,
  SLUICE_CHECK_SYNS = 1 << 10,       /* at every level; else only while something is shed */
  SLUICE_CHECK_COOKIES = 1 << 11,    /* SYNs above the rate, for a service of the box, are answered */
};

/* A rate as GCRA has it (ITU-T I.371): one frame each interval, and so much ahead of it. interval 0: no limit. */
struct sluice_rate {
  __u64 interval; /* ns */
  __u64 burst;    /* ns: (frames - 1) * interval */
};

#define SLUICE_MAX_CLASS_RULES 64
struct sluice_class_rule { /* the first that matches decides */
  __u8 addr[16], mask[16]; /* either end; masked */
  __u8 family;             /* 4, 6; 0: any, and addr does not count */
  __u8 proto;              /* 0: any */
  __u8 cls;                /* enum sluice_class */
  __u8 any_port;           /* 1: the ports do not count */
  __u16 port_lo, port_hi;  /* either port, host order */
  __u64 dscp;              /* a bit each; all ones: any */
};

#define SLUICE_MAX_SERVICES 64
struct sluice_service { /* a TCP listener of the box's own */
  __u8 addr[16] __attribute__((aligned(8))); /* all zero: every destination of the family */
  __u8 family;
  __u8 zero;
  __u16 port;           /* host order */
  __u16 mss;            /* what the SYN-ACK announces */
  __u16 window;         /* and offers, unscaled */
  __u8 window_scale;
  __u8 hop_limit;
  __u8 options;         /* SLUICE_SERVICE_*: what the listener agrees to */
  __u8 zero2;
};
#define SLUICE_SERVICE_SACK 1
#define SLUICE_SERVICE_TIMESTAMPS 2
#define SLUICE_SERVICE_SCALE 4
#define SLUICE_SERVICE_ECN 8

struct sluice_policy {
  __u32 checks;                 /* SLUICE_CHECK_* */
  __u8 source_bits4, source_bits6, destination_bits4, destination_bits6; /* prefix lengths that are counted together */
  __u32 icmp_max;               /* largest IP length of ICMP; 0: any */
  __u32 rules, services;        /* of the arrays below */
  __u32 spare;
  struct sluice_rate source, destination, syn, icmp;
  struct sluice_rate class_rate[SLUICE_CLASSES]; /* of one queue */
  struct sluice_cookie_key hint_key, table_key;  /* keys of hashes: hints; sources, destinations, syns */
  struct sluice_cookie_key cookie_key, timestamp_key; /* those of the TCP stack */
  __u64 protocols[4];           /* blocked: a bit each */
  __u64 tcp_ports[1024], udp_ports[1024]; /* blocked destination ports: a bit each */
  __u64 amplifiers[1024];       /* UDP source ports */
  struct sluice_class_rule rule[SLUICE_MAX_CLASS_RULES];
  struct sluice_service service[SLUICE_MAX_SERVICES];
};

/* ---- control: one element, mmap'ed; written by the control thread. */
#define SLUICE_MAX_LENGTHS6 32
struct sluice_list_info { /* of one slot of the prefix lists */
  __u32 has4, has6;
  __u32 groups;                      /* entries of the slot's groups */
  __u32 mask6;                       /* buckets of the slot's list6, less one */
  __u32 lengths6;
  __u8 length6[SLUICE_MAX_LENGTHS6]; /* prefix lengths in use, longest first */
  struct sluice_cookie_key key;      /* of the hash in list6.h */
};
struct sluice_control {
  __u32 policy;     /* slot in force: 0, 1 */
  __u32 lists;      /* slot in force: 0, 1 */
  __s64 clock_ahead; /* ns: the dataplane's clock less bpf_ktime_get_ns() */
  __u64 test_now;   /* not 0: the time, for tests of the program */
  struct sluice_list_info list[2];
};

/* ---- established flows. A tuple as it arrives (source first) picks a cell and two bits of a word; a cell has one word
   of each generation. Workers set bits in the current one; when the generations change, the older is cleared. A tuple
   is established if both its bits stand in either word. */
#define SLUICE_HINT_CELLS (1u << 20)
struct sluice_hint_cell {
  __u64 word[2];
};
struct sluice_hints {
  struct sluice_hint_cell cell[SLUICE_HINT_CELLS];
};

/* ---- rates by prefix: set-associative. A way holds the theoretical arrival time of one prefix; one that is not in
   the future means a full bucket, which is the same as none, so it may be taken. If all are, the earliest goes. */
#define SLUICE_BUCKET_SETS (1u << 14)
#define SLUICE_BUCKET_WAYS 4
struct sluice_bucket_way {
  __u64 tag; /* keyed hash of family and prefix; 0: empty */
  __u64 tat; /* ns */
};
struct sluice_bucket_set { /* one cache line */
  struct sluice_bucket_way way[SLUICE_BUCKET_WAYS];
};
struct sluice_buckets {
  struct sluice_bucket_set set[SLUICE_BUCKET_SETS];
};

/* ---- prefix lists. In two slots, of which control.lists is in force.
   IPv4: DIR-24-8. slots[addr >> 8] is an action, or SLUICE_ACTIONS + the number of a group, in which each of the 256
   addresses has two bits. IPv6: buckets of eight fingerprints, one for each prefix: keyed hash of length and masked
   address with the action in the low two bits (0: empty); a full bucket goes on in the next, SLUICE_LIST6_PROBES at
   most. Prefix lengths that are in use are looked for from the longest on. */
enum sluice_action { SLUICE_ACTION_NONE, SLUICE_ACTION_BLOCK, SLUICE_ACTION_ALLOW, SLUICE_ACTION_BOGON, SLUICE_ACTIONS };

#define SLUICE_SLOTS4 (1u << 24)
#define SLUICE_SLOTS4_ROWS (SLUICE_SLOTS4 / 256)
struct sluice_slots4_row { /* of a /16; no unit of its own, but what a map's element can be */
  __u32 slot[256];
};
struct sluice_slots4 {
  __u32 slot[SLUICE_SLOTS4];
};
struct sluice_group { /* one cache line; address a is in bits 2 * (a % 32) of word[a % 256 / 32] */
  __u64 word[8];
};
#define SLUICE_LIST6_PROBES 4
struct sluice_bucket6 {
  __u64 fingerprint[8];
};

/* ---- the kernel's share */

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
