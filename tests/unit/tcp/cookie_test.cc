// SYN cookies as the stack makes and checks them (RFC 4987 3.6).
#include "tcp/cookie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>

#include "syn_cookie.h"

namespace sluice::tcp {
namespace {

constexpr Instant kNow{123'456'789'000'000};
constexpr uint32_t kTs = 0x7654321f;
const Seq kIrs{0x12345678};
const Secrets kSecrets{.cookie = {0x0123456789abcdef, 0xfedcba9876543210}};

Tuple tuple4() { return {*parse_ip("198.18.0.1"), *parse_ip("198.18.0.2"), 80, 40000}; }
Tuple tuple6() { return {*parse_ip("2001:db8::1"), *parse_ip("2001:db8::2"), 443, 50000}; }

Cookie make(const CookieOffer& o, const Tuple& t = tuple4(), Instant now = kNow) {
  return make_cookie(kSecrets, now, t, kIrs, o, kTs);
}
bool check(Seq iss, CookieOffer* o = nullptr, const uint32_t* ts = nullptr, const Tuple& t = tuple4(),
           Instant now = kNow, Seq irs = kIrs) {
  CookieOffer unused;
  return check_cookie(kSecrets, now, t, irs, iss, ts, o ? *o : unused);
}

TEST(Cookie, ComesBack) {
  for (const Tuple& t : {tuple4(), tuple6()}) {
    const CookieOffer offer{.mss = 1460, .window_scaling = true, .sack = true, .timestamps = true, .window_scale = 9};
    const Cookie c = make(offer, t);
    CookieOffer got;
    ASSERT_TRUE(check(c.iss, &got, &c.ts_val, t));
    EXPECT_EQ(got.mss, 1460);
    EXPECT_TRUE(got.window_scaling && got.sack && got.timestamps && !got.ecn);
    EXPECT_EQ(got.window_scale, 9);
  }
}

TEST(Cookie, WithoutTimestampsTheMssIsAll) {
  const Cookie c = make({.mss = 1400, .window_scaling = true, .sack = true, .ecn = true, .window_scale = 7});
  CookieOffer got{.window_scaling = true, .sack = true, .timestamps = true, .ecn = true, .window_scale = 3};
  ASSERT_TRUE(check(c.iss, &got));
  EXPECT_EQ(got.mss, 1400);
  EXPECT_FALSE(got.window_scaling || got.sack || got.timestamps || got.ecn);
  EXPECT_EQ(got.window_scale, 0);
}

TEST(Cookie, EveryMssIsRoundedDownToTheTable) {
  uint32_t last = 0, steps = 0;
  for (uint32_t mss = 0; mss <= 65535; mss++) {
    CookieOffer got;
    ASSERT_TRUE(check(make({.mss = static_cast<uint16_t>(mss)}).iss, &got)) << mss;
    EXPECT_LE(got.mss, std::max(mss, 48u));
    EXPECT_GE(got.mss, last);
    steps += got.mss != last;
    last = got.mss;
  }
  EXPECT_EQ(steps, 16u);
  for (const uint16_t usual : std::initializer_list<uint16_t>{536, 1220, 1300, 1400, 1440, 1460, 8960}) {
    CookieOffer got;
    ASSERT_TRUE(check(make({.mss = usual}).iss, &got));
    EXPECT_EQ(got.mss, usual);
  }
}

TEST(Cookie, EveryOptionOfTimestamps) {
  for (unsigned scale = 0; scale <= 256; scale++)
    for (unsigned bits = 0; bits < 4; bits++)
      for (const uint32_t now : {0u, 1u, 63u, 64u, kTs, ~0u}) {
        const CookieOffer offer{.window_scaling = scale < 256, .sack = (bits & 1) != 0, .timestamps = true,
                                .ecn = (bits & 2) != 0, .window_scale = static_cast<uint8_t>(scale)};
        const Cookie c = make_cookie(kSecrets, kNow, tuple4(), kIrs, offer, now);
        EXPECT_LT(now - c.ts_val, 64u) << "not ahead of the clock";
        CookieOffer got;
        ASSERT_TRUE(check(c.iss, &got, &c.ts_val));
        EXPECT_EQ(got.window_scaling, offer.window_scaling);
        if (got.window_scaling) {
          EXPECT_EQ(got.window_scale, std::min(scale, 14u));  // RFC 7323 2.3
        }
        EXPECT_EQ(got.sack, offer.sack);
        EXPECT_EQ(got.ecn, offer.ecn);
      }
}

TEST(Cookie, LivesForTwoMinutes) {
  for (int64_t made = 0; made < 64; made++) {
    const Instant then = Instant{} + Duration::seconds(64 * 1000 + made);
    const Seq iss = make({}, tuple4(), then).iss;
    for (int64_t age = 0; age <= 120; age += 5)
      EXPECT_TRUE(check(iss, nullptr, nullptr, tuple4(), then + Duration::seconds(age))) << made << " " << age;
    for (int64_t age = 192; age < 3000; age += 7)
      EXPECT_FALSE(check(iss, nullptr, nullptr, tuple4(), then + Duration::seconds(age))) << made << " " << age;
    EXPECT_FALSE(check(iss, nullptr, nullptr, tuple4(), then - Duration::seconds(64)));
  }
}

TEST(Cookie, BelongsToItsTupleAndSequenceNumber) {
  const Seq iss = make({}).iss;
  ASSERT_TRUE(check(iss));
  EXPECT_FALSE(check(iss, nullptr, nullptr, tuple4(), kNow, kIrs + 1));
  const auto refused = [&](auto change) {
    Tuple t = tuple4();
    change(t);
    return !check(iss, nullptr, nullptr, t);
  };
  EXPECT_TRUE(refused([](Tuple& t) { t.remote_port ^= 1; }));
  EXPECT_TRUE(refused([](Tuple& t) { t.local_port ^= 0x8000; }));
  EXPECT_TRUE(refused([](Tuple& t) { t.remote = *parse_ip("198.18.0.3"); }));
  EXPECT_TRUE(refused([](Tuple& t) { t.local = *parse_ip("198.19.0.1"); }));
  EXPECT_TRUE(refused([](Tuple& t) { std::swap(t.local, t.remote); }));
  EXPECT_TRUE(refused([](Tuple& t) { std::swap(t.local_port, t.remote_port); }));
  Secrets other = kSecrets;
  other.cookie[1] ^= 1;
  CookieOffer o;
  EXPECT_FALSE(check_cookie(other, kNow, tuple4(), kIrs, iss, nullptr, o));
}

// 48 of 2^32 numbers are accepted: of a million guesses, none (one in about 90 such tests would see one).
TEST(Cookie, CannotBeGuessed) {
  std::mt19937 random(11);
  int accepted = 0;
  for (int i = 0; i < 1'000'000; i++) accepted += check({static_cast<uint32_t>(random())});
  EXPECT_LE(accepted, 1);
  // Exactly: only the MSS differs among those of one period.
  const Seq iss = make({.mss = 1460}).iss;
  accepted = 0;
  for (uint32_t low = 0; low < 64; low++) accepted += check({(iss.v & ~63u) | low});
  EXPECT_EQ(accepted, 16);
  for (int bit = 6; bit < 32; bit++) EXPECT_FALSE(check({iss.v ^ 1u << bit}));
}

TEST(Cookie, NeighboursShareNothing) {
  for (uint16_t port = 1; port < 2000; port++) {
    Tuple a = tuple4(), b = a;
    a.remote_port = port;
    b.remote_port = (port + 1u) & 0xffff;
    const uint32_t differ = (make({}, a).iss.v ^ make({}, b).iss.v) >> 2;
    EXPECT_GE(std::popcount(differ), 3);
  }
}

// What the XDP program's test compares with, too: the function must not change between the two, nor between releases
// that run side by side.
TEST(Cookie, TheFormIsFixed) {
  const sluice_cookie_key key{1, 2};
  const sluice_cookie_input in{{1, 0, 0, 0}, {2, 0, 0, 0}, 80, 40000, 7};
  const uint32_t cookie = sluice_cookie_make(&key, &in, 1000, sluice_cookie_mss_index(1460));
  EXPECT_EQ(cookie & 3, 1000u & 3);
  EXPECT_EQ(sluice_cookie_mss(static_cast<uint32_t>(sluice_cookie_check(&key, &in, 1002, cookie))), 1460u);
  EXPECT_EQ(cookie, 83656360u);
}

}  // namespace
}  // namespace sluice::tcp
