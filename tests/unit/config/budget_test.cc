#include "support.h"

namespace sluice::config {
namespace {

uint64_t part(const Budget& b, const std::string& name) {
  for (auto& [n, bytes] : b.parts)
    if (n == name) return bytes;
  return 0;
}

TEST(Budget, PartsAddUpLargestFirst) {
  const Budget b = memory_budget(load_text(kPorts, "t").model);
  uint64_t sum = 0, before = UINT64_MAX;
  for (auto& [name, bytes] : b.parts) {
    EXPECT_LE(bytes, before) << name;
    before = bytes;
    sum += bytes;
  }
  EXPECT_EQ(sum, b.total);
  EXPECT_GE(part(b, "packets"), 16384u * 4096);
}

TEST(Budget, GrowsWithWhatIsAskedFor) {
  const Model one = load_text(kPorts, "t").model;
  const Model two = load_text(kPorts, "t", {{"system.workers", "[1, 2]"}}).model;
  EXPECT_EQ(part(memory_budget(two), "IPv4 flows"), 2 * part(memory_budget(one), "IPv4 flows"));
  EXPECT_GE(part(memory_budget(one), "IPv4 flows"), (1u << 18) * 64u);
  EXPECT_GE(part(memory_budget(one), "IPv6 flows"), (1u << 16) * 128u);
  const uint64_t few = part(memory_budget(one), "IPv4 routes");
  EXPECT_GT(part(memory_budget(one, {1'000'000, 0}), "IPv4 routes"),
            few + (500u << 20));  // 560 MB measured for a table
  const Model rules =
      load_text(kPorts + "filter: {rules: [{action: deny, protocol: tcp, to-port: [1, 3, 5]}]}\n", "t").model;
  EXPECT_GT(part(memory_budget(rules), "rules"), part(memory_budget(one), "rules"));
}

TEST(Budget, ConnectionsCountWhereThereAreServices) {
  const Overrides echo = {{"services", "[{name: e, echo: yes, port: 7}]"}};
  Overrides two = echo;
  two.push_back({"system.stack", "[1, 2]"});
  EXPECT_EQ(part(memory_budget(load_text(kPorts, "t").model), "TCP connections"), 0u);
  const uint64_t one = part(memory_budget(load_text(kPorts, "t", echo).model), "TCP connections");
  EXPECT_GE(one, 65536u * 1024u);
  EXPECT_EQ(part(memory_budget(load_text(kPorts, "t", two).model), "TCP connections"), 2 * one);
}

TEST(Budget, TheLimitOfTheFileIsUpFrontAndNamesTheLargestParts) {
  EXPECT_TRUE(load_text(kPorts, "t", {{"system.memory-limit", "2 GiB"}}).ok());
  const Loaded l = load_text(kPorts, "t", {{"system.memory-limit", "1 GiB"}, {"flows.ip6", "8388608"}});
  ASSERT_EQ(l.mistakes.size(), 1u);
  EXPECT_EQ(l.mistakes[0].path, "system.memory-limit");
  EXPECT_NE(l.mistakes[0].message.find("its largest parts are IPv6 flows (1.1 GiB)"), std::string::npos)
      << all(l);
}

TEST(Budget, TheMachineIsAskedWhereTheFileIsOnDisk) {
  ASSERT_GT(available_memory(), 0u);
  const std::string path = ::testing::TempDir() + "/sluice_budget.yaml";
  std::ofstream(path) << kPorts;
  const Loaded l =
      load_file(path, {{"system.packets", "16777216"},
                       {"flows.ip4", "67108864"},
                       {"flows.ip6", "67108864"},
                       {"system.workers", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]"}});
  if (available_memory() > (300ull << 30)) GTEST_SKIP() << "this machine has room for everything";
  ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
  EXPECT_NE(l.mistakes[0].message.find("the memory that is free"), std::string::npos);
}

}  // namespace
}  // namespace sluice::config
