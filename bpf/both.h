/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What code for BPF and for user space needs that differs between them.
 */
#ifndef SLUICE_BPF_BOTH_H
#define SLUICE_BPF_BOTH_H

#include "maps.h"

/* Around code that is C in both languages: narrowing is meant, casts are C's. */
#ifdef __cplusplus
#define SLUICE_BEGIN                                        \
  _Pragma("GCC diagnostic push")                            \
  _Pragma("GCC diagnostic ignored \"-Wconversion\"")        \
  _Pragma("GCC diagnostic ignored \"-Wold-style-cast\"")
#define SLUICE_END _Pragma("GCC diagnostic pop")
#else
#define SLUICE_BEGIN
#define SLUICE_END
#endif

#ifdef __bpf__
/* A global function: the verifier checks it once, not once a path that leads to it. So its arguments are scalars and
   pointers to plain memory, without map values in it. */
#define SLUICE_PART __attribute__((noinline))
/* What lies in frames, where nothing is aligned. The program reads it all the same; told of it, clang goes by bytes. */
#define SLUICE_WIRE
/* Tells the verifier, which must see the bound in the machine code, where the compiler knows it. */
#define SLUICE_BOUND(x, mask)                       \
  ({                                                \
    __u64 sluice_bounded = (x);                     \
    asm volatile("%0 &= " #mask : "+r"(sluice_bounded)); \
    sluice_bounded;                                 \
  })
/* Bytes. Kept whole, since the verifier lets packet pointers be subtracted, but nothing else. */
#define SLUICE_DISTANCE(from, to)                                             \
  ({                                                                          \
    __u64 sluice_bytes = (const char *)(to) - (const char *)(from);           \
    asm volatile("" : "+r"(sluice_bytes));                                    \
    (__u32) sluice_bytes;                                                     \
  })
/* Memory that other threads write as well: one load, one store. */
#define SLUICE_READ(x) (*(const volatile __typeof__(x) *)&(x))
#define SLUICE_WRITE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#else
#define SLUICE_PART SLUICE_INLINE
#define SLUICE_WIRE __attribute__((packed, aligned(1)))
#define SLUICE_BOUND(x, mask) ((x) & (mask))
#define SLUICE_DISTANCE(from, to) ((__u32)((const char *)(to) - (const char *)(from)))
#define SLUICE_READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define SLUICE_WRITE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#endif

struct sluice_wire16 {
  __u16 v;
} SLUICE_WIRE;
struct sluice_wire32 {
  __u32 v;
} SLUICE_WIRE;

/* Network order to host order, and back. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
SLUICE_INLINE __u16 sluice_net16(__u16 x) { return __builtin_bswap16(x); }
SLUICE_INLINE __u32 sluice_net32(__u32 x) { return __builtin_bswap32(x); }
SLUICE_INLINE __u64 sluice_net64(__u64 x) { return __builtin_bswap64(x); }
#else
SLUICE_INLINE __u16 sluice_net16(__u16 x) { return x; }
SLUICE_INLINE __u32 sluice_net32(__u32 x) { return x; }
SLUICE_INLINE __u64 sluice_net64(__u64 x) { return x; }
#endif

#endif
