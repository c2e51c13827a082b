#include "wire/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/frames.h"

namespace sluice::wire {
namespace {

using namespace sluice::test;

Octets random_octets(std::mt19937_64& rnd, size_t n) {
  Octets o(n);
  for (uint8_t& b : o) b = static_cast<uint8_t>(rnd());
  return o;
}

TEST(Checksum, AgreesWithTheRfcsLoop) {
  std::mt19937_64 rnd(1);
  for (size_t n = 0; n < 200; ++n) {
    for (int k = 0; k < 20; ++k) {
      Octets o = random_octets(rnd, n);
      if (k == 0) o = zeros(n, 0xff);
      if (k == 1) o = zeros(n);
      EXPECT_EQ(finish(sum_bytes(o.data(), n)).host(), plain_checksum(o)) << n;
    }
  }
}

TEST(Checksum, LongRunsAgreeToo) {
  std::mt19937_64 rnd(5);
  for (size_t n = 120; n < 9100; n += 1 + rnd() % 90) {
    Octets o = random_octets(rnd, n), copy = zeros(n);
    if (n % 7 == 0) o = zeros(n, 0xff);
    EXPECT_EQ(finish(sum_bytes(o.data(), n)).host(), plain_checksum(o)) << n;
    EXPECT_EQ(fold16(copy_and_sum(copy.data(), o.data(), n, 0x1234)), fold16(sum_words(o.data(), n, 0x1234))) << n;
    EXPECT_EQ(copy, o);
  }
}

// RFC 1071 section 3.
TEST(Checksum, Example) {
  const Octets o{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(be16::from_raw(fold16(sum_bytes(o.data(), o.size()))).host(), 0xddf2);
}

TEST(Checksum, InParts) {
  std::mt19937_64 rnd(2);
  for (int k = 0; k < 1000; ++k) {
    const Octets o = random_octets(rnd, 64);
    const size_t cut = 2 * (rnd() % 33);
    const uint64_t two = sum_bytes(o.data() + cut, 64 - cut, sum_bytes(o.data(), cut));
    EXPECT_EQ(fold16(two), fold16(sum_bytes(o.data(), 64)));
    EXPECT_EQ(fold16(add_sums(sum_bytes(o.data(), cut), sum_bytes(o.data() + cut, 64 - cut))), fold16(two));
  }
}

TEST(Checksum, CarriesOutOf64BitsAreKept) {
  const Octets ones = zeros(24, 0xff);
  EXPECT_EQ(fold16(sum_bytes(ones.data(), 24)), 0xffff);
  EXPECT_EQ(fold16(add_sums(UINT64_MAX, UINT64_MAX)), 0xffff);
  EXPECT_EQ(fold16(add_sums(UINT64_MAX, 1)), 1);
}

TEST(Checksum, FoldsToOnesIsFold16) {
  std::mt19937_64 rnd(3);
  EXPECT_TRUE(folds_to_ones(0xffff));
  EXPECT_TRUE(folds_to_ones(UINT64_MAX));
  EXPECT_TRUE(folds_to_ones(0xffffffff00000000));
  EXPECT_TRUE(folds_to_ones(0x0000ffff00000000));
  EXPECT_FALSE(folds_to_ones(1));
  unsigned hits = 0;
  for (int i = 0; i < 3'000'000; ++i) {
    uint64_t s = rnd() >> rnd() % 64;
    if (i % 2) s = s / 0xffff * 0xffff;  // multiples of 0xffff are those that fold to it
    if (s == 0) continue;
    ASSERT_EQ(folds_to_ones(s), fold16(s) == 0xffff) << std::hex << s;
    hits += folds_to_ones(s);
  }
  EXPECT_GT(hits, 1'000'000u);
}

// For every checksum: changing a word must give what summing anew gives, and never the negative zero that
// RFC 1624 section 3 warns of.
TEST(Checksum, UpdateIsExactAtEveryValue) {
  const unsigned words[] = {0x0000, 0x0001, 0x0100, 0x00ff, 0x3fff, 0x4000, 0x4011,
                            0x7fff, 0x8000, 0xfeff, 0xff00, 0xfffe, 0xffff};
  for (unsigned rest = 0; rest < 0x10000; ++rest) {
    for (unsigned from : words) {
      for (unsigned to : words) {
        // A header of three words, none of whose sums is zero: 0x4500 stands in every IPv4 header.
        const auto anew = [&](unsigned word) {
          unsigned sum = 0x4500 + rest + word;
          sum = (sum & 0xffff) + (sum >> 16);
          return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
        };
        const be16 now = updated(be16::from(static_cast<uint16_t>(anew(from))),
                                 be16::from(static_cast<uint16_t>(from)).raw(),
                                 be16::from(static_cast<uint16_t>(to)).raw());
        if (now.host() != anew(to))
          FAIL() << std::hex << rest << ": " << from << " to " << to << " gives " << now.host();
      }
    }
  }
}

TEST(Checksum, PseudoHeaders) {
  const Octets u4 = udp(1000, 53, pattern(33));
  const Octets p4 = of(a4("198.18.1.10")) + of(a4("198.18.2.10")) + words({17, unsigned(u4.size())}) + u4;
  EXPECT_EQ(finish(sum_bytes(u4.data(), u4.size(),
                             pseudo_sum(a4("198.18.1.10"), a4("198.18.2.10"), 17, unsigned(u4.size()))))
                .host(),
            plain_checksum(p4));
  const Ip6 s = a6("2001:db8:ffff:ffff::1"), d = a6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  const Octets p6 = of(s) + of(d) + words({0, unsigned(u4.size()), 0, 58}) + u4;
  EXPECT_EQ(finish(sum_bytes(u4.data(), u4.size(), pseudo_sum(s, d, 58, unsigned(u4.size())))).host(),
            plain_checksum(p6));
}

TEST(Checksum, Ip4Header) {
  Octets h = ip4({}, {});
  EXPECT_TRUE(ip4_checksum_ok(h.data(), 20));
  h[8] ^= 1;
  EXPECT_FALSE(ip4_checksum_ok(h.data(), 20));
}

}  // namespace
}  // namespace sluice::wire
