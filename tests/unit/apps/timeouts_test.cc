// The wheel of time-outs, against a list.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "apps/timeouts.h"

namespace sluice::apps {
namespace {

constexpr int64_t kStep = Timeouts::kStep;

TEST(Timeouts, FireNotBeforeTheirTimeAndAtMostAStepLater) {
  for (unsigned seed = 1; seed <= 50; seed++) {
    std::mt19937_64 random(seed);
    const auto below = [&](int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random); };
    constexpr uint32_t kItems = 200;
    Timeouts t(kItems);
    std::map<uint32_t, int64_t> expected;
    int64_t now = 1'000'000'000 * (1 + below(1000));
    for (int round = 0; round < 3000; round++) {
      for (int64_t k = below(4); k > 0; k--) {
        const auto i = static_cast<uint32_t>(below(kItems));
        if (below(5) == 0) {
          t.clear(i);
          expected.erase(i);
          continue;
        }
        expected[i] = now + below(below(10) == 0 ? 100'000'000'000 : 3'000'000'000);
        t.set(i, expected[i], now);
        ASSERT_EQ(t.when(i), expected[i]);
      }
      // As an lcore would: called when the deadline says so, and at other times.
      const int64_t d = t.deadline();
      now = below(3) && d != INT64_MAX && d > now ? d : now + below(below(20) == 0 ? 20'000'000'000 : 30'000'000);
      const bool sleeping_past = d != INT64_MAX && now > d + kStep;
      t.run(now, 100000, [&](uint32_t i) {
        ASSERT_TRUE(expected.contains(i)) << "seed " << seed << ": fired though cleared";
        ASSERT_LE(expected[i], now) << "seed " << seed;
        ASSERT_TRUE(sleeping_past || expected[i] + kStep >= d) << "seed " << seed << ": too late";
        expected.erase(i);
      });
      for (const auto& [i, when] : expected) ASSERT_GT(when + kStep + 1, now) << "seed " << seed << ": did not fire";
    }
  }
}

TEST(Timeouts, ADeadlineIsPutOffWithoutMovingTheItem) {
  Timeouts t(4);
  int64_t now = 5'000'000'000;
  t.set(1, now + 1'000'000'000, now);
  int fired = 0;
  for (int i = 0; i < 100; i++) {
    now += 500'000'000;
    t.run(now, 10, [&](uint32_t) { fired++; });
    t.set(1, now + 1'000'000'000, now);
  }
  EXPECT_EQ(fired, 0);
  t.run(now + 1'020'000'000, 10, [&](uint32_t) { fired++; });
  t.run(now + 1'020'000'000, 10, [&](uint32_t) { fired++; });
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(t.deadline(), INT64_MAX);
}

TEST(Timeouts, ABudgetLeavesTheRestDue) {
  Timeouts t(100);
  for (uint32_t i = 0; i < 100; i++) t.set(i, 1'000'000'000, 0);
  int fired = 0;
  t.run(2'000'000'000, 30, [&](uint32_t) { fired++; });
  EXPECT_EQ(fired, 30);
  EXPECT_LE(t.deadline(), 2'000'000'000);
  t.run(2'000'000'000, 100, [&](uint32_t) { fired++; });
  EXPECT_EQ(fired, 100);
}

TEST(Timeouts, WhatFiresMaySetItselfAgain) {
  Timeouts t(1);
  t.set(0, 1'000'000'000, 0);
  int fired = 0;
  int64_t now = 0;
  for (int k = 0; k < 10; k++) {
    now = t.deadline();
    t.run(now, 10, [&](uint32_t i) {
      fired++;
      t.set(i, now + 1'000'000'000, now);
    });
  }
  EXPECT_EQ(fired, 10);
}

}  // namespace
}  // namespace sluice::apps
