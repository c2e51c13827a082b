// The bytes of packets that a router makes about other packets: ICMP and ICMPv6 errors, echo replies, TCP
// resets. Pure functions; whether one is due is for the caller to know.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/headers.h"

namespace sluice::wire {

inline constexpr unsigned kIcmp4ErrorMax = 576;   // RFC 1812 4.3.2.3
inline constexpr unsigned kIcmp6ErrorMax = 1280;  // RFC 4443 2.4 (c)

struct IcmpError {
  uint8_t type, code;
  // MTU (3/4; ICMPv6 2/0) or pointer (12/0; ICMPv6 4/x), host order; gateway (5/x); else 0.
  uint32_t info;
};

void write_ip4(Ip4Hdr& h, const Ip4& src, const Ip4& dst, uint8_t proto, uint16_t total_length, uint16_t id,
               uint8_t ttl = 64, uint8_t tos = 0, bool dont_fragment = false);
void write_ip6(Ip6Hdr& h, const Ip6& src, const Ip6& dst, uint8_t next_header, uint16_t payload_length,
               uint8_t hop_limit = 64);

// Fill in the checksum of an ICMP(v6) message, which holds at least its 8 bytes of header.
void seal_icmp4(Bytes icmp);
void seal_icmp6(Bytes icmp, const Ip6& src, const Ip6& dst);

// IP header, ICMP header, and as much of `offender` (from its IP header to its end) as the limits above
// allow. Returns the packet's length, or 0 where `out` is too short. TTL 64; IPv4 precedence 6 and the
// offender's type of service (RFC 1812 4.3.2.5).
size_t build_icmp4_error(Bytes out, const Ip4& src, const Ip4& dst, uint16_t id, const IcmpError& e,
                         ConstBytes offender);
size_t build_icmp6_error(Bytes out, const Ip6& src, const Ip6& dst, const IcmpError& e, ConstBytes offender);

// Turns an echo request's message (from the ICMP header to the packet's end) into the reply's.
// src and dst: the reply's.
void echo_reply4(Bytes icmp);
void echo_reply6(Bytes icmp, const Ip6& src, const Ip6& dst);

// RFC 9293 3.10.7.1, for a segment in state CLOSED: IP and TCP header of the reset into `out`. `offender` is
// a whole packet with the TCP header at `l4`. Returns the packet's length; 0 where none is due (a reset,
// a header that is cut short or whose data offset is impossible) or `out` is too short.
size_t build_tcp_reset4(Bytes out, ConstBytes offender, size_t l4, uint16_t id);
size_t build_tcp_reset6(Bytes out, ConstBytes offender, size_t l4);

}  // namespace sluice::wire
