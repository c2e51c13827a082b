// A simulation made from a seed: network, configurations, applications.
#pragma once

#include <string>

#include "tests/sim/world.h"

namespace sluice::sim {

Scene scenario(uint64_t seed);
std::string describe(const Scene& s);  // one paragraph for people

}  // namespace sluice::sim
