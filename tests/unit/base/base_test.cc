#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/endian.h"
#include "base/hash.h"
#include "base/instant.h"
#include "base/result.h"

namespace sluice {
namespace {

TEST(Endian, LiesInMemoryAsOnTheWire) {
  const be32 v = be32::from(0x01020304);
  const uint8_t want[] = {1, 2, 3, 4};
  EXPECT_EQ(std::memcmp(&v, want, 4), 0);
  EXPECT_EQ(v.host(), 0x01020304u);
  EXPECT_EQ(be16::from(0xff00).host(), 0xff00);
  EXPECT_EQ(be64::from(0x0102030405060708).host(), 0x0102030405060708u);
  EXPECT_EQ(be32::from_raw(v.raw()), v);
  EXPECT_EQ(be16().host(), 0);
}

constexpr HashKey kKey{{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89}};

// What a flow table sees: neighbouring addresses and ports. Buckets must fill as by chance.
TEST(Hash, SpreadsNeighbours) {
  constexpr unsigned kBuckets = 1024, kPer = 64;
  for (int shift : {0, 16, 24, 32, 48}) {
    std::vector<unsigned> n(kBuckets);
    for (uint64_t i = 0; i < kBuckets * kPer; ++i) ++n[hash_words(kKey, i << shift, 0x0a000001) % kBuckets];
    double chi2 = 0;
    for (unsigned c : n) chi2 += (double(c) - kPer) * (double(c) - kPer) / kPer;
    EXPECT_LT(std::abs(chi2 - kBuckets), 6 * std::sqrt(2.0 * kBuckets)) << "shift " << shift;
  }
}

TEST(Hash, EveryKeyWordAndEveryBitMatters) {
  const uint64_t h = hash_words(kKey, 1, 2);
  for (int w = 0; w < 4; ++w) {
    for (int bit : {1, 20, 40, 63}) {
      HashKey other = kKey;
      other.k[w] ^= uint64_t{1} << bit;
      EXPECT_NE(hash_words(other, 1, 2), h) << w << " " << bit;
    }
  }
  std::set<uint64_t> seen{h};
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(seen.insert(hash_words(kKey, 1 ^ uint64_t{1} << bit, 2)).second);
    EXPECT_TRUE(seen.insert(hash_words(kKey, 1, 2 ^ uint64_t{1} << bit)).second);
  }
}

TEST(Hash, WordLists) {
  const uint64_t w[5] = {1, 2, 3, 4, 5};
  std::set<uint64_t> seen;
  for (unsigned n = 0; n <= 5; ++n) EXPECT_TRUE(seen.insert(hash_words(kKey, w, n)).second) << n;
  const uint64_t swapped[4] = {3, 4, 1, 2};
  EXPECT_NE(hash_words(kKey, swapped, 4), hash_words(kKey, w, 4));
}

TEST(Instant, NeverStaysNever) {
  EXPECT_EQ(Instant::never() + Duration::seconds(1), Instant::never());
  EXPECT_EQ(Instant{INT64_MAX - 5} + Duration::nanos(6), Instant::never());
  EXPECT_LT(Instant{} + Duration::seconds(1'000'000'000), Instant::never());
  EXPECT_EQ(Instant{} + Duration::millis(2) - Instant{}, Duration::micros(2000));
  EXPECT_EQ((Duration::seconds(3) - Duration::millis(1)).ms(), 2999);
  EXPECT_EQ(Duration::micros(7) * 3, Duration::nanos(21'000));
}

TEST(Result, HoldsAValueOrASentence) {
  Result<std::unique_ptr<int>> r = std::make_unique<int>(7);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(**r, 7);
  std::unique_ptr<int> taken = std::move(r).value();
  EXPECT_EQ(*taken, 7);
  Result<int> e = Error{"no such port 'lan': name one under ports"};
  EXPECT_FALSE(e);
  EXPECT_EQ(e.error(), "no such port 'lan': name one under ports");
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status(Error{"why"}).error(), "why");
  EXPECT_FALSE(Status(Error{""}).ok());
}

TEST(Counter, Adds) {
  Counter c;
  c.add(3);
  c.add(UINT64_MAX);
  EXPECT_EQ(c.get(), 2u);
}

// Operators read these: each has a name of its own and one sentence without a full stop.
TEST(DropReason, EachIsNamedAndExplained) {
  std::set<std::string_view> names;
  for (unsigned i = 0; i < kDropReasons; ++i) {
    const DropInfo& d = drop_info(static_cast<DropReason>(i));
    EXPECT_TRUE(names.insert(d.name).second) << d.name;
    EXPECT_EQ(d.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), std::string_view::npos)
        << d.name;
    EXPECT_GT(d.text.size(), 10u) << d.name;
    EXPECT_NE(d.text.back(), '.') << d.name;
    EXPECT_FALSE(to_string(d.severity).empty());
  }
  EXPECT_EQ(drop_info(DropReason::ip_checksum).name, "ip_checksum");
  EXPECT_EQ(to_string(drop_info(DropReason::no_buffer).severity), "error");
}

}  // namespace
}  // namespace sluice
