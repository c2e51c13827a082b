// Compile-time bounds that several rooms share.
#pragma once

#include <cstdint>

namespace sluice {

inline constexpr unsigned kMaxPorts = 32;
inline constexpr unsigned kMaxWorkers = 32;
inline constexpr unsigned kMaxStacks = 16;       // stack engines
inline constexpr unsigned kMaxBurst = 64;        // packets handled together; what rx_burst is asked for at most
inline constexpr unsigned kMaxEcmp = 16;         // next hops of one route
inline constexpr uint16_t kNoPort = 0xffff;

}  // namespace sluice
