// A prebuilt frame and the few words of it that differ from flow to flow.
//
// Flow i of N keeps its addresses and ports for ever, and no two flows have the same ones: the ports carry
// i's low 24 bits (14 in the source port, 10 in the destination port), the addresses are spread over the
// prefixes by a multiplicative hash of i. Checksums are the template's sums plus the words put in
// (RFC 1624's arithmetic, from zero).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "base/result.h"
#include "port/options.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace sluice::port {

struct FlowTuple {
  uint64_t src[2], dst[2];  // raw, as in memory; IPv4: the first 32 bits of src[0], dst[0]
  uint32_t ports;           // raw source port, then raw destination port
};

struct FlowSpace {  // raw words: fixed bits and mask of the drawn ones
  uint64_t src_fixed[2]{}, src_mask[2]{}, dst_fixed[2]{}, dst_mask[2]{};

  static FlowSpace of(const Prefix& sources, const Prefix& destinations);

  template <bool kSix>
  FlowTuple flow(uint64_t i) const {
    FlowTuple t;
    const uint64_t h = (i + 1) * 0x9e3779b97f4a7c15ull;
    // The low bits of a product depend on few bits of i, and the last bytes of an address are the host's.
    const uint64_t g = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
    const uint64_t s = byte_swapped(h ^ h >> 32), d = byte_swapped(g ^ g >> 32);
    if constexpr (kSix) {
      t.src[0] = src_fixed[0] | (d & src_mask[0]);
      t.src[1] = src_fixed[1] | (s & src_mask[1]);
      t.dst[0] = dst_fixed[0] | (s & dst_mask[0]);
      t.dst[1] = dst_fixed[1] | (d & dst_mask[1]);
    } else {
      t.src[0] = static_cast<uint32_t>(src_fixed[0] | (s & src_mask[0]));
      t.dst[0] = static_cast<uint32_t>(dst_fixed[0] | (d & dst_mask[0]));
    }
    const auto sport = static_cast<uint16_t>(0x4000 | (i & 0x3fff));
    const auto dport = static_cast<uint16_t>(0x0400 | (i >> 14 & 0x3ff));
    t.ports = be16::from(sport).raw() | uint32_t{be16::from(dport).raw()} << 16;
    return t;
  }
};

class FrameTemplate {
 public:
  static constexpr unsigned kLargest = 3072;
  static FrameTemplate build(const GeneratorOptions& g, unsigned size, const Mac& from);
  static unsigned smallest(bool six, uint8_t proto) { return 14u + (six ? 40 : 20) + (proto == 6 ? 20 : 8); }

  unsigned size() const { return size_; }

  // `to` has room for size() rounded up to 64.
  template <bool kSix, bool kTcp>
  void write(uint8_t* to, const FlowTuple& t) const {
    if (size_ <= 64) [[likely]]
      std::memcpy(to, bytes_.data(), 64);
    else
      std::memcpy(to, bytes_.data(), size_);
    constexpr unsigned l3 = sizeof(wire::EthHdr),
                       l4 = l3 + (kSix ? sizeof(wire::Ip6Hdr) : sizeof(wire::Ip4Hdr));
    uint64_t addresses;
    if constexpr (kSix) {
      std::memcpy(to + l3 + offsetof(wire::Ip6Hdr, src), t.src, 16);
      std::memcpy(to + l3 + offsetof(wire::Ip6Hdr, dst), t.dst, 16);
      addresses = wire::add_sums(wire::add_sums(t.src[0], t.src[1]), wire::add_sums(t.dst[0], t.dst[1]));
    } else {
      addresses = t.src[0] + t.dst[0];
      auto* ip = wire::at<wire::Ip4Hdr>(to + l3);
      ip->src.v = be32::from_raw(static_cast<uint32_t>(t.src[0]));
      ip->dst.v = be32::from_raw(static_cast<uint32_t>(t.dst[0]));
      ip->checksum = wire::finish(l3_sum_ + addresses);
    }
    std::memcpy(to + l4, &t.ports, 4);
    be16 sum = wire::finish(wire::add_sums(addresses, uint64_t{l4_sum_} + t.ports));
    if constexpr (kTcp) {
      wire::at<wire::TcpHdr>(to + l4)->checksum = sum;
    } else {
      // Zero means "none" to UDP (RFC 768).
      wire::at<wire::UdpHdr>(to + l4)->checksum = sum.raw() ? sum : be16::from_raw(0xffff);
    }
  }

 private:
  alignas(64) std::array<uint8_t, kLargest> bytes_{};
  unsigned size_ = 0;
  uint32_t l3_sum_ = 0, l4_sum_ = 0;  // folded, with addresses, ports and checksums zero
};

}  // namespace sluice::port
