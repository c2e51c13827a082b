#include "engine/secrets.h"

#include <sys/random.h>

#include <cstdlib>

namespace sluice::engine {

Result<Secrets> Secrets::make(uint64_t seed) {
  Secrets s;
  s.seeded_ = seed != 0;
  s.state_ = seed;
  uint64_t probe;
  if (!seed && getrandom(&probe, sizeof probe, 0) != sizeof probe)
    return Error{"the kernel gives no random numbers (getrandom), and without them the tables can be attacked"};
  return s;
}

uint64_t Secrets::word() {
  uint64_t w = 0;
  if (!seeded_) {
    // At most 256 bytes never come short or interrupted once the kernel's pool is ready (getrandom(2)), which
    // make() has seen.
    if (getrandom(&w, sizeof w, 0) != sizeof w) std::abort();
    return w;
  }
  // SplitMix64 (Steele, Lea and Flood 2014): a full-period sequence from any seed.
  w = state_ += 0x9e3779b97f4a7c15;
  w = (w ^ (w >> 30)) * 0xbf58476d1ce4e5b9;
  w = (w ^ (w >> 27)) * 0x94d049bb133111eb;
  return w ^ (w >> 31);
}

HashKey Secrets::key() { return {{word(), word(), word(), word()}}; }

}  // namespace sluice::engine
