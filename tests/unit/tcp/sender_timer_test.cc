// The retransmission timer, and closed windows: timer.cc.
#include "tests/unit/tcp/sender_lab.h"

namespace sluice::tcp::test {
namespace {

// ---- the timer (RFC 6298 5)

TEST(Rto, FiresAfterTheTimeoutAndBacksOff) {
  Lab lab({.sack = false});
  lab.write(1000);
  lab.taken();
  const Duration rto = lab.c->rtt.rto();
  Instant last = lab.core.now;
  for (int i = 0; i < 4; i++) {
    lab.wait(rto * (1 << i) - ms(1));
    EXPECT_EQ(lab.shape(), "") << i;
    lab.wait(ms(2));
    const auto p = lab.taken();
    ASSERT_EQ(p.size(), 1u) << i;
    EXPECT_EQ(p[0].seq, 0);
    EXPECT_NEAR(static_cast<double>((p[0].at - last).ms()), static_cast<double>((rto * (1 << i)).ms()), 2);
    last = p[0].at;
    lab.core.now = last;
  }
  EXPECT_EQ(lab.core.count.timeouts, 4u);
}

TEST(Rto, AnAcknowledgmentStartsItAnew) {  // 5.3
  Lab lab({.sack = false});
  lab.write(1000);
  lab.write(1000);
  lab.taken();
  const Duration rto = lab.c->rtt.rto();
  lab.wait(Duration::nanos(rto.ns / 2));
  lab.ack(1000);
  const Duration next = lab.c->rtt.rto();
  lab.wait(next - ms(1));
  EXPECT_EQ(lab.shape(), "");
  lab.wait(ms(2));
  EXPECT_EQ(lab.shape(), "1000:2000");
}

TEST(Rto, OffWhenAllIsAcknowledged) {  // 5.2
  Lab lab;
  lab.write(1000);
  EXPECT_TRUE(lab.armed());
  lab.ack(1000);
  EXPECT_FALSE(lab.armed());
}

TEST(Rto, CollapsesTheWindowAndResendsTheRestAsItGrows) {
  Lab lab({.sack = false});
  fill(lab);
  lab.wait(Duration::seconds(1));
  EXPECT_EQ(lab.taken().at(0).seq, 0);
  EXPECT_EQ(lab.c->cc.cwnd(), 1000u);
  EXPECT_STREQ(lab.view().phase, "loss");
  lab.ack(1000);
  EXPECT_EQ(lab.shape(), "1000:2000 2000:3000");
  for (int32_t a = 2000; a <= 10000; a += 1000) lab.ack(a);
  EXPECT_EQ(lab.view().in_flight, 0u);
  EXPECT_STREQ(lab.view().phase, "open");
}

TEST(Rto, KarnsRule) {
  Lab lab({.sack = false});
  lab.write(1000);
  const Duration before = lab.c->rtt.srtt();
  lab.wait(Duration::seconds(1));
  lab.core.now = lab.core.now + Duration::seconds(1);
  lab.ack(1000);
  EXPECT_EQ(lab.c->rtt.srtt(), before);
}

TEST(Rto, GivesUpAfterTheUserTimeoutAndNotBefore) {
  Lab lab;
  lab.c->user_timeout = Duration::seconds(5);
  lab.write(1000);
  EXPECT_TRUE(lab.wait(Duration::millis(4990)));
  EXPECT_FALSE(lab.wait(ms(20)));
  EXPECT_EQ(lab.core.count.user_timeouts, 1u);
}

TEST(Rto, ProgressPutsTheUserTimeoutOff) {
  Lab lab;
  lab.c->user_timeout = Duration::seconds(5);
  for (int i = 1; i < 10; i++) {
    lab.write(1000);
    EXPECT_TRUE(lab.wait(Duration::seconds(4)));
    lab.ack(i * 1000);
  }
}

TEST(Syn, IsRepeatedWithBackoffAndGivenUp) {
  Lab lab({.established = false});
  send_syn(lab.core, *lab.c);
  const Instant start = lab.core.now;
  EXPECT_FALSE(lab.wait(Duration::seconds(200)));
  const auto p = lab.taken();
  ASSERT_EQ(p.size(), 6u);
  for (size_t i = 0; i < p.size(); i++) {
    EXPECT_NEAR(static_cast<double>((p[i].at - start).ms()), static_cast<double>((1000 << i) - 1000), 20) << i;
    EXPECT_TRUE(p[i].has(wire::kTcpSyn));
  }
}

TEST(Syn, ALostOneMakesTheInitialWindowOneSegment) {  // RFC 5681 3.1
  Lab lab({.established = false});
  send_syn(lab.core, *lab.c);
  lab.wait(ms(1500));
  lab.taken();
  lab.c->state = State::established;
  syn_acknowledged(lab.core, *lab.c, lab.segment(0, 65535));
  EXPECT_EQ(lab.c->rtt.rto(), Duration::seconds(3));  // RFC 6298 5.7
  lab.write(5000);
  EXPECT_EQ(lab.shape(), "0:1000");
}

TEST(Rto, WithNoRecordToSplitTheFirstSegmentGoesAgain) {
  Lab lab({.records = 1});
  lab.write(10000);
  lab.taken();
  lab.wait(Duration::seconds(3));
  for (const Packet& p : lab.taken()) EXPECT_EQ(p.seq, 0);
  EXPECT_GT(lab.core.count.retransmitted_segments, 0u);
  for (int32_t a = 1000; a <= 10000; a += 1000) {
    lab.ack(a);
    lab.wait(Duration::seconds(2));
  }
  EXPECT_EQ(lab.view().in_flight, 0u);
}

TEST(Rto, StaysBackedOffUntilARoundTripIsMeasured) {  // RFC 6298 5
  Lab lab({.sack = false});
  lab.write(2000);
  lab.wait(Duration::seconds(1));
  const Duration backed_off = lab.c->rtt.rto();
  lab.ack(1000);
  EXPECT_EQ(lab.c->rtt.rto(), backed_off);
  lab.ack(2000);
  lab.write(1000);
  lab.core.now = lab.core.now + ms(100);
  lab.ack(3000);
  EXPECT_LT(lab.c->rtt.rto(), backed_off);
}

TEST(Syn, ADuplicateSynRepeatsTheSynAckAndIsNoTimeout) {
  Lab lab({.established = false});
  send_syn(lab.core, *lab.c);
  send_syn(lab.core, *lab.c);
  EXPECT_EQ(lab.taken().size(), 2u);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
}

// ---- closed windows

TEST(Probe, FirstAfterTheTimeoutThenFurtherApart) {  // RFC 9293 3.8.6.1: MUST-35, SHLD-29, SHLD-30
  Lab lab({.window = 2000});
  lab.write(5000);
  lab.taken();
  lab.window(2000, 0);
  Instant last = lab.core.now;
  const Instant stop = last + Duration::seconds(20);
  std::vector<int64_t> gaps;
  while (lab.core.now < stop && gaps.size() < 5) {
    lab.wait(ms(10));
    for (const Packet& p : lab.taken()) {
      EXPECT_EQ(p.seq, 2000);
      EXPECT_EQ(p.length, 1u);
      gaps.push_back((p.at - last).ms());
      last = p.at;
      lab.window(2000, 0);
    }
  }
  ASSERT_EQ(gaps.size(), 5u);
  EXPECT_GE(gaps[0], 200);
  for (size_t i = 1; i < gaps.size(); i++) EXPECT_NEAR(static_cast<double>(gaps[i]), 2.0 * static_cast<double>(gaps[i - 1]), 20);
  lab.window(2000, 10000);
  EXPECT_EQ(lab.shape(), "2000:3000 3000:4000 4000:5000");
}

TEST(Probe, AnAnsweredOneIsNeverGivenUp) {  // MUST-36, MUST-37
  Lab lab({.window = 1000});
  lab.c->user_timeout = Duration::seconds(100);
  lab.write(5000);
  lab.window(1000, 0);
  lab.taken();
  for (int i = 0; i < 10000; i++) {
    ASSERT_TRUE(lab.wait(Duration::seconds(1)));
    if (!lab.taken().empty()) lab.window(1000, 0);
  }
}

TEST(Probe, AnUnansweredOneIs) {
  Lab lab({.window = 1000});
  lab.c->user_timeout = Duration::seconds(100);
  lab.write(5000);
  lab.window(1000, 0);
  EXPECT_TRUE(lab.wait(Duration::seconds(99)));
  EXPECT_FALSE(lab.wait(Duration::seconds(2)));
}

TEST(Probe, TheByteMayBeTaken) {
  Lab lab({.window = 2000});
  lab.write(5000);
  lab.window(2000, 0);
  lab.taken();
  lab.wait(Duration::seconds(1));
  ASSERT_FALSE(lab.taken().empty());
  lab.window(2001, 10000);
  EXPECT_EQ(lab.shape(), "2001:3001 3001:4001 4001:5000");
  lab.ack(5000);
  EXPECT_EQ(lab.view().queued, 0u);
}

TEST(Probe, AFinBehindAClosedWindow) {
  Lab lab({.window = 1000});
  lab.write(1000);
  lab.window(1000, 0);
  lab.taken();
  lab.fin();
  lab.wait(Duration::seconds(1));
  const auto p = lab.taken();
  ASSERT_FALSE(p.empty());
  EXPECT_TRUE(p[0].has(wire::kTcpFin));
  EXPECT_TRUE(lab.ack(1001).fin);
}

TEST(Probe, AFinThatWasLostBehindAClosedWindowIsRepeatedWhenItOpens) {
  Lab lab({.window = 1000});
  lab.write(1000);
  lab.window(1000, 0);
  lab.fin();
  lab.wait(ms(500));
  lab.taken();
  lab.window(1000, 5000);
  lab.wait(Duration::seconds(3));
  ASSERT_FALSE(lab.out.empty());
  EXPECT_TRUE(lab.taken().at(0).has(wire::kTcpFin));
  EXPECT_TRUE(lab.ack(1001).fin);
}

TEST(Probe, PureAcksStayAcceptable) {
  Lab lab({.window = 1000});
  lab.write(5000);
  lab.window(1000, 0);
  lab.wait(Duration::seconds(1));
  lab.taken();
  send_ack(lab.core, *lab.c);
  EXPECT_EQ(lab.taken().at(0).seq, 1000);
}

}  // namespace
}  // namespace sluice::tcp::test
