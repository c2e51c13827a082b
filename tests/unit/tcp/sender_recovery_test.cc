// Loss: recovery.cc, scoreboard.cc, and mistakes taken back.
#include "tests/unit/tcp/sender_lab.h"

namespace sluice::tcp::test {
namespace {

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

}  // namespace
}  // namespace sluice::tcp::test
