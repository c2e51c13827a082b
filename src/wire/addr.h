// Addresses as values. Text forms are RFC 4291/5952 for IPv6, dotted quad for IPv4, colon hex for MACs.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/endian.h"

namespace sluice {

struct Mac {
  std::array<uint8_t, 6> b{};
  bool operator==(const Mac&) const = default;
  bool group() const { return b[0] & 1; }  // multicast or broadcast
  bool broadcast() const { return *this == Mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  bool zero() const { return *this == Mac{}; }
  uint64_t word() const {  // low 48 bits, in memory order
    // Two loads: a copy through a zeroed word would stall on its own store.
    uint32_t lo;
    uint16_t hi;
    std::memcpy(&lo, b.data(), 4);
    std::memcpy(&hi, b.data() + 4, 2);
    return lo | uint64_t{hi} << 32;
  }
  static Mac from_word(uint64_t w) {
    Mac m;
    std::memcpy(m.b.data(), &w, 6);
    return m;
  }
};

struct Ip4 {
  be32 v;
  bool operator==(const Ip4&) const = default;
  uint32_t host() const { return v.host(); }
  static Ip4 from_host(uint32_t h) { return {be32::from(h)}; }
  bool multicast() const { return (host() >> 28) == 0xe; }
  bool loopback() const { return (host() >> 24) == 127; }
};
static_assert(sizeof(Ip4) == 4 && alignof(Ip4) == 1);

struct Ip6 {
  std::array<uint8_t, 16> b{};
  auto operator<=>(const Ip6&) const = default;
  bool multicast() const { return b[0] == 0xff; }
  bool link_local() const { return b[0] == 0xfe && (b[1] & 0xc0) == 0x80; }
  bool unspecified() const { return *this == Ip6{}; }
  bool loopback() const { return hi() == 0 && lo() == byte_swapped<uint64_t>(1); }
  uint64_t hi() const { uint64_t w; std::memcpy(&w, b.data(), 8); return w; }      // memory order: for hashing
  uint64_t lo() const { uint64_t w; std::memcpy(&w, b.data() + 8, 8); return w; }
};
static_assert(sizeof(Ip6) == 16 && alignof(Ip6) == 1);

// fe80::/64 with the EUI-64 of the MAC (RFC 4291 2.5.1, appendix A).
Ip6 link_local_of(const Mac& mac);
// ff02::1:ffXX:XXXX (RFC 4291 2.7.1).
Ip6 solicited_node(const Ip6& target);
// The group MAC of a multicast address (RFC 1112 6.4, RFC 2464 7).
Mac multicast_mac(const Ip4& group);
Mac multicast_mac(const Ip6& group);

// Either family. IPv4 stands in the first four bytes, the rest is zero.
struct IpAddr {
  std::array<uint8_t, 16> b{};
  uint8_t family = 0;  // 4, 6, or 0: none
  auto operator<=>(const IpAddr&) const = default;

  IpAddr() = default;
  IpAddr(const Ip4& a) : family(4) { std::memcpy(b.data(), &a, 4); }   // NOLINT: implicit by design
  IpAddr(const Ip6& a) : b(a.b), family(6) {}                         // NOLINT
  bool none() const { return family == 0; }
  Ip4 v4() const { Ip4 a; std::memcpy(&a, b.data(), 4); return a; }
  Ip6 v6() const { return {b}; }
  unsigned bits() const { return family == 4 ? 32 : 128; }
};

struct Prefix {
  IpAddr addr;  // host bits as given: an interface address keeps them, masked() clears them
  uint8_t len = 0;
  auto operator<=>(const Prefix&) const = default;

  Prefix masked() const;
  bool contains(const IpAddr& a) const;
  bool has_host_bits() const { return !(masked() == *this); }
};

std::optional<Mac> parse_mac(std::string_view s);
std::optional<Ip4> parse_ip4(std::string_view s);
std::optional<Ip6> parse_ip6(std::string_view s);  // no zone, no brackets
std::optional<IpAddr> parse_ip(std::string_view s);
std::optional<Prefix> parse_prefix(std::string_view s);  // ADDR/LEN; the length must be there

std::string to_string(const Mac& m);
std::string to_string(const Ip4& a);
std::string to_string(const Ip6& a);
std::string to_string(const IpAddr& a);
std::string to_string(const Prefix& p);

}  // namespace sluice
