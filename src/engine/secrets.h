// Where the dataplane's secrets come from: the kernel's random numbers, or, for a replay that must give the
// same bytes every time, a seed.
#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/result.h"

namespace sluice::engine {

class Secrets {
 public:
  static Result<Secrets> make(uint64_t seed);  // 0: from the kernel
  HashKey key();
  uint64_t word();

 private:
  bool seeded_ = false;
  uint64_t state_ = 0;
};

}  // namespace sluice::engine
