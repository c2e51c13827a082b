// Drop rules of a NIC: as many as it takes, the first of the list, and none that is not asked for.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "port/dpdk_flow.h"

namespace sluice::port {
namespace {

class FakeNic : public RuleTaker {
 public:
  void* add(const Prefix& source) override {
    adds++;
    if (there.size() == room) return nullptr;
    EXPECT_TRUE(there.insert(source).second) << "twice";
    return all.emplace_back(new Prefix(source)).get();
  }
  bool remove(void* rule) override {
    if (stubborn) return false;
    return there.erase(*static_cast<Prefix*>(rule)) == 1;
  }
  void remove_all() override {
    there.clear();
    stubborn = false;
  }
  uint64_t dropped(void* rule) override { return there.contains(*static_cast<Prefix*>(rule)) ? 10 : 0; }

  std::set<Prefix> there;
  std::vector<std::unique_ptr<Prefix>> all;
  size_t room = 100, adds = 0;
  bool stubborn = false;
};

std::vector<Prefix> nets(uint32_t first, uint32_t n) {
  std::vector<Prefix> all;
  for (uint32_t i = first; i < first + n; i++) all.push_back({Ip4::from_host(0x0a000000 + (i << 8)), 24});
  return all;
}
std::set<Prefix> as_set(const std::vector<Prefix>& v) {
  return {v.begin(), v.end()};
}

TEST(HardwareDrops, FollowTheListAndKeepWhatStays) {
  FakeNic nic;
  HardwareDrops drops;
  EXPECT_EQ(drops.set(nic, nets(0, 10)), 10u);
  EXPECT_EQ(nic.there, as_set(nets(0, 10)));
  EXPECT_EQ(drops.set(nic, nets(5, 10)), 10u);
  EXPECT_EQ(nic.there, as_set(nets(5, 10)));
  EXPECT_EQ(nic.adds, 15u) << "what was there is not given again";
  EXPECT_EQ(drops.dropped(nic), 10 * 10 + 5 * 10u) << "also by rules that are no more";
  drops.clear(nic);
  EXPECT_TRUE(nic.there.empty());
}

TEST(HardwareDrops, TheFirstAsFarAsTheyFit) {
  FakeNic nic;
  HardwareDrops drops;
  nic.room = 4;
  EXPECT_EQ(drops.set(nic, nets(0, 10)), 4u);
  EXPECT_EQ(nic.there, as_set(nets(0, 4)));
  // A new one comes first: the last of those there are makes room.
  std::vector<Prefix> more = nets(50, 1);
  for (const Prefix& p : nets(0, 10)) more.push_back(p);
  EXPECT_EQ(drops.set(nic, more), 4u);
  EXPECT_EQ(nic.there, as_set({more.begin(), more.begin() + 4}));
}

TEST(HardwareDrops, ARuleThatTheNicDoesNotLetGoTakesAllWithIt) {
  FakeNic nic;
  HardwareDrops drops;
  EXPECT_EQ(drops.set(nic, nets(0, 5)), 5u);
  nic.stubborn = true;
  EXPECT_EQ(drops.set(nic, nets(1, 4)), 4u);
  EXPECT_EQ(nic.there, as_set(nets(1, 4)));
}

TEST(HardwareDrops, AreForgottenWithTheirDevice) {
  FakeNic nic;
  HardwareDrops drops;
  drops.set(nic, nets(0, 3));
  drops.forget();
  nic.there.clear();
  EXPECT_EQ(drops.set(nic, nets(0, 3)), 3u);
  EXPECT_EQ(nic.there.size(), 3u);
}

}  // namespace
}  // namespace sluice::port
