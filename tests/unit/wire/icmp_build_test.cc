#include "wire/icmp_build.h"

#include <gtest/gtest.h>

#include "tests/unit/frames.h"

namespace sluice::wire {
namespace {

using namespace sluice::test;

TEST(IcmpBuild, TooShortABufferGivesNothing) {
  const Octets four = ip4({}, udp(1, 2, pattern(600))), six = ip6({}, udp(1, 2, pattern(1400)));
  for (size_t n : {0u, 20u, 27u, 28u, 575u}) {
    Octets out(n);
    EXPECT_EQ(build_icmp4_error(out, a4("1.2.3.4"), a4("5.6.7.8"), 1, {11, 0, 0}, four), 0u) << n;
  }
  for (size_t n : {0u, 47u, 48u, 1279u}) {
    Octets out(n);
    EXPECT_EQ(build_icmp6_error(out, a6("::2"), a6("::3"), {3, 0, 0}, six), 0u) << n;
  }
  Octets out(39);
  EXPECT_EQ(build_tcp_reset4(out, ip4({.proto = 6}, tcp(1, 2, kTcpSyn)), 20, 1), 0u);
  EXPECT_EQ(build_tcp_reset6(out, ip6({.next = 6}, tcp(1, 2, kTcpSyn)), 40), 0u);
}

TEST(IcmpBuild, ExactlyEnoughRoomIsEnough) {
  Octets out(576), out6(1280);
  EXPECT_EQ(build_icmp4_error(out, a4("1.2.3.4"), a4("5.6.7.8"), 1, {11, 0, 0}, ip4({}, pattern(600))), 576u);
  EXPECT_EQ(plain_sum(Octets(out.begin(), out.begin() + 20)), 0xffffu);
  EXPECT_EQ(plain_sum(Octets(out.begin() + 20, out.end())), 0xffffu);
  EXPECT_EQ(build_icmp6_error(out6, a6("::2"), a6("::3"), {3, 0, 0}, ip6({}, pattern(1400))), 1280u);
}

TEST(IcmpBuild, EchoReplies) {
  for (size_t n : {0u, 1u, 7u, 56u}) {
    Octets m = icmp(8, 0, {0, 5, 0, 6}, pattern(n));
    echo_reply4(m);
    EXPECT_EQ(m, icmp(0, 0, {0, 5, 0, 6}, pattern(n)));
    Octets six = Octets{128, 0, 0, 0, 0, 5, 0, 6} + pattern(n);
    const Ip6 src = a6("2001:db8::1"), dst = a6("2001:db8::2");
    echo_reply6(six, src, dst);
    EXPECT_EQ(six[0], 129);
    EXPECT_EQ(Octets(six.begin() + 4, six.end()), (Octets{0, 5, 0, 6}) + pattern(n));
    EXPECT_EQ(plain_sum(of(src) + of(dst) + words({0, unsigned(six.size()), 0, 58}) + six), 0xffffu);
  }
}

TEST(IcmpBuild, HeadersAreWhole) {
  Octets o = zeros(20, 0xee), o6 = zeros(40, 0xee);
  write_ip4(*edit<Ip4Hdr>(o), a4("198.18.1.10"), a4("198.18.2.10"), 17, 20, 1);
  EXPECT_EQ(o, ip4({}, {}));
  write_ip4(*edit<Ip4Hdr>(o), a4("198.18.1.10"), a4("198.18.2.10"), 6, 20, 9, 3, 0xc0, true);
  EXPECT_EQ(o, ip4({.proto = 6, .ttl = 3, .tos = 0xc0, .id = 9, .frag = 0x4000}, {}));
  write_ip6(*edit<Ip6Hdr>(o6), a6("2001:db8:1::10"), a6("2001:db8:2::10"), 58, 0, 255);
  EXPECT_EQ(o6, ip6({.next = 58, .hop_limit = 255}, {}));
}

}  // namespace
}  // namespace sluice::wire
