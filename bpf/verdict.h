/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * The verdict on a frame, one function for XDP and for user space: what is dropped before it costs anything, in which
 * class the others are, and which SYNs are to be answered with a cookie. Time and maps are arguments (access.h);
 * nothing is assumed about the frame.
 *
 * The order: lists (an allowed source passes everything), malformed frames, blocked protocols and ports, TCP flags;
 * then the class, and what depends on it: amplification, ICMP, rates, the shed level. A check that comes first costs
 * least, and what it drops uses up none of the rates behind it.
 */
#ifndef SLUICE_BPF_VERDICT_H
#define SLUICE_BPF_VERDICT_H

#include "access.h"
#include "classes.h"
#include "lists.h"
#include "parse.h"
#include "rates.h"

SLUICE_BEGIN

struct sluice_verdict {
  __u32 outcome; /* enum sluice_outcome: REDIRECTED, ANSWERED (the caller writes the answer) or a drop */
  __u32 cls;     /* enum sluice_class */
};

SLUICE_INLINE struct sluice_verdict sluice_say(__u32 outcome, __u32 cls) {
  const struct sluice_verdict v = {outcome, cls};
  return v;
}

/* The level that shuts out what the ring has no room for. Both counts move on meanwhile: off by a burst at most. */
SLUICE_INLINE __u32 sluice_gate(const struct sluice_queue *q) {
  const __u32 room = SLUICE_READ(q->room);
  const __s64 waiting = (__s64)(SLUICE_READ(q->handed) - SLUICE_READ(q->taken));
  if (waiting < SLUICE_READ(q->rest) || !room) return 0;
  if (waiting < SLUICE_GATE_NEW(room)) return SLUICE_LEVEL_REST;
  return waiting < SLUICE_GATE_ESTABLISHED(room) ? SLUICE_LEVEL_NEW : SLUICE_LEVEL_MAX;
}

/* What is in force: the governor's level, or the gate's. */
SLUICE_INLINE __u32 sluice_queue_level(const struct sluice_queue *q) {
  const __u32 level = SLUICE_READ(q->level), gate = sluice_gate(q);
  return level > gate ? level : gate;
}

SLUICE_INLINE __u32 sluice_level_of(const struct sluice_env *env) {
  const struct sluice_queue *q = sluice_queue_of(env);
  return q ? sluice_queue_level(q) : 0;
}

/* Whether frames are looked at at all. To answer SYNs is asked for with a rate of theirs, or while something is shed.
   */
SLUICE_INLINE int sluice_looks(__u32 checks, __u32 level) { return level || checks & ~(__u32)SLUICE_CHECK_COOKIES; }

/* The bounds are for verifiers that know nothing of a number whose bytes were swapped (6.1's). */
SLUICE_INLINE int sluice_port_bit(const __u64 *bits, __u32 port) {
  return SLUICE_READ(bits[SLUICE_BOUND(port >> 6, 1023)]) >> (port & 63) & 1;
}
SLUICE_INLINE int sluice_protocol_bit(const __u64 *bits, __u32 proto) {
  return SLUICE_READ(bits[SLUICE_BOUND(proto >> 6, 3)]) >> (proto & 63) & 1;
}

/* What the lists say of a packet's source, if they are asked: enum sluice_action. */
SLUICE_INLINE __u32 sluice_listed(const struct sluice_env *env, __u32 checks, const struct sluice_packet *p) {
  if (!(checks & SLUICE_CHECK_LISTS) || !p->family) return SLUICE_ACTION_NONE;
  return sluice_list_find(env, p);
}

/* The outcome of a packet by what it is, without regard to others; REDIRECTED: nothing is wrong with it. */
SLUICE_INLINE __u32 sluice_refused(const struct sluice_policy *policy, __u32 checks, const struct sluice_packet *p) {
  if (!p->family) return SLUICE_OUT_REDIRECTED;
  if (checks & SLUICE_CHECK_PROTOCOLS && sluice_protocol_bit(policy->protocols, p->proto)) return SLUICE_DROP_protocol;
  if (checks & SLUICE_CHECK_PORTS) {
    const __u32 port = sluice_net16(p->dport);
    if (p->proto == SLUICE_TCP && sluice_port_bit(policy->tcp_ports, port)) return SLUICE_DROP_port;
    if (p->proto == SLUICE_UDP && sluice_port_bit(policy->udp_ports, port)) return SLUICE_DROP_port;
  }
  if (checks & SLUICE_CHECK_TCP_FLAGS && p->proto == SLUICE_TCP && p->header) {
    const __u8 kind = p->flags & (SLUICE_SYN | SLUICE_FIN | SLUICE_RST);
    if (kind & (kind - 1)) return SLUICE_DROP_tcp_flags;
    if (!(p->flags & SLUICE_ACK) && !(kind & (SLUICE_SYN | SLUICE_RST))) return SLUICE_DROP_tcp_flags;
  }
  return SLUICE_OUT_REDIRECTED;
}

SLUICE_INLINE __u32 sluice_class_of(struct sluice_env *env, const struct sluice_policy *policy, __u32 level,
                                    const struct sluice_packet *p, __u64 hash) {
  if (policy->rules) {
    const int cls = sluice_class_by_rule(env, p);
    if (cls >= 0) return cls;
  }
  if (sluice_is_control(p)) return SLUICE_CLASS_CONTROL;
  if (!p->family) return SLUICE_CLASS_REST;
  if (sluice_is_syn(p)) return SLUICE_CLASS_NEW;
  if (p->fragment == SLUICE_LATER) return SLUICE_CLASS_REST;
  if (sluice_is_established(env, hash)) return SLUICE_CLASS_ESTABLISHED;
  if (level && policy->services && policy->checks & SLUICE_CHECK_COOKIES &&
      sluice_tcp_has(p, SLUICE_ACK | SLUICE_SYN | SLUICE_RST, SLUICE_ACK) && sluice_brings_cookie(env, p))
    return SLUICE_CLASS_NEW;
  return SLUICE_CLASS_REST;
}

/* What is refused of its class, or by kind; REDIRECTED: nothing. */
SLUICE_INLINE __u32 sluice_refused_in_class(struct sluice_env *env, const struct sluice_policy *policy, __u32 checks,
                                            __u32 cls, const struct sluice_packet *p) {
  if (checks & SLUICE_CHECK_AMPLIFICATION && p->proto == SLUICE_UDP && p->family && p->fragment != SLUICE_LATER &&
      cls >= SLUICE_CLASS_NEW && sluice_port_bit(policy->amplifiers, sluice_net16(p->sport)))
    return SLUICE_DROP_amplification;
  if (checks & SLUICE_CHECK_ICMP && p->family && sluice_is_icmp(p) && !sluice_is_nd(p)) {
    if (policy->icmp_max && (p->length > policy->icmp_max || p->fragment)) return SLUICE_DROP_icmp;
    struct sluice_queue *q = sluice_queue_of(env);
    if (q && !sluice_rate_take(&policy->icmp, &q->icmp_tat, sluice_clock(env))) return SLUICE_DROP_icmp;
  }
  return SLUICE_OUT_REDIRECTED;
}

SLUICE_INLINE int sluice_class_within(struct sluice_env *env, const struct sluice_policy *policy, __u32 cls) {
  struct sluice_queue *q = sluice_queue_of(env);
  cls &= 3;
  return !q || !policy->class_rate[cls].interval ||
         sluice_rate_take(&policy->class_rate[cls], &q->class_tat[cls], sluice_clock(env));
}

SLUICE_INLINE __u32 sluice_over_rate(struct sluice_env *env, __u32 checks, const struct sluice_packet *p) {
  if (checks & SLUICE_CHECK_SOURCES && !sluice_prefix_within(env, p, SLUICE_SOURCES)) return SLUICE_DROP_source_rate;
  if (checks & SLUICE_CHECK_DESTINATIONS && !sluice_prefix_within(env, p, SLUICE_DESTINATIONS))
    return SLUICE_DROP_destination_rate;
  return SLUICE_OUT_REDIRECTED;
}

/* A SYN that is too many for its destination: ANSWERED, or dropped; the stack's, where it cannot be answered here. */
SLUICE_INLINE __u32 sluice_over_syn_rate(struct sluice_env *env, __u32 checks, const struct sluice_packet *p) {
  if (sluice_prefix_within(env, p, SLUICE_SYNS)) return SLUICE_OUT_REDIRECTED;
  if (!(checks & SLUICE_CHECK_COOKIES) || sluice_service_of(env, p) < 0) return SLUICE_DROP_syn_rate;
  const struct sluice_queue *q = sluice_queue_of(env);
  return q && SLUICE_READ(q->no_answers) ? SLUICE_OUT_REDIRECTED : SLUICE_OUT_ANSWERED;
}

/* Whether the level has this frame of the class dropped: by chance, in the share that the level asks for. */
SLUICE_INLINE int sluice_sheds(struct sluice_env *env, __u32 level, __u32 cls, __u64 hash) {
  const __u32 below = cls == SLUICE_CLASS_REST          ? 0
                      : cls == SLUICE_CLASS_NEW         ? SLUICE_LEVEL_REST
                      : cls == SLUICE_CLASS_ESTABLISHED ? SLUICE_LEVEL_NEW
                                                        : SLUICE_LEVEL_MAX;
  if (level > SLUICE_LEVEL_MAX) level = SLUICE_LEVEL_MAX;
  if (level <= below || level == SLUICE_LEVEL_LOOK) return 0;
  __u32 share = level - below; /* of SLUICE_BAND */
  if (cls == SLUICE_CLASS_ESTABLISHED && share == SLUICE_BAND) share--;
  if (share >= SLUICE_BAND) return 1;
  return (hash ^ sluice_clock(env)) * 0x9e3779b97f4a7c15 >> 56 < share;
}

/* Of a parsed frame. */
SLUICE_INLINE struct sluice_verdict sluice_judge(struct sluice_env *env, const struct sluice_policy *policy,
                                                 __u32 level, const struct sluice_packet *p) {
  const __u32 checks = SLUICE_READ(policy->checks), rest = SLUICE_CLASS_REST;
  const __u32 action = sluice_listed(env, checks, p);
  if (action == SLUICE_ACTION_BLOCK) return sluice_say(SLUICE_DROP_block, rest);
  if (action == SLUICE_ACTION_BOGON) return sluice_say(SLUICE_DROP_bogon, rest);
  if (action == SLUICE_ACTION_ALLOW) return sluice_say(SLUICE_OUT_REDIRECTED, SLUICE_CLASS_CONTROL);
  if (p->bad && (level || checks & SLUICE_CHECK_FRAMES)) return sluice_say(SLUICE_DROP_malformed, rest);

  __u32 out = sluice_refused(policy, checks, p);
  if (out != SLUICE_OUT_REDIRECTED) return sluice_say(out, rest);

  const __u64 hash = p->family ? sluice_packet_hash(policy, p) : 0;
  __u32 cls = sluice_class_of(env, policy, level, p, hash);
  out = sluice_refused_in_class(env, policy, checks, cls, p);
  if (out != SLUICE_OUT_REDIRECTED) return sluice_say(out, cls);

  const int classes = checks & SLUICE_CHECK_CLASSES;
  if (cls == SLUICE_CLASS_CONTROL) {
    if (!(classes || level) || sluice_class_within(env, policy, cls)) return sluice_say(SLUICE_OUT_REDIRECTED, cls);
    cls = rest; /* above its rate it is nothing special */
  }
  out = sluice_over_rate(env, checks, p);
  if (out != SLUICE_OUT_REDIRECTED) return sluice_say(out, cls);
  if (classes && !sluice_class_within(env, policy, cls)) return sluice_say(SLUICE_DROP_class_rate, cls);
  if (p->family && (level || checks & SLUICE_CHECK_SYNS) && sluice_is_syn(p)) {
    out = sluice_over_syn_rate(env, checks, p);
    if (out != SLUICE_OUT_REDIRECTED) return sluice_say(out, cls);
  }
  return sluice_say(sluice_sheds(env, level, cls, hash) ? SLUICE_DROP_overload : SLUICE_OUT_REDIRECTED, cls);
}

SLUICE_END

#endif
