/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
 *
 * What the verdict knows of a frame, and how it is found out: Ethernet, at most two tags, IPv4, IPv6 with at most
 * SLUICE_MAX_EXTENSIONS extension headers, fragments, the fixed part of what lies above.
 *
 * Lenient where it can be: a packet that contradicts itself is `bad`, but what could be read stands there all the same,
 * since the kernel's rules look into packets that ICMP errors quote, of which little more than the headers is left.
 * Checksums are not looked at: that costs, and the box does it anyway.
 */
#ifndef SLUICE_BPF_PARSE_H
#define SLUICE_BPF_PARSE_H

#include "both.h"

SLUICE_BEGIN

#define SLUICE_MAX_EXTENSIONS 6
#define SLUICE_MAX_TAGS 2

enum { SLUICE_WHOLE, SLUICE_FIRST, SLUICE_LATER }; /* fragment */

enum { SLUICE_ETH_IP4 = 0x0800, SLUICE_ETH_ARP = 0x0806, SLUICE_ETH_IP6 = 0x86dd };
enum {
  SLUICE_ICMP4 = 1, SLUICE_TCP = 6, SLUICE_UDP = 17, SLUICE_DCCP = 33, SLUICE_ICMP6 = 58, SLUICE_VRRP = 112,
  SLUICE_SCTP = 132, SLUICE_UDPLITE = 136,
  SLUICE_HOPOPTS = 0, SLUICE_ROUTING = 43, SLUICE_FRAGMENT = 44, SLUICE_AH = 51, SLUICE_DSTOPTS = 60
};
enum { SLUICE_FIN = 1, SLUICE_SYN = 2, SLUICE_RST = 4, SLUICE_ACK = 16, SLUICE_ECE = 64, SLUICE_CWR = 128 };

/* Host order, but for addresses, ports and id, which stand as in memory. Bytes of a smaller address are zero. */
struct sluice_packet {
  __u64 src[2], dst[2];
  __u32 id;                 /* of a fragment */
  __u32 seq, ack;           /* TCP */
  __u16 ethertype;          /* behind the tags */
  __u16 l3, l4;             /* offsets in the frame; l4: behind all that was read of IP */
  __u16 length;             /* of the IP packet, as its header says */
  __u16 sport, dport;       /* TCP, UDP, SCTP, DCCP, UDP-Lite */
  __u8 family;              /* 4, 6; 0: no IP, or nothing is known of it */
  __u8 proto, fragment;
  __u8 type;                /* ICMP */
  __u8 flags;               /* TCP */
  __u8 header;              /* TCP's, in bytes */
  __u8 tos, hop_limit;
  __u8 tags, bad, extensions;
  __u8 group;               /* the frame is to a group or to all stations */
  __u16 left, size;         /* while IPv6 extension headers are read */
};

struct sluice_eth {
  __u8 dst[6], src[6];
  __u16 type;
} SLUICE_WIRE;
struct sluice_tag {
  __u16 tci, type;
} SLUICE_WIRE;
struct sluice_ip4 {
  __u8 version_ihl, tos;
  __u16 length, id, frag;
  __u8 ttl, proto;
  __u16 checksum;
  __u32 src, dst;
} SLUICE_WIRE;
struct sluice_ip6 {
  __u32 version_class_flow;
  __u16 payload_length;
  __u8 next, hop_limit;
  __u32 src[4], dst[4];
} SLUICE_WIRE;
struct sluice_ext6 {
  __u8 next, length8;
  __u16 offset; /* of the fragment header */
  __u32 id;
} SLUICE_WIRE;
struct sluice_tcp {
  __u16 sport, dport;
  __u32 seq, ack;
  __u8 offset, flags;
  __u16 window, checksum, urgent;
} SLUICE_WIRE;
struct sluice_udp {
  __u16 sport, dport, length, checksum;
} SLUICE_WIRE;

struct sluice_cursor {
  const void *pos, *end;
};

SLUICE_INLINE const void *sluice_take(struct sluice_cursor *c, __u32 size) {
  const char *p = (const char *)c->pos;
  if (p + size > (const char *)c->end) return 0;
  c->pos = p + size;
  return p;
}

/* Steps over `size` < 4096 bytes. */
SLUICE_INLINE int sluice_skip(struct sluice_cursor *c, __u32 size) {
  return sluice_take(c, SLUICE_BOUND(size, 4095)) != 0;
}

SLUICE_INLINE int sluice_has_ports(__u8 proto) {
  return proto == SLUICE_TCP || proto == SLUICE_UDP || proto == SLUICE_SCTP || proto == SLUICE_DCCP ||
         proto == SLUICE_UDPLITE;
}

SLUICE_INLINE int sluice_is_icmp(const struct sluice_packet *p) {
  return p->proto == (p->family == 4 ? SLUICE_ICMP4 : SLUICE_ICMP6);
}

/* left: bytes that the packet has from here on, as its headers say. */
SLUICE_INLINE void sluice_parse_tcp(const struct sluice_tcp *tcp, __u32 left, struct sluice_packet *p) {
  p->seq = sluice_net32(tcp->seq);
  p->ack = sluice_net32(tcp->ack);
  p->flags = tcp->flags;
  p->header = (tcp->offset >> 4) * 4;
  if (p->header < sizeof(*tcp) || p->header > left) p->bad = 1;
}

SLUICE_INLINE void sluice_parse_l4(struct sluice_cursor *c, __u32 left, struct sluice_packet *p) {
  const int ports = sluice_has_ports(p->proto), icmp = p->proto == SLUICE_ICMP4 || p->proto == SLUICE_ICMP6;
  if (!ports && !icmp) return;
  __u32 least = p->proto == SLUICE_TCP ? sizeof(struct sluice_tcp) : p->proto == SLUICE_SCTP ? 12 : 8;
  if (left < least) p->bad = 1;
  if (icmp) { /* the whole header, so that the cursor stands at the packet that an error quotes */
    const __u8 *type = (const __u8 *)sluice_take(c, 8);
    if (type) p->type = *type;
    else p->bad = 1;
    return;
  }
  const struct sluice_cursor start = *c;
  const struct sluice_wire16 *port = (const struct sluice_wire16 *)sluice_take(c, 4);
  if (!port) {
    p->bad = 1;
    return;
  }
  p->sport = port[0].v;
  p->dport = port[1].v;
  *c = start;
  if (p->proto == SLUICE_TCP) {
    const struct sluice_tcp *tcp = (const struct sluice_tcp *)sluice_take(c, sizeof(*tcp));
    if (tcp) sluice_parse_tcp(tcp, left, p);
    else p->bad = 1;
  } else if (p->proto == SLUICE_UDP) {
    const struct sluice_udp *udp = (const struct sluice_udp *)sluice_take(c, sizeof(*udp));
    const __u32 length = udp ? sluice_net16(udp->length) : 0;
    if (length < sizeof(*udp) || (p->fragment == SLUICE_WHOLE && length > left)) p->bad = 1;
  }
}

/* A piece of `left` bytes at `offset`, in bytes. Tiny ones hide the TCP header from whoever looks at flags (RFC 3128).
   */
SLUICE_INLINE void sluice_parse_fragment(__u32 offset, int more, __u32 left, __u32 id, struct sluice_packet *p) {
  p->fragment = offset ? SLUICE_LATER : more ? SLUICE_FIRST : SLUICE_WHOLE;
  p->id = id;
  if (offset + left > 65535 || (more && (left == 0 || left & 7)) || (offset == 8 && p->proto == SLUICE_TCP)) p->bad = 1;
}

/* available: bytes of the frame from the header on. */
SLUICE_INLINE void sluice_parse_ip4(struct sluice_cursor *c, __u32 available, struct sluice_packet *p) {
  const struct sluice_ip4 *ip = (const struct sluice_ip4 *)sluice_take(c, sizeof(*ip));
  if (!ip || ip->version_ihl < 0x45 || ip->version_ihl > 0x4f) {
    p->bad = 1;
    return;
  }
  const __u32 header = (ip->version_ihl & 15u) * 4, total = sluice_net16(ip->length), frag = sluice_net16(ip->frag);
  const __u32 id = ip->id;
  p->family = 4;
  p->proto = ip->proto;
  p->tos = ip->tos;
  p->hop_limit = ip->ttl;
  p->src[0] = ip->src;
  p->dst[0] = ip->dst;
  p->length = total;
  p->extensions = header != sizeof(*ip);
  p->l4 = p->l3 + header;
  if (total < header || total > available) p->bad = 1;
  if (!sluice_skip(c, header - 20)) {
    p->bad = 1;
    return;
  }
  const __u32 left = total > header ? total - header : 0;
  if (frag & 0x3fff) sluice_parse_fragment((frag & 0x1fff) * 8, (frag & 0x2000) != 0, left, id, p);
  if (p->fragment != SLUICE_LATER) sluice_parse_l4(c, left, p);
}

SLUICE_INLINE int sluice_is_extension(__u8 next) {
  return next == SLUICE_HOPOPTS || next == SLUICE_ROUTING || next == SLUICE_FRAGMENT || next == SLUICE_AH ||
         next == SLUICE_DSTOPTS;
}

/* One extension header, p->proto, with p->left bytes from it on. 0: nothing follows that could be read. What is carried
   from one to the next stands in p: of memory the verifier keeps no ranges, which would differ on every path. */
SLUICE_INLINE int sluice_parse_ext6(struct sluice_cursor *c, struct sluice_packet *p) {
  struct sluice_cursor here = *c;
  const struct sluice_ext6 *ext = (const struct sluice_ext6 *)sluice_take(&here, sizeof(*ext));
  const __u8 kind = p->proto;
  if (!ext || p->left < sizeof(*ext)) {
    p->bad = 1;
    return 0;
  }
  p->proto = ext->next;
  p->size = kind == SLUICE_FRAGMENT ? 8 : kind == SLUICE_AH ? (ext->length8 + 2) * 4 : (ext->length8 + 1) * 8;
  if (p->size > p->left || p->size < 8) p->bad = 1;
  p->l4 += p->size;
  p->left = p->size < p->left ? p->left - p->size : 0;
  if (kind == SLUICE_FRAGMENT) {
    if (p->fragment) p->bad = 1;
    const __u32 field = sluice_net16(ext->offset);
    sluice_parse_fragment(field & 0xfff8, field & 1, p->left, ext->id, p);
    if (p->fragment == SLUICE_LATER) return 0; /* what follows is not a header */
  }
  if (sluice_skip(c, p->size)) return 1;
  p->bad = 1;
  return 0;
}

SLUICE_INLINE void sluice_parse_ip6(struct sluice_cursor *c, __u32 available, struct sluice_packet *p) {
  const struct sluice_ip6 *ip = (const struct sluice_ip6 *)sluice_take(c, sizeof(*ip));
  if (!ip || sluice_net32(ip->version_class_flow) >> 28 != 6) {
    p->bad = 1;
    return;
  }
  p->family = 6;
  p->proto = ip->next;
  p->tos = sluice_net32(ip->version_class_flow) >> 20 & 0xff;
  p->hop_limit = ip->hop_limit;
  __builtin_memcpy(p->src, ip->src, 16);
  __builtin_memcpy(p->dst, ip->dst, 16);
  p->left = sluice_net16(ip->payload_length);
  p->length = p->left + sizeof(*ip);
  p->l4 = p->l3 + sizeof(*ip);
  if (p->left + sizeof(*ip) > available) p->bad = 1;
  for (int i = 0; i < SLUICE_MAX_EXTENSIONS; i++) {
    if (!sluice_is_extension(p->proto)) break;
    p->extensions = 1;
    if (!sluice_parse_ext6(c, p)) return;
  }
  if (sluice_is_extension(p->proto)) p->bad = 1; /* too many */
  else sluice_parse_l4(c, p->left, p);
}

/* The EtherType behind at most two tags. */
SLUICE_INLINE void sluice_parse_ethernet(struct sluice_cursor *c, struct sluice_packet *p) {
  const struct sluice_eth *eth = (const struct sluice_eth *)sluice_take(c, sizeof(*eth));
  if (!eth) {
    p->bad = 1;
    return;
  }
  __u16 type = eth->type;
  p->group = eth->dst[0] & 1;
  p->l3 = sizeof(*eth);
  for (int i = 0; i < SLUICE_MAX_TAGS; i++) {
    if (type != sluice_net16(0x8100) && type != sluice_net16(0x88a8) && type != sluice_net16(0x9100)) break;
    const struct sluice_tag *tag = (const struct sluice_tag *)sluice_take(c, sizeof(*tag));
    if (!tag) {
      p->bad = 1;
      return;
    }
    type = tag->type;
    p->tags++;
    p->l3 += sizeof(*tag);
  }
  p->ethertype = sluice_net16(type);
}

/* available: bytes of the frame from the cursor on. */
SLUICE_INLINE void sluice_parse_ip(struct sluice_cursor *c, __u32 available, struct sluice_packet *p) {
  if (p->ethertype == SLUICE_ETH_IP4) sluice_parse_ip4(c, available, p);
  else if (p->ethertype == SLUICE_ETH_IP6) sluice_parse_ip6(c, available, p);
}

/* All of a frame; p is zero. */
SLUICE_INLINE void sluice_parse(const void *data, const void *end, struct sluice_packet *p) {
  struct sluice_cursor c = {data, end};
  const __u32 size = SLUICE_DISTANCE(data, end);
  sluice_parse_ethernet(&c, p);
  if (p->bad) return;
  sluice_parse_ip(&c, size - p->l3, p);
}

SLUICE_END

#endif
