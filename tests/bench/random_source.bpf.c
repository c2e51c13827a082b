// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
//
// In front of the program that is measured: a test run repeats one frame, and this gives it another source each time.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// Sources are factor * i modulo 2^32, for a random i of so many bits; factor is odd.
const volatile __u32 factor = 1, mask = 0;

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} next SEC(".maps");

SEC("xdp")
int random_source(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  __u32 *src = data + 14 + 12;
  if ((void *)(src + 1) > (void *)(long)ctx->data_end) return XDP_ABORTED;
  *src = __builtin_bswap32((bpf_get_prandom_u32() & mask) * factor);
  bpf_tail_call(ctx, &next, 0);
  return XDP_ABORTED;
}

SEC("xdp")
int nothing(struct xdp_md *ctx) {
  (void)ctx;
  return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
