// Congestion control: NewReno by exact traces, CUBIC against the formulas of RFC 9438 4, PRR against RFC 6937's.
#include "tcp/congestion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace sluice::tcp {
namespace {

constexpr uint32_t kMss = 1000;
constexpr Duration ms(int64_t n) { return Duration::millis(n); }
constexpr Duration kRtt = ms(100);

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
  // Grows to `segments` in slow start, and is set down to that by a loss and its undoing, in congestion avoidance.
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

// --- windows to start with

TEST_F(CongestionTest, InitialWindow) {  // RFC 6928 2
  for (const auto& [mss, window] : std::vector<std::pair<uint32_t, uint32_t>>{
           {536, 5360}, {1460, 14600}, {1448, 14480}, {4000, 14600}, {8960, 17920}}) {
    start(CongestionControl::cubic, mss);
    EXPECT_EQ(c.cwnd(), window);
    EXPECT_TRUE(c.slow_start());
  }
  start(CongestionControl::cubic, 1460, true);
  EXPECT_EQ(c.cwnd(), 1460u) << "the SYN was lost: RFC 5681 3.1";
  t.initial_window = 4;
  start(CongestionControl::newreno, 1460);
  EXPECT_EQ(c.cwnd(), 5840u);
}

TEST_F(CongestionTest, Names) {
  newreno();
  EXPECT_STREQ(c.name(), "newreno");
  cubic();
  EXPECT_STREQ(c.name(), "cubic");
}

// --- slow start

TEST_F(CongestionTest, SlowStartGrowsByWhatIsAcknowledged) {  // RFC 5681 3.1, RFC 3465 2.1
  newreno();
  c.on_ack(now, kMss, 10 * kMss, kRtt);
  EXPECT_EQ(c.cwnd(), 11 * kMss);
  c.on_ack(now, 10, 10 * kMss, kRtt);
  EXPECT_EQ(c.cwnd(), 11 * kMss + 10) << "dividing ACKs gains nothing";
  c.on_ack(now, 4 * kMss, 10 * kMss, kRtt);
  EXPECT_EQ(c.cwnd(), 15 * kMss + 10);
}

TEST_F(CongestionTest, OneAckCountsForABoundedNumberOfSegments) {  // RFC 9406 4.2's L
  newreno();
  c.on_ack(now, 500 * kMss, 500 * kMss, kRtt);
  EXPECT_EQ(c.cwnd(), 20 * kMss);
}

TEST_F(CongestionTest, AWindowThatIsNotUsedIsNotGrown) {  // RFC 7661 4.4
  for (const auto a : {CongestionControl::newreno, CongestionControl::cubic}) {
    start(a);
    for (int i = 0; i < 100; i++) c.on_ack(now = now + kRtt, kMss, kMss, kRtt);
    EXPECT_EQ(c.cwnd(), 10 * kMss);
    grow_to(40);
    lose();
    const uint32_t before = c.cwnd();
    c.on_ack(now, before, before, kRtt);
    const uint32_t used = c.cwnd();
    for (int i = 0; i < 1000; i++) c.on_ack(now = now + kRtt, 2 * kMss, 2 * kMss, kRtt);
    EXPECT_LE(c.cwnd(), used + 2 * kMss) << "a round or two of the old measure";
  }
}

// Several ACKs come before anything new is sent: what is in flight shrinks, and the window is in use all the same.
TEST_F(CongestionTest, ABurstOfAcksIsNoIdleness) {
  newreno();
  for (uint32_t i = 0; i < 10; i++) c.on_ack(now, kMss, (10 - i) * kMss, kRtt);
  EXPECT_EQ(c.cwnd(), 20 * kMss);
}

TEST_F(CongestionTest, SlowStartEndsAtTheThreshold) {
  newreno();
  grow_to(40);
  c.on_timeout(now, 40 * kMss, true);
  EXPECT_EQ(c.ssthresh(), 20 * kMss);
  EXPECT_EQ(c.cwnd(), kMss);
  std::vector<uint32_t> trace;
  for (int i = 0; i < 6; i++) {
    round();
    trace.push_back(c.cwnd() / kMss);
  }
  EXPECT_EQ(trace, (std::vector<uint32_t>{2, 4, 8, 16, 20, 21}));
}

// --- HyStart++ (RFC 9406)

TEST_F(CongestionTest, SlowStartEndsWhenTheRoundTripGrows) {
  cubic();
  round();
  round();
  EXPECT_EQ(c.cwnd(), 40 * kMss);
  for (int i = 0; i < 7; i++) {
    round(ms(120));  // by more than an eighth
    EXPECT_EQ(c.ssthresh() == UINT32_MAX, i < 5) << i;
  }
  EXPECT_LT(c.cwnd(), 40 * kMss * 8) << "a quarter as fast for five rounds: 1.25^5 and a bit";
  EXPECT_GT(c.cwnd(), 80 * kMss);
  EXPECT_FALSE(c.slow_start());
}

TEST_F(CongestionTest, SlowStartGoesOnIfItWasAFalseAlarm) {
  cubic();
  round();
  round();
  round(ms(120));
  round(ms(120));
  const uint32_t slow = c.cwnd();
  round(ms(100));
  round(ms(100));
  EXPECT_EQ(c.ssthresh(), UINT32_MAX);
  EXPECT_GT(c.cwnd(), slow * 5 / 2);
}

TEST_F(CongestionTest, SmallJitterDoesNotEndSlowStart) {
  cubic();
  for (int i = 0; i < 8; i++) round(ms(i % 2 ? 103 : 100));
  EXPECT_EQ(c.cwnd(), 10 * kMss << 8);
}

// --- NewReno

TEST_F(CongestionTest, NewRenoGrowsByASegmentARoundTrip) {  // RFC 5681 equation 3, by bytes
  newreno();
  grow_to(20);
  lose();
  EXPECT_EQ(c.cwnd(), 10 * kMss);
  EXPECT_EQ(c.ssthresh(), 10 * kMss);
  std::vector<uint32_t> trace;
  for (int ack = 0; ack < 33; ack++) {
    c.on_ack(now, kMss, c.cwnd(), kRtt);
    trace.push_back(c.cwnd() / kMss);
  }
  std::vector<uint32_t> expected;
  for (const auto& [window, acks] : {std::pair{10u, 9}, {11u, 11}, {12u, 12}, {13u, 1}})
    expected.insert(expected.end(), static_cast<size_t>(acks), window);
  EXPECT_EQ(trace, expected);
}

TEST_F(CongestionTest, NewRenoHalves) {  // equation 4
  newreno();
  grow_to(30);
  c.enter_recovery(now, 30 * kMss);
  EXPECT_TRUE(c.in_recovery());
  EXPECT_EQ(c.ssthresh(), 15 * kMss);
  c.leave_recovery();
  EXPECT_FALSE(c.in_recovery());
  EXPECT_EQ(c.cwnd(), 15 * kMss);
}

TEST_F(CongestionTest, ReductionsStartFromWhatIsInFlight) {
  newreno();
  grow_to(30);
  c.enter_recovery(now, 12 * kMss);
  EXPECT_EQ(c.ssthresh(), 6 * kMss);
  c.leave_recovery();
  c.enter_recovery(now, 50 * kMss);  // limited transmit sends more than cwnd, and that does not count
  EXPECT_EQ(c.ssthresh(), 3 * kMss);
}

TEST_F(CongestionTest, NeverLessThanTwoSegments) {
  for (const auto a : {CongestionControl::newreno, CongestionControl::cubic}) {
    start(a);
    c.enter_recovery(now, kMss);
    EXPECT_EQ(c.ssthresh(), 2 * kMss);
    c.leave_recovery();
    c.on_timeout(now, 100, true);
    EXPECT_EQ(c.ssthresh(), 2 * kMss);
    EXPECT_EQ(c.cwnd(), kMss);
  }
}

TEST_F(CongestionTest, ASecondTimeoutOfTheSameFlightKeepsTheThreshold) {  // RFC 5681 3.1
  newreno();
  grow_to(40);
  c.on_timeout(now, 40 * kMss, true);
  c.on_timeout(now, 40 * kMss, false);
  EXPECT_EQ(c.ssthresh(), 20 * kMss);
  EXPECT_EQ(c.cwnd(), kMss);
}

// --- ECN (RFC 3168 6.1.2, RFC 8511)

TEST_F(CongestionTest, EcnReducesByLess) {
  newreno();
  grow_to(40);
  c.on_ecn(now, 40 * kMss);
  EXPECT_EQ(c.cwnd(), 32 * kMss);
  EXPECT_EQ(c.ssthresh(), 32 * kMss);
  EXPECT_FALSE(c.in_recovery());
  cubic();
  grow_to(40);
  c.on_ecn(now, 40 * kMss);
  EXPECT_EQ(c.cwnd(), 34 * kMss);
}

// --- undo

TEST_F(CongestionTest, UndoAfterRecovery) {
  for (const auto a : {CongestionControl::newreno, CongestionControl::cubic}) {
    start(a);
    grow_to(40);
    c.enter_recovery(now, 40 * kMss);
    c.on_recovery_ack(kMss, 30 * kMss, true);
    c.undo();
    EXPECT_EQ(c.cwnd(), 40 * kMss);
    EXPECT_EQ(c.ssthresh(), UINT32_MAX);
    EXPECT_FALSE(c.in_recovery());
    c.undo();
    EXPECT_EQ(c.cwnd(), 40 * kMss);
  }
}

TEST_F(CongestionTest, UndoAfterATimeout) {
  newreno();
  grow_to(40);
  c.on_timeout(now, 40 * kMss, true);
  c.on_timeout(now, 40 * kMss, false);
  c.undo();
  EXPECT_EQ(c.cwnd(), 40 * kMss);
  EXPECT_EQ(c.ssthresh(), UINT32_MAX);
}

TEST_F(CongestionTest, ATimeoutInRecoveryIsUndoneToWhatRecoveryLeft) {
  newreno();
  grow_to(40);
  c.enter_recovery(now, 40 * kMss);
  c.on_recovery_ack(kMss, 30 * kMss, true);
  c.on_timeout(now, 30 * kMss, true);
  EXPECT_FALSE(c.in_recovery());
  c.undo();
  EXPECT_EQ(c.cwnd(), 20 * kMss);
  EXPECT_EQ(c.ssthresh(), 20 * kMss);
}

TEST_F(CongestionTest, WithoutAReductionThereIsNothingToUndo) {
  newreno();
  c.undo();
  EXPECT_EQ(c.cwnd(), 10 * kMss);
  c.on_ecn(now, 10 * kMss);
  c.undo();
  EXPECT_EQ(c.cwnd(), 8 * kMss) << "a mark is no misunderstanding";
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

// --- idle (RFC 5681 4.1)

TEST_F(CongestionTest, AfterIdleTheRestartWindow) {
  newreno();
  grow_to(40);
  c.after_idle(now, ms(100), ms(300));
  EXPECT_EQ(c.cwnd(), 40 * kMss) << "not for as long as an RTO";
  c.after_idle(now, ms(301), ms(300));
  EXPECT_EQ(c.cwnd(), 10 * kMss);
  EXPECT_EQ(c.ssthresh(), 30 * kMss) << "slow start leads back to most of it";
  newreno();
  c.after_idle(now, ms(301), ms(300));
  EXPECT_EQ(c.cwnd(), 10 * kMss);
  EXPECT_EQ(c.ssthresh(), UINT32_MAX);
  c.on_timeout(now, 2 * kMss, true);
  c.after_idle(now, ms(301), ms(300));
  EXPECT_EQ(c.cwnd(), kMss) << "never more than before";
}

TEST_F(CongestionTest, ASmallerSegmentAndALargerOne) {
  newreno();
  c.set_mss(500);
  EXPECT_EQ(c.cwnd(), 10 * kMss);
  c.on_timeout(now, 10 * kMss, true);
  EXPECT_EQ(c.cwnd(), 500u);
  c.set_mss(1400);
  EXPECT_EQ(c.cwnd(), 1400u);
}

// --- PRR (RFC 6937)

// One ACK in recovery: what may be sent, all of which is.
uint32_t prr(Congestion& c, uint32_t delivered, uint32_t pipe, bool safe = true) {
  c.on_recovery_ack(delivered, pipe, safe);
  const uint32_t allowed = c.cwnd() - pipe;
  c.on_sent(allowed / kMss * kMss);
  return allowed / kMss;
}

// RFC 6937 4, figure 1: 20 segments in flight of which the first is lost; NewReno. Sends one for every two ACKs.
TEST_F(CongestionTest, PrrSendsInProportion) {
  newreno();
  grow_to(20);
  c.enter_recovery(now, 20 * kMss);
  // Three duplicates brought us here: pipe counts neither them nor the lost segment.
  uint32_t pipe = 16, sent = prr(c, 3 * kMss, pipe * kMss, false);
  EXPECT_EQ(sent, 1u);  // 3 · 10 / 20, and no half segments
  std::vector<uint32_t> trace;
  pipe += sent;
  for (int ack = 0; ack < 14; ack++) {
    pipe--;
    sent = prr(c, kMss, pipe * kMss, false);
    trace.push_back(sent);
    pipe += sent;
  }
  EXPECT_EQ(trace, (std::vector<uint32_t>{1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1}));
  EXPECT_EQ(pipe, 10u) << "and there it stays: the threshold";
  c.leave_recovery();
  EXPECT_EQ(c.cwnd(), 10 * kMss);
}

// RFC 6937 4, figure 2: the first 15 of 20 are lost; five duplicates remain. pipe falls below ssthresh at once.
TEST_F(CongestionTest, PrrAfterHeavyLoss) {
  newreno();
  grow_to(20);
  c.enter_recovery(now, 20 * kMss);
  // CRB (no progress): as many as are delivered, and not more.
  uint32_t pipe = 4;
  EXPECT_EQ(prr(c, kMss, pipe * kMss, false), 1u);
  pipe = 4;
  EXPECT_EQ(prr(c, kMss, pipe * kMss, false), 1u);
  // SSRB: snd_una moves and nothing more is lost: one more an ACK.
  EXPECT_EQ(prr(c, kMss, pipe * kMss, true), 2u);
  pipe++;
  EXPECT_EQ(prr(c, kMss, pipe * kMss, true), 2u);
  // Never past the threshold.
  EXPECT_EQ(prr(c, kMss, 9 * kMss, true), 1u);
  EXPECT_EQ(prr(c, kMss, 10 * kMss, true), 0u);
}

// What was not sent (the application had nothing) may be sent later: banked.
TEST_F(CongestionTest, PrrBanksWhatWasNotSent) {
  newreno();
  grow_to(20);
  c.enter_recovery(now, 20 * kMss);
  for (int i = 0; i < 6; i++) c.on_recovery_ack(kMss, 4 * kMss, false);
  EXPECT_EQ(c.cwnd(), 10 * kMss) << "six delivered, none sent";
}

TEST_F(CongestionTest, TheFirstRetransmissionIsAlwaysAllowed) {  // RFC 6937 3.1's last lines, as RFC 9937 has them
  newreno();
  grow_to(20);
  c.enter_recovery(now, 20 * kMss);
  EXPECT_EQ(prr(c, 0, 18 * kMss, false), 1u);
  EXPECT_EQ(prr(c, 0, 18 * kMss, false), 0u);
}

// A whole recovery leaves as much in flight as the threshold says, for either algorithm, and every loss pattern that
// leaves enough ACKs.
TEST_F(CongestionTest, PrrConvergesToTheThreshold) {
  for (const auto a : {CongestionControl::newreno, CongestionControl::cubic})
    for (uint32_t lost = 1; lost < 15; lost++) {
      start(a);
      grow_to(40);
      c.enter_recovery(now, 40 * kMss);
      uint32_t pipe = 40 - lost;
      // The flight's other segments are SACKed one by one, and then what was sent in recovery is acknowledged.
      for (uint32_t i = 0; i < 40 - lost + 60; i++) {
        pipe--;
        pipe += prr(c, kMss, pipe * kMss, true);
      }
      EXPECT_NEAR(pipe, c.ssthresh() / kMss, 1) << lost;
    }
}

// --- CUBIC (RFC 9438)

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

TEST_F(CongestionTest, WindowsStayWithinWhatAPeerCanAnnounce) {
  for (const auto a : {CongestionControl::newreno, CongestionControl::cubic}) {
    start(a, 60'000);
    for (int i = 0; i < 2'000'000 && c.cwnd() < 1u << 30; i++) c.on_ack(now, 600'000, c.cwnd(), ms(1));
    EXPECT_EQ(c.cwnd(), 1u << 30);
    c.on_ack(now, 600'000, c.cwnd(), ms(1));
    EXPECT_EQ(c.cwnd(), 1u << 30);
    c.enter_recovery(now, c.cwnd());
    c.on_recovery_ack(UINT32_MAX / 2, c.cwnd(), true);
    c.leave_recovery();
    for (int i = 0; i < 1000; i++) c.on_ack(now = now + Duration::seconds(1000), 1u << 30, c.cwnd(), ms(1));
    EXPECT_LE(c.cwnd(), 1u << 30);
  }
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

}  // namespace
}  // namespace sluice::tcp
