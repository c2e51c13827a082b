#include "engine/handoff.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>

#include <thread>
#include <vector>

#include "engine/clock.h"

namespace sluice::engine {
namespace {

// Rings carry pointers and never look behind them.
rte_mbuf* packet(uintptr_t n) { return reinterpret_cast<rte_mbuf*>(n * 64); }

bool readable(int fd, int timeout_ms = 0) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, timeout_ms) == 1;
}

// Threads inherit the CPU that EAL has pinned the test to; two ends on one CPU would hardly ever race.
void any_cpu() {
  cpu_set_t all;
  memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

TEST(Handoff, KeepsOrderAndSaysWhatItTook) {
  Handoff h(8, Handoff::Writers::one, nullptr);
  rte_mbuf* in[10];
  for (uintptr_t i = 0; i < 10; ++i) in[i] = packet(i + 1);
  EXPECT_EQ(h.send(in, 10), 7u) << "a ring of 8 holds 7";
  EXPECT_EQ(h.count(), 7u);
  rte_mbuf* out[10];
  EXPECT_EQ(h.receive(out, 10), 7u);
  for (uintptr_t i = 0; i < 7; ++i) EXPECT_EQ(out[i], packet(i + 1));
  EXPECT_TRUE(h.empty());
}

TEST(Handoff, ManyWritersLoseNothing) {
  Handoff h(256, Handoff::Writers::many, nullptr);
  constexpr uintptr_t kEach = 20'000;
  const auto writer = [&](uintptr_t base) {
    any_cpu();
    for (uintptr_t i = 0; i < kEach;) {
      rte_mbuf* m = packet(base + i + 1);
      if (h.send(&m, 1)) ++i;
      else std::this_thread::yield();
    }
  };
  std::thread a(writer, 0), b(writer, kEach);
  uintptr_t last[2] = {0, 0}, got = 0;
  while (got < 2 * kEach) {
    rte_mbuf* out[32];
    const unsigned n = h.receive(out, 32);
    if (!n) std::this_thread::yield();
    for (unsigned i = 0; i < n; ++i, ++got) {
      const uintptr_t v = reinterpret_cast<uintptr_t>(out[i]) / 64 - 1;
      ASSERT_EQ(v % kEach, last[v / kEach]++) << "each writer's packets arrive in order";
    }
  }
  a.join();
  b.join();
}

TEST(Bell, AwakeReaderCostsNoSystemCall) {
  Bell b;
  b.ring();
  EXPECT_FALSE(readable(b.fd()));
  EXPECT_EQ(b.awake(true), Instant::never());
}

TEST(Bell, WakesASleeperOnce) {
  Bell b;
  const Instant before = Clock::get().now();
  b.going_to_sleep();
  EXPECT_TRUE(b.asleep());
  b.ring();
  EXPECT_FALSE(b.asleep()) << "the first ring takes the flag";
  b.ring();
  EXPECT_TRUE(readable(b.fd()));
  const Instant rung = b.awake(true);
  EXPECT_GE(rung, before);
  EXPECT_LE(rung, Clock::get().now());
  EXPECT_FALSE(readable(b.fd()));
}

// The reader sleeps without a timeout whenever its ring is empty: one lost wake-up, and the test hangs.
TEST(Bell, NoWakeUpIsLost) {
  Bell b;
  Handoff h(64, Handoff::Writers::one, &b);
  constexpr uintptr_t kPackets = 100'000;
  std::thread writer([&] {
    any_cpu();
    for (uintptr_t i = 0; i < kPackets;) {
      rte_mbuf* m = packet(i + 1);
      if (h.send(&m, 1)) ++i;
      else std::this_thread::yield();
      if (i % 64 == 0) std::this_thread::yield();
    }
  });
  uintptr_t got = 0;
  while (got < kPackets) {
    rte_mbuf* out[32];
    const unsigned n = h.receive(out, 32);
    got += n;
    if (n) continue;
    b.going_to_sleep();
    if (h.empty()) {
      ASSERT_TRUE(readable(b.fd(), 30'000)) << "lost after " << got;
    }
    b.awake(true);
  }
  writer.join();
}

}  // namespace
}  // namespace sluice::engine
