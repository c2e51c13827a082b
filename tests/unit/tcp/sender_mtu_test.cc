// Path MTU: path_mtu.cc.
#include "tests/unit/tcp/sender_lab.h"

namespace sluice::tcp::test {
namespace {

IcmpError too_big(const Lab& lab, int32_t seq, uint32_t mtu) {
  return {IcmpError::Kind::too_big, lab.c->tuple, Seq{Lab::absolute(seq)}, mtu};
}

TEST(PathMtu, AMessageLowersItAndTheDataGoesAgainAtOnce) {  // RFC 1191 6.3, 6.5
  Lab lab({.mss = 1460});
  lab.write(5840);
  lab.taken();
  const uint32_t cwnd = lab.c->cc.cwnd();
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 1000));
  lab.flush();
  EXPECT_EQ(lab.view().mss, 960);
  EXPECT_GE(lab.c->cc.cwnd(), cwnd);
  uint32_t bytes = 0;
  for (const Packet& p : lab.taken()) {
    EXPECT_LE(p.length, 960u);
    EXPECT_TRUE(p.dont_fragment);
    bytes += p.length;
  }
  EXPECT_EQ(bytes, 5840u);
}

TEST(PathMtu, AQuoteOfNothingInFlightIsIgnored) {  // RFC 5927 4
  Lab lab({.mss = 1460});
  lab.write(5840);
  lab.ack(2920);
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 1000));
  path_mtu(lab.core, *lab.c, too_big(lab, 5840, 1000));
  EXPECT_EQ(lab.view().mss, 1460);
  EXPECT_EQ(lab.core.count.mtu_icmp_ignored, 2u);
}

TEST(PathMtu, OnceLargeSegmentsPassedAMessageWaitsForATimeout) {  // RFC 5927 7.2
  Lab lab({.mss = 1460});
  lab.write(20440);
  lab.ack(1460);
  path_mtu(lab.core, *lab.c, too_big(lab, 1460, 600));
  EXPECT_EQ(lab.view().mss, 1460);
  lab.ack(2920);
  lab.wait(Duration::seconds(1));
  EXPECT_EQ(lab.view().mss, 1460) << "what was quoted was acknowledged: the message was false";
  path_mtu(lab.core, *lab.c, too_big(lab, 2920, 600));
  lab.wait(Duration::seconds(30));
  EXPECT_EQ(lab.view().mss, 560);
}

TEST(PathMtu, AnIncreaseIsIgnored) {
  Lab lab({.mss = 1460});
  lab.write(1460);
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 9000));
  EXPECT_EQ(lab.view().path_mtu, 1500u);
}

TEST(PathMtu, BelowTheFloorFragmentsAreAllowed) {
  Lab lab({.mss = 1460});
  lab.write(1460);
  lab.taken();
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 100));
  lab.flush();
  EXPECT_EQ(lab.view().path_mtu, 552u);
  EXPECT_FALSE(lab.taken().at(0).dont_fragment);
}

TEST(PathMtu, Ip6NeverGoesBelow1280) {  // RFC 8201 4
  Lab lab({.ip6 = true, .mss = 1440});
  lab.write(1440);
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 600));
  EXPECT_EQ(lab.view().path_mtu, 1280u);
}

TEST(PathMtu, ARouterThatDoesNotTellTheNextPlateau) {  // RFC 1191 7.1
  Lab lab({.mss = 1460});
  lab.write(1460);
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 0));
  EXPECT_EQ(lab.view().path_mtu, 1492u);
}

TEST(PathMtu, ABlackHoleIsFoundByTimeouts) {  // RFC 4821 7.7
  Lab lab({.mss = 1460});
  lab.write(14600);
  lab.wait(Duration::seconds(10));
  EXPECT_EQ(lab.view().path_mtu, 1024u);
  EXPECT_EQ(lab.core.count.mtu_blackholes, 1u);
  EXPECT_LE(lab.taken().back().length, 984u);
}

TEST(PathMtu, SmallSegmentsThatVanishSayNothingOfTheMtu) {
  Lab lab({.mss = 1460});
  lab.write(100);
  lab.wait(Duration::seconds(100));
  EXPECT_EQ(lab.view().path_mtu, 1500u);
}

// A peer behind a path that swallows packets above `true_mtu`, 100 ms away.
void pass(Lab& lab, uint32_t true_mtu, int rounds) {
  std::vector<bool> got(8 << 20);
  for (int32_t i = 0; i < Lab::relative(lab.c->snd_una); i++) got[static_cast<size_t>(i)] = true;
  for (int round = 0; round < rounds; round++) {
    lab.write(std::min({60000u, send_room(*lab.c), 7000000 - lab.written}));
    lab.wait(Duration::millis(100));
    size_t top = 0;
    for (const Packet& p : lab.taken()) {
      if (p.length + 40 > true_mtu) continue;
      for (int32_t i = p.seq; i < p.end(); i++) got[static_cast<size_t>(i)] = true;
      top = std::max(top, static_cast<size_t>(p.end()));
    }
    const auto at = [&](size_t from, bool v) { return static_cast<size_t>(std::find(got.begin() + static_cast<long>(from), got.end(), v) - got.begin()); };
    const size_t edge = at(0, false);
    std::vector<Lab::Block> sack;
    for (size_t l = at(edge, true); l < top && sack.size() < 3; l = at(at(l, false), true))
      sack.push_back({static_cast<int32_t>(l), static_cast<int32_t>(at(l, false))});
    if (top) lab.ack(static_cast<int32_t>(edge), sack);
  }
}

TEST(PathMtu, AfterABlackHoleLargerSegmentsAreTried) {  // RFC 4821 7.3
  Lab lab({.mss = 1460});
  lab.write(14600);
  lab.wait(Duration::seconds(10));
  ASSERT_EQ(lab.view().path_mtu, 1024u);
  lab.wait(Duration::seconds(600));
  pass(lab, 1400, 200);
  EXPECT_LE(lab.view().path_mtu, 1400u);
  EXPECT_GE(lab.view().path_mtu, 1400u - 64);
  EXPECT_GE(lab.core.count.mtu_raised, 1u);
}

TEST(PathMtu, AMessageAges) {  // RFC 1191 6.3
  Lab lab({.mss = 1460});
  lab.write(14600);
  path_mtu(lab.core, *lab.c, too_big(lab, 0, 1000));
  lab.flush();
  lab.ack(14600);
  lab.core.now = lab.core.now + Duration::seconds(601);
  lab.taken();
  pass(lab, 1500, 50);
  EXPECT_GE(lab.view().path_mtu, 1468u);
}

}  // namespace
}  // namespace sluice::tcp::test
