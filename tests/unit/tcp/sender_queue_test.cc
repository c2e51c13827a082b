// Queue, segments, windows, Nagle, FIN: sender.cc and output.cc.
#include "tests/unit/tcp/sender_lab.h"

namespace sluice::tcp::test {
namespace {

struct CountingKeeper final : Keeper {
  void release() override { released++; }
  int released = 0;
};

TEST(Queue, BytesLeaveInOrderAndUnchanged) {
  Lab lab;
  ASSERT_EQ(lab.write(10000, 333), Outcome::ok);
  uint32_t at = 0;
  for (const Packet& p : lab.taken()) {
    EXPECT_EQ(p.seq, static_cast<int32_t>(at));
    EXPECT_EQ(p.data, Lab::pattern_at(at, p.length));
    at += p.length;
  }
  EXPECT_EQ(at, 10000u);
}

TEST(Queue, OneOutSegmentCarriesManySlices) {
  Lab lab;
  lab.write(8000, 500);
  EXPECT_EQ(lab.last.payload.size(), 16u);
  EXPECT_EQ(lab.last.length, 8000u);
  EXPECT_EQ(lab.last.mss, 1000);
  EXPECT_EQ(lab.core.records.used(), 1u);
}

TEST(Queue, ASliceIsReleasedOnceWhenItsLastByteIsAcknowledged) {
  Lab lab;
  CountingKeeper k;
  const Slice s[] = {{.data = Lab::pattern(), .length = 600, .keeper = &k}, {.data = Lab::pattern(), .length = 600, .keeper = &k}};
  ASSERT_EQ(enqueue(lab.core, *lab.c, s, 2), Outcome::ok);
  lab.flush();
  EXPECT_EQ(lab.ack(599).bytes, 599u);
  EXPECT_EQ(k.released, 0);
  EXPECT_EQ(lab.ack(600).bytes, 1u);
  EXPECT_EQ(k.released, 1);
  lab.ack(1200);
  EXPECT_EQ(k.released, 2);
  EXPECT_EQ(lab.core.chunks.used(), 0u);
  EXPECT_EQ(lab.core.records.used(), 0u);
}

TEST(Queue, AnEmptySliceIsReleasedAtOnce) {
  Lab lab;
  CountingKeeper k;
  const Slice s{.keeper = &k};
  EXPECT_EQ(enqueue(lab.core, *lab.c, &s, 1), Outcome::ok);
  EXPECT_EQ(k.released, 1);
}

TEST(Queue, DroppingReleasesAll) {
  Lab lab;
  CountingKeeper k;
  const Slice s{.data = Lab::pattern(), .length = 100000, .keeper = &k};
  enqueue(lab.core, *lab.c, &s, 1);
  lab.flush();
  drop_sending(lab.core, *lab.c);
  EXPECT_EQ(k.released, 1);
  EXPECT_EQ(lab.core.chunks.used() + lab.core.records.used(), 0u);
  EXPECT_FALSE(lab.armed());
}

TEST(Queue, AllOrNothing) {
  Lab lab({.send_buffer = 1000});
  EXPECT_EQ(send_room(*lab.c), 1000u);
  EXPECT_EQ(lab.write(1001), Outcome::full);
  EXPECT_EQ(send_room(*lab.c), 1000u);
  EXPECT_EQ(lab.write(1000), Outcome::ok);
  EXPECT_EQ(send_room(*lab.c), 0u);
  EXPECT_EQ(lab.write(1), Outcome::full);
  lab.ack(400);
  EXPECT_EQ(send_room(*lab.c), 400u);
}

TEST(Queue, NoChunkLeftIsFullAndChangesNothing) {
  Lab lab({.chunks = 4});
  EXPECT_EQ(lab.write(5, 1), Outcome::full);
  EXPECT_EQ(lab.view().queued, 0u);
  EXPECT_EQ(lab.write(4, 1), Outcome::ok);
}

TEST(Queue, WithoutRecordsNothingNewIsSentUntilSomeAreFree) {
  Lab lab({.records = 2});
  for (int i = 0; i < 5; i++) {
    lab.write(1000);
    lab.core.now = lab.core.now + Duration::millis(1);
  }
  EXPECT_EQ(lab.shape(), "0:1000 1000:2000");
  lab.ack(1000);
  EXPECT_EQ(lab.shape(), "2000:3000 3000:4000 4000:5000");
}

TEST(Queue, WithNoRecordAtAllTheTimerTriesAgain) {
  Lab lab({.records = 1});
  const uint32_t other = lab.core.records.take();
  lab.write(500);
  EXPECT_EQ(lab.shape(), "");
  EXPECT_TRUE(lab.armed());
  lab.core.records.give(other);
  lab.wait(Duration::millis(500));
  EXPECT_EQ(lab.shape(), "0:500");
}

TEST(Segments, PushIsOnTheLastOfWhatIsQueued) {  // RFC 9293 3.9.1.2, MUST-61
  Lab lab;
  lab.write(2500);
  const auto p = lab.taken();
  ASSERT_EQ(p.size(), 3u);
  EXPECT_FALSE(p[0].has(wire::kTcpPsh));
  EXPECT_FALSE(p[1].has(wire::kTcpPsh));
  EXPECT_TRUE(p[2].has(wire::kTcpPsh));
}

TEST(Segments, FinRidesOnTheLastData) {
  Lab lab;
  lab.write(100000);
  lab.taken();
  lab.fin();
  EXPECT_EQ(lab.shape(), "");
  int32_t at = 0;
  bool seen = false;
  for (int i = 0; i < 50 && !seen; i++) {
    at += 10000;
    const Acked a = lab.ack(std::min(at, 100000));
    EXPECT_FALSE(a.fin);
    for (const Packet& p : lab.taken())
      if (p.has(wire::kTcpFin)) {
        seen = true;
        EXPECT_EQ(p.end(), 100000);
        EXPECT_GT(p.length, 0u);
      }
  }
  EXPECT_TRUE(seen);
  const Acked a = lab.ack(100001);
  EXPECT_TRUE(a.fin);
  EXPECT_FALSE(lab.armed());
  EXPECT_EQ(lab.c->snd_una, lab.c->snd_nxt);
}

TEST(Segments, FinAlone) {
  Lab lab;
  lab.fin();
  EXPECT_EQ(lab.shape(), "0:0F");
  EXPECT_TRUE(lab.armed());
  const Acked a = lab.ack(1);
  EXPECT_TRUE(a.fin);
  EXPECT_EQ(a.bytes, 0u);
}

TEST(Segments, FinIsSentAgain) {
  Lab lab;
  lab.write(300);
  lab.fin();
  EXPECT_EQ(lab.shape(), "0:300 300:300F");
  lab.ack(300);
  lab.taken();
  lab.wait(Duration::seconds(2));
  EXPECT_EQ(lab.taken().at(0).flags & wire::kTcpFin, wire::kTcpFin);
}

TEST(Segments, MssLeavesRoomForTimestampsAndSack) {  // RFC 9293 3.7.1, MUST-16
  Lab lab({.timestamps = true, .mss = 1460});
  lab.write(5000);
  EXPECT_EQ(lab.last.mss, 1448);
  lab.ack(5000);
  lab.c->rx.sack_count = 2;
  lab.c->rx.recent[0] = {Lab::kIrs + 2000, Lab::kIrs + 3000};
  lab.c->rx.recent[1] = {Lab::kIrs + 5000, Lab::kIrs + 6000};
  lab.write(5000);
  EXPECT_EQ(lab.last.mss, 1448 - 20);
  EXPECT_EQ(lab.last.options.size(), 32u);
}

TEST(Segments, PathLimitsTheMss) {
  EXPECT_EQ(Lab({.mss = 9000}).view().mss, 1460);
  EXPECT_EQ(Lab({.ip6 = true, .mss = 9000}).view().mss, 1440);
  EXPECT_EQ(Lab({.mss = 9000, .mtu = 9000}).view().mss, 8960);
}

TEST(Segments, AHostileMssIsTakenAsSmallButNotTiny) {
  Lab lab({.mss = 1});
  EXPECT_EQ(lab.view().mss, 64);
  lab.write(10000);
  EXPECT_LE(lab.taken().size(), 10u);
}

TEST(Window, NothingBeyondTheRightEdge) {
  Lab lab({.window = 3500});
  lab.write(20000);
  EXPECT_EQ(lab.shape(), "0:1000 1000:2000 2000:3000");
  lab.ack(3000);
  EXPECT_EQ(lab.shape(), "3000:4000 4000:5000 5000:6000");
}

TEST(Window, ScaledByThePeersShift) {
  Lab lab({.window = 1 << 20, .shift = 7});
  lab.write(9000);
  EXPECT_EQ(lab.c->snd_wnd, uint32_t{1 << 20});
}

TEST(Window, AnOldSegmentDoesNotChangeIt) {  // RFC 9293 3.10.7.4: SND.WL1, SND.WL2
  Lab lab({.window = 4000});
  lab.write(20000);
  lab.ack(2000);
  lab.window(4000, 0);
  lab.taken();
  lab.setup.window = 60000;
  lab.ack(2000);
  EXPECT_EQ(lab.c->snd_wnd, 0u);
  InSegment s = lab.segment(4000, 60000);
  s.seq = s.seq - 1;
  lab.feed(s);
  EXPECT_EQ(lab.c->snd_wnd, 0u);
  lab.window(4000, 60000);
  EXPECT_NE(lab.shape(), "");
}

TEST(Window, ARetransmissionThatAcknowledgesMoreBringsItsWindow) {
  Lab lab({.window = 4000});
  lab.write(20000);
  lab.taken();
  lab.ack(1000);
  InSegment s = lab.segment(3000, 1000);
  s.seq = s.seq - 500;
  lab.taken();
  lab.feed(s);
  EXPECT_EQ(lab.c->snd_wnd, 1000u);  // and not 4000 from 3000 on
  for (const Packet& p : lab.taken()) EXPECT_LE(p.end(), 4000);
}

TEST(Window, ASmallPeerIsServedHalfItsWindowAtATime) {  // RFC 9293 3.8.6.2.1 (3)
  Lab lab({.window = 200});
  lab.write(1000);
  EXPECT_EQ(lab.shape(), "0:200");
  lab.ack(200);
  EXPECT_EQ(lab.shape(), "200:400");
}

TEST(Window, ADribblingWindowWaitsForTheOverrideTimer) {  // RFC 9293 3.8.6.2.1 (4)
  Lab lab({.window = 8000});
  lab.write(20000);
  lab.taken();
  lab.window(8000, 0);
  for (int i = 0; i < 5; i++) lab.window(8000, 50u + static_cast<uint32_t>(i));
  EXPECT_EQ(lab.shape(), "");
  const Instant start = lab.core.now;
  lab.wait(Duration::millis(700));
  const auto p = lab.taken();
  ASSERT_GE(p.size(), 1u);
  EXPECT_EQ(p[0].length, 54u);
  EXPECT_GE((p[0].at - start).ms(), 200);
  EXPECT_LE((p[0].at - start).ms(), 500);
}

TEST(Window, Shrunk_NewDataWaitsAndOldIsRepeated) {  // RFC 9293 3.8.6: MUST-34, SHLD-15 to 17
  Lab lab({.window = 10000});
  lab.write(50000);
  EXPECT_EQ(lab.taken().size(), 10u);
  lab.window(1000, 1000);
  EXPECT_EQ(lab.shape(), "");
  lab.wait(Duration::seconds(5));
  for (const Packet& p : lab.taken()) {
    EXPECT_LE(p.end(), 10000);
    EXPECT_EQ(p.seq, 1000);
  }
  lab.window(10000, 10000);
  EXPECT_EQ(lab.taken().at(0).seq, 10000);
}

TEST(Nagle, OneSmallSegmentAtATime) {
  Lab lab;
  lab.write(100);
  EXPECT_EQ(lab.shape(), "0:100");
  lab.write(100);
  lab.write(100);
  EXPECT_EQ(lab.shape(), "");
  lab.ack(100);
  EXPECT_EQ(lab.shape(), "100:300");
}

TEST(Nagle, FullSegmentsDoNotWait) {
  Lab lab;
  lab.write(100);
  lab.taken();
  lab.write(2050);
  EXPECT_EQ(lab.shape(), "100:1100 1100:2100");
}

TEST(Nagle, TheTailOfAWriteGoesWithIt) {  // Minshall's form
  Lab lab;
  lab.write(1500);
  EXPECT_EQ(lab.shape(), "0:1000 1000:1500");
}

TEST(Nagle, Off) {
  Lab lab;
  lab.c->tx.nagle = false;
  lab.write(100);
  lab.write(100);
  EXPECT_EQ(lab.shape(), "0:100 100:200");
}

TEST(Ecn, OnlyNewDataIsMarkedCapable) {  // RFC 3168 6.1.4 to 6.1.6
  Lab lab({.ecn = true});
  lab.write(1000);
  EXPECT_EQ(lab.taken().at(0).ecn, Ecn::ect0);
  lab.wait(Duration::seconds(1));
  for (const Packet& p : lab.taken()) EXPECT_EQ(p.ecn, Ecn::not_ect);
  send_ack(lab.core, *lab.c);
  EXPECT_EQ(lab.taken().at(0).ecn, Ecn::not_ect);
}

TEST(Ecn, OneReductionAWindowAndOneCwr) {  // RFC 3168 6.1.2
  Lab lab({.ecn = true});
  lab.write(100000);
  lab.taken();
  const uint32_t before = lab.c->cc.cwnd();
  lab.ack(1000, {}, wire::kTcpEce);
  const uint32_t after = lab.c->cc.cwnd();
  EXPECT_LT(after, before);
  lab.ack(2000, {}, wire::kTcpEce);
  lab.ack(3000, {}, wire::kTcpEce);
  EXPECT_EQ(lab.c->cc.cwnd(), after);
  EXPECT_EQ(lab.core.count.ecn_reductions, 1u);
  for (int32_t a = 4000; a <= 10000; a += 1000) lab.ack(a);
  int cwr = 0;
  for (const Packet& p : lab.taken()) cwr += p.has(wire::kTcpCwr);
  EXPECT_EQ(cwr, 1);
}

TEST(Stateless, AResetForAConnection) {
  Lab lab;
  lab.write(700);
  lab.taken();
  send_reset(lab.core, *lab.c);
  const Packet p = lab.taken().at(0);
  EXPECT_EQ(p.seq, 700);
  EXPECT_EQ(p.flags, wire::kTcpRst | wire::kTcpAck);
}

TEST(Stateless, KeepaliveIsOneBelow) {
  Lab lab;
  send_keepalive(lab.core, *lab.c);
  const Packet p = lab.taken().at(0);
  EXPECT_EQ(p.seq, -1);
  EXPECT_EQ(p.length, 0u);
}

}  // namespace
}  // namespace sluice::tcp::test
