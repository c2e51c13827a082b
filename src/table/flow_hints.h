// Which flows are established, told to the verdict in front of the ports without a system call: a keyed bitmap of
// tuples as they arrive, in memory that the XDP program reads (bpf/maps.h has the layout, bpf/hint.h the hash).
//
// Theory of operation. Whoever knows that a flow answers (a worker's session that has seen both directions, TCP's
// established connections) marks the tuple under which its packets arrive, and marks it again in each generation. So
// does who has sent a SYN on, for the answer that is expected: else a handshake would not get through. When
// a generation ends, the older half of each cell is cleared and becomes the current one: a flow that ended fades after
// one to two generations, kGeneration each. A tuple that was never marked is taken for established with the probability
// that both its bits were set by others; fill() bounds it.
//
// Threads: mark() and marked() from any lcore, at the same time; turn() from the control thread alone. A mark that
// races with turn() may be lost, and is made again.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/instant.h"
#include "maps.h"
#include "wire/addr.h"

namespace sluice {

class FlowHints {
 public:
  static constexpr Duration kGeneration = Duration::seconds(30);
  // Tuples that are marked because an answer is expected, by a worker or stack engine: whoever sends SYNs decides how
  // many, and must not fill the bitmap.
  static constexpr uint64_t kExpectedPerSecond = 10'000, kExpectedBurst = 1'000;

  // `memory` is the map's, or anonymous; it outlives this.
  FlowHints(sluice_hints* memory, uint64_t k0, uint64_t k1) : memory_(memory), key_{k0, k1} {}

  // Ports raw, as in memory; source first, as the packet arrives. Without ports: 0.
  void mark(const IpAddr& src, const IpAddr& dst, uint16_t sport, uint16_t dport, uint8_t proto);
  bool marked(const IpAddr& src, const IpAddr& dst, uint16_t sport, uint16_t dport, uint8_t proto) const;
  // Counts generations; who marked a flow under another number marks it again.
  uint16_t generation() const { return generation_.load(std::memory_order_relaxed); }

  void turn();           // begins the next generation
  double fill() const;   // share of bits set in the fuller generation: fill² is the share of false positives, about
  const sluice_cookie_key& key() const { return key_; }

 private:
  sluice_hints* const memory_;
  const sluice_cookie_key key_;
  std::atomic<uint16_t> generation_{1};
};

}  // namespace sluice
