// Hints are seen where the verdict looks for them, last one to two generations, and are believed by mistake as rarely as
// fill() says.
#include "table/flow_hints.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "classes.h"

namespace sluice {
namespace {

class Hints : public ::testing::Test {
 protected:
  std::unique_ptr<sluice_hints> memory_ = std::make_unique<sluice_hints>();
  FlowHints hints_{memory_.get(), 0x1234, 0x5678};
  static IpAddr host(uint32_t n) { return Ip4::from_host(0xc6120000 + n); }
  bool marked(uint32_t n) { return hints_.marked(host(n), host(1), 10, 20, 6); }
  void mark(uint32_t n) { hints_.mark(host(n), host(1), 10, 20, 6); }
};

TEST_F(Hints, ATupleIsWhatWasMarkedAndNothingNearIt) {
  const IpAddr a = host(1), b = host(2), a6 = *parse_ip6("2001:db8::1"), b6 = *parse_ip6("2001:db8::2");
  EXPECT_FALSE(hints_.marked(a, b, 10, 20, 6));
  hints_.mark(a, b, 10, 20, 6);
  hints_.mark(a6, b6, 10, 20, 17);
  EXPECT_TRUE(hints_.marked(a, b, 10, 20, 6));
  EXPECT_TRUE(hints_.marked(a6, b6, 10, 20, 17));
  EXPECT_FALSE(hints_.marked(b, a, 10, 20, 6)) << "the other direction";
  EXPECT_FALSE(hints_.marked(a, b, 20, 10, 6));
  EXPECT_FALSE(hints_.marked(a, host(3), 10, 20, 6));
  EXPECT_FALSE(hints_.marked(host(3), b, 10, 20, 6));
  for (const unsigned byte : {0u, 8u}) {  // of either word
    for (const bool source : {true, false}) {
      IpAddr x = a6, y = b6;
      (source ? x : y).b[byte] ^= 1;
      EXPECT_FALSE(hints_.marked(x, y, 10, 20, 17)) << source << " " << byte;
    }
  }
  EXPECT_FALSE(hints_.marked(a, b, 10, 20, 17));
  EXPECT_FALSE(hints_.marked(a6, b6, 10, 21, 17));
  EXPECT_FALSE((FlowHints{memory_.get(), 0x1234, 0x5679}.marked(a, b, 10, 20, 6))) << "another key";
}

// By the function that the verdict uses, from the packet's bytes.
TEST_F(Hints, AreWhereTheVerdictLooks) {
  mark(7);
  const uint8_t src[16] = {198, 18, 0, 7}, dst[16] = {198, 18, 0, 1};
  __u64 s[2], d[2];
  std::memcpy(s, src, 16), std::memcpy(d, dst, 16);
  const uint16_t ports[2] = {10, 20};
  uint32_t both;
  std::memcpy(&both, ports, 4);
  const uint64_t hash = sluice_tuple_hash(&hints_.key(), s, d, both, 4, 6);
  sluice_env env{};
  env.hints = memory_.get();
  EXPECT_TRUE(sluice_is_established(&env, hash));
  EXPECT_FALSE(sluice_is_established(&env, hash ^ 1));
}

TEST_F(Hints, FadeAfterOneToTwoGenerations) {
  mark(1);
  hints_.turn();
  EXPECT_TRUE(marked(1));
  mark(2);
  hints_.turn();
  EXPECT_FALSE(marked(1));
  EXPECT_TRUE(marked(2));
  mark(2);
  hints_.turn();
  EXPECT_TRUE(marked(2)) << "marked again in each generation, it stays";
  hints_.turn();
  EXPECT_FALSE(marked(2));
  EXPECT_EQ(hints_.fill(), 0.0);
}

TEST_F(Hints, FalsePositivesAreAsFillSays) {
  std::mt19937 random(1);
  for (uint32_t i = 0; i < 1'000'000; i++) hints_.mark(Ip4::from_host(static_cast<uint32_t>(random())), host(1), 1, 2, 6);
  const double fill = hints_.fill();
  EXPECT_NEAR(fill, 2e6 / (64.0 * SLUICE_HINT_CELLS), 0.003);
  unsigned wrong = 0;
  for (uint32_t i = 0; i < 100'000; i++) wrong += hints_.marked(Ip4::from_host(static_cast<uint32_t>(random())), host(2), 1, 2, 17);
  // A tuple whose two bits are one and the same, one in 64, is told with one.
  EXPECT_LT(wrong, 100'000 * (fill * fill + fill / 64) * 1.5 + 30);
}

TEST_F(Hints, MarksFromSeveralThreadsAreAllThere) {
  std::vector<std::thread> all;
  for (uint32_t t = 0; t < 4; t++)
    all.emplace_back([&, t] {
      for (uint32_t i = 0; i < 60'000; i++) mark(i * 4 + t);
    });
  for (auto& t : all) t.join();
  for (uint32_t i = 0; i < 240'000; i++) ASSERT_TRUE(marked(i)) << i;
}

}  // namespace
}  // namespace sluice
