// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
//
// The first program that sees a frame of an AF_XDP port: it drops what is not worth the way, hands the rest to the
// queue's socket, or leaves it to the kernel. A redirected frame cannot go back, so all of that is decided here.
//
// verdict.h decides what is dropped; where nothing is shed and nothing is asked for, frames are not even parsed. With
// `kernel:` rules (kernel_rule_count is a constant to the verifier), a frame is the kernel's
//   - if a rule matches: its address (either end) or, where it names none, a destination that the kernel
//     owns or a group; its protocol; its port (either end);
//   - if it is an ICMP error about a packet that a rule matches (path-MTU discovery of an SSH session);
//   - if it is a later fragment of a datagram whose first fragment was the kernel's.
// Of those only the ones from blocked sources are dropped: what the kernel does with the others is its own affair.
// ARP and neighbour discovery belong to both: they pass to the kernel, and the port reads its copy from a
// packet socket (src/port/xdp_mirror.h), because XDP cannot duplicate. `shared` below and the socket's
// filter must select the same frames.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "program_maps.h"
#include "syn_answer.h"
#include "verdict.h"

const volatile struct sluice_kernel_rule kernel_rules[SLUICE_MAX_KERNEL_RULES] = {};
const volatile __u32 kernel_rule_count = 0;

static __always_inline int count(__u32 outcome, __u32 cls, int action) {
  __u32 slot = outcome * SLUICE_CLASSES + (cls & (SLUICE_CLASSES - 1));
  __u64 *n = bpf_map_lookup_elem(&counts, &slot);
  if (n) ++*n;
  return action;
}

static __always_inline int redirect(struct xdp_md *ctx, __u32 cls) {
  const __u32 n = ctx->rx_queue_index;
  int action = (int)bpf_redirect_map(&xsks, n, XDP_PASS);
  struct sluice_queue *q = action == XDP_REDIRECT ? bpf_map_lookup_elem(&queues, &n) : 0;
  if (q) q->handed++;
  return count(action == XDP_REDIRECT ? SLUICE_OUT_REDIRECTED : SLUICE_OUT_UNBOUND, cls, action);
}

// Offset 0: all of the frame; else the IP packet that stands there, of p->ethertype. A global function: the verifier
// checks it once, not once a path that leads to it.
__noinline int parse(struct xdp_md *ctx, __u32 offset, struct sluice_packet *p) {
  if (!p || offset > 0x3fff) return 0;
  void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
  if (!offset) {
    sluice_parse(data, end, p);
    return 0;
  }
  struct sluice_cursor c = {data + offset, end};
  sluice_parse_ip(&c, SLUICE_DISTANCE(data, end) - offset, p);
  return 0;
}

__noinline int syn_copy(struct xdp_md *ctx, const struct sluice_packet *p, struct sluice_syn *s) {
  return p && s ? sluice_syn_copy((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, s) : 0;
}

__noinline int syn_write(struct xdp_md *ctx, const struct sluice_packet *p, const struct sluice_syn_answer *a) {
  return p && a ? sluice_syn_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, p, a) : 0;
}

// The SYN becomes its answer; 0: there is none.
__noinline int answer(struct xdp_md *ctx, struct sluice_env *env, const struct sluice_packet *p) {
  struct sluice_syn s = {};
  struct sluice_syn_answer a = {};
  if (!env || !p || !syn_copy(ctx, p, &s) || !sluice_syn_compose(env, p, &s, &a)) return 0;
  const int size = SLUICE_DISTANCE((void *)(long)ctx->data, (void *)(long)ctx->data_end);
  if (bpf_xdp_adjust_tail(ctx, (int)sluice_answer_size(p, &a) - size)) return 0;
  return syn_write(ctx, p, &a);
}

static __always_inline bool owned(const __u64 addr[2], __u8 family) {
  struct sluice_address key = {.family = family};
  __builtin_memcpy(key.addr, addr, 16);
  return bpf_map_lookup_elem(&kernel_addresses, &key);
}

static __always_inline bool group(const __u64 addr[2], __u8 family) {
  __u8 first = *(const __u8 *)addr;
  return family == 6 ? first == 0xff : (first & 0xf0) == 0xe0 || *(const __u32 *)addr == 0xffffffff;
}

static __always_inline bool inside(const __u64 addr[2], const volatile struct sluice_kernel_rule *r) {
  const volatile __u64 *want = (const volatile __u64 *)r->addr, *mask = (const volatile __u64 *)r->mask;
  return (addr[0] & mask[0]) == want[0] && (addr[1] & mask[1]) == want[1];
}

// `quoted`: the packet lies inside an ICMP error, so it was sent by our side and its source is the owner.
__noinline int rules_match(const struct sluice_packet *p, bool quoted) {
  if (!p) return false;
  int local = -1;
  for (__u32 i = 0; i < SLUICE_MAX_KERNEL_RULES; i++) {
    if (i >= kernel_rule_count) break;
    const volatile struct sluice_kernel_rule *r = &kernel_rules[i];
    if (r->proto && r->proto != p->proto) continue;
    if (r->port && r->port != p->sport && r->port != p->dport) continue;
    if (r->family) {
      if (r->family == p->family && (inside(p->dst, r) || inside(p->src, r))) return true;
      continue;
    }
    if (local < 0)
      local = quoted ? owned(p->src, p->family) : owned(p->dst, p->family) || group(p->dst, p->family);
    if (local) return true;
  }
  return false;
}

static __always_inline void fragment_key(const struct sluice_packet *p, struct sluice_fragment *k) {
  __builtin_memset(k, 0, sizeof(*k));
  __builtin_memcpy(k->src, p->src, 16);
  __builtin_memcpy(k->dst, p->dst, 16);
  k->id = p->id;
  k->family = p->family;
  k->proto = p->family == 4 ? p->proto : 0;  // RFC 8200 4.5: source, destination and identification alone
}

__noinline int for_kernel(struct xdp_md *ctx, const struct sluice_packet *p) {
  if (!p || !p->family) return false;
  struct sluice_fragment key;
  if (p->fragment) fragment_key(p, &key);
  // A later fragment that was not announced (or overtook the first): rules without a port can still tell.
  if (p->fragment == SLUICE_LATER) return bpf_map_lookup_elem(&kernel_fragments, &key) || rules_match(p, false);
  if (rules_match(p, false)) {
    __u8 yes = 1;
    if (p->fragment) bpf_map_update_elem(&kernel_fragments, &key, &yes, BPF_ANY);
    return true;
  }
  if (!sluice_icmp_error(p)) return false;
  struct sluice_packet quoted = {.ethertype = p->ethertype};
  parse(ctx, p->l4 + 8, &quoted);
  return quoted.family && rules_match(&quoted, true);
}

static __always_inline bool shared(const struct sluice_packet *p) {
  return p->tags <= 1 && (p->ethertype == SLUICE_ETH_ARP || sluice_is_nd(p));
}

static __always_inline int kernel_share(const struct sluice_env *env, __u32 checks, const struct sluice_packet *p) {
  const __u32 action = sluice_listed(env, checks, p);
  if (action == SLUICE_ACTION_BLOCK) return count(SLUICE_DROP_block, SLUICE_CLASS_REST, XDP_DROP);
  if (action == SLUICE_ACTION_BOGON) return count(SLUICE_DROP_bogon, SLUICE_CLASS_REST, XDP_DROP);
  return count(SLUICE_OUT_KERNEL, SLUICE_CLASS_REST, XDP_PASS);
}

static __always_inline int look_into(struct xdp_md *ctx, struct sluice_env *env, const struct sluice_policy *policy,
                                     __u32 level) {
  struct sluice_packet p = {};
  parse(ctx, 0, &p);
  const __u32 checks = policy->checks;
  const bool both = kernel_rule_count && shared(&p);
  if (kernel_rule_count && !both && for_kernel(ctx, &p)) return kernel_share(env, checks, &p);
  struct sluice_verdict v = {SLUICE_OUT_REDIRECTED, SLUICE_CLASS_REST};
  if (sluice_looks(checks, level)) v = sluice_judge(env, policy, level, &p);
  if (v.outcome == SLUICE_OUT_ANSWERED) {
    if (answer(ctx, env, &p)) return count(v.outcome, v.cls, XDP_TX);
    v.outcome = SLUICE_DROP_syn_rate;
  }
  if (v.outcome != SLUICE_OUT_REDIRECTED) return count(v.outcome, v.cls, XDP_DROP);
  return both ? count(SLUICE_OUT_SHARED, v.cls, XDP_PASS) : redirect(ctx, v.cls);
}

SEC("xdp")
int early_drop(struct xdp_md *ctx) {
  const __u32 zero = 0;
  const struct sluice_control *c = bpf_map_lookup_elem(&control, &zero);
  if (!c) return redirect(ctx, SLUICE_CLASS_REST);
  struct sluice_env env = {.policy = c->policy & 1, .lists = c->lists & 1, .queue = ctx->rx_queue_index};
  const struct sluice_policy *policy = sluice_policy_of(&env);
  if (!policy) return redirect(ctx, SLUICE_CLASS_REST);
  const __u32 level = sluice_level_of(&env);
  if (kernel_rule_count || sluice_looks(policy->checks, level)) return look_into(ctx, &env, policy, level);
  return redirect(ctx, SLUICE_CLASS_REST);
}

char _license[] SEC("license") = "Dual BSD/GPL";
