#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

class NdTest : public Lab {
 public:
  const std::string own = "2001:db8:1::1", peer = "2001:db8:1::10", link = to_string(link_local_of(mac_of_port(0))),
                    peer_link = "fe80::54:1";
  std::string group(const std::string& a) { return to_string(solicited_node(a6(a))); }
  Octets slla(const Mac& m = kPeer) { return option_mac(1, m); }
  Octets tlla(const Mac& m = kPeer) { return option_mac(2, m); }

  void expect_advertisement(const std::string& target, const std::string& to, const Mac& mac, uint32_t flags) {
    const Sent s = take();
    EXPECT_EQ(s.kind(), RingKind::transmit);
    EXPECT_EQ(s.meta.egress, 0);
    EXPECT_EQ(s.dst(), mac);
    EXPECT_EQ(s.src(), mac_of_port(0));
    Nd n{.src = target, .dst = to, .target = target, .options = tlla(mac_of_port(0)), .flags = flags, .type = 136};
    EXPECT_EQ(tail(s.frame, 14), nd_packet(n));
  }
  // An entry in state reachable.
  void make_reachable() {
    resolve(peer, 0);
    EXPECT_TRUE(take().nd(135));
    na({.src = peer, .dst = own, .target = peer, .options = tlla(), .flags = kSolicited | kOverride});
    EXPECT_EQ(take().kind(), RingKind::transmit);
    ASSERT_EQ(state(peer), NeighborState::reachable);
  }
};

TEST_F(NdTest, AnswersSolicitationsForItsAddresses) {
  for (const std::string& target : {own, link}) {
    ns({.src = peer, .dst = group(target), .target = target, .options = slla()});
    expect_advertisement(target, peer, kPeer, kRouter | kSolicited | kOverride);
    ns({.src = peer_link, .dst = target, .target = target, .options = slla()});
    expect_advertisement(target, peer_link, kPeer, kRouter | kSolicited | kOverride);
  }
  nothing();
  EXPECT_EQ(state(peer), NeighborState::stale);
  EXPECT_EQ(mac(peer_link), kPeer);
}

TEST_F(NdTest, AnswersAUnicastProbeWithoutOptions) {
  ns({.src = peer, .dst = group(own), .target = own, .options = slla()});
  take();
  ns({.src = peer, .dst = own, .target = own});
  expect_advertisement(own, peer, kPeer, kRouter | kSolicited | kOverride);
  EXPECT_EQ(state(peer), NeighborState::delay);
}

TEST_F(NdTest, AsksForTheMacOfWhoAskedWithoutOne) {
  ns({.src = peer, .dst = group(own), .target = own});
  const Sent s = take();
  EXPECT_TRUE(s.nd(135));
  EXPECT_EQ(s.dst(), multicast_mac(solicited_node(a6(peer))));
  na({.src = peer, .dst = own, .target = peer, .options = tlla(), .flags = kSolicited});
  expect_advertisement(own, peer, kPeer, kRouter | kSolicited | kOverride);
}

TEST_F(NdTest, AnswersDuplicateAddressDetectionToAll) {
  for (const std::string& target : {own, link}) {
    ns({.src = "::", .dst = group(target), .target = target});
    expect_advertisement(target, "ff02::1", multicast_mac(a6("ff02::1")), kRouter | kOverride);
  }
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NdTest, InvalidSolicitationsAreSilent) {
  ns({.src = peer, .dst = group(own), .target = own, .options = slla(), .hop_limit = 254});
  ns({.src = peer, .dst = group(own), .target = own, .options = slla(), .code = 1});
  ns({.src = peer, .dst = group(own), .target = "ff02::1", .options = slla()});
  ns({.src = "::", .dst = group(own), .target = own, .options = slla()});           // source option from nobody
  ns({.src = "::", .dst = own, .target = own});                                     // not to the group
  ns({.src = "::", .dst = "ff02::1", .target = own});
  ns({.src = peer, .dst = group(own), .target = own, .options = Octets{1, 0, 2, 2, 2, 2, 2, 2}});  // length 0
  ns({.src = peer, .dst = group(own), .target = own, .options = Octets{1, 2} + of(kPeer)});        // beyond the end
  ns({.src = peer, .dst = group(own), .target = own, .options = Octets{14, 1, 0}});
  ns({.src = peer, .dst = group(own), .target = own, .options = slla(kBroadcast)});
  ns({.src = peer, .dst = group(own), .target = own, .options = slla(Mac{})});
  EXPECT_EQ(drops(DropReason::nd_invalid), 11u);
  Octets wrong = nd_packet({.src = peer, .dst = own, .target = own, .options = slla(), .type = 135});
  wrong[43] ^= 1;
  in(eth(wrong, 0x86dd));
  in(eth(ip6({.src = peer, .dst = own, .next = 58, .hop_limit = 255}, icmp6(peer, own, 135, 0, zeros(12))), 0x86dd));
  nothing();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NdTest, UnknownOptionsArePassedOver) {
  ns({.src = peer, .dst = group(own), .target = own, .options = Octets{14, 1} + zeros(6) + slla() + Octets{200, 2} + zeros(14)});
  expect_advertisement(own, peer, kPeer, kRouter | kSolicited | kOverride);
}

TEST_F(NdTest, FragmentedSolicitationsAreIgnored) {
  const Octets whole = nd_packet({.src = peer, .dst = own, .target = own, .options = slla(), .type = 135});
  in(eth(ip6({.src = peer, .dst = own, .next = 44, .hop_limit = 255}, frag6(58, 0, false) + tail(whole, 40)), 0x86dd));
  nothing();
  EXPECT_EQ(drops(DropReason::nd_invalid), 1u);
}

TEST_F(NdTest, AnswersForNobodyElse) {
  for (const std::string target : {"2001:db8:1::2", "2001:db8:2::1", "2001:db8:1::10"})
    ns({.src = peer, .dst = group(target), .target = target, .options = slla()});
  ns({.src = peer, .dst = own, .target = "2001:db8:1::99", .options = slla()});
  nothing();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NdTest, AnswersForTheSubnetsRoutersWithoutOverride) {
  const std::string anycast = "2001:db8:1::";
  ns({.src = peer, .dst = group(anycast), .target = anycast, .options = slla()});
  expect_advertisement(anycast, peer, kPeer, kRouter | kSolicited);
}

TEST_F(NdTest, LearnsNothingFromSendersOffTheLink) {
  ns({.src = "2001:db8:77::1", .dst = group(own), .target = own, .options = slla()});
  EXPECT_TRUE(take().nd(136));
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NdTest, AdvertisementsCreateNothing) {
  na({.src = peer, .dst = own, .target = peer, .options = tlla(), .flags = kSolicited | kOverride});
  na({.src = peer, .dst = "ff02::1", .target = peer, .options = tlla(), .flags = kOverride});
  nothing();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NdTest, AskingIsWellFormed) {
  resolve("2001:db8:2::20", 1);
  const Sent s = take();
  const std::string from = "2001:db8:2::1", to = group("2001:db8:2::20");
  EXPECT_EQ(s.meta.egress, 1);
  EXPECT_EQ(s.frame, eth(nd_packet({.src = from, .dst = to, .target = "2001:db8:2::20", .options = slla(mac_of_port(1)), .type = 135}),
                         0x86dd, multicast_mac(a6(to)), mac_of_port(1)));
  resolve("fe80::99", 1);
  EXPECT_EQ(tail(head(take().frame, 38), 22), of(link_local_of(mac_of_port(1))));
}

// RFC 4861 7.2.5 and appendix C, row by row.
struct AdvertCase {
  const char* what;
  NeighborState before;
  bool has_mac, same_mac;
  uint32_t flags;
  NeighborState after;
  bool new_mac;
};

class AdvertTable : public NdTest, public ::testing::WithParamInterface<AdvertCase> {};

TEST_P(AdvertTable, Row) {
  const AdvertCase& c = GetParam();
  if (c.before == NeighborState::incomplete) {
    resolve(peer, 0);
    take();
  } else {
    make_reachable();
    if (c.before == NeighborState::stale) {
      na({.src = peer, .dst = own, .target = peer, .options = tlla(kOther), .flags = kOverride});
      na({.src = peer, .dst = own, .target = peer, .options = tlla(kPeer), .flags = kOverride});
    }
  }
  ASSERT_EQ(state(peer), c.before);
  na({.src = peer, .dst = own, .target = peer,
      .options = c.has_mac ? tlla(c.same_mac ? kPeer : kOther) : Octets{}, .flags = c.flags});
  out.clear();
  EXPECT_EQ(state(peer), c.after) << c.what;
  if (c.after != NeighborState::incomplete) {
    EXPECT_EQ(mac(peer), c.new_mac ? kOther : kPeer) << c.what;
  }
}

using S = NeighborState;
INSTANTIATE_TEST_SUITE_P(
    Rfc4861, AdvertTable,
    ::testing::Values(
        AdvertCase{"incomplete, no MAC", S::incomplete, false, false, Lab::kSolicited, S::incomplete, false},
        AdvertCase{"incomplete, solicited", S::incomplete, true, false, Lab::kSolicited, S::reachable, true},
        // The packet that waited is sent, which is use.
        AdvertCase{"incomplete, unsolicited", S::incomplete, true, false, Lab::kOverride, S::delay, true},
        AdvertCase{"solicited, same", S::stale, true, true, Lab::kSolicited, S::reachable, false},
        AdvertCase{"solicited, no MAC", S::stale, false, false, Lab::kSolicited, S::reachable, false},
        AdvertCase{"solicited, other, no override: reachable", S::reachable, true, false, Lab::kSolicited, S::stale, false},
        AdvertCase{"solicited, other, no override: stale", S::stale, true, false, Lab::kSolicited, S::stale, false},
        AdvertCase{"solicited, other, override", S::stale, true, false, Lab::kSolicited | Lab::kOverride, S::reachable, true},
        AdvertCase{"unsolicited, same, override", S::reachable, true, true, Lab::kOverride, S::reachable, false},
        AdvertCase{"unsolicited, same", S::reachable, true, true, 0, S::reachable, false},
        AdvertCase{"unsolicited, other, override", S::reachable, true, false, Lab::kOverride, S::stale, true},
        AdvertCase{"unsolicited, other", S::reachable, true, false, 0, S::stale, false},
        AdvertCase{"unsolicited, no MAC", S::reachable, false, false, Lab::kOverride, S::reachable, false}));

TEST_F(NdTest, InvalidAdvertisementsChangeNothing) {
  make_reachable();
  const uint32_t f = kOverride;
  na({.src = peer, .dst = own, .target = peer, .options = tlla(kOther), .flags = f, .hop_limit = 64});
  na({.src = peer, .dst = own, .target = peer, .options = tlla(kOther), .flags = f, .code = 1});
  na({.src = peer, .dst = "ff02::1", .target = peer, .options = tlla(kOther), .flags = f | kSolicited});
  na({.src = peer, .dst = own, .target = "ff02::1", .options = tlla(kOther), .flags = f});
  na({.src = peer, .dst = own, .target = peer, .options = tlla(kOther) + Octets{9, 0} + zeros(6), .flags = f});
  na({.src = peer, .dst = own, .target = peer, .options = tlla(kBroadcast), .flags = f});
  na({.src = peer, .dst = own, .target = own, .options = tlla(kOther), .flags = f});
  EXPECT_EQ(drops(DropReason::nd_invalid), 7u);
  EXPECT_EQ(mac(peer), kPeer);
  EXPECT_EQ(state(peer), NeighborState::reachable);
}

TEST_F(NdTest, RouterMessagesAndRedirectsAreIgnored) {
  for (uint8_t type : Octets{133, 134, 137})
    in(eth(ip6({.src = peer_link, .dst = type == 137 ? own : "ff02::1", .next = 58, .hop_limit = 255},
               icmp6(peer_link, type == 137 ? own : "ff02::1", type, 0, zeros(60))),
           0x86dd, type == 137 ? mac_of_port(0) : multicast_mac(a6("ff02::1")), kPeer));
  nothing();
  EXPECT_EQ(drops(DropReason::icmp_unhandled), 3u);
  EXPECT_EQ(table->size(), 0u);
}

}  // namespace
}  // namespace sluice::test
