#include "engine/idle.h"

#include <gtest/gtest.h>

namespace sluice::engine {
namespace {

Instant at(int64_t us) { return Instant{} + Duration::micros(us); }

TEST(Idle, SpinsThenPausesThenSleeps) {
  Idle idle(false);
  EXPECT_EQ(idle.after(3, at(0)), Idle::Step::turn);
  EXPECT_EQ(idle.after(0, at(1)), Idle::Step::turn);
  EXPECT_EQ(idle.after(0, at(20)), Idle::Step::turn);
  EXPECT_EQ(idle.after(0, at(22)), Idle::Step::pause);
  EXPECT_EQ(idle.after(0, at(102)), Idle::Step::sleep);
}

TEST(Idle, OnlyWorkStartsAnew) {
  Idle idle(false);
  idle.after(0, at(1));
  EXPECT_EQ(idle.after(0, at(200)), Idle::Step::sleep);
  EXPECT_EQ(idle.after(0, at(100'000)), Idle::Step::sleep) << "a timer brought nothing: back to sleep at once";
  EXPECT_EQ(idle.after(1, at(100'001)), Idle::Step::turn);
  EXPECT_EQ(idle.after(0, at(100'002)), Idle::Step::turn);
}

TEST(Idle, LeavesOutSpinningThatBringsNothing) {
  Idle idle(false);
  int64_t t = 0;
  const auto sleeps_at_once = [&] { return idle.after(0, at(t += 1000)) == Idle::Step::sleep; };
  const auto work_after_sleep = [&] {
    idle.after(0, at(t += 1000));
    idle.length(at(t), Instant::never(), false);
    idle.after(1, at(t += 1000));
  };
  for (int i = 0; i < 16; ++i) work_after_sleep();
  EXPECT_TRUE(sleeps_at_once());
  EXPECT_EQ(idle.after(0, at(t + 1)), Idle::Step::sleep) << "and stays there, if a timer brings nothing";
  idle.after(1, at(t));
  unsigned spun = 0;
  for (int i = 0; i < 64; ++i) {
    spun += !sleeps_at_once();
    idle.length(at(t), Instant::never(), false);
    idle.after(1, at(t));
  }
  EXPECT_EQ(spun, 2u) << "tried again now and then";
  while (sleeps_at_once()) idle.after(1, at(t));
  idle.after(1, at(t + 10));
  EXPECT_FALSE(sleeps_at_once()) << "it brought work: that is what spinning is for";
}

TEST(Idle, BusyNeverSleeps) {
  Idle idle(true);
  for (int64_t t = 0; t < 10; ++t) EXPECT_EQ(idle.after(0, at(t * 1'000'000)), Idle::Step::turn);
}

TEST(Idle, SleepsUntilTheDeadlineAtMost) {
  Idle idle(false);
  EXPECT_EQ(idle.length(at(10), Instant::never(), false), Idle::kLongest);
  EXPECT_EQ(idle.length(at(10), at(15), false), Duration::micros(5));
  EXPECT_EQ(idle.length(at(10), at(10), false), Duration{}) << "the deadline is there";
  EXPECT_EQ(idle.length(at(10), at(3), false), Duration{}) << "and it may have passed";
}

TEST(Idle, LooksForItselfWhereNothingWakesIt) {
  Idle idle(false);
  Duration last{};
  for (int i = 0; i < 10; ++i) {
    const Duration d = idle.length(at(0), Instant::never(), true);
    EXPECT_GE(d, last);
    EXPECT_LE(d, Idle::kPollLong);
    last = d;
  }
  EXPECT_EQ(last, Idle::kPollLong);
  idle.after(1, at(5));
  EXPECT_EQ(idle.length(at(0), Instant::never(), true), Idle::kPollShort) << "work makes it watchful again";
}

TEST(WakeTimes, PercentilesOfTheLastOnes) {
  WakeTimes w;
  EXPECT_EQ(w.percentiles().p50, -1);
  for (int i = 1; i <= 100; ++i) w.add(Duration::nanos(i));
  EXPECT_EQ(w.percentiles().p50, 51);
  EXPECT_EQ(w.percentiles().p99, 100);
  for (int i = 0; i < 512; ++i) w.add(Duration::nanos(7));
  EXPECT_EQ(w.percentiles().p99, 7) << "old ones are forgotten";
}

}  // namespace
}  // namespace sluice::engine
