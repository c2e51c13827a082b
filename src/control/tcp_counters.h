// The counters of tcp/counters.def, summed over all stack engines.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/box.h"

namespace sluice::control {

struct TcpCounter {
  const char* name;
  const char* text;
  uint64_t value;
};
// In the file's order. An engine that does not answer counts nothing.
std::vector<TcpCounter> tcp_counters(engine::Box& box);

}  // namespace sluice::control
