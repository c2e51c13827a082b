// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
//
// The first program that sees a frame of an AF_XDP port: it hands the frame to the queue's socket, or leaves
// it to the kernel. A redirected frame cannot go back, so what the kernel shall have is decided here.
//
// Without `kernel:` rules (kernel_rule_count is a constant to the verifier) all that is left of the program
// is a counter and the redirect. With rules, a frame is the kernel's
//   - if a rule matches: its address (either end) or, where it names none, a destination that the kernel
//     owns or a group; its protocol; its port (either end);
//   - if it is an ICMP error about a packet that a rule matches (path-MTU discovery of an SSH session);
//   - if it is a later fragment of a datagram whose first fragment was the kernel's.
// ARP and neighbour discovery belong to both: they pass to the kernel, and the port reads its copy from a
// packet socket (src/port/xdp_mirror.h), because XDP cannot duplicate. `shared` below and the socket's
// filter must select the same frames.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define MAX_EXTENSIONS 6

const volatile struct sluice_kernel_rule kernel_rules[SLUICE_MAX_KERNEL_RULES] = {};
const volatile __u32 kernel_rule_count = 0;

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, SLUICE_XDP_COUNTS);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, SLUICE_MAX_KERNEL_ADDRESSES);
  __type(key, struct sluice_address);
  __type(value, __u8);
} kernel_addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, SLUICE_KERNEL_FRAGMENTS);
  __type(key, struct sluice_fragment);
  __type(value, __u8);
} kernel_fragments SEC(".maps");

struct vlan_tag {
  __be16 tci, type;
};
struct ip4 {
  __u8 version_ihl, tos;
  __be16 total_length, id, frag;
  __u8 ttl, proto;
  __be16 checksum;
  __u8 src[4], dst[4];
};
struct ip6 {
  __be32 version_class_flow;
  __be16 payload_length;
  __u8 next, hop_limit;
  __u8 src[16], dst[16];
};
struct ip6_ext {
  __u8 next, length8;
  __be16 offset;  // of the fragment header
  __be32 id;
};

// What the rules look at. Bytes of a smaller address are zero.
struct packet {
  __u64 src[2], dst[2];
  __u32 id;          // of a fragment
  __u8 family, proto;
  __u8 fragment;     // 0: whole, 1: first, 2: later
  __u8 type;         // ICMP
  __be16 sport, dport;
};

struct cursor {
  void *pos, *end;
};

static __always_inline void *take(struct cursor *c, __u64 size) {
  void *p = c->pos;
  if (p + size > c->end) return 0;
  c->pos = p + size;
  return p;
}

// Steps over `size` < 4096 bytes. The mask is for the verifier, which must see the bound in the machine code.
static __always_inline bool skip(struct cursor *c, __u64 size) {
  asm volatile("%0 &= 4095" : "+r"(size));
  return take(c, size);
}

static __always_inline int count(__u32 slot, int verdict) {
  __u64 *n = bpf_map_lookup_elem(&counts, &slot);
  if (n) ++*n;
  return verdict;
}

// EtherType behind at most two tags, host order; 0: the frame is too short.
static __always_inline __u16 ethertype(struct cursor *c, __u32 *tags) {
  struct ethhdr *eth = take(c, sizeof(*eth));
  if (!eth) return 0;
  __be16 type = eth->h_proto;
  for (int i = 0; i < 2; i++) {
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    struct vlan_tag *tag = take(c, sizeof(*tag));
    if (!tag) return 0;
    type = tag->type;
    ++*tags;
  }
  return bpf_ntohs(type);
}

static __always_inline bool parse_ip4(struct cursor *c, struct packet *p) {
  struct ip4 *ip = take(c, sizeof(*ip));
  if (!ip || ip->version_ihl < 0x45 || ip->version_ihl > 0x4f) return false;
  if (!skip(c, ((ip->version_ihl & 15) - 5) * 4)) return false;
  p->family = 4;
  p->proto = ip->proto;
  p->src[0] = *(__u32 *)ip->src;
  p->dst[0] = *(__u32 *)ip->dst;
  __u16 frag = bpf_ntohs(ip->frag);
  if (frag & 0x3fff) {
    p->fragment = frag & 0x1fff ? 2 : 1;
    p->id = ip->id;
  }
  return true;
}

static __always_inline bool parse_ip6(struct cursor *c, struct packet *p) {
  struct ip6 *ip = take(c, sizeof(*ip));
  if (!ip || (*(__u8 *)ip >> 4) != 6) return false;
  p->family = 6;
  __builtin_memcpy(p->src, ip->src, 16);
  __builtin_memcpy(p->dst, ip->dst, 16);
  __u8 next = ip->next;
  for (int i = 0; i < MAX_EXTENSIONS; i++) {
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
      break;
    struct ip6_ext *ext = take(c, sizeof(*ext));
    if (!ext) return false;
    if (next == IPPROTO_FRAGMENT) {
      __u16 offset = bpf_ntohs(ext->offset);
      if (offset & ~7) p->fragment = 2;
      else if (offset & 1) p->fragment = 1;
      p->id = ext->id;
      next = ext->next;
      if (p->fragment == 2) break;  // what follows is not a header
      continue;
    }
    next = ext->next;
    if (!skip(c, ext->length8 * 8)) return false;
  }
  p->proto = next;
  return true;
}

static __always_inline void parse_l4(struct cursor *c, struct packet *p) {
  if (p->fragment == 2) return;
  if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IPPROTO_SCTP || p->proto == IPPROTO_DCCP ||
      p->proto == IPPROTO_UDPLITE) {
    __be16 *ports = take(c, 4);
    if (!ports) return;
    p->sport = ports[0];
    p->dport = ports[1];
  } else if (p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6) {
    __u8 *type = take(c, 8);  // the whole header, so that the cursor stands at the packet that an error quotes
    if (type) p->type = *type;
  }
}

// The IP packet at `offset` of the frame. Returns the offset behind what was read, 0 if it is no IP packet.
// Like rules_match a global function: the verifier checks it once, not once a path that leads to it.
__noinline __u32 parse(struct xdp_md *ctx, __u32 offset, __u16 type, struct packet *p) {
  if (!p || offset > 0x3fff) return 0;
  void *data = (void *)(long)ctx->data;
  struct cursor c = {data + offset, (void *)(long)ctx->data_end};
  bool ok = type == ETH_P_IP ? parse_ip4(&c, p) : type == ETH_P_IPV6 && parse_ip6(&c, p);
  if (!ok) return 0;
  parse_l4(&c, p);
  return (__u32)(c.pos - data);
}

static __always_inline bool icmp_error(const struct packet *p) {
  return p->fragment == 0 && ((p->proto == IPPROTO_ICMP && (p->type == 3 || p->type == 11 || p->type == 12)) ||
                              (p->proto == IPPROTO_ICMPV6 && p->type >= 1 && p->type <= 4));
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
__noinline int rules_match(const struct packet *p, bool quoted) {
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

static __always_inline void fragment_key(const struct packet *p, struct sluice_fragment *k) {
  __builtin_memset(k, 0, sizeof(*k));
  __builtin_memcpy(k->src, p->src, 16);
  __builtin_memcpy(k->dst, p->dst, 16);
  k->id = p->id;
  k->family = p->family;
  k->proto = p->family == 4 ? p->proto : 0;  // RFC 8200 4.5: source, destination and identification alone
}

static __always_inline bool for_kernel(struct xdp_md *ctx, __u32 offset, __u16 type, struct packet *p) {
  offset = parse(ctx, offset, type, p);
  if (!offset) return false;
  struct sluice_fragment key;
  if (p->fragment) fragment_key(p, &key);
  // A later fragment that was not announced (or overtook the first): rules without a port can still tell.
  if (p->fragment == 2) return bpf_map_lookup_elem(&kernel_fragments, &key) || rules_match(p, false);
  if (rules_match(p, false)) {
    __u8 yes = 1;
    if (p->fragment) bpf_map_update_elem(&kernel_fragments, &key, &yes, BPF_ANY);
    return true;
  }
  if (!icmp_error(p)) return false;
  struct packet quoted = {};
  return parse(ctx, offset, type, &quoted) && rules_match(&quoted, true);
}

static __always_inline bool shared(__u16 type, __u32 tags, const struct packet *p) {
  if (tags > 1) return false;
  if (type == ETH_P_ARP) return true;
  return p->proto == IPPROTO_ICMPV6 && p->family == 6 && p->type >= 133 && p->type <= 137;
}

// Counts and returns the verdict of a frame that the kernel is to see; XDP_REDIRECT: none of its business.
static __always_inline int kernel_share(struct xdp_md *ctx) {
  struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
  struct packet p = {};
  __u32 tags = 0;
  __u16 type = ethertype(&c, &tags);
  bool match = for_kernel(ctx, sizeof(struct ethhdr) + tags * sizeof(struct vlan_tag), type, &p);
  if (shared(type, tags, &p)) return count(SLUICE_XDP_SHARED, XDP_PASS);
  return match ? count(SLUICE_XDP_KERNEL, XDP_PASS) : XDP_REDIRECT;
}

SEC("xdp")
int early_drop(struct xdp_md *ctx) {
  if (kernel_rule_count && kernel_share(ctx) == XDP_PASS) return XDP_PASS;
  int verdict = (int)bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS);
  return count(verdict == XDP_REDIRECT ? SLUICE_XDP_REDIRECTED : SLUICE_XDP_UNBOUND, verdict);
}

char _license[] SEC("license") = "Dual BSD/GPL";
