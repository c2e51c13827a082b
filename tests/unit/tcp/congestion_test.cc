// Congestion control but for CUBIC's curve: NewReno by exact traces, HyStart++, PRR against RFC 6937's examples.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tests/unit/tcp/congestion_fixture.h"

namespace sluice::tcp {
namespace {

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

}  // namespace
}  // namespace sluice::tcp
