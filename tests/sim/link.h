// One direction of a simulated network path: what happens to a packet between two hosts. Everything random
// comes from the seed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "base/instant.h"
#include "tests/sim/packet.h"

namespace sluice::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  bool chance(double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(engine_) < p; }
  // Both ends included.
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  double real(double low, double high) { return std::uniform_real_distribution<>(low, high)(engine_); }
  // Of a wide range, each order of magnitude as likely as another.
  double magnitude(double low, double high) { return low * std::exp(real(0, std::log(high / low))); }
  template <class T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[between(0, static_cast<int64_t>(choices.size()) - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

struct LinkModel {
  Duration delay = Duration::millis(10),
           jitter{};  // jitter reorders nothing: a packet waits for those before it
  double loss = 0;    // of each packet
  double burst_start = 0,
         burst_length = 0;  // chance that a burst of losses begins, packets in it on average; ≤ 0.3 s
  double ack_loss = 0;      // of packets without payload
  double duplicate = 0, corrupt = 0;  // corrupt: the checksum finds it
  double reorder = 0;                 // chance that a packet is held back
  Duration reorder_by = Duration::millis(5);
  double bits_per_second = 0;  // 0: unlimited
  unsigned queue = 0;          // packets that wait for the bottleneck; 0: any number
  unsigned mark_above = 0;     // ECN: packets in the queue above which CE is set; 0: never
  uint32_t mtu = 65535;        // larger packets are lost,
  bool icmp = true;            // and told about
  double forge = 0;            // chance that a packet is preceded by a forged one like it
};

struct Arrival {
  Instant at;
  Packet packet;
  bool forged = false;
};

class Link {
 public:
  Link(const LinkModel& m, uint64_t seed) : m_(m), random_(seed) {}

  struct Sent {
    std::vector<Arrival> arrivals;
    bool too_big = false;
    const char* fate = "";  // for the log
  };
  Sent send(Instant now, const Packet& p);
  LinkModel& model() { return m_; }

 private:
  bool lost(Instant now, const Packet& p);
  std::optional<Instant> through_bottleneck(Instant now, Packet& p);
  Packet forged(const Packet& p);

  LinkModel m_;
  Random random_;
  unsigned burst_left_ = 0;
  Instant free_at_{}, last_arrival_{}, burst_until_{};
};

}  // namespace sluice::sim
