#include <set>

#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

class AnnounceTest : public Lab {
 public:
  void SetUp() override {
    Lab::SetUp();
    config.announce = 3;
    start();
  }
  std::multiset<std::string> announced() {
    std::multiset<std::string> all;
    while (!out.empty()) {
      const Sent s = take();
      EXPECT_EQ(s.kind(), RingKind::transmit);
      const unsigned p = s.meta.egress;
      EXPECT_EQ(s.src(), mac_of_port(p));
      if (s.arp(1)) {
        EXPECT_EQ(s.dst(), kBroadcast);
        EXPECT_EQ(head(tail(s.frame, 28), 4), head(tail(s.frame, 38), 4));
        all.insert(std::to_string(p) + " " + to_string(*reinterpret_cast<const Ip4*>(&s.frame[28])));
      } else {
        EXPECT_TRUE(s.nd(136));
        const std::string a = to_string(*reinterpret_cast<const Ip6*>(&s.frame[22]));
        EXPECT_EQ(tail(s.frame, 14), nd_packet({.src = a, .dst = "ff02::1", .target = a, .options = option_mac(2, mac_of_port(p)),
                                                .flags = kRouter | kOverride, .type = 136}));
        all.insert(std::to_string(p) + " " + a);
      }
    }
    return all;
  }
};

TEST_F(AnnounceTest, EveryAddressAFewTimesASecondApart) {
  for (int i = 0; i < 3; i++) {
    const auto all = announced();
    EXPECT_EQ(all.size(), 9u);
    EXPECT_EQ(all.count("1 198.18.2.1"), 1u);
    EXPECT_EQ(all.count("1 2001:db8:2::1"), 1u);
    EXPECT_EQ(all.count("1 " + to_string(link_local_of(mac_of_port(1)))), 1u);
    advance(Duration::seconds(1));
  }
  nothing();
  EXPECT_EQ(stack->next_deadline(), Instant::never());
}

TEST_F(AnnounceTest, ANewAddressAloneIsAnnounced) {
  advance(Duration::seconds(5));
  out.clear();
  ifs.port[1].addresses.push_back(parse_prefix("198.18.2.77/24").value());
  tick();
  nothing();  // the generation tells, not a comparison each time
  ifs.generation++;
  tick();
  EXPECT_EQ(announced(), std::multiset<std::string>{"1 198.18.2.77"});
  advance(Duration::seconds(5));
  EXPECT_EQ(out.size(), 2u);
  out.clear();
  ifs.port[1].addresses.pop_back();
  ifs.generation++;
  tick();
  advance(Duration::seconds(5));
  nothing();
}

TEST_F(AnnounceTest, AnAddressTakenAwayIsNotAnnouncedAnyMore) {
  out.clear();
  ifs.port[0].addresses.clear();
  ifs.generation++;
  advance(Duration::seconds(5));
  EXPECT_EQ(announced().count("0 198.18.1.1"), 0u);
}

TEST_F(AnnounceTest, ManyAddressesAreSpread) {
  advance(Duration::seconds(5));
  out.clear();
  for (unsigned i = 0; i < 200; i++) ifs.port[0].addresses.push_back(parse_prefix("198.18.1." + std::to_string(20 + i) + "/24").value());
  ifs.generation++;
  tick();
  EXPECT_LE(out.size(), 32u);
  advance(Duration::seconds(5));
  EXPECT_EQ(out.size(), 600u);
}

TEST_F(AnnounceTest, TheFirstDeadlineIsAtOnce) {
  stack = std::make_unique<stack::HostStack>(config, *table, account, pool_->mempool(), *this);
  EXPECT_LE(stack->next_deadline(), now);
  out.clear();
}

}  // namespace
}  // namespace sluice::test
