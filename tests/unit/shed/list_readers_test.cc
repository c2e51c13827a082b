// Verdicts that look into the lists while they change see the old or the new, never a mixture.
#include <atomic>
#include <random>
#include <thread>

#include "lists.h"

namespace sluice::shed {
namespace {

// A reader as an lcore is one: looks, then says that it looks no more. wait() returns when it has said so since.
class Reader {
 public:
  explicit Reader(std::function<void()> turn) : thread_([this, turn = std::move(turn)] {
    while (!stop_.load(std::memory_order_relaxed)) {
      turn();
      turns_.fetch_add(1, std::memory_order_release);
    }
    ended_ = true;
  }) {}
  ~Reader() { join(); }
  void join() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void wait() const {
    const uint64_t then = turns_.load(std::memory_order_acquire);
    while (turns_.load(std::memory_order_acquire) < then + 2 && !ended_.load()) std::this_thread::yield();
  }

 private:
  std::atomic<bool> stop_{false}, ended_{false};
  std::atomic<uint64_t> turns_{0};
  std::thread thread_;
};

std::vector<ListEntry> side(bool left, size_t filler) {
  std::vector<ListEntry> all;
  all.push_back({prefix("198.18.0.0/16"), left ? SLUICE_ACTION_BLOCK : SLUICE_ACTION_ALLOW});
  all.push_back({prefix("198.19.3.64/26"), left ? SLUICE_ACTION_ALLOW : SLUICE_ACTION_BLOCK});
  all.push_back({prefix("2001:db8:1::/48"), left ? SLUICE_ACTION_BLOCK : SLUICE_ACTION_ALLOW});
  std::mt19937 random(left);
  for (size_t i = 0; i < filler; i++)
    all.push_back({{Ip4::from_host(0x0a000000 | random() % 0x40000), 32}, SLUICE_ACTION_BLOCK});
  return all;
}

using Readers = InBothMemories;
INSTANTIATE_TEST_SUITE_P(Memory, Readers, ::testing::Bool(), memory_name);

TEST_P(Readers, SeeOneListOrTheOther) {
  ASSERT_TRUE(lists().replace(Origin::file, side(true, 5000)));
  std::atomic<uint64_t> mixed{0}, looks{0};
  Reader reader([&] {
    const sluice_env env = shed_->environment();
    const auto a = shed::look(env, ip("198.18.9.9")), b = shed::look(env, ip("198.19.3.70")),
               c = shed::look(env, ip("2001:db8:1::9"));
    const bool left = a == SLUICE_ACTION_BLOCK && b == SLUICE_ACTION_ALLOW && c == SLUICE_ACTION_BLOCK;
    const bool right = a == SLUICE_ACTION_ALLOW && b == SLUICE_ACTION_BLOCK && c == SLUICE_ACTION_ALLOW;
    if (!left && !right) mixed++;
    looks++;
  });
  shed_->set_quiesce([&] { reader.wait(); });
  for (int i = 0; i < 60; i++) ASSERT_TRUE(lists().replace(Origin::file, side(i % 2, 5000)));
  reader.join();
  EXPECT_GT(looks, 0u);
  EXPECT_EQ(mixed, 0u) << "of " << looks;
}

TEST_P(Readers, AreWaitedForBeforeTheirSlotIsWrittenAgain) {
  ASSERT_TRUE(lists().replace(Origin::file, side(true, 100)));
  const sluice_env held = shed_->environment();
  ASSERT_TRUE(lists().replace(Origin::file, side(false, 100)));
  bool asked = false;
  shed_->set_quiesce([&] {
    asked = true;
    EXPECT_EQ(shed::look(held, ip("198.18.9.9")), SLUICE_ACTION_BLOCK);
    EXPECT_EQ(shed::look(held, ip("198.19.3.70")), SLUICE_ACTION_ALLOW);
    EXPECT_EQ(shed::look(held, ip("2001:db8:1::9")), SLUICE_ACTION_BLOCK);
  });
  ASSERT_TRUE(lists().replace(Origin::file, side(false, 200)));
  EXPECT_TRUE(asked);
}

// Changes in place, of whatever shares its /24, its group and its buckets with the sources that are looked at.
TEST_P(Readers, AreNotDisturbedByChangesBesideThem) {
  ASSERT_TRUE(block("198.18.0.0/25"));
  ASSERT_TRUE(block("198.18.1.0/24"));
  ASSERT_TRUE(block("2001:db8::/64"));
  ASSERT_TRUE(block("2001:db8::7/128"));
  std::atomic<uint64_t> wrong{0}, looks{0};
  Reader reader([&] {
    const sluice_env env = shed_->environment();
    for (const char* blocked : {"198.18.0.5", "198.18.1.5", "2001:db8::7", "2001:db8::8"})
      wrong += shed::look(env, ip(blocked)) != SLUICE_ACTION_BLOCK;
    wrong += shed::look(env, ip("198.18.2.5")) != SLUICE_ACTION_NONE;
    looks++;
  });
  shed_->set_quiesce([&] { reader.wait(); });
  std::mt19937 random(5);
  for (int i = 0; i < 3000; i++) {
    const auto host = static_cast<uint32_t>(0xc6120000 | (random() % 5 << 8) | 128 | random() % 128);
    Ip6 six = *parse_ip6("2001:db8::1:0");
    six.b[15] = static_cast<uint8_t>(random()), six.b[13] = static_cast<uint8_t>(random() % 4 + 1);
    const Prefix four{Ip4::from_host(host), static_cast<uint8_t>(30 + random() % 3)};
    for (const Prefix& p : {four, Prefix{six, 128}})
      if (random() % 2)
        ASSERT_TRUE(lists().add({p, random() % 2 ? SLUICE_ACTION_ALLOW : SLUICE_ACTION_BLOCK}, Origin::command));
      else
        lists().remove(p, Origin::command);
  }
  reader.join();
  EXPECT_GT(looks, 0u);
  EXPECT_EQ(wrong, 0u) << "of " << looks;
}

}  // namespace
}  // namespace sluice::shed
