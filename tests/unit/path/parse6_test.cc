#include <gtest/gtest.h>

#include "path/parse.h"
#include "tests/unit/frames.h"
#include "wire/ip6_ext.h"

namespace sluice::path {
namespace {

using namespace sluice::test;
using R = DropReason;

struct Parsed {
  R reason;
  Meta meta;
  Octets frame;
};

Parsed run(const Octets& ip) {
  Interface lan;
  lan.mac = kOurs;
  ExactMbuf m(eth(ip, 0x86dd));
  Parsed p{};
  std::memset(static_cast<void*>(&p.meta), 0xa5, sizeof p.meta);
  p.reason = parse(m, lan, p.meta);
  p.frame = m.frame();
  return p;
}

TEST(Parse6, Plain) {
  Parsed p = run(ip6({}, udp(4000, 53, pattern(5))));
  ASSERT_EQ(p.reason, R::count_);
  EXPECT_EQ(p.meta.flags, kMetaPortsValid);
  EXPECT_EQ(p.meta.family, 6);
  EXPECT_EQ(p.meta.proto, 17);
  EXPECT_EQ(p.meta.l3, 14);
  EXPECT_EQ(p.meta.l4, 54);
  EXPECT_EQ(p.meta.ip_length, 53);
  EXPECT_EQ(be16::from_raw(p.meta.sport).host(), 4000);
}

TEST(Parse6, HeaderSanity) {
  for (uint8_t v = 0; v < 16; ++v)
    EXPECT_EQ(run(ip6({.version = v}, udp(1, 2))).reason, v == 6 ? R::count_ : R::ip_version);
  EXPECT_EQ(run(ip6({.payload_length = 9}, udp(1, 2))).reason, R::ip_truncated);
  EXPECT_EQ(run(ip6({.payload_length = 65535}, udp(1, 2))).reason, R::ip_truncated);
  // Payload length 0 is a packet without payload, but for a hop-by-hop header, which needs a jumbo option.
  Parsed p = run(ip6({.payload_length = 0}, udp(1, 2)));
  EXPECT_EQ(p.reason, R::count_);
  EXPECT_EQ(p.meta.ip_length, 40);
  EXPECT_TRUE(p.meta.has(kMetaL4Short));
  EXPECT_EQ(p.frame.size(), 54u);
  p = run(ip6({.next = 0, .payload_length = 0}, ext(17, {0xc2, 4, 0, 1, 0, 0}) + udp(1, 2)));
  EXPECT_EQ(p.reason, R::count_);
  EXPECT_EQ(p.meta.ip_length, 56);
  EXPECT_TRUE(p.meta.has(kMetaIpOptions));
}

TEST(Parse6, ExtensionHeaders) {
  const Octets u = udp(7, 8);
  struct {
    const char* what;
    uint8_t next;
    Octets body;
    unsigned flags;
    uint8_t proto;
    unsigned l4;
  } table[] = {
      {"hop by hop", 0, ext(17, {}) + u, kMetaIpOptions | kMetaPortsValid, 17, 48},
      {"router alert", 0, ext(17, {5, 2, 0, 0}) + u, kMetaIpOptions | kMetaPortsValid, 17, 48},
      {"destination options", 60, ext(17, zeros(14)) + u, kMetaPortsValid, 17, 56},
      {"routing", 43, ext(17, Octets{0, 1} + zeros(20)) + u, kMetaPortsValid, 17, 64},
      {"authentication", 51, Octets{17, 4} + zeros(22) + u, kMetaPortsValid, 17, 64},
      {"all", 0, ext(60, {}) + ext(43, {}) + ext(51, {}) + Octets{60, 1} + zeros(10) + ext(17, {}) + u,
       kMetaIpOptions | kMetaPortsValid, 17, 84},
      {"hop by hop not first", 60, ext(0, {}) + ext(17, {}) + u, kMetaPortsValid, 17, 56},
      {"none", 59, pattern(5), 0, 59, 40},
      {"esp", 50, pattern(30), 0, 50, 40},
      {"icmp behind", 60, ext(58, {}) + icmp(128, 0), kMetaPortsValid, 58, 48},
      {"unknown", 253, pattern(3), 0, 253, 40},
      {"mobility", 135, ext(59, zeros(6)), 0, 135, 40},
  };
  for (const auto& t : table) {
    Parsed p = run(ip6({.next = t.next}, t.body));
    ASSERT_EQ(p.reason, R::count_) << t.what;
    EXPECT_EQ(p.meta.flags, t.flags) << t.what;
    EXPECT_EQ(p.meta.proto, t.proto) << t.what;
    EXPECT_EQ(p.meta.l4, 14 + t.l4) << t.what;
  }
}

TEST(Parse6, ChainCutShortIsHiddenNotRefused) {
  const Octets chain = ext(60, zeros(14)) + ext(43, zeros(6)) + ext(17, zeros(6));
  for (size_t n = 0; n < chain.size(); ++n) {
    Parsed p = run(ip6({.next = 0}, Octets(chain.begin(), chain.begin() + n)));
    ASSERT_EQ(p.reason, R::count_) << n;
    if (n == 0) continue;  // payload length 0: see HeaderSanity
    EXPECT_EQ(p.meta.flags, kMetaIpOptions | kMetaExtHidden | kMetaL4Short) << n;
    EXPECT_LE(p.meta.l4, 14 + 40 + n);
    EXPECT_EQ(p.meta.proto, n < 16 ? 0 : n < 24 ? 60 : 43) << n;
  }
  EXPECT_EQ(run(ip6({.next = 0}, chain)).meta.flags, kMetaIpOptions | kMetaL4Short);
}

TEST(Parse6, LongChainsAreHidden) {
  for (unsigned n : {wire::kMaxIp6Chain, wire::kMaxIp6Chain + 1, 150u}) {
    Octets chain;
    for (unsigned i = 0; i < n; ++i) chain = chain + ext(i + 1 < n ? 60 : 17, {});
    Parsed p = run(ip6({.next = 60}, chain + udp(1, 2)));
    ASSERT_EQ(p.reason, R::count_);
    EXPECT_EQ(p.meta.has(kMetaExtHidden), n > wire::kMaxIp6Chain) << n;
    EXPECT_EQ(p.meta.has(kMetaPortsValid), n <= wire::kMaxIp6Chain) << n;
  }
}

TEST(Parse6, Fragments) {
  const Octets u = udp(7, 8, pattern(24));
  struct {
    const char* what;
    Octets body;
    unsigned flags, offset, l4;
    uint8_t proto;
  } table[] = {
      {"first", frag6(17, 0, true) + u, kMetaFragFirst | kMetaPortsValid, 0, 48, 17},
      {"first, cut in the header", frag6(17, 0, true) + zeros(7),
       kMetaFragFirst | kMetaPortsValid | kMetaL4Short, 0, 48, 17},
      {"first, empty", frag6(17, 0, true), kMetaFragFirst | kMetaL4Short, 0, 48, 17},
      {"first, chain cut", frag6(60, 0, true) + Octets{6, 2, 0, 0, 0, 0, 0, 0},
       kMetaFragFirst | kMetaExtHidden | kMetaL4Short, 0, 48, 60},
      {"first, options", frag6(60, 0, true) + ext(17, {}) + u, kMetaFragFirst | kMetaPortsValid, 0, 56, 17},
      {"middle", frag6(17, 8, true) + u, kMetaFragLater, 8, 48, 17},
      {"last", frag6(6, 1448, false) + u, kMetaFragLater, 1448, 48, 6},
      {"last, beyond 64k", frag6(17, 65528, false) + u, kMetaFragLater, 65528, 48, 17},
      {"last, empty", frag6(17, 16, false), kMetaFragLater, 16, 48, 17},
      {"odd length", frag6(17, 0, true) + zeros(13), kMetaFragFirst | kMetaPortsValid, 0, 48, 17},
      {"hidden: destination options", frag6(60, 8, false) + u, kMetaFragLater | kMetaExtHidden, 8, 48, 60},
      {"hidden: routing", frag6(43, 8, false) + u, kMetaFragLater | kMetaExtHidden, 8, 48, 43},
      {"hidden: hop by hop", frag6(0, 8, false) + u, kMetaFragLater | kMetaExtHidden, 8, 48, 0},
      {"atomic", frag6(17, 0, false) + u, kMetaPortsValid, 0, 48, 17},
      {"two fragment headers", frag6(44, 0, false) + frag6(17, 8, true) + u, kMetaExtHidden, 0, 48, 44},
  };
  for (const auto& t : table) {
    Parsed p = run(ip6({.next = 44}, t.body));
    ASSERT_EQ(p.reason, R::count_) << t.what;
    EXPECT_EQ(p.meta.flags, t.flags) << t.what;
    EXPECT_EQ(p.meta.frag_offset, t.offset) << t.what;
    EXPECT_EQ(p.meta.l4, 14 + t.l4) << t.what;
    EXPECT_EQ(p.meta.proto, t.proto) << t.what;
  }
}

}  // namespace
}  // namespace sluice::path
