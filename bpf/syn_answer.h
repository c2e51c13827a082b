/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * A SYN becomes its SYN-ACK in place, with a cookie for its sequence number: what the TCP stack would say
 * (src/tcp/listen.cc, send_cookie), so that the stack accepts what comes back. In three steps, since the frame's length
 * changes in between: the segment is copied out of the frame and checked, the answer composed, and written into the
 * frame.
 *
 * No answer to what the stack would not answer, and to what is rare enough: text on a SYN, IPv4 options, extension
 * headers.
 */
#ifndef SLUICE_BPF_SYN_ANSWER_H
#define SLUICE_BPF_SYN_ANSWER_H

#include "access.h"
#include "classes.h"
#include "parse.h"
#include "tcp_keyed.h"

SLUICE_BEGIN

#define SLUICE_MAX_TCP_HEADER 60

struct sluice_syn {
  __u32 word[16];  /* the segment as it came, and zeros */
  __u16 mss;       /* 0: not said */
  __u8 scale, has_scale, sack, has_timestamps;
  __u8 spare[2];
  __u32 timestamp; /* as in memory */
  __u32 spare2;
};

#define SLUICE_MAX_ANSWER 40
struct sluice_syn_answer {
  struct sluice_tcp tcp; /* the checksum is whole */
  __u32 option[5];
  __u32 length;          /* of header and options */
  __u32 hop_limit;
};

SLUICE_INLINE __u16 sluice_fold(__u64 sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return (sum >> 16) + (sum & 0xffff);
}

/* Of an IPv4 header without options. */
SLUICE_INLINE __u64 sluice_ip4_sum(const struct sluice_wire32 *w) {
  return (__u64)w[0].v + w[1].v + w[2].v + w[3].v + w[4].v;
}

/* Of a TCP segment of so many bytes; the sum is the same in both directions. */
SLUICE_INLINE __u64 sluice_pseudo_sum(const struct sluice_packet *p, __u32 length) {
  const __u64 low = 0xffffffff;
  __u64 sum = sluice_net16(SLUICE_TCP) + (sluice_net16(length) + 0ull);
  for (int i = 0; i < 2; i++)
    sum += (p->src[i] & low) + (p->src[i] >> 32) + (p->dst[i] & low) + (p->dst[i] >> 32);
  return sum;
}

/* Whether anybody may be answered there: a host's address, and not our own. */
SLUICE_INLINE int sluice_may_answer(const struct sluice_packet *p) {
  const __u8 first = *(const __u8 *)p->src;
  if (p->group || (p->src[0] == p->dst[0] && p->src[1] == p->dst[1])) return 0;
  if (p->family == 4) return first != 0 && first != 127 && first < 224;
  return first != 0xff && (p->src[0] || sluice_net64(p->src[1]) > 1);
}

/* Copies the segment out of the frame. 0: it is not to be answered. */
SLUICE_INLINE int sluice_syn_copy(const void *data, const void *end, const struct sluice_packet *p,
                                  struct sluice_syn *s) {
  const __u32 header = p->header, flags = SLUICE_SYN | SLUICE_ACK | SLUICE_RST | SLUICE_FIN;
  if (p->bad || p->fragment || p->extensions || !sluice_tcp_has(p, flags, SLUICE_SYN)) return 0;
  if (!sluice_may_answer(p)) return 0;
  if (p->length != (p->family == 4 ? 20 : 40) + header || header > SLUICE_MAX_TCP_HEADER) return 0;
  struct sluice_cursor c = {data, end};
  if (!sluice_skip(&c, p->l3)) return 0;
  if (p->family == 4) {
    const struct sluice_wire32 *ip = (const struct sluice_wire32 *)sluice_take(&c, 20);
    if (!ip || sluice_fold(sluice_ip4_sum(ip)) != 0xffff) return 0;
  } else if (!sluice_skip(&c, 40)) {
    return 0;
  }
  __u64 sum = sluice_pseudo_sum(p, header);
  for (__u32 i = 0; i < SLUICE_MAX_TCP_HEADER / 4; i++) {
    if (i * 4 >= header) break;
    const struct sluice_wire32 *word = (const struct sluice_wire32 *)sluice_take(&c, 4);
    if (!word) return 0;
    s->word[i] = word->v;
    sum += word->v;
  }
  return sluice_fold(sum) == 0xffff;
}

SLUICE_INLINE __u32 sluice_syn_byte(const struct sluice_syn *s, __u32 at) {
  return ((const __u8 *)s->word)[SLUICE_BOUND(at, 63)];
}

/* One option of `length` bytes; one of a known kind with a wrong length is ignored. */
SLUICE_INLINE void sluice_syn_option(struct sluice_syn *s, __u32 at, __u32 kind, __u32 length) {
  if (kind == 2 && length == 4) {
    s->mss = sluice_syn_byte(s, at + 2) << 8 | sluice_syn_byte(s, at + 3);
  } else if (kind == 3 && length == 3) {
    s->has_scale = 1;
    s->scale = sluice_syn_byte(s, at + 2);
  } else if (kind == 4 && length == 2) {
    s->sack = 1;
  } else if (kind == 8 && length == 10) {
    s->has_timestamps = 1;
    s->timestamp = sluice_net32(sluice_syn_byte(s, at + 2) << 24 | sluice_syn_byte(s, at + 3) << 16 |
                                sluice_syn_byte(s, at + 4) << 8 | sluice_syn_byte(s, at + 5));
  }
}

/* Reads what stands at `at`; returns where the next option is, 0 at the end. */
SLUICE_PART int sluice_syn_step(struct sluice_syn *s, __u32 at, __u32 header) {
  if (!s || at >= header) return 0;
  const __u32 kind = sluice_syn_byte(s, at);
  if (kind < 2) return kind ? at + 1 : 0;
  const __u32 length = sluice_syn_byte(s, at + 1);
  if (at + 1 >= header || length < 2 || at + length > header) return 0;
  sluice_syn_option(s, at, kind, length);
  return at + length;
}

SLUICE_INLINE void sluice_syn_options(struct sluice_syn *s, __u32 header) {
  __u32 at = 20;
  for (int i = 0; i < 40 && at; i++) at = sluice_syn_step(s, at, header);
}

/* What both sides want: the low bits of the timestamp, and these. */
#define SLUICE_OFFER_TIMESTAMPS 0x100
#define SLUICE_OFFER_SCALE 0x200

/* Without timestamps there is no place for what a cookie cannot say. */
SLUICE_PART int sluice_syn_offer(const struct sluice_packet *p, const struct sluice_syn *s, __u32 agreed) {
  if (!p || !s || !s->has_timestamps || !(agreed & SLUICE_SERVICE_TIMESTAMPS)) return 0;
  const int scale = s->has_scale && agreed & SLUICE_SERVICE_SCALE, sack = s->sack && agreed & SLUICE_SERVICE_SACK;
  const int ecn = agreed & SLUICE_SERVICE_ECN && (p->flags & (SLUICE_ECE | SLUICE_CWR)) == (SLUICE_ECE | SLUICE_CWR);
  const __u32 shift = !scale ? SLUICE_COOKIE_TS_NO_SCALE : s->scale > 14 ? 14 : s->scale;
  return SLUICE_OFFER_TIMESTAMPS | (scale ? SLUICE_OFFER_SCALE : 0) | sluice_cookie_ts_bits(shift, sack, ecn);
}

SLUICE_PART int sluice_syn_mss_index(__u32 mss) { return sluice_cookie_mss_index(mss ? mss : 536); }

SLUICE_PART int sluice_syn_cookie(struct sluice_env *env, const struct sluice_packet *p, __u32 mss_index) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy) return 0;
  const struct sluice_cookie_input in = sluice_cookie_input_of(p, p->seq);
  return sluice_cookie_make(&policy->cookie_key, &in, sluice_clock(env) / SLUICE_COOKIE_NS, mss_index);
}

/* The stack's timestamp clock has milliseconds. */
SLUICE_PART int sluice_syn_timestamp(struct sluice_env *env, const struct sluice_packet *p, __u32 offer) {
  const struct sluice_policy *policy = env && p ? sluice_policy_of(env) : 0;
  if (!policy) return 0;
  const __u32 offset = sluice_tcp_keyed(&policy->timestamp_key, p->dst, p->src, sluice_net16(p->dport),
                                        sluice_net16(p->sport));
  return sluice_cookie_timestamp(sluice_clock(env) / 1000000 + offset, offer & SLUICE_COOKIE_TS_MASK);
}

/* The words in the order of wire/tcp_options.cc. */
SLUICE_INLINE void sluice_syn_put_options(struct sluice_env *env, const struct sluice_packet *p,
                                          const struct sluice_syn *s, const struct sluice_service *service,
                                          __u32 offer, struct sluice_syn_answer *a) {
  a->option[0] = sluice_net32(0x02040000u | service->mss);
  a->length = 24;
  if (!(offer & SLUICE_OFFER_TIMESTAMPS)) return;
  a->option[1] = sluice_net32((offer & SLUICE_COOKIE_TS_SACK ? 0x0402u : 0x0101u) << 16 | 0x080a);
  a->option[2] = sluice_net32(sluice_syn_timestamp(env, p, offer));
  a->option[3] = s->timestamp;
  a->length = 36;
  if (!(offer & SLUICE_OFFER_SCALE)) return;
  a->option[4] = sluice_net32(0x01030300u | service->window_scale);
  a->length = SLUICE_MAX_ANSWER;
}

/* The answer to a SYN that was copied. 0: there is none. */
SLUICE_PART int sluice_syn_compose(struct sluice_env *env, const struct sluice_packet *p, struct sluice_syn *s,
                                   struct sluice_syn_answer *a) {
  if (!env || !p || !s || !a) return 0;
  const struct sluice_policy *policy = sluice_policy_of(env);
  const int n = sluice_service_of(env, p);
  if (!policy || n < 0) return 0;
  const struct sluice_service *service = &policy->service[n & (SLUICE_MAX_SERVICES - 1)];
  sluice_syn_options(s, p->header);
  const __u32 offer = sluice_syn_offer(p, s, service->options);
  sluice_syn_put_options(env, p, s, service, offer, a);
  a->hop_limit = service->hop_limit;
  a->tcp.sport = p->dport;
  a->tcp.dport = p->sport;
  a->tcp.seq = sluice_net32(sluice_syn_cookie(env, p, sluice_syn_mss_index(s->mss)));
  a->tcp.ack = sluice_net32(p->seq + 1);
  a->tcp.offset = a->length / 4 << 4;
  a->tcp.flags = SLUICE_SYN | SLUICE_ACK | (offer & SLUICE_COOKIE_TS_ECN ? SLUICE_ECE : 0);
  a->tcp.window = sluice_net16(service->window);

  const __u32 *word = (const __u32 *)a;
  __u64 sum = sluice_pseudo_sum(p, a->length);
  for (int i = 0; i < SLUICE_MAX_ANSWER / 4; i++) sum += word[i];
  a->tcp.checksum = ~sluice_fold(sum);
  return 1;
}

SLUICE_INLINE void sluice_write_ip4(struct sluice_ip4 *ip, const struct sluice_packet *p,
                                    const struct sluice_syn_answer *a) {
  struct sluice_ip4 h = {0x45, 0, sluice_net16(20 + a->length), 0, sluice_net16(0x4000), (__u8)a->hop_limit,
                         SLUICE_TCP, 0, (__u32)p->dst[0], (__u32)p->src[0]};
  h.checksum = ~sluice_fold(sluice_ip4_sum((const struct sluice_wire32 *)&h));
  *ip = h;
}

SLUICE_INLINE void sluice_write_ip6(struct sluice_ip6 *ip, const struct sluice_packet *p,
                                    const struct sluice_syn_answer *a) {
  ip->version_class_flow = sluice_net32(6u << 28);
  ip->payload_length = sluice_net16(a->length);
  ip->next = SLUICE_TCP;
  ip->hop_limit = a->hop_limit;
  __builtin_memcpy(ip->src, p->dst, 16);
  __builtin_memcpy(ip->dst, p->src, 16);
}

/* Bytes of the frame that the answer makes. */
SLUICE_INLINE __u32 sluice_answer_size(const struct sluice_packet *p, const struct sluice_syn_answer *a) {
  return p->l3 + (p->family == 4 ? 20u : 40u) + a->length;
}

/* Writes the answer over the SYN; the frame has the answer's size. 0: it has not. */
SLUICE_INLINE int sluice_syn_write(void *data, const void *end, const struct sluice_packet *p,
                                   const struct sluice_syn_answer *a) {
  struct sluice_cursor c = {data, end};
  struct sluice_eth *eth = (struct sluice_eth *)sluice_take(&c, sizeof(*eth));
  if (!eth) return 0;
  __u8 station[6];
  __builtin_memcpy(station, eth->dst, 6);
  __builtin_memcpy(eth->dst, eth->src, 6);
  __builtin_memcpy(eth->src, station, 6);
  if (!sluice_skip(&c, p->l3 - (__u32)sizeof(*eth))) return 0;
  if (p->family == 4) {
    struct sluice_ip4 *ip = (struct sluice_ip4 *)sluice_take(&c, sizeof(*ip));
    if (!ip) return 0;
    sluice_write_ip4(ip, p, a);
  } else {
    struct sluice_ip6 *ip = (struct sluice_ip6 *)sluice_take(&c, sizeof(*ip));
    if (!ip) return 0;
    sluice_write_ip6(ip, p, a);
  }
  const __u32 *word = (const __u32 *)a;
  for (__u32 i = 0; i < SLUICE_MAX_ANSWER / 4; i++) {
    if (i * 4 >= a->length) break;
    struct sluice_wire32 *out = (struct sluice_wire32 *)sluice_take(&c, 4);
    if (!out) return 0;
    out->v = word[i];
  }
  return 1;
}

SLUICE_END

#endif
