// Loss and timers: recovery.cc, scoreboard.cc, timer.cc.
#include "tests/unit/tcp/sender_lab.h"

namespace sluice::tcp::test {
namespace {

Duration ms(int64_t n) { return Duration::millis(n); }

// Ten segments of 1000 in flight, sent 1 ms apart, 100 ms away.
void fill(Lab& lab, int n = 10) {
  for (int i = 0; i < n; i++) {
    lab.write(1000);
    lab.core.now = lab.core.now + ms(1);
  }
  lab.core.now = lab.core.now + ms(90);
  ASSERT_EQ(lab.taken().size(), static_cast<size_t>(n));
}

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

TEST(Undo, AnOldReductionIsNotUndone) {
  Lab lab;
  fill(lab);
  lab.ack(0, {{1000, 4000}});
  lab.ack(10000);
  const uint32_t cwnd = lab.c->cc.cwnd();
  for (int32_t at = 10000; at < 40000; at += 5000) {
    lab.write(5000);
    lab.core.now = lab.core.now + ms(100);
    lab.ack(at + 5000);
  }
  const uint32_t later = lab.c->cc.cwnd();
  lab.ack(40000, {{0, 1000}});
  EXPECT_EQ(lab.c->cc.cwnd(), later);
  EXPECT_LT(cwnd, 10000u);
}

TEST(Syn, ADuplicateSynRepeatsTheSynAckAndIsNoTimeout) {
  Lab lab({.established = false});
  send_syn(lab.core, *lab.c);
  send_syn(lab.core, *lab.c);
  EXPECT_EQ(lab.taken().size(), 2u);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
}

// ---- fast recovery with SACK

TEST(Sack, ThreeSegmentsAboveAHoleRepairIt) {
  Lab lab;
  fill(lab);
  lab.ack(0, {{1000, 2000}});
  lab.ack(0, {{1000, 3000}});
  EXPECT_EQ(lab.shape(), "");
  EXPECT_STREQ(lab.view().phase, "disorder");
  lab.ack(0, {{1000, 4000}});
  EXPECT_EQ(lab.shape(), "0:1000");
  EXPECT_STREQ(lab.view().phase, "recovery");
  lab.ack(10000);
  EXPECT_STREQ(lab.view().phase, "open");
  EXPECT_EQ(lab.core.count.fast_recoveries, 1u);
}

TEST(Sack, SeveralHolesAreRepairedInOneRound) {
  Lab lab;
  fill(lab);
  lab.ack(0, {{1000, 2000}, {3000, 4000}, {5000, 6000}});
  lab.ack(0, {{6000, 8000}, {5000, 6000}, {3000, 4000}});
  lab.ack(0, {{5000, 10000}, {3000, 4000}, {1000, 2000}});
  const auto p = lab.taken();
  std::vector<int32_t> again;
  for (const Packet& x : p) again.push_back(x.seq);
  EXPECT_EQ(again, (std::vector<int32_t>{0, 2000, 4000}));
}

TEST(Sack, WhatIsSackedIsNotSentAgain) {
  Lab lab;
  fill(lab);
  lab.ack(0, {{4000, 10000}});
  for (const Packet& p : lab.taken()) EXPECT_LT(p.seq, 4000);
  lab.wait(Duration::seconds(1));
  for (const Packet& p : lab.taken()) EXPECT_LT(p.seq, 4000);
}

TEST(Sack, BlocksMayCutARecordAnywhere) {
  Lab lab;
  lab.write(10000);
  lab.taken();
  lab.core.now = lab.core.now + ms(100);
  lab.ack(0, {{1234, 2345}, {5678, 9000}});
  lab.wait(ms(150));
  lab.ack(0, {{1234, 2345}, {5678, 9000}});
  EXPECT_EQ(lab.view().sacked, 1111u + 3322u);
  std::string sent;
  uint32_t bytes = 0;
  for (const Packet& p : lab.taken()) {
    EXPECT_TRUE(p.end() <= 1234 || (p.seq >= 2345 && p.end() <= 5678) || p.seq >= 9000) << p.seq;
    EXPECT_EQ(p.data, Lab::pattern_at(static_cast<uint32_t>(p.seq), p.length));
    bytes += p.length;
  }
  EXPECT_GT(bytes, 0u);
  lab.ack(10000);
  EXPECT_EQ(lab.core.records.used(), 0u);
}

TEST(Sack, NonsenseIsCountedAndIgnored) {
  Lab lab;
  fill(lab);
  lab.ack(0, {{9000, 11000}});
  lab.ack(0, {{3000, 2000}});
  EXPECT_EQ(lab.core.count.sack_invalid, 2u);
  EXPECT_EQ(lab.view().sacked, 0u);
}

TEST(Sack, RecordsOfHostileBlocksAreBounded) {
  Lab lab({.records = 64});
  lab.write(10000);
  for (int32_t i = 0; i < 4000; i += 2) lab.ack(0, {{i + 1, i + 2}});
  EXPECT_LE(lab.core.records.used(), 64u);
  lab.ack(10000);
  EXPECT_EQ(lab.core.records.used(), 0u);
  EXPECT_EQ(lab.view().in_flight, 0u);
}

TEST(Sack, RenegingIsSurvived) {  // RFC 2018 8
  Lab lab;
  fill(lab);
  lab.ack(0, {{1000, 10000}});
  lab.taken();
  lab.ack(1000);  // and not 10000: the receiver has thrown away what it had told
  lab.taken();
  std::string seen;
  for (int i = 0; i < 40 && lab.view().in_flight; i++) {
    lab.wait(Duration::seconds(2));
    for (const Packet& p : lab.taken())
      if (p.seq == Lab::relative(lab.c->snd_una)) lab.ack(p.end());
  }
  EXPECT_EQ(lab.view().in_flight, 0u);
}

TEST(Rack, ReorderingWithinTheWindowIsNoLoss) {  // RFC 8985 6.2: a quarter of the round trip
  Lab lab;
  fill(lab);
  lab.ack(0, {{1000, 2000}});
  lab.core.now = lab.core.now + ms(10);
  lab.ack(2000);
  EXPECT_EQ(lab.core.count.rack_reordered, 1u);
  lab.ack(2000, {{3000, 4000}});
  lab.ack(2000, {{3000, 5000}});
  lab.ack(2000, {{3000, 6000}});
  EXPECT_EQ(lab.shape(), "");  // three duplicates, and yet: reordering was seen on this connection
  lab.core.now = lab.core.now + ms(1);
  lab.ack(6000);
  EXPECT_EQ(lab.core.count.fast_recoveries, 0u);
}

TEST(Rack, TheTimerFindsWhatNoAcknowledgmentTells) {
  Lab lab;
  fill(lab, 4);
  lab.ack(0, {{1000, 2000}});  // one SACK is less than three
  EXPECT_EQ(lab.shape(), "");
  lab.wait(ms(60));
  EXPECT_EQ(lab.taken().at(0).seq, 0);
  EXPECT_EQ(lab.core.count.fast_recoveries, 1u);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
}

TEST(Rack, ALostRetransmissionIsFoundWithoutATimeout) {
  Lab lab;
  lab.write(40000);
  const size_t first = lab.taken().size();
  ASSERT_EQ(first, 10u);
  lab.core.now = lab.core.now + ms(100);
  lab.ack(0, {{1000, 10000}});
  EXPECT_EQ(lab.taken().at(0).seq, 0);
  // New data sent after the retransmission is SACKed, the retransmission is not acknowledged.
  lab.ack(0, {{1000, 10000}});
  lab.core.now = lab.core.now + ms(100);
  const int32_t top = Lab::relative(lab.c->snd_nxt);
  ASSERT_GT(top, 10000);
  lab.ack(0, {{1000, top}});
  lab.wait(ms(20));
  const auto p = lab.taken();
  ASSERT_FALSE(p.empty());
  EXPECT_EQ(lab.core.count.timeouts, 0u);
  bool again = false;
  for (const Packet& x : p) again |= x.seq == 0;
  EXPECT_TRUE(again);
}

TEST(TailProbe, TheLastSegmentIsProbedAndALossRepaired) {  // RFC 8985 7
  Lab lab;
  fill(lab);
  lab.ack(5000);
  const Duration srtt = lab.c->rtt.srtt();
  lab.wait(srtt * 2 + ms(2));
  EXPECT_EQ(lab.shape(), "9000:10000");
  EXPECT_EQ(lab.core.count.tail_loss_probes, 1u);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
  lab.core.now = lab.core.now + ms(100);
  lab.ack(5000, {{9000, 10000}});
  lab.wait(ms(80));
  EXPECT_EQ(lab.taken().at(0).seq, 5000);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
}

TEST(TailProbe, NewDataIsPreferred) {
  Lab lab;
  lab.write(30000);
  EXPECT_EQ(lab.taken().size(), 10u);
  lab.wait(lab.c->rtt.srtt() * 2 + ms(5));
  EXPECT_EQ(lab.shape(), "10000:11000");
}

TEST(TailProbe, OnlyOne) {
  Lab lab;
  fill(lab, 2);
  lab.ack(1000);
  lab.wait(lab.c->rtt.rto() + ms(5));
  EXPECT_EQ(lab.core.count.tail_loss_probes, 1u);
}

TEST(TailProbe, ADuplicateReportMeansNothingWasLost) {  // RFC 8985 7.4
  Lab lab;
  fill(lab, 2);
  lab.ack(1000);
  lab.wait(lab.c->rtt.srtt() * 2 + ms(250));
  ASSERT_EQ(lab.core.count.tail_loss_probes, 1u);
  const uint32_t cwnd = lab.c->cc.cwnd();
  lab.ack(2000);
  lab.ack(2000, {{1000, 2000}});
  lab.write(1000);
  lab.ack(3000);
  EXPECT_EQ(lab.core.count.tail_loss_repaired, 0u);
  EXPECT_GE(lab.c->cc.cwnd(), cwnd);
}

TEST(TailProbe, ARepairedLossReducesTheWindow) {
  Lab lab;
  fill(lab, 2);
  lab.ack(1000);
  lab.wait(lab.c->rtt.srtt() * 2 + ms(250));
  ASSERT_EQ(lab.core.count.tail_loss_probes, 1u);
  lab.ack(2000);
  lab.write(1000);
  lab.ack(3000);
  EXPECT_EQ(lab.core.count.tail_loss_repaired, 1u);
}

// ---- without SACK (RFC 5681, 6582, 3042)

TEST(NewReno, LimitedTransmitThenFastRetransmit) {
  Lab lab({.sack = false});
  lab.write(30000);
  EXPECT_EQ(lab.taken().size(), 10u);
  lab.core.now = lab.core.now + ms(100);
  lab.ack(0);
  EXPECT_EQ(lab.shape(), "10000:11000");
  lab.ack(0);
  EXPECT_EQ(lab.shape(), "11000:12000");
  lab.ack(0);
  EXPECT_EQ(lab.taken().at(0).seq, 0);
  EXPECT_STREQ(lab.view().phase, "recovery");
}

TEST(NewReno, PartialAcknowledgmentsRepairOneHoleEach) {
  Lab lab({.sack = false});
  fill(lab);
  for (int i = 0; i < 3; i++) lab.ack(0);
  EXPECT_EQ(lab.shape(), "0:1000");
  for (int i = 0; i < 5; i++) lab.ack(0);
  lab.taken();
  lab.ack(4000);
  EXPECT_EQ(lab.taken().at(0).seq, 4000);
  lab.ack(7000);
  EXPECT_EQ(lab.taken().at(0).seq, 7000);
  lab.ack(10000);
  EXPECT_STREQ(lab.view().phase, "open");
  EXPECT_EQ(lab.core.count.fast_recoveries, 1u);
  EXPECT_EQ(lab.core.count.timeouts, 0u);
}

TEST(NewReno, AWindowUpdateOrDataIsNoDuplicate) {  // RFC 5681 2
  Lab lab({.sack = false});
  fill(lab);
  for (int i = 0; i < 5; i++) lab.window(0, 60000u + static_cast<uint32_t>(i));
  EXPECT_EQ(lab.core.count.duplicate_acks_received, 0u);
  InSegment s = lab.segment(0, lab.setup.window);
  s.length = 10;
  for (int i = 0; i < 5; i++) lab.feed(s);
  EXPECT_EQ(lab.core.count.duplicate_acks_received, 0u);
  EXPECT_EQ(lab.core.count.fast_recoveries, 0u);
}

TEST(NewReno, DuplicatesAfterATimeoutDoNotReduceAgain) {  // RFC 6582 3.2, 4
  Lab lab({.sack = false});
  fill(lab);
  lab.wait(Duration::seconds(1));
  lab.ack(1000);
  for (int i = 0; i < 4; i++) lab.ack(1000);
  EXPECT_EQ(lab.core.count.fast_recoveries, 0u);
}

TEST(NewReno, OneReductionForOneFlight) {  // RFC 6582 3.2, step 1: "recover" must have been passed
  Lab lab({.sack = false});
  fill(lab);
  for (int i = 0; i < 3; i++) lab.ack(0);
  lab.ack(10000);
  lab.write(10000);
  for (int i = 0; i < 5; i++) lab.ack(10000);  // of retransmissions that were needless
  EXPECT_EQ(lab.core.count.fast_recoveries, 1u);
}

// ---- mistakes taken back

TEST(Undo, FrtoWithSack) {  // RFC 5682 3
  Lab lab;
  fill(lab);
  const uint32_t cwnd = lab.c->cc.cwnd();
  lab.write(20000);
  lab.taken();
  while (!lab.core.count.timeouts) lab.wait(ms(5));  // the path stalls: tail probe, then timeout
  lab.taken();
  lab.ack(1000);  // the first transmissions arrive after all
  lab.ack(2000);
  EXPECT_EQ(lab.core.count.spurious_timeouts, 1u);
  EXPECT_GE(lab.c->cc.cwnd(), cwnd);
  for (const Packet& p : lab.taken()) EXPECT_GE(p.seq, 10000) << "sent again in spite of F-RTO";
}

TEST(Undo, FrtoWithoutSack) {  // RFC 5682 2
  Lab lab({.sack = false});
  fill(lab);
  lab.write(20000);
  lab.wait(lab.c->rtt.rto() + ms(20));
  ASSERT_EQ(lab.core.count.timeouts, 1u);
  lab.taken();
  lab.ack(1000);
  lab.ack(2000);
  EXPECT_EQ(lab.core.count.spurious_timeouts, 1u);
  EXPECT_STREQ(lab.view().phase, "open");
}

TEST(Undo, ARealTimeoutStays) {
  Lab lab({.sack = false});
  fill(lab);
  lab.write(20000);
  lab.wait(lab.c->rtt.rto() + ms(20));
  lab.taken();
  lab.ack(1000);
  lab.ack(1000);
  EXPECT_EQ(lab.core.count.spurious_timeouts, 0u);
  bool again = false;
  for (const Packet& p : lab.taken()) again |= p.seq == 1000;
  EXPECT_TRUE(again);
}

TEST(Undo, EifelByTimestamps) {  // RFC 3522
  Lab lab({.timestamps = true, .mss = 1012});
  fill(lab, 4);
  lab.wait(Duration::seconds(2));
  ASSERT_GE(lab.core.count.timeouts, 1u);
  lab.echo = lab.core.timestamp_of(*lab.c) - 2000;  // of the first transmission
  lab.ack(1000);
  EXPECT_EQ(lab.core.count.spurious_timeouts, 1u);
}

TEST(Undo, DsackForEveryRetransmission) {  // RFC 2883, 3708
  Lab lab;
  fill(lab);
  const uint32_t cwnd = lab.c->cc.cwnd();
  lab.ack(0, {{1000, 4000}});
  ASSERT_EQ(lab.core.count.fast_recoveries, 1u);
  lab.ack(4000);
  EXPECT_LT(lab.c->cc.cwnd(), cwnd);
  lab.ack(4000, {{0, 1000}});
  EXPECT_GE(lab.c->cc.cwnd(), cwnd);
  EXPECT_EQ(lab.core.count.dsacks_received, 1u);
  EXPECT_EQ(lab.c->tx.reorder_mult, 2);
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
