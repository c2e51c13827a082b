#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

using Arp = Lab;

const Mac kZero{};

TEST_F(Arp, AnswersARequestForItsOwnAddress) {
  in(arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1"));
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::transmit);
  EXPECT_EQ(s.meta.egress, 0);
  EXPECT_EQ(s.meta.worker, kWorker);
  EXPECT_EQ(s.frame, eth(words({1, 0x800, 0x604, 2}) + of(mac_of_port(0)) + of(a4("198.18.1.1")) + of(kPeer) +
                             of(a4("198.18.1.10")) + zeros(18), 0x806, kPeer, mac_of_port(0)));
  nothing();
  EXPECT_EQ(consumed(), 1u);
  EXPECT_EQ(account.box.created.get(), 1u);
}

TEST_F(Arp, AnswersWithoutPaddingAndWithTooMuch) {
  Octets f = arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1");
  in(head(f, 42));
  EXPECT_EQ(take().frame.size(), 60u);
  in(f + zeros(200, 0xaa));
  const Sent s = take();
  EXPECT_EQ(tail(s.frame, 42), zeros(18));
}

TEST_F(Arp, AnswersAUnicastRequest) {
  in(arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1", mac_of_port(0)));
  EXPECT_TRUE(take().arp(2));
}

TEST_F(Arp, AnswersForNobodyElse) {
  for (const char* t : {"198.18.1.2", "198.18.1.0", "198.18.1.255", "198.18.2.1", "198.18.2.10", "10.0.0.1", "0.0.0.0",
                        "127.0.0.1", "224.0.0.1", "255.255.255.255", "198.18.1.10"})
    in(arp_frame(1, kPeer, "198.18.1.10", kZero, t));
  nothing();
}

TEST_F(Arp, LearnsFromARequestForIt) {
  in(arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1"));
  EXPECT_EQ(mac("198.18.1.10"), kPeer);
  EXPECT_EQ(state("198.18.1.10"), NeighborState::stale);
  in(arp_frame(1, kOther, "198.18.1.10", kZero, "198.18.1.1", kBroadcast, kOther));
  EXPECT_EQ(mac("198.18.1.10"), kOther);
}

TEST_F(Arp, AProbeIsAnsweredAndTeachesNothing) {
  in(arp_frame(1, kPeer, "0.0.0.0", kZero, "198.18.1.1"));
  EXPECT_TRUE(take().arp(2));
  in(arp_frame(1, kPeer, "0.0.0.0", kZero, "198.18.1.15"));
  nothing();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(Arp, UnsolicitedMessagesCreateNothing) {
  in(arp_frame(2, kPeer, "198.18.1.20", mac_of_port(0), "198.18.1.1", mac_of_port(0)));
  in(arp_frame(2, kPeer, "198.18.1.20", mac_of_port(0), "198.18.1.1"));
  in(arp_frame(1, kPeer, "198.18.1.20", kZero, "198.18.1.20"));
  in(arp_frame(2, kPeer, "198.18.1.20", kPeer, "198.18.1.20"));
  in(arp_frame(1, kPeer, "198.18.1.20", kZero, "198.18.1.11"));
  in(arp_frame(2, kPeer, "198.18.1.20", kOther, "198.18.1.11"));
  nothing();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(Arp, AnnouncementsUpdateWhatIsKnown) {
  in(arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1"));
  take();
  in(arp_frame(1, kOther, "198.18.1.10", kZero, "198.18.1.10"));
  EXPECT_EQ(mac("198.18.1.10"), kOther);
  in(arp_frame(2, kPeer, "198.18.1.10", kPeer, "198.18.1.10"));
  EXPECT_EQ(mac("198.18.1.10"), kPeer);
  EXPECT_EQ(state("198.18.1.10"), NeighborState::stale);
  in(arp_frame(2, kOther, "198.18.1.10", kZero, "198.18.1.11"));  // said to somebody else
  EXPECT_EQ(mac("198.18.1.10"), kPeer);
}

TEST_F(Arp, ImpossibleSendersAreRefused) {
  for (const char* s : {"224.0.0.1", "255.255.255.255", "127.0.0.1", "240.0.0.1", "0.1.2.3", "198.18.1.0", "198.18.1.255",
                        "198.18.2.10", "10.1.1.1"})
    in(arp_frame(1, kPeer, s, kZero, "198.18.1.1"));
  for (const Mac& m : {kBroadcast, Mac{{1, 0, 0x5e, 0, 0, 1}}, Mac{{3, 0, 0, 0, 0, 1}}, kZero, mac_of_port(0)})
    in(arp_frame(1, m, "198.18.1.10", kZero, "198.18.1.1"));
  nothing();
  EXPECT_EQ(table->size(), 0u);
  EXPECT_EQ(drops(DropReason::arp_invalid), 14u);
}

TEST_F(Arp, MalformedMessagesAreRefused) {
  const Octets good = arp_frame(1, kPeer, "198.18.1.10", kZero, "198.18.1.1");
  auto with = [&](size_t at, Octets v) {
    Octets f = good;
    std::copy(v.begin(), v.end(), f.begin() + static_cast<long>(at));
    in(f);
  };
  for (uint8_t t : Octets{0, 2, 7}) with(14, {0, t});
  for (uint8_t t : Octets{1, 6, 255}) with(16, {8, t});
  for (uint8_t n : Octets{0, 1, 5, 7, 255}) with(18, {n});
  for (uint8_t n : Octets{0, 3, 5, 16}) with(19, {n});
  for (uint8_t op : Octets{0, 3, 9}) with(20, {0, op});
  with(20, {1, 1});
  for (size_t n = 14; n < 42; n++) in(head(good, n));
  nothing();
  in(good);
  EXPECT_TRUE(take().arp(2));
}

TEST_F(Arp, ItsOwnAddressIsDefendedNotBelieved) {
  in(arp_frame(1, kPeer, "198.18.1.1", kZero, "198.18.1.1"));
  const Sent s = take();
  EXPECT_TRUE(s.arp(1));
  EXPECT_EQ(s.dst(), kBroadcast);
  EXPECT_EQ(tail(s.frame, 22), of(mac_of_port(0)) + of(a4("198.18.1.1")) + zeros(6) + of(a4("198.18.1.1")) + zeros(18));
  in(arp_frame(2, kPeer, "198.18.1.1", kPeer, "198.18.1.1"));
  nothing();  // at most once in ten seconds
  advance(Duration::seconds(11));
  in(arp_frame(2, kPeer, "198.18.1.1", kPeer, "198.18.1.1"));
  EXPECT_TRUE(take().arp(1));
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(Arp, RepliesAreShownToTheHostBehindTheTap) {
  in(arp_frame(2, kPeer, "198.18.1.10", mac_of_port(0), "198.18.1.1", mac_of_port(0)));
  EXPECT_TRUE(to_host.empty());
  ifs.port[0].exception = {{.proto = 6, .dport = 22, .sport = 0, .source = {}}};
  const Octets reply = arp_frame(2, kPeer, "198.18.1.10", mac_of_port(0), "198.18.1.1", mac_of_port(0));
  in(reply);
  ASSERT_EQ(to_host.size(), 1u);
  EXPECT_EQ(to_host[0].frame, reply);
  EXPECT_EQ(to_host[0].meta.in_port, 0);
}

}  // namespace
}  // namespace sluice::test
