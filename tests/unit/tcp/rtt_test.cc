// RFC 6298 by the numbers.
#include "tcp/rtt.h"

#include <gtest/gtest.h>

namespace sluice::tcp {
namespace {

constexpr Instant at(int64_t s) { return {Duration::seconds(s).ns}; }
constexpr Duration ms(int64_t n) { return Duration::millis(n); }

class RttTest : public ::testing::Test {
 protected:
  void SetUp() override { r.start(t); }
  void sample(Duration d, int64_t second = 0) { r.sample(t, at(second), d); }
  Tuning t;
  Rtt r;
};

TEST_F(RttTest, BeforeAnySample) {  // 2.1
  EXPECT_FALSE(r.measured());
  EXPECT_EQ(r.rto(), Duration::seconds(1));
  EXPECT_EQ(r.srtt(), Duration{});
  EXPECT_EQ(r.min(), Duration{});
}

TEST_F(RttTest, TheFirstSample) {  // 2.2
  sample(ms(100));
  EXPECT_TRUE(r.measured());
  EXPECT_EQ(r.srtt(), ms(100));
  EXPECT_EQ(r.var(), ms(50));
  EXPECT_EQ(r.rto(), ms(300));
}

TEST_F(RttTest, LaterSamples) {  // 2.3: the variance first, of the old mean
  sample(ms(100));
  sample(ms(180));
  EXPECT_EQ(r.var(), Duration::micros(57'500));  // 3/4 · 50 + 1/4 · 80
  EXPECT_EQ(r.srtt(), ms(110));                  // 7/8 · 100 + 1/8 · 180
  EXPECT_EQ(r.rto(), ms(340));
  sample(ms(30));
  EXPECT_EQ(r.var(), Duration::micros(63'125));
  EXPECT_EQ(r.srtt(), ms(100));
}

TEST_F(RttTest, ASteadyRoundTripKeepsSlack) {
  for (int i = 0; i < 200; i++) sample(ms(500));
  EXPECT_EQ(r.srtt(), ms(500));
  EXPECT_LT(r.var(), Duration::micros(1));
  EXPECT_EQ(r.rto(), ms(700));
}

TEST_F(RttTest, Bounds) {  // 2.4, 2.5
  sample(Duration::nanos(0));
  EXPECT_TRUE(r.measured());
  EXPECT_GE(r.rto(), t.rto_min);
  r.start(t);
  sample(Duration::seconds(50));
  EXPECT_EQ(r.rto(), t.rto_max);
}

TEST_F(RttTest, BackOffDoublesUpToTheMaximumAndIsUndone) {  // 5.5, 5.7
  sample(ms(100));
  for (const int64_t expected : {600, 1200, 2400, 4800, 9600, 19200, 38400, 60000, 60000}) {
    r.back_off(t);
    EXPECT_EQ(r.rto(), ms(expected));
  }
  r.undo_back_off(t);
  EXPECT_EQ(r.rto(), ms(300));
}

TEST_F(RttTest, BackOffBeforeAnySample) {
  r.back_off(t);
  EXPECT_EQ(r.rto(), Duration::seconds(2));
  r.undo_back_off(t);
  EXPECT_EQ(r.rto(), Duration::seconds(1));
}

TEST_F(RttTest, AHandshakeThatTimedOutStartsDataWithThreeSeconds) {  // 5.7
  r.back_off(t);
  r.handshake_timed_out(t);
  EXPECT_EQ(r.rto(), Duration::seconds(3));
  r.undo_back_off(t);
  EXPECT_EQ(r.rto(), Duration::seconds(3)) << "until something is measured";
  sample(ms(100));
  EXPECT_EQ(r.rto(), ms(300));
}

TEST_F(RttTest, TheMinimumIsOfTheLastMinutes) {
  sample(ms(50), 0);
  sample(ms(20), 1);
  sample(ms(80), 2);
  EXPECT_EQ(r.min(), ms(20));
  for (int64_t s = 3; s <= 149; s++) sample(ms(60), s);
  EXPECT_EQ(r.min(), ms(20));
  for (int64_t s = 150; s < 300; s++) sample(ms(60), s);
  EXPECT_EQ(r.min(), ms(20)) << "of the half window before";
  sample(ms(60), 301);
  EXPECT_EQ(r.min(), ms(60));
  sample(ms(40), 302);
  EXPECT_EQ(r.min(), ms(40));
}

TEST_F(RttTest, AfterALongSilenceTheMinimumIsNew) {
  sample(ms(5), 0);
  sample(ms(70), 10'000);
  EXPECT_EQ(r.min(), ms(70));
}

}  // namespace
}  // namespace sluice::tcp
