// The timer wheel against a model: exact deadlines, wherever time starts and however far it jumps.
#include "table/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

constexpr int64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr Instant at(int64_t ns) { return {ns}; }

// Goes from one next_deadline() to the next up to `end`. Returns when each timer fired, and counts wake-ups.
struct Wakes {
  std::vector<std::pair<int64_t, uint32_t>> fired;
  int wakes = 0;
};
Wakes run(TimerWheel& w, int64_t end, unsigned budget = 64) {
  Wakes r;
  while (w.next_deadline().ns <= end) {
    const Instant now = w.next_deadline();
    r.wakes++;
    w.expire(now, budget, [&](uint32_t t) { r.fired.push_back({now.ns, t}); });
    if (r.wakes > 100'000) throw std::runtime_error("next_deadline() does not move on");
  }
  return r;
}

TEST(TimerWheel, NothingArmed) {
  TimerWheel w(4);
  EXPECT_EQ(w.next_deadline(), Instant::never());
  EXPECT_FALSE(w.armed(0));
  EXPECT_EQ(w.deadline(3), Instant::never());
  w.cancel(2);
  EXPECT_EQ(w.expire(at(INT64_MAX - 1), 9, [](uint32_t) { FAIL(); }), 0u);
}

TEST(TimerWheel, FiresAtItsDeadlineNotBefore) {
  for (const int64_t start : {int64_t{0}, int64_t{-5 * kSecond}, 400 * 86400 * kSecond, int64_t{1} << 62})
    for (const int64_t in : {int64_t{0}, int64_t{1}, int64_t{999}, 65535l, 65536l, 40 * kMs, 200 * kMs, kSecond, 924 * kSecond, 7200 * kSecond}) {
      TimerWheel w(1);
      w.expire(at(start), 9, [](uint32_t) {});
      w.arm(0, at(start + in));
      EXPECT_EQ(w.deadline(0), at(start + in));
      EXPECT_LE(w.next_deadline(), at(start + in));
      if (in > 0) {
        EXPECT_EQ(w.expire(at(start + in - 1), 9, [](uint32_t) {}), 0u);
      }
      EXPECT_TRUE(w.armed(0));
      EXPECT_EQ(w.next_deadline(), at(start + in)) << "near, and so exact";
      EXPECT_EQ(w.expire(at(start + in), 9, [](uint32_t) {}), 1u);
      EXPECT_FALSE(w.armed(0));
      EXPECT_EQ(w.next_deadline(), Instant::never());
    }
}

TEST(TimerWheel, FewWakeUpsLeadToAFarDeadline) {
  for (const int64_t in : {40 * kMs, kSecond, 60 * kSecond, 7200 * kSecond, 400 * 86400 * kSecond}) {
    TimerWheel w(2);
    w.arm(0, at(123456789 + in));
    const Wakes alone = run(w, INT64_MAX - 1);
    ASSERT_EQ(alone.fired.size(), 1u);
    EXPECT_EQ(alone.fired[0].first, 123456789 + in);
    EXPECT_EQ(alone.wakes, 1) << "arm() tells a first deadline exactly";
    w.arm(1, at(2 * (123456789 + in)));
    w.arm(0, at(123456789 + in + 5));
    w.cancel(0);  // leaves an early wake-up, and nothing else
    const Wakes second = run(w, INT64_MAX - 1);
    ASSERT_EQ(second.fired.size(), 1u);
    EXPECT_EQ(second.fired[0], (std::pair{2 * (123456789 + in), 1u}));
    EXPECT_LE(second.wakes, 9);
  }
}

TEST(TimerWheel, CancelAndMove) {
  TimerWheel w(3);
  w.arm(0, at(50 * kMs));
  w.arm(1, at(60 * kMs));
  w.arm(2, at(70 * kMs));
  w.cancel(1);
  w.arm(0, at(500 * kMs));  // later
  w.arm(2, at(10 * kMs));   // earlier
  EXPECT_EQ(w.armed_count(), 2u);
  EXPECT_EQ(w.next_deadline(), at(10 * kMs));
  const Wakes r = run(w, kSecond);
  EXPECT_EQ(r.fired, (std::vector<std::pair<int64_t, uint32_t>>{{10 * kMs, 2}, {500 * kMs, 0}}));
  w.arm(1, at(kSecond));
  w.arm(1, Instant::never());
  EXPECT_FALSE(w.armed(1));
  EXPECT_EQ(w.next_deadline(), Instant::never());
}

TEST(TimerWheel, APastDeadlineIsDueAtOnce) {
  TimerWheel w(2);
  w.expire(at(5 * kSecond), 9, [](uint32_t) {});
  w.arm(0, at(6 * kSecond));
  w.expire(at(6 * kSecond), 9, [](uint32_t) {});
  w.arm(1, at(kSecond));
  EXPECT_LE(w.next_deadline(), at(6 * kSecond));
  EXPECT_EQ(w.expire(at(6 * kSecond), 9, [](uint32_t) {}), 1u);
}

TEST(TimerWheel, InTheOrderOfTicks) {
  TimerWheel w(1000);
  std::mt19937_64 random(3);
  for (uint32_t i = 0; i < 1000; i++) w.arm(i, at(static_cast<int64_t>(random() % (100 * kSecond))));
  std::vector<int64_t> when;
  std::vector<Instant> deadlines;
  for (uint32_t i = 0; i < 1000; i++) deadlines.push_back(w.deadline(i));
  while (w.next_deadline() <= at(200 * kSecond))
    w.expire(at(200 * kSecond), 7, [&](uint32_t t) { when.push_back(deadlines[t].ns >> 16); });
  EXPECT_EQ(when.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(when.begin(), when.end()));
}

TEST(TimerWheel, TheBudgetHoldsAndTheRestIsDueStill) {
  TimerWheel w(100);
  for (uint32_t i = 0; i < 100; i++) w.arm(i, at(kSecond));
  unsigned n = 0;
  EXPECT_EQ(w.expire(at(kSecond), 30, [&](uint32_t) { n++; }), 30u);
  EXPECT_EQ(n, 30u);
  EXPECT_LE(w.next_deadline(), at(kSecond));
  EXPECT_EQ(w.expire(at(kSecond), 100, [&](uint32_t) { n++; }), 70u);
  EXPECT_EQ(w.next_deadline(), Instant::never());
}

TEST(TimerWheel, FireMayArmAndCancelAnything) {
  TimerWheel w(10);
  for (uint32_t i = 0; i < 8; i++) w.arm(i, at(100 * kMs));
  std::multiset<uint32_t> fired;
  w.expire(at(100 * kMs), 64, [&](uint32_t t) {
    EXPECT_FALSE(w.armed(t)) << "disarmed before the call";
    fired.insert(t);
    for (uint32_t o = 0; o < 8; o++)
      if (o != t) w.cancel(o);
    w.arm(t, at(150 * kMs));
    w.arm(9, at(100 * kMs));
  });
  EXPECT_EQ(fired.size(), 1u);
  const Wakes r = run(w, 150 * kMs);
  ASSERT_EQ(r.fired.size(), 2u);
  EXPECT_EQ(r.fired[0].second, 9u);
  EXPECT_EQ(r.fired[1], (std::pair{150 * kMs, *fired.begin()}));
}

TEST(TimerWheel, ATimerThatAlwaysRearmsItselfEndsWithTheBudget) {
  TimerWheel w(1);
  w.arm(0, at(kMs));
  EXPECT_LE(w.expire(at(2 * kMs), 50, [&](uint32_t t) { w.arm(t, at(kMs)); }), 50u);
  EXPECT_TRUE(w.armed(0));
  EXPECT_LE(w.next_deadline(), at(2 * kMs));
}

TEST(TimerWheel, ThreeMillionTimers) {
  constexpr uint32_t kMany = 3'000'000;
  TimerWheel w(kMany);
  const int64_t boot = 40 * 86400 * kSecond;
  for (uint32_t i = 0; i < kMany; i++) w.arm(i, at(boot + (i % 7200) * kSecond + i));
  EXPECT_EQ(w.armed_count(), kMany);
  EXPECT_EQ(w.next_deadline(), at(boot));
  for (uint32_t i = 0; i < kMany; i += 2) w.cancel(i);
  uint64_t fired = 0;
  unsigned calls = 0;
  for (; w.next_deadline() <= at(boot + 10'000 * kSecond); calls++)
    fired += w.expire(at(boot + 10'000 * kSecond), 1000, [](uint32_t t) { ASSERT_EQ(t % 2, 1u); });
  EXPECT_EQ(fired, kMany / 2);
  EXPECT_LT(calls, 20'000u) << "a call does not do everything, and not too little";
}

// Dealing out a slot stops after a bounded number: what is armed meanwhile keeps its time.
TEST(TimerWheel, DealingOutInPartKeepsTheOrder) {
  TimerWheel w(20'001);
  const int64_t base = int64_t{1} << 50;
  w.expire(at(base), 1, [](uint32_t) {});
  for (uint32_t i = 0; i < 20'000; i++) w.arm(i, at(base + 5000 * kSecond + i * kMs));
  w.arm(20'000, at(base + kSecond));
  EXPECT_EQ(run(w, base + 2 * kSecond).fired.size(), 1u);
  int64_t last = 0;
  uint64_t fired = 0;
  for (int64_t now = base + 4000 * kSecond; fired < 20'001 && now < base + 6000 * kSecond; now += 333 * kMs) {
    if (!w.armed(20'000) && fired == 100) w.arm(20'000, at(now + kMs));
    do {
      w.expire(at(now), 10, [&](uint32_t t) {
        fired++;
        if (t == 20'000) return;
        const int64_t due = base + 5000 * kSecond + t * kMs;
        EXPECT_LE(due, now);
        EXPECT_GE(due + (int64_t{1} << 16), last);
        last = due;
      });
    } while (w.next_deadline() <= at(now));
    for (uint32_t i = 0; i < 20'000; i += 997) {
      EXPECT_EQ(w.armed(i), base + 5000 * kSecond + i * kMs > now);
    }
  }
  EXPECT_GE(fired, 20'000u);
}

// Random operations and jumps of time, against a std::multimap.
class TimerWheelModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(TimerWheelModel, Agrees) {
  std::mt19937_64 random(GetParam());
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  const auto span = [&] { return below(uint64_t{1} << (1 + random() % (GetParam() % 3 == 0 ? 58 : 44))); };
  constexpr uint32_t kTimers = 300;
  TimerWheel w(kTimers);
  std::multimap<int64_t, uint32_t> model;
  std::vector<int64_t> deadline(kTimers, INT64_MAX);
  const auto drop = [&](uint32_t t) {
    if (deadline[t] == INT64_MAX) return;
    auto [i, end] = model.equal_range(deadline[t]);
    while (i->second != t) ++i;
    model.erase(i);
    deadline[t] = INT64_MAX;
  };
  const auto arm = [&](uint32_t t, int64_t when) {
    drop(t);
    w.arm(t, at(when));
    model.emplace(when, t);
    deadline[t] = when;
  };
  int64_t now = GetParam() % 2 ? below(uint64_t{1} << 61) : -below(uint64_t{1} << 50);
  int64_t last_now = INT64_MIN;
  int dealt_out = 0;  // calls that ended before all was dealt out
  for (int step = 0; step < 20'000; step++) {
    const uint32_t t = static_cast<uint32_t>(below(kTimers));
    switch (random() % 8) {
      case 0: case 1: case 2:
        if (now < INT64_MAX / 2) arm(t, now + span() - (random() % 16 == 0 ? 1000 : 0));
        break;
      case 3:
        drop(t);
        w.cancel(t);
        break;
      case 4:  // a jump, or a small step
        if (now < INT64_MAX / 2) now += random() % 4 == 0 ? span() : below(100'000);
        break;
      case 5:
        now = std::max(now, std::min(w.next_deadline().ns, now + (int64_t{1} << 40)));
        break;
      default: {
        ASSERT_LE(w.next_deadline().ns, model.empty() ? INT64_MAX : std::max(now, model.begin()->first));
        const unsigned budget = static_cast<unsigned>(1 + random() % 40);
        bool rearmed = false;
        const int64_t reached = last_now >> 16;  // what was armed for the past counts as of then
        last_now = now;
        int64_t last_tick = INT64_MIN;
        const unsigned n = w.expire(at(now), budget, [&](uint32_t f) {
          ASSERT_LE(deadline[f], now);
          if (!rearmed) {
            const int64_t tick = std::max(deadline[f] >> 16, reached);
            ASSERT_GE(tick, last_tick);
            last_tick = tick;
          }
          drop(f);
          if (random() % 8 == 0) rearmed = true, arm(f, now + span());
          if (random() % 8 == 0) {
            const uint32_t o = static_cast<uint32_t>(below(kTimers));
            drop(o);
            w.cancel(o);
          }
          if (random() % 8 == 0) rearmed = true, arm(static_cast<uint32_t>(below(kTimers)), now + below(3) - 1);
        });
        ASSERT_LE(n, budget);
        if (HasFatalFailure()) return;
        if (w.next_deadline().ns > now) {
          ASSERT_TRUE(model.empty() || model.begin()->first > now) << "something due was left";
        } else if (n < budget && !rearmed) {
          ASSERT_LT(++dealt_out, 3) << "no progress";
          step--;
          continue;
        }
        dealt_out = 0;
      }
    }
    ASSERT_EQ(w.armed_count(), model.size());
    ASSERT_EQ(w.deadline(t).ns, deadline[t]);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, TimerWheelModel, ::testing::Range<uint64_t>(1, 41));

}  // namespace
}  // namespace sluice
