// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
//
// Makes the frames of a flood. Run by BPF_PROG_TEST_RUN with live frames on one CPU: the frame that comes in is a
// recycled page, so every byte of the headers is written, and the verdict sends it out of a veth. The page may have been
// answered by XDP_TX, which leaves the answer's length behind: the kernel sets the length anew only where the program has
// changed it, so each frame begins with a byte too many and is cut.
//
// The pace is kept here too, because a test run costs tens of milliseconds to set up and end: one lasts for the whole
// flood, and a frame for which it is too early is dropped. Frames become due by the clock; time that the CPU was away is
// made up for in a burst of at most FLOOD_BURST, the rest is given up.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

struct flood_config config = {};
struct flood_counts counts = {};
__u32 turn = 0;
__u64 due = 0;     // when the next frame is, in 1/1024 ns
__u64 credit = 0;  // frames that may go without a look at the clock

struct frame {
  __u8 to[6], from[6];
  __be16 type;
  __u8 version_ihl, tos;
  __be16 total_length, id, frag;
  __u8 ttl, proto;
  __be16 checksum;
  __be32 src, dst;
  __be16 sport, dport;
  union {
    struct {
      __be16 length, checksum;
    } udp;
    struct {
      __be32 seq, ack;
      __u8 offset, flags;
      __be16 window, checksum, urgent;
    } tcp;
  };
} __attribute__((packed));

#define IP_LENGTH (FLOOD_FRAME - ETH_HLEN)

static __always_inline __u64 random64(void) {  // xorshift64; Marsaglia, "Xorshift RNGs", 2003
  __u64 x = config.random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  config.random = x;
  return x;
}

static __always_inline __u32 sum32(__u32 v) { return (v & 0xffff) + (v >> 16); }

static __always_inline __be16 fold(__u32 s) {
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return (__be16)~s;
}

static __always_inline bool early(void) {
  if (!config.interval) return false;
  if (credit) {
    credit--;
    return false;
  }
  __u64 now = bpf_ktime_get_ns() << 10;
  if (!due) due = now;
  if (now < due + config.gather * config.interval) return true;
  __u64 frames = (now - due) / config.interval + 1;
  due += frames * config.interval;
  if (frames > FLOOD_BURST) {
    counts.given_up += frames - FLOOD_BURST;
    frames = FLOOD_BURST;
  }
  credit = frames - 1;
  return false;
}

// Behind the IP header: a SYN with the least header there is, the padding of the frame is not the packet's.
static __always_inline void syn(struct frame *f, __u64 r) {
  f->tcp.seq = (__u32)(r >> 8);
  f->tcp.ack = 0;
  f->tcp.offset = 5 << 4;
  f->tcp.flags = 2;
  f->tcp.window = bpf_htons(65535);
  f->tcp.urgent = 0;
  f->tcp.checksum = 0;
  __u32 s = sum32(f->src) + sum32(f->dst) + bpf_htons(IPPROTO_TCP) + bpf_htons(20) + f->sport + f->dport +
            sum32(f->tcp.seq) + bpf_htons(5 << 12 | 2) + f->tcp.window;
  f->tcp.checksum = fold(s);
}

SEC("xdp")
int flood(struct xdp_md *ctx) {
  if (early()) return XDP_DROP;
  if (bpf_xdp_adjust_tail(ctx, FLOOD_FRAME - FLOOD_PAGE)) return XDP_ABORTED;
  struct frame *f = (void *)(long)ctx->data;
  if ((void *)(long)ctx->data + FLOOD_FRAME > (void *)(long)ctx->data_end) return XDP_ABORTED;
  __u32 kind = config.slot[turn++ % FLOOD_SLOTS];
  if (kind >= FLOOD_KINDS) return XDP_ABORTED;
  __u64 r = random64();
  bool tcp = kind == FLOOD_SYN || kind == FLOOD_BOX_SYN, fragment = kind == FLOOD_FRAGMENT;
  // A source of the pool always sends from the same port: the pool is one of flows.
  __u32 host = kind == FLOOD_UDP ? (__u32)r & config.source_mask : (__u32)r & 0xffff;

  __builtin_memcpy(f->to, config.to, 6);
  __builtin_memcpy(f->from, config.from, 6);
  f->type = bpf_htons(ETH_P_IP);
  f->version_ihl = 0x45;
  f->tos = 0;
  f->total_length = bpf_htons(tcp ? 40 : IP_LENGTH);
  f->id = (__be16)(r >> 48);
  f->frag = fragment ? bpf_htons(185) : 0;  // 1480 bytes from the datagram's beginning, and its last
  f->ttl = 64;
  f->proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
  f->src = config.sources + bpf_htonl(host & 0xffff);
  f->dst = config.destination[kind];
  f->checksum = 0;
  __u32 s = bpf_htons(0x4500) + f->total_length + f->id + f->frag + bpf_htons(64 << 8 | f->proto) + sum32(f->src) +
            sum32(f->dst);
  f->checksum = fold(s);
  f->sport = kind == FLOOD_UDP ? bpf_htons(1024 + (host >> 16)) : (__be16)(r >> 32);
  f->dport = config.port[kind];
  if (tcp) {
    syn(f, r);
  } else {
    f->udp.length = bpf_htons(IP_LENGTH - 20);
    f->udp.checksum = 0;
  }
  counts.offered[kind]++;
  return (int)bpf_redirect(config.ifindex, 0);
}

// On the sender's veth: drops what is sent to the flood's sources. And it must be there, since a veth's NAPI sees frames
// that its peer sends by XDP_TX only if it has a program.
SEC("xdp")
int sink(struct xdp_md *ctx) {
  struct frame *f = (void *)(long)ctx->data;
  if ((void *)&f->sport > (void *)(long)ctx->data_end || f->type != bpf_htons(ETH_P_IP)) return XDP_PASS;
  return (f->dst & bpf_htonl(0xffff0000)) == config.sources ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
