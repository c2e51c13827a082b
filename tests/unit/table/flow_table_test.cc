#include "table/flow_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

#include "base/hash.h"

namespace sluice {
namespace {

struct Key {
  uint64_t a, b;
  bool operator==(const Key&) const = default;
};
struct Value {
  uint64_t v[6];
};
using Table = FlowTable<Key, Value>;

// A key that is all small numbers would not reach the upper bits.
const HashKey kHash{{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5}};
uint64_t hash(const Key& k) { return hash_words(kHash, k.a, k.b); }
Key key(uint64_t i) { return {i, i * 3}; }

uint32_t put(Table& t, uint64_t i, uint64_t value) {
  const uint32_t at = t.insert(key(i), hash(key(i)), [](uint32_t) { return uint64_t{0}; }, [](uint32_t) {});
  if (at != Table::kNone) t.at(at).value.v[0] = value;
  return at;
}

TEST(FlowTable, EntriesAreOneLineForIpv4SizedKeys) {
  EXPECT_EQ(sizeof(Table::Entry), 64u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(&Table(100).at(1)) % 64, 0u);
}

TEST(FlowTable, AgreesWithAMapThroughInsertionsAndErasures) {
  Table t(5000);
  std::unordered_map<uint64_t, uint64_t> model;
  std::mt19937_64 rng(1);
  for (int step = 0; step < 200'000; step++) {
    const uint64_t i = rng() % 6000;
    const uint32_t at = t.find(key(i), hash(key(i)));
    ASSERT_EQ(at != Table::kNone, model.count(i) == 1);
    if (at != Table::kNone) {
      ASSERT_EQ(t.at(at).value.v[0], model[i]);
      const uint32_t c = t.candidate(hash(key(i)));
      ASSERT_NE(c, Table::kNone) << "a key that is there always has a candidate";
      if (rng() % 2) t.erase(at), model.erase(i);
    } else if (model.size() < 5000 && put(t, i, static_cast<uint64_t>(step)) != Table::kNone) {
      model[i] = static_cast<uint64_t>(step);
    }
    ASSERT_EQ(t.size(), model.size());
  }
}

TEST(FlowTable, HoldsWhatItWasMadeFor) {
  for (size_t flows : {16u, 1000u, 100'000u}) {
    Table t(flows);
    size_t failed = 0;
    for (uint64_t i = 0; i < flows; i++) failed += put(t, i, i) == Table::kNone;
    EXPECT_LE(failed, flows / 500 + 1) << flows;
    EXPECT_GE(t.capacity(), flows);
  }
}

TEST(FlowTable, FullBucketsGiveUpTheBestVictimOrRefuse) {
  Table t(1);  // two buckets at most: every key competes with every other
  std::vector<uint32_t> at;
  uint64_t next = 0;
  while (true) {
    const uint32_t i = put(t, next, next);
    if (i == Table::kNone) break;
    at.push_back(i);
    next++;
  }
  ASSERT_EQ(t.size(), t.capacity()) << "nothing may go: refused";
  std::vector<uint32_t> erased;
  const uint32_t favourite = at[5];
  const uint32_t got = t.insert(key(next), hash(key(next)), [&](uint32_t i) { return uint64_t{i == favourite ? 9u : 1u}; },
                                [&](uint32_t i) { erased.push_back(i), t.erase(i); });
  EXPECT_EQ(got, favourite);
  EXPECT_EQ(erased, std::vector<uint32_t>{favourite});
  EXPECT_EQ(t.find(key(5), hash(key(5))), Table::kNone);
  EXPECT_EQ(t.find(key(next), hash(key(next))), favourite);
  EXPECT_EQ(t.size(), t.capacity());
}

TEST(FlowTable, ANewEntryStartsFromNothing) {
  Table t(16);
  const uint32_t at = put(t, 1, 77);
  t.erase(at);
  const uint32_t again = put(t, 1, 0);
  for (uint64_t w : t.at(again).value.v) EXPECT_EQ(w, 0u);
}

TEST(FlowTable, EntriesStayWhereTheyAre) {  // an index is good until its entry is erased
  Table t(2000);
  std::vector<uint32_t> at;
  for (uint64_t i = 0; i < 1500; i++) at.push_back(put(t, i, i));
  for (uint64_t i = 0; i < 1500; i += 2) t.erase(at[i]);
  for (uint64_t i = 2000; i < 2500; i++) put(t, i, i);
  for (uint64_t i = 1; i < 1500; i += 2) EXPECT_EQ(t.find(key(i), hash(key(i))), at[i]);
}

TEST(FlowTable, ScanVisitsEveryEntryOnceInSteps) {
  Table t(3000);
  for (uint64_t i = 0; i < 2000; i++) put(t, i, i);
  std::vector<unsigned> seen(2000);
  uint64_t cursor = 0;
  unsigned steps = 0;
  do {
    unsigned visited = 0;
    cursor = t.scan(cursor, 100, [&](uint32_t i) { seen[t.at(i).value.v[0]]++, visited++; });
    EXPECT_LE(visited, 100u);
    steps++;
  } while (cursor);
  EXPECT_EQ(seen, std::vector<unsigned>(2000, 1));
  EXPECT_GE(steps, t.capacity() / 100);
  EXPECT_GE(t.memory_bytes(), Table::memory_estimate(3000));
}

TEST(FlowTable, TagGroupFindsAllMatches) {
  TagGroup g{};
  g.tag[0] = g.tag[7] = g.tag[8] = g.tag[15] = 0x8001;
  g.tag[3] = 0x0001;
  EXPECT_EQ(g.match(0x8001), 0x8181u);
  EXPECT_EQ(g.match(0x0001), 0x0008u);
  EXPECT_EQ(g.match(0), 0xffffu & ~0x8189u);
}

}  // namespace
}  // namespace sluice
