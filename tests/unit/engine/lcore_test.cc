#include "engine/lcore.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <latch>

#include "../eal_env.h"
#include "engine/nap.h"
#include "packet/pool.h"

namespace sluice::engine {
namespace {

constexpr Duration kLong = Duration::seconds(10);  // what only a broken lcore needs

class CountingEngine final : public Engine {
 public:
  unsigned poll(Instant now, unsigned quota) override {
    EXPECT_LE(last.load(), now.ns) << "time does not run backwards";
    last = now.ns;
    EXPECT_EQ(quota, kQuota);
    polls.fetch_add(1);
    return work.exchange(0);
  }
  Instant next_deadline() const override { return Instant::never(); }
  bool arm(WaitSet& set) override {
    arms.fetch_add(1);
    if (descriptor >= 0) set.add(descriptor);
    return work.load() == 0;
  }
  void disarm() override { disarms.fetch_add(1); }

  std::atomic<uint64_t> polls{0}, arms{0}, disarms{0};
  std::atomic<unsigned> work{0};
  std::atomic<int64_t> last{0};
  int descriptor = -1;
};

class LcoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = PacketPool::create("lcore_test", {.packets = 1024, .huge_pages = false});
    ASSERT_TRUE(made) << made.error();
    pool = std::move(*made);
  }
  std::unique_ptr<Lcore> make(bool busy) {
    auto l = std::make_unique<Lcore>(0, 0, busy, qsbr, pool->mempool());
    l->add(&engine, "counter");
    return l;
  }
  std::unique_ptr<PacketPool> pool;
  Qsbr qsbr{1};
  CountingEngine engine;
};

TEST_F(LcoreTest, TurnsPinnedAndNamed) {
  auto l = make(true);
  ASSERT_TRUE(l->start("sluice-test"));
  char name[16] = {};
  int cpu = -1;
  ASSERT_TRUE(l->execute(
      [&] {
        pthread_getname_np(pthread_self(), name, sizeof name);
        cpu = sched_getcpu();
        EXPECT_NE(rte_lcore_id(), LCORE_ID_ANY) << "mempool caches need an lcore id";
      },
      kLong));
  EXPECT_STREQ(name, "sluice-test");
  EXPECT_EQ(cpu, 0);
  EXPECT_NE(l->tid(), 0u);
  l->stop();
  EXPECT_GT(engine.polls, 0u);
  EXPECT_GE(l->counters().turns.get(), engine.polls) << "each turn is counted";
}

TEST_F(LcoreTest, SleepsWhenIdleAndWakesForTheBell) {
  auto l = make(false);
  ASSERT_TRUE(l->start("sluice-test"));
  ASSERT_TRUE(nap_until([&] { return l->bell().asleep(); }, kLong));
  engine.work = 5;
  l->bell().ring();
  EXPECT_TRUE(nap_until([&] { return l->counters().packets.get() == 5; }, kLong));
  EXPECT_TRUE(nap_until([&] { return l->wake_times().percentiles().p50 >= 0; }, kLong));
  l->stop();
  EXPECT_GT(l->counters().sleeps.get(), 0u);
  EXPECT_GT(l->counters().wakeups.get(), 0u);
  EXPECT_EQ(engine.arms, engine.disarms);
}

// A device in trouble may leave its descriptor readable for ever.
TEST_F(LcoreTest, ADescriptorThatCriesWolfIsNotListenedTo) {
  Bell wolf;
  wolf.going_to_sleep();
  wolf.ring();
  engine.descriptor = wolf.fd();
  auto l = make(false);
  ASSERT_TRUE(l->start("sluice-test"));
  const auto sleeps = [&] { return l->counters().sleeps.get(); };
  ASSERT_TRUE(nap_until([&] { return sleeps() > 100; }, kLong));
  EXPECT_LT(l->counters().wakeups.get(), 50u) << "the later sleeps end by time";
  engine.work = 1;
  const uint64_t wakeups = l->counters().wakeups.get();
  EXPECT_TRUE(nap_until([&] { return l->counters().packets.get() == 1; }, kLong)) << "it looks for itself";
  EXPECT_TRUE(nap_until([&] { return l->counters().wakeups.get() > wakeups; }, kLong)) << "and listens again";
  l->stop();
}

TEST_F(LcoreTest, ActionsRunWhileItSleeps) {
  auto l = make(false);
  ASSERT_TRUE(l->start("sluice-test"));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(nap_until([&] { return l->bell().asleep(); }, kLong));
    bool ran = false;
    ASSERT_TRUE(l->execute([&] { ran = true; }, kLong));
    EXPECT_TRUE(ran);
  }
  l->stop();
}

TEST_F(LcoreTest, AnActionThatIsNotBegunIsWithdrawn) {
  auto l = make(true);
  ASSERT_TRUE(l->start("sluice-test"));
  std::latch inside(1), go(1);
  std::thread stuck([&] { l->execute([&] { inside.count_down(), go.wait(); }, kLong); });
  inside.wait();
  bool ran = false;
  EXPECT_FALSE(l->execute([&] { ran = true; }, Duration::millis(1)));
  go.count_down();
  stuck.join();
  l->execute([] {}, kLong);
  EXPECT_FALSE(ran);
  l->stop();
}

TEST_F(LcoreTest, QsbrWaitsForTheTurnButNotForSleepers) {
  auto l = make(true);
  ASSERT_TRUE(l->start("sluice-test"));
  std::latch inside(1), go(1);
  std::thread stuck([&] { l->execute([&] { inside.count_down(), go.wait(); }, kLong); });
  inside.wait();
  const Qsbr::Token token = qsbr.start();
  EXPECT_FALSE(qsbr.passed(token));
  go.count_down();
  stuck.join();
  EXPECT_TRUE(qsbr.wait(token, kLong));
  l->stop();

  auto sleepy = make(false);
  ASSERT_TRUE(sleepy->start("sluice-test"));
  ASSERT_TRUE(nap_until([&] { return sleepy->counters().sleeps.get() > 0; }, kLong));
  EXPECT_TRUE(qsbr.wait(qsbr.start(), kLong));
  sleepy->stop();
  EXPECT_TRUE(qsbr.passed(qsbr.start())) << "who has left is not waited for";
}

TEST_F(LcoreTest, ACpuThatIsNotThereIsAClearError) {
  Lcore l(0, 1000, false, qsbr, pool->mempool());
  const Status s = l.start("sluice-test");
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().find("CPU 1000"), std::string::npos) << s.error();
}

TEST_F(LcoreTest, CachedBuffersComeBackWhenItEnds) {
  auto l = make(true);
  ASSERT_TRUE(l->start("sluice-test"));
  l->execute([&] { rte_pktmbuf_free(rte_pktmbuf_alloc(pool->mempool())); }, kLong);
  l->stop();
  for (unsigned i = 0; i < RTE_MAX_LCORE; ++i) EXPECT_EQ(pool->mempool()->local_cache[i].len, 0u);
}

TEST(Clock, FollowsTheKernels) {
  const Clock& c = Clock::get();
  Instant last = c.now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = c.now();
    EXPECT_GE(now, last);
    last = now;
  }
  timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  const Instant now = c.now();
  clock_gettime(CLOCK_MONOTONIC, &after);
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  EXPECT_GE(now.ns, ns(before) - 1'000'000);
  EXPECT_LE(now.ns, ns(after) + 1'000'000);
}

}  // namespace
}  // namespace sluice::engine
