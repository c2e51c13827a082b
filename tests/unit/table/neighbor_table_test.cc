#include "table/neighbor_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace sluice {
namespace {

constexpr HashKey kKey{{1, 2, 3, 4}};
IpAddr v4(uint32_t n) { return Ip4::from_host(0xc6120000 + n); }
IpAddr v6(uint32_t n) {
  Ip6 a{{0x20, 1, 0x0d, 0xb8}};
  std::memcpy(a.b.data() + 12, &n, 4);
  return a;
}
Mac mac_of(uint32_t n) {
  Mac m{{2}};
  std::memcpy(m.b.data() + 2, &n, 4);
  return m;
}

uint32_t draw(std::mt19937& rng, uint32_t below) { return static_cast<uint32_t>(rng() % below); }

TEST(NeighborTable, FindsByPortAndAddress) {
  NeighborTable t(8, kKey);
  EXPECT_EQ(t.find(0, v4(1)).index, NeighborTable::kNone);
  const uint32_t a = t.insert(0, v4(1)), b = t.insert(1, v4(1)), c = t.insert(0, v6(1));
  EXPECT_EQ(t.find(0, v4(1)).index, a);
  EXPECT_EQ(t.find(1, v4(1)).index, b);
  EXPECT_EQ(t.find(0, v6(1)).index, c);
  EXPECT_EQ(t.find(2, v4(1)).index, NeighborTable::kNone);
  EXPECT_EQ(t.size(), 3u);
  EXPECT_EQ(t.addr(c), v6(1));
  EXPECT_EQ(t.port(b), 1);
  EXPECT_EQ(t.state(a), NeighborState::incomplete);
  EXPECT_FALSE(t.word(a).usable());
}

TEST(NeighborTable, OneWordTellsAll) {
  NeighborTable t(8, kKey);
  const uint32_t i = t.insert(0, v4(1));
  t.set(i, NeighborState::reachable, mac_of(7), true);
  EXPECT_TRUE(t.word(i).usable());
  EXPECT_EQ(t.word(i).mac(), mac_of(7));
  EXPECT_EQ(t.word(i).generation(), t.find(0, v4(1)).generation);
  t.set(i, NeighborState::failed, mac_of(7), false);
  EXPECT_FALSE(t.word(i).usable());
}

TEST(NeighborTable, AFreedSlotRestsAndComesBackWithAnotherGeneration) {
  NeighborTable t(4, kKey);
  const uint32_t first = t.insert(0, v4(1));
  const NeighborTable::Ref old = t.find(0, v4(1));
  t.set(first, NeighborState::reachable, mac_of(1), true);
  t.erase(first);
  EXPECT_EQ(t.find(0, v4(1)).index, NeighborTable::kNone);
  EXPECT_NE(t.word(old.index).generation(), old.generation);
  EXPECT_FALSE(t.word(old.index).usable());
  std::set<uint32_t> others;
  for (uint32_t n = 2; n < 5; n++) others.insert(t.insert(0, v4(n)));
  EXPECT_EQ(others.count(first), 0u);        // the three that were free for longer
  EXPECT_EQ(t.insert(0, v4(9)), first);
  EXPECT_EQ(t.insert(0, v4(10)), NeighborTable::kNone);
}

TEST(NeighborTable, TouchIsSeenByTheOwner) {
  NeighborTable t(4, kKey);
  const uint32_t i = t.insert(0, v4(1));
  EXPECT_EQ(t.used_ms(i), 0u);
  t.touch(i, 77);
  EXPECT_EQ(t.used_ms(i), 77u);
  t.erase(i);
  for (int n = 0; n < 4; n++) t.insert(0, v4(static_cast<uint32_t>(2 + n)));
  EXPECT_EQ(t.used_ms(i), 0u);
}

TEST(NeighborTable, AgreesWithAMapThroughRandomChanges) {
  NeighborTable t(200, kKey);
  std::map<std::pair<uint16_t, IpAddr>, uint32_t> model;
  std::mt19937 rng(5);
  for (int step = 0; step < 200'000; step++) {
    const auto port = static_cast<uint16_t>(rng() % 3);
    const IpAddr a = rng() % 2 ? v4(draw(rng, 150)) : v6(draw(rng, 150));
    const auto it = model.find({port, a});
    ASSERT_EQ(t.find(port, a).index, it == model.end() ? NeighborTable::kNone : it->second);
    if (it != model.end()) {
      t.erase(it->second);
      model.erase(it);
    } else if (const uint32_t i = t.insert(port, a); i != NeighborTable::kNone) {
      ASSERT_TRUE(model.emplace(std::pair{port, a}, i).second);
    } else {
      ASSERT_EQ(model.size(), 200u);
      const auto victim = std::next(model.begin(), static_cast<long>(rng() % model.size()));
      t.erase(victim->second);
      model.erase(victim);
    }
    ASSERT_EQ(t.size(), model.size());
  }
  const auto all = t.list();
  ASSERT_EQ(all.size(), model.size());
  for (const auto& v : all) EXPECT_EQ((model.at({v.port, v.addr})), v.index);
}

// A reader never takes one neighbour's MAC for another's: the MAC names the address that it was set for.
TEST(NeighborTable, ReadersSeeWholeEntriesWhileTheOwnerWorks) {
  NeighborTable t(64, kKey);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> hits{0}, wrong{0};
  auto read = [&](uint32_t seed) {
    std::mt19937 rng(seed);
    while (!stop.load(std::memory_order_relaxed)) {
      const uint32_t n = draw(rng, 100);
      const NeighborTable::Ref r = t.find(0, v4(n));
      if (r.index == NeighborTable::kNone) continue;
      const NeighborTable::Word w = t.word(r.index);
      if (w.generation() != r.generation || !w.usable()) continue;
      // A thread that slept through 256 generations of a slot is not what this is about.
      const NeighborTable::Ref again = t.find(0, v4(n));
      if (again.index != r.index || again.generation != r.generation) continue;
      hits.fetch_add(1, std::memory_order_relaxed);
      if (w.mac() != mac_of(n)) wrong.fetch_add(1, std::memory_order_relaxed);
      t.touch(r.index, n + 1);
      if (n == 0) (void)t.list();
    }
  };
  std::thread a(read, 1), b(read, 2);
  std::mt19937 rng(3);
  for (int step = 0; step < 300'000 || (hits.load() < 1000 && step < 30'000'000); step++) {
    const uint32_t n = draw(rng, 100);
    const uint32_t i = t.find(0, v4(n)).index;
    if (i != NeighborTable::kNone) {
      t.erase(i);
    } else if (const uint32_t fresh = t.insert(0, v4(n)); fresh != NeighborTable::kNone) {
      t.set(fresh, NeighborState::reachable, mac_of(n), true);
    }
  }
  stop = true;
  a.join();
  b.join();
  EXPECT_GT(hits.load(), 0u);
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace sluice
