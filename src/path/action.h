// What the slow path concludes about one direction of a flow, and the fast path replays.
#pragma once

#include <cstdint>

#include "base/drop_reason.h"
#include "base/limits.h"

namespace sluice::path {

enum class FlowVerdict : uint8_t {
  uncompiled,  // a session's reply direction before its first packet, or a neighbour that has no MAC yet:
               // the slow path finds route and neighbour, and leaves the rules alone
  forward,
  local,
  drop,        // silently, for `reason`
};

enum FlowFlag : uint8_t {
  kFlowSession = 1 << 0,   // permitted by a stateful rule: the other direction, `peer`, passes without one
  kFlowReply = 1 << 1,     // is that other direction
  kFlowReplied = 1 << 2,   // both directions have been seen; on both entries
  kFlowFin = 1 << 3,       // TCP: a FIN went this way
  kFlowClosing = 1 << 4,   // TCP: FIN both ways, or a reset; on both entries
  kFlowDatagram = 1 << 5,  // stands for the later fragments of one datagram
};

// Generations of the tables that an action was compiled from: routes (with interfaces) in the low half,
// the filter in the high half, so that one comparison covers both and each can be told stale by itself.
struct Generation {
  uint64_t both = 0;
  uint32_t routes() const { return static_cast<uint32_t>(both); }
  uint32_t filter() const { return static_cast<uint32_t>(both >> 32); }
  static Generation of(uint32_t routes, uint32_t filter) { return {uint64_t{filter} << 32 | routes}; }
  bool operator==(const Generation&) const = default;
};

inline constexpr uint32_t kNoFlow = UINT32_MAX;

// 48 bytes behind a key of 16 make one cache line. Behind the 40 bytes of an IPv6 key, what a hit reads
// (down to `rule`) ends the first line.
struct FlowAction {
  Generation generation;
  uint32_t neighbor = 0;             // index, where the verdict is `forward`
  uint16_t egress = kNoPort;
  FlowVerdict verdict = FlowVerdict::uncompiled;
  uint8_t neighbor_generation = 0;
  uint32_t last_seen_ms = 0;         // coarse, wraps
  uint32_t rule = UINT32_MAX;        // that permitted or denied it; RuleSet::kDefault: none did
  uint64_t packets = 0, bytes = 0;   // bytes of IP packets
  uint32_t peer = kNoFlow;           // the other direction's entry, whose `peer` is this one
  DropReason reason = DropReason::count_;
  uint8_t flags = 0;
  uint16_t hinted = 0;               // the generation of FlowHints under which this direction was marked; 0: never

  bool has(FlowFlag f) const { return flags & f; }
};
static_assert(sizeof(FlowAction) == 48);

}  // namespace sluice::path
