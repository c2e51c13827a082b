// Prefixes as the Internet's tables have them: by length as in a full BGP table, IPv6 clustered in allocations.
// The same seed gives the same prefixes. Sorted by address and length, no two alike.
#pragma once

#include <algorithm>
#include <iterator>
#include <random>
#include <vector>

#include "wire/addr.h"

namespace sluice::bench {

struct LengthShare {
  uint8_t len;
  unsigned per_mille;
};

template <size_t N>
uint8_t draw_length(std::mt19937_64& rng, const LengthShare (&table)[N]) {
  auto x = static_cast<unsigned>(rng() % 1000);
  for (const LengthShare& s : table) {
    if (x < s.per_mille) return s.len;
    x -= s.per_mille;
  }
  return table[0].len;
}

template <class Draw>
std::vector<Prefix> distinct(size_t n, Draw draw) {
  std::vector<Prefix> v;
  while (v.size() < n) {
    for (size_t more = n - v.size(); more; more--) v.push_back(draw().masked());
    std::sort(v.begin(), v.end());
    v.erase(std::unique(v.begin(), v.end()), v.end());
  }
  return v;
}

inline std::vector<Prefix> bgp_like4(size_t n, uint64_t seed) {
  static constexpr LengthShare kLengths[] = {{24, 590}, {23, 95}, {22, 110}, {21, 50}, {20, 45}, {19, 30}, {18, 15},
                                             {17, 10},  {16, 15}, {15, 3},   {14, 3},  {13, 2},  {12, 1},  {25, 10},
                                             {26, 6},   {27, 5},  {28, 4},   {29, 3},  {32, 3}};
  std::mt19937_64 rng(seed);
  return distinct(n, [&] {
    auto first = 1u + static_cast<uint32_t>(rng() % 222);  // unicast, without loopback
    uint32_t a = (first >= 127 ? first + 1 : first) << 24 | static_cast<uint32_t>(rng() & 0xffffff);
    return Prefix{Ip4::from_host(a), draw_length(rng, kLengths)};
  });
}

inline std::vector<Prefix> bgp_like6(size_t n, uint64_t seed) {
  static constexpr LengthShare kLengths[] = {{48, 460}, {32, 110}, {44, 120}, {40, 100}, {36, 60}, {46, 40},
                                             {47, 30},  {42, 30},  {29, 20},  {33, 15},  {34, 10}, {45, 5}};
  static constexpr uint8_t kBlocks[] = {0x20, 0x24, 0x26, 0x28, 0x2a, 0x2c};
  std::mt19937_64 rng(seed);
  std::vector<uint32_t> allocations;
  for (size_t i = 0; i < 1 + n / 10; i++)
    allocations.push_back(static_cast<uint32_t>(kBlocks[rng() % std::size(kBlocks)]) << 24 |
                          static_cast<uint32_t>(rng() & 0x0fffff));
  return distinct(n, [&] {
    Ip6 a;
    uint32_t top = allocations[rng() % allocations.size()];
    auto rest = static_cast<uint32_t>(rng());
    if (rng() % 2) rest &= 0x000fffff;  // operators number from the bottom
    for (unsigned i = 0; i < 4; i++) {
      a.b[i] = static_cast<uint8_t>(top >> (24 - 8 * i));
      a.b[4 + i] = static_cast<uint8_t>(rest >> (24 - 8 * i));
    }
    return Prefix{a, draw_length(rng, kLengths)};
  });
}

}  // namespace sluice::bench
