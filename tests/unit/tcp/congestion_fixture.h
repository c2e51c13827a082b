// A sender's side of congestion control, as its tests play it: windows that are full, acknowledged segment by segment.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "tcp/congestion.h"

namespace sluice::tcp {

inline constexpr uint32_t kMss = 1000;
constexpr Duration ms(int64_t n) { return Duration::millis(n); }
inline constexpr Duration kRtt = ms(100);

class CongestionTest : public ::testing::Test {
 protected:
  void start(CongestionControl a, uint32_t mss = kMss, bool syn_lost = false) {
    t.congestion = a;
    c.start(t, now, mss, syn_lost);
  }
  void newreno() { start(CongestionControl::newreno); }
  void cubic() { start(CongestionControl::cubic); }
  // A round trip in which the window is full, with an ACK for each segment.
  void round(Duration rtt = kRtt) {
    const uint32_t window = c.cwnd() / kMss * kMss;
    const uint32_t acks = window / kMss;
    for (uint32_t i = 0; i < acks; i++) {
      now = now + Duration::nanos(rtt.ns / acks);
      c.on_ack(now, kMss, window, rtt, rtt);
    }
  }
  // In slow start.
  void grow_to(uint32_t segments) {
    while (c.cwnd() < segments * kMss) c.on_ack(now, std::min(kMss, segments * kMss - c.cwnd()), c.cwnd(), kRtt);
  }
  void lose() {
    c.enter_recovery(now, c.cwnd());
    c.leave_recovery();
  }
  Tuning t;
  Instant now{Duration::seconds(1000).ns};
  Congestion c;
};

}  // namespace sluice::tcp
