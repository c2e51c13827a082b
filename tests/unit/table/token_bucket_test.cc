#include "table/token_bucket.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

Instant at(int64_t ns) {
  return Instant{} + Duration::nanos(ns);
}

TEST(TokenBucket, StartsFullAndIsBounded) {
  TokenBucket b;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(b.take(at(0), 10, 20));
  EXPECT_FALSE(b.take(at(0), 10, 20));
  int n = 0;
  while (b.take(at(3'600'000'000'000), 10, 20)) ++n;
  EXPECT_EQ(n, 20);
}

// A rate that does not divide a second, asked at odd moments: not one token lost or won in an hour.
TEST(TokenBucket, DoesNotDrift) {
  for (uint64_t rate : {1u, 3u, 7u, 1000u, 999'983u}) {
    TokenBucket b;
    EXPECT_TRUE(b.take(at(0), rate, 1'000'000, 1'000'000));
    std::mt19937 rnd(static_cast<unsigned>(rate));
    int64_t now = 0;
    uint64_t taken = 0;
    const int64_t end = 60'000'000'000;
    while (now < end) {
      now = std::min<int64_t>(end, now + 1 + static_cast<int64_t>(rnd() % 2'000'003));
      while (b.take(at(now), rate, 1'000'000)) ++taken;
    }
    EXPECT_EQ(taken, rate * 60) << rate;
  }
}

TEST(TokenBucket, ATokenComesAtItsNanosecond) {
  TokenBucket b;
  EXPECT_TRUE(b.take(at(1000), 1000, 1));
  EXPECT_FALSE(b.take(at(1000 + 999'999), 1000, 1));
  EXPECT_TRUE(b.take(at(1000 + 1'000'000), 1000, 1));
}

TEST(TokenBucket, SeveralAtOnce) {
  TokenBucket b;
  EXPECT_FALSE(b.take(at(0), 100, 5, 6));
  EXPECT_TRUE(b.take(at(0), 100, 5, 4));
  EXPECT_FALSE(b.take(at(0), 100, 5, 2));
  EXPECT_TRUE(b.has(at(0), 100, 5));
  EXPECT_TRUE(b.take(at(0), 100, 5, 1));
  EXPECT_FALSE(b.has(at(0), 100, 5));
}

TEST(TokenBucket, RateAndBurstMayChange) {
  TokenBucket b;
  EXPECT_TRUE(b.take(at(0), 10, 100));
  int n = 0;
  while (b.take(at(0), 10, 5)) ++n;  // a smaller burst takes effect at once
  EXPECT_EQ(n, 5);
  EXPECT_FALSE(b.take(at(999'999'999), 1, 5));
  EXPECT_TRUE(b.take(at(1'999'999'999), 1, 5));
  EXPECT_FALSE(b.take(at(2'000'000'000), 0, 5));
  EXPECT_FALSE(b.take(Instant{INT64_MAX / 2}, 0, 5));  // rate 0 never refills
  EXPECT_FALSE(TokenBucket().take(at(0), 10, 0));
}

TEST(TokenBucket, ExtremesDoNotOverflow) {
  TokenBucket b;
  const uint64_t most = 4'000'000'000;
  EXPECT_TRUE(b.take(at(0), most, most, most));
  EXPECT_FALSE(b.take(at(0), most, most));
  EXPECT_TRUE(b.take(Instant{INT64_MAX / 2}, most, most, most));
  EXPECT_FALSE(b.take(Instant{INT64_MAX / 2}, most, most));
}

TEST(TokenBucket, AClockThatStepsBackChangesNothing) {
  TokenBucket b;
  EXPECT_TRUE(b.take(at(5'000'000'000), 1, 1));
  EXPECT_FALSE(b.take(at(1'000'000'000), 1, 1));
  EXPECT_FALSE(b.take(at(5'999'999'999), 1, 1));
  EXPECT_TRUE(b.take(at(6'000'000'000), 1, 1));
}

}  // namespace
}  // namespace sluice
