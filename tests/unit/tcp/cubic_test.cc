// CUBIC against the formulas of RFC 9438 4, and the average windows of its section 5.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "tests/unit/tcp/congestion_fixture.h"

namespace sluice::tcp {
namespace {

TEST_F(CongestionTest, CubicReducesBySevenTenths) {  // 4.6
  cubic();
  grow_to(100);
  c.enter_recovery(now, 100 * kMss);
  EXPECT_EQ(c.ssthresh(), 70 * kMss);
}

// Concave up to W_max at K, then convex: W_cubic(t) = C (t - K)^3 + W_max, K = cbrt((W_max - cwnd_epoch) / C).
TEST_F(CongestionTest, CubicFollowsItsCurve) {
  constexpr double kSegments = 2000;  // far from the Reno-friendly region
  cubic();
  grow_to(static_cast<uint32_t>(kSegments));
  lose();
  const double k = std::cbrt(kSegments * 0.3 / 0.4);
  const Instant epoch = now;
  bool passed = false;
  while (now - epoch < Duration::seconds(18)) {
    round();
    const double t_ = static_cast<double>((now - epoch).ns) / 1e9;
    const double expected = 0.4 * std::pow(t_ - k, 3) + kSegments;
    EXPECT_NEAR(c.cwnd() / double{kMss}, expected, 0.01 * expected) << t_;
    passed |= t_ > k + 2;
  }
  EXPECT_TRUE(passed);
}

// The curve knows time, not round trips (RFC 9438 3): two flows of different RTT are as wide at once.
TEST_F(CongestionTest, CubicGrowsWithTimeNotWithRoundTrips) {
  std::vector<uint32_t> windows;
  for (const Duration rtt : {ms(20), ms(100)}) {
    now = Instant{Duration::seconds(1000).ns};
    cubic();
    grow_to(2000);
    lose();
    while (now < Instant{Duration::seconds(1010).ns}) round(rtt);
    windows.push_back(c.cwnd());
  }
  EXPECT_NEAR(windows[0], windows[1], 0.02 * windows[1]);
}

// 4.3: on short, small paths as fast as NewReno would be: α per round up to the old window, one segment from there on.
TEST_F(CongestionTest, CubicIsNoSlowerThanReno) {
  cubic();
  grow_to(20);
  lose();
  EXPECT_EQ(c.cwnd(), 14 * kMss);
  const Duration rtt = ms(10);
  const double alpha = 3 * 0.3 / 1.7;
  double expected = 14;
  for (int i = 0; i < 40; i++) {
    round(rtt);
    expected += expected < 20 ? alpha : 1;
    EXPECT_NEAR(c.cwnd() / double{kMss}, expected, 1) << i;
  }
  EXPECT_GT(c.cwnd(), 40 * kMss);
}

TEST_F(CongestionTest, CubicFastConvergence) {  // 4.7
  cubic();
  grow_to(1000);
  lose();
  const Instant epoch = now;
  // The second loss comes below the first one's window: W_max is lower than the window at which it came.
  for (int i = 0; i < 3; i++) round();
  const double at_loss = c.cwnd() / double{kMss};
  ASSERT_LT(at_loss, 1000);
  lose();
  const double w_max = at_loss * 1.7 / 2, from = c.cwnd() / double{kMss};
  const double k = std::cbrt((w_max - from) / 0.4);
  const Instant second = now;
  while (now - second < Duration::seconds(8)) {
    round();
    const double t_ = static_cast<double>((now - second).ns) / 1e9;
    const double expected = 0.4 * std::pow(t_ - k, 3) + w_max;
    EXPECT_NEAR(c.cwnd() / double{kMss}, expected, 0.01 * expected) << t_;
  }
  EXPECT_GT(now, epoch);
}

TEST_F(CongestionTest, CubicAfterATimeoutStartsFromItsOwnWindow) {  // 4.8: K = 0, W_max = cwnd
  cubic();
  grow_to(3000);
  c.on_timeout(now, 3000 * kMss, true);
  EXPECT_EQ(c.ssthresh(), 2100 * kMss);
  while (c.slow_start()) round();
  const Instant epoch = now;
  const double from = c.cwnd() / double{kMss};
  while (now - epoch < Duration::seconds(8)) {
    round();
    const double t_ = static_cast<double>((now - epoch).ns) / 1e9;
    const double expected = std::max(0.4 * std::pow(t_, 3) + from, from + t_ / 0.1 * 0.529);
    EXPECT_NEAR(c.cwnd() / double{kMss}, expected, 0.01 * expected) << t_;
  }
}

// 5.8: time in which the window was not used moves nothing: no leap when it is used again.
TEST_F(CongestionTest, CubicsClockStandsStillWhileTheWindowIsNotUsed) {
  cubic();
  grow_to(2000);
  lose();
  for (int i = 0; i < 20; i++) round();
  const uint32_t before = c.cwnd();
  for (int i = 0; i < 600; i++) c.on_ack(now = now + kRtt, 10 * kMss, 10 * kMss, kRtt);
  EXPECT_LE(c.cwnd(), before + before / 50);
  round();
  round();
  EXPECT_LE(c.cwnd(), before * 1.06) << "a minute on the curve would be half as much again an ACK";
}

TEST_F(CongestionTest, CubicsTargetIsAtMostHalfAsMuchAgain) {  // 4.2
  cubic();
  grow_to(100);
  lose();
  round();
  now = now + Duration::seconds(100);  // one long round trip: the curve is far above
  const uint32_t before = c.cwnd();
  for (uint32_t left = before; left > 0; left -= std::min(left, kMss)) c.on_ack(now, kMss, c.cwnd(), kRtt);
  EXPECT_LE(c.cwnd(), before * 1.66);  // e^0.5, since each ACK's target starts from where the last one led
}

// The average window under periodic loss, against RFC 9438 5.1's model of AIMD(α_cubic, β_cubic) and of CUBIC.
TEST_F(CongestionTest, AverageWindowUnderLoss) {
  struct Case {
    double p, rtt;
    double expected;
  };
  // RFC 9438 5.1, tables 1 (RTT 0.1 s) and 2 (0.01 s), C = 0.4: average windows in segments.
  for (const Case& x : {Case{1e-3, 0.1, 38}, Case{1e-4, 0.1, 187}, Case{1e-5, 0.1, 1054}, Case{1e-3, 0.01, 38},
                        Case{1e-4, 0.01, 120}}) {
    now = Instant{Duration::seconds(1000).ns};
    cubic();
    grow_to(static_cast<uint32_t>(x.expected));
    lose();
    const auto period = static_cast<uint64_t>(1 / x.p);
    uint64_t acked = 0, losses = 0;
    double area = 0, time = 0;
    while (losses < 60) {
      const double step = x.rtt * kMss / c.cwnd();
      now = now + Duration::nanos(static_cast<int64_t>(step * 1e9));
      if (losses >= 20) area += c.cwnd() / double{kMss} * step, time += step;
      c.on_ack(now, kMss, c.cwnd(), Duration::nanos(static_cast<int64_t>(x.rtt * 1e9)));
      if (++acked % period == 0) lose(), losses++;
    }
    EXPECT_NEAR(area / time, x.expected, 0.15 * x.expected) << x.p << " " << x.rtt;
  }
}

// CUBIC goes on along the old curve, not a new one (RFC 9438 4.9.2).
TEST_F(CongestionTest, UndoRestoresTheCurve) {
  cubic();
  grow_to(100);
  lose();
  for (int i = 0; i < 20; i++) round();
  Congestion undisturbed = c;
  const Instant then = now;
  c.enter_recovery(now, c.cwnd());
  c.undo();
  for (int i = 0; i < 20; i++) round();
  const uint32_t disturbed = c.cwnd();
  std::swap(c, undisturbed);
  now = then;
  for (int i = 0; i < 20; i++) round();
  EXPECT_NEAR(disturbed, c.cwnd(), 0.02 * c.cwnd());
}

}  // namespace
}  // namespace sluice::tcp
