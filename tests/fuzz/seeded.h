// Inputs from a seeded generator: the same every time.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace sluice::fuzz {

// Bytes of which small values are frequent: operations and choices are taken modulo small numbers, and zero is what
// "nothing special" reads as.
inline std::vector<uint8_t> random_input(uint64_t seed, size_t most) {
  std::mt19937_64 r(seed);
  std::vector<uint8_t> v(r() % most);
  const unsigned zeros = static_cast<unsigned>(r() % 4);
  for (uint8_t& b : v) b = r() % 4 < zeros ? 0 : static_cast<uint8_t>(r());
  return v;
}

}  // namespace sluice::fuzz
