/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed pseudorandom function, for
 * what a peer must not be able to guess; and SipHash-1-3, its quicker sister, for the places in tables that nobody must
 * be able to aim at. Plain C without a library, compiled for BPF and for user space alike.
 */
#ifndef SLUICE_BPF_SIPHASH_H
#define SLUICE_BPF_SIPHASH_H

#include <linux/types.h>

#define SLUICE_INLINE static inline __attribute__((always_inline, unused))

struct sluice_siphash {
  __u64 v0, v1, v2, v3;
};

SLUICE_INLINE __u64 sluice_rotate(__u64 x, int bits) { return x << bits | x >> (64 - bits); }

SLUICE_INLINE void sluice_siphash_round(struct sluice_siphash *s) {
  s->v0 += s->v1;
  s->v2 += s->v3;
  s->v1 = sluice_rotate(s->v1, 13) ^ s->v0;
  s->v3 = sluice_rotate(s->v3, 16) ^ s->v2;
  s->v0 = sluice_rotate(s->v0, 32) + s->v3;
  s->v2 += s->v1;
  s->v1 = sluice_rotate(s->v1, 17) ^ s->v2;
  s->v3 = sluice_rotate(s->v3, 21) ^ s->v0;
  s->v2 = sluice_rotate(s->v2, 32);
}

SLUICE_INLINE struct sluice_siphash sluice_siphash_begin(__u64 k0, __u64 k1) {
  struct sluice_siphash s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                             k1 ^ 0x7465646279746573};
  return s;
}

/* Eight bytes of the message, as a little-endian word. */
SLUICE_INLINE void sluice_siphash_add(struct sluice_siphash *s, __u64 word) {
  s->v3 ^= word;
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  s->v0 ^= word;
}

/* `rest`: the message's last 0 to 7 bytes, and its length modulo 256 in the most significant byte. */
SLUICE_INLINE __u64 sluice_siphash_end(struct sluice_siphash *s, __u64 rest) {
  sluice_siphash_add(s, rest);
  s->v2 ^= 0xff;
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* SipHash-1-3, of whole words; messages of different lengths must differ in their first words or last. */
SLUICE_INLINE void sluice_siphash13_add(struct sluice_siphash *s, __u64 word) {
  s->v3 ^= word;
  sluice_siphash_round(s);
  s->v0 ^= word;
}

SLUICE_INLINE __u64 sluice_siphash13_end(struct sluice_siphash *s, __u64 last) {
  sluice_siphash13_add(s, last);
  s->v2 ^= 0xff;
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  sluice_siphash_round(s);
  return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
