// Initial sequence numbers and timestamp offsets (RFC 6528, RFC 7323 5.4), and the PRF under them.
#include "tcp/isn.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "siphash.h"

namespace sluice::tcp {
namespace {

// The paper's appendix A: key 00 … 0f, message 00 … 0e.
TEST(SipHash, TheVectorOfItsPaper) {
  sluice_siphash s = sluice_siphash_begin(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  EXPECT_EQ(s.v0, 0x7469686173716475u);
  EXPECT_EQ(s.v1, 0x6b617f6d656e6665u);
  EXPECT_EQ(s.v2, 0x6b7f62616d677361u);
  EXPECT_EQ(s.v3, 0x7b6b696e727e6c7bu);
  sluice_siphash_add(&s, 0x0706050403020100);
  EXPECT_EQ(sluice_siphash_end(&s, 0x0f0e0d0c0b0a0908), 0xa129ca6149be45e5u);
}

// The reference vectors' empty message, and that of eight bytes.
TEST(SipHash, WholeWords) {
  sluice_siphash none = sluice_siphash_begin(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  EXPECT_EQ(sluice_siphash_end(&none, 0), 0x726fdb47dd0e0e31u);
  sluice_siphash eight = sluice_siphash_begin(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  sluice_siphash_add(&eight, 0x0706050403020100);
  EXPECT_EQ(sluice_siphash_end(&eight, 8ull << 56), 0x93f5f5799a932462u);
}

const Secrets kSecrets{.isn = {1, 2}, .timestamp = {3, 4}};
constexpr Instant kNow{1'000'000'000'000};

Tuple tuple() { return {*parse_ip("198.18.0.1"), *parse_ip("198.18.0.2"), 80, 40000}; }

std::vector<Tuple> neighbours() {
  std::vector<Tuple> all{tuple()};
  const auto with = [&](auto change) {
    all.push_back(tuple());
    change(all.back());
  };
  with([](Tuple& t) { t.remote_port++; });
  with([](Tuple& t) { t.local_port++; });
  with([](Tuple& t) { t.remote = *parse_ip("198.18.0.3"); });
  with([](Tuple& t) { t.local = *parse_ip("198.18.0.3"); });
  with([](Tuple& t) { std::swap(t.local, t.remote); });
  with([](Tuple& t) { std::swap(t.local_port, t.remote_port); });
  with([](Tuple& t) { std::swap(t.local_port, t.remote_port), std::swap(t.local, t.remote); });
  with([](Tuple& t) { t.local = *parse_ip("2001:db8::1"), t.remote = *parse_ip("2001:db8::2"); });
  return all;
}

// Any two differ in about half of their bits.
void expect_unrelated(const std::vector<uint32_t>& v) {
  for (size_t i = 0; i < v.size(); i++)
    for (size_t j = 0; j < i; j++) {
      EXPECT_GE(std::popcount(v[i] ^ v[j]), 5) << i << " " << j;
      EXPECT_LE(std::popcount(v[i] ^ v[j]), 27) << i << " " << j;
    }
}

TEST(Isn, TuplesShareNothing) {
  std::vector<uint32_t> isn, offset;
  for (const Tuple& t : neighbours()) {
    isn.push_back(initial_sequence(kSecrets, kNow, t).v);
    offset.push_back(timestamp_offset(kSecrets, t));
  }
  expect_unrelated(isn);
  expect_unrelated(offset);
}

TEST(Isn, KeysMatter) {
  Secrets other = kSecrets;
  other.isn[1] ^= 1;
  other.timestamp[0] ^= 1ull << 63;
  expect_unrelated({initial_sequence(kSecrets, kNow, tuple()).v, initial_sequence(other, kNow, tuple()).v});
  expect_unrelated({timestamp_offset(kSecrets, tuple()), timestamp_offset(other, tuple())});
  expect_unrelated({initial_sequence(kSecrets, Instant{}, tuple()).v, timestamp_offset({.timestamp = {1, 3}}, tuple())});
}

// RFC 6528 3, RFC 6191: a new incarnation's numbers are later, by a step each 4 microseconds.
TEST(Isn, AClockForEachTuple) {
  for (const Tuple& t : neighbours()) {
    const Seq first = initial_sequence(kSecrets, kNow, t);
    EXPECT_EQ(initial_sequence(kSecrets, kNow + Duration::nanos(3999), t), first);
    EXPECT_EQ(initial_sequence(kSecrets, kNow + Duration::micros(4), t) - first, 1);
    EXPECT_EQ(initial_sequence(kSecrets, kNow + Duration::seconds(60), t) - first, 15'000'000);
  }
}

TEST(Isn, TheTimestampClockCountsMilliseconds) {
  EXPECT_EQ(timestamp(Instant{5'999'999}, 10), 15u);
  EXPECT_EQ(timestamp(Instant{(int64_t{1} << 32) * 1'000'000}, 7), 7u);
}

}  // namespace
}  // namespace sluice::tcp
