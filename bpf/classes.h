/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * In which class a packet is: the rules of the configuration, then control, new flows, established ones, the rest.
 */
#ifndef SLUICE_BPF_CLASSES_H
#define SLUICE_BPF_CLASSES_H

#include "access.h"
#include "hint.h"
#include "parse.h"

SLUICE_BEGIN

#define SLUICE_SMALL_ICMP 128 /* bytes of IP */

SLUICE_INLINE int sluice_icmp_error(const struct sluice_packet *p) {
  if (p->fragment) return 0;
  if (p->proto == SLUICE_ICMP4) return p->type == 3 || p->type == 11 || p->type == 12;
  return p->proto == SLUICE_ICMP6 && p->type >= 1 && p->type <= 4;
}

/* Neighbour discovery, by type. */
SLUICE_INLINE int sluice_is_nd(const struct sluice_packet *p) {
  return p->family == 6 && p->proto == SLUICE_ICMP6 && p->fragment != SLUICE_LATER && p->type >= 133 && p->type <= 137;
}

SLUICE_INLINE int sluice_tcp_has(const struct sluice_packet *p, __u8 flags, __u8 values) {
  return p->proto == SLUICE_TCP && p->header && (p->flags & flags) == values;
}

/* Asks for a connection. */
SLUICE_INLINE int sluice_is_syn(const struct sluice_packet *p) {
  return sluice_tcp_has(p, SLUICE_SYN | SLUICE_ACK, SLUICE_SYN);
}

SLUICE_INLINE int sluice_is_control(const struct sluice_packet *p) {
  if (!p->family) return p->ethertype == SLUICE_ETH_ARP;
  const int near = p->hop_limit == 255; /* from this link: a router does not let it through */
  if (p->proto == SLUICE_VRRP) return near;
  if (p->fragment == SLUICE_LATER) return 0;
  if (sluice_is_icmp(p))
    return sluice_is_nd(p) ? near
                           : sluice_icmp_error(p) || (p->fragment == SLUICE_WHOLE && p->length <= SLUICE_SMALL_ICMP);
  const __u32 from = sluice_net16(p->sport), to = sluice_net16(p->dport);
  if (p->proto == SLUICE_TCP) return from == 179 || to == 179; /* BGP */
  /* BFD: one hop, its echo, LAGs (RFC 5881, 7130), several hops (RFC 5883) */
  return p->proto == SLUICE_UDP && (((to == 3784 || to == 3785 || to == 6784) && near) || to == 4784);
}

SLUICE_INLINE int sluice_inside(const __u64 *addr, const __u8 *prefix, const __u8 *mask) {
  const __u64 *want = (const __u64 *)prefix, *bits = (const __u64 *)mask;
  return (addr[0] & bits[0]) == want[0] && (addr[1] & bits[1]) == want[1];
}

SLUICE_INLINE int sluice_rule_matches(const struct sluice_class_rule *r, const struct sluice_packet *p) {
  if (r->proto && r->proto != p->proto) return 0;
  if (!(r->dscp >> (p->tos >> 2) & 1)) return 0;
  if (!r->any_port) {
    const __u32 from = sluice_net16(p->sport), to = sluice_net16(p->dport);
    if (!from && !to) return 0;
    if ((from < r->port_lo || from > r->port_hi) && (to < r->port_lo || to > r->port_hi)) return 0;
  }
  if (!r->family) return 1;
  return r->family == p->family && (sluice_inside(p->src, r->addr, r->mask) || sluice_inside(p->dst, r->addr, r->mask));
}

/* Negative: no rule says it. */
SLUICE_PART int sluice_class_by_rule(const struct sluice_env *env, const struct sluice_packet *p) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy || !p->family) return -1;
  for (__u32 i = 0; i < SLUICE_MAX_CLASS_RULES; i++) {
    if (i >= policy->rules) break;
    const struct sluice_class_rule *r = &policy->rule[i];
    if (sluice_rule_matches(r, p)) return r->cls & (SLUICE_CLASSES - 1);
  }
  return -1;
}

/* A packet's tuple as FlowHints has it: only these protocols' ports count. */
SLUICE_INLINE __u64 sluice_packet_hash(const struct sluice_policy *policy, const struct sluice_packet *p) {
  const int ports = p->proto == SLUICE_TCP || p->proto == SLUICE_UDP || p->proto == SLUICE_SCTP;
  return sluice_tuple_hash(&policy->hint_key, p->src, p->dst, ports ? p->sport | (p->dport + 0u) << 16 : 0, p->family,
                           p->proto);
}

SLUICE_INLINE int sluice_is_established(const struct sluice_env *env, __u64 hash) {
  const struct sluice_hint_cell *cell = sluice_hint_of(env, sluice_hint_cell_of(hash));
  if (!cell) return 0;
  const __u64 bits = sluice_hint_bits(hash);
  return (SLUICE_READ(cell->word[0]) & bits) == bits || (SLUICE_READ(cell->word[1]) & bits) == bits;
}

/* The number of the box's service that a packet is for; negative: none. */
SLUICE_PART int sluice_service_of(const struct sluice_env *env, const struct sluice_packet *p) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy) return -1;
  const __u32 port = sluice_net16(p->dport);
  for (__u32 i = 0; i < SLUICE_MAX_SERVICES; i++) {
    if (i >= policy->services) break;
    const struct sluice_service *s = &policy->service[i];
    if (s->port != port || s->family != p->family) continue;
    const __u64 *addr = (const __u64 *)s->addr;
    if (!(addr[0] | addr[1]) || (addr[0] == p->dst[0] && addr[1] == p->dst[1])) return i;
  }
  return -1;
}

SLUICE_INLINE struct sluice_cookie_input sluice_cookie_input_of(const struct sluice_packet *p, __u32 irs) {
  const struct sluice_cookie_input in = {
      {(__u32)p->dst[0], (__u32)(p->dst[0] >> 32), (__u32)p->dst[1], (__u32)(p->dst[1] >> 32)},
      {(__u32)p->src[0], (__u32)(p->src[0] >> 32), (__u32)p->src[1], (__u32)(p->src[1] >> 32)},
      sluice_net16(p->dport), sluice_net16(p->sport), irs};
  return in;
}

#define SLUICE_COOKIE_NS (SLUICE_COOKIE_PERIOD * 1000000000ull)

/* Whether a segment completes a handshake that a cookie began. */
SLUICE_PART int sluice_brings_cookie(struct sluice_env *env, const struct sluice_packet *p) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy || sluice_service_of(env, p) < 0) return 0;
  const struct sluice_cookie_input in = sluice_cookie_input_of(p, p->seq - 1);
  return sluice_cookie_check(&policy->cookie_key, &in, sluice_clock(env) / SLUICE_COOKIE_NS, p->ack - 1) >= 0;
}

SLUICE_END

#endif
