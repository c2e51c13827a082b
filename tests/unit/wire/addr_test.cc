#include "wire/addr.h"

#include <gtest/gtest.h>

#include "wire/martian.h"

namespace sluice {
namespace {

using namespace std::string_view_literals;

TEST(Addr, TextThereAndBack) {
  for (const char* s : {"0.0.0.0", "198.18.1.255", "255.255.255.255"})
    EXPECT_EQ(to_string(parse_ip4(s).value()), s);
  for (const char* s :
       {"::", "::1", "2001:db8::1", "fe80::1:2:3:4", "ff02::1:ff00:0", "2001:db8:0:1:1:1:1:1"})
    EXPECT_EQ(to_string(parse_ip6(s).value()), s);
  EXPECT_EQ(to_string(parse_ip6("2001:DB8:0:0:0:0:0:1").value()), "2001:db8::1");  // RFC 5952 4.1 to 4.3
  EXPECT_EQ(to_string(parse_mac("02:AB:cd:00:00:fF").value()), "02:ab:cd:00:00:ff");
  for (const char* s : {"198.18.1.1/24", "0.0.0.0/0", "2001:db8::1/128"})
    EXPECT_EQ(to_string(parse_prefix(s).value()), s);
  EXPECT_EQ(to_string(IpAddr()), "none");
}

TEST(Addr, WhatIsNoAddress) {
  for (auto s : {""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.1.1.1"sv, "01.2.3.4"sv, "1.2.3.4 "sv, " 1.2.3.4"sv,
                 "1.2.3.4\0x"sv, "1.2.3.4\0"sv, "::1\0"sv, ":::"sv, "1::2::3"sv, "2001:db8::g"sv, "[::1]"sv,
                 "fe80::1%eth0"sv, "12345::"sv})
    EXPECT_FALSE(parse_ip(s)) << s;
  for (auto s : {""sv, "1.2.3.4"sv, "1.2.3.4/"sv, "1.2.3.4/33"sv, "1.2.3.4/-1"sv, "1.2.3.4/024"sv,
                 "1.2.3.4/1x"sv, "::/129"sv, "/24"sv, "1.2.3.4/24/8"sv, "::/4294967297"sv})
    EXPECT_FALSE(parse_prefix(s)) << s;
  for (auto s : {""sv, "02:00:00:00:00"sv, "02:00:00:00:00:0"sv, "02-00-00-00-00-01"sv, "02:00:00:00:00:0g"sv,
                 "02:00:00:00:00:001"sv})
    EXPECT_FALSE(parse_mac(s)) << s;
}

TEST(Prefix, MaskAndContain) {
  struct {
    const char *prefix, *masked, *in, *out;
  } table[] = {
      {"198.18.1.77/24", "198.18.1.0/24", "198.18.1.255", "198.18.2.0"},
      {"198.18.1.77/32", "198.18.1.77/32", "198.18.1.77", "198.18.1.76"},
      {"198.18.1.77/31", "198.18.1.76/31", "198.18.1.76", "198.18.1.78"},
      {"198.18.1.77/0", "0.0.0.0/0", "255.0.0.1", "::1"},
      {"198.18.1.77/9", "198.0.0.0/9", "198.127.0.0", "198.128.0.0"},
      {"2001:db8:ffff::1/33", "2001:db8:8000::/33", "2001:db8:8000::", "2001:db8:7fff::"},
      {"2001:db8::1/127", "2001:db8::/127", "2001:db8::1", "2001:db8::2"},
      {"::/0", "::/0", "ffff::", "0.0.0.0"},
  };
  for (const auto& t : table) {
    const Prefix p = parse_prefix(t.prefix).value();
    EXPECT_EQ(to_string(p.masked()), t.masked);
    EXPECT_TRUE(p.contains(parse_ip(t.in).value())) << t.prefix;
    EXPECT_FALSE(p.contains(parse_ip(t.out).value())) << t.prefix;
    EXPECT_EQ(p.has_host_bits(), std::string(t.prefix) != t.masked);
  }
}

TEST(Mac, WordsAndKinds) {
  const Mac m = parse_mac("02:01:03:04:05:06").value();
  EXPECT_EQ(Mac::from_word(m.word()), m);
  EXPECT_EQ(m.word() >> 48, 0u);
  EXPECT_EQ(Mac::from_word(m.word() | uint64_t{0xffff} << 48), m);
  EXPECT_FALSE(m.group());
  EXPECT_TRUE(parse_mac("01:00:5e:00:00:01")->group());
  EXPECT_TRUE(parse_mac("ff:ff:ff:ff:ff:ff")->broadcast());
  EXPECT_FALSE(parse_mac("ff:ff:ff:ff:ff:fe")->broadcast());
  EXPECT_TRUE(Mac{}.zero());
}

TEST(Addr, DerivedAddresses) {
  EXPECT_EQ(to_string(link_local_of(*parse_mac("00:50:56:c0:00:08"))), "fe80::250:56ff:fec0:8");
  EXPECT_EQ(to_string(solicited_node(*parse_ip6("2001:db8::4037:b1c2"))), "ff02::1:ff37:b1c2");
  EXPECT_EQ(to_string(multicast_mac(*parse_ip4("239.129.2.3"))), "01:00:5e:01:02:03");
  EXPECT_EQ(to_string(multicast_mac(*parse_ip6("ff02::1:ff37:b1c2"))), "33:33:ff:37:b1:c2");
}

TEST(Addr, Kinds) {
  EXPECT_TRUE(parse_ip4("224.0.0.1")->multicast());
  EXPECT_TRUE(parse_ip4("239.255.255.255")->multicast());
  EXPECT_FALSE(parse_ip4("240.0.0.0")->multicast());
  EXPECT_TRUE(parse_ip4("127.255.0.1")->loopback());
  EXPECT_TRUE(parse_ip6("febf::1")->link_local());
  EXPECT_FALSE(parse_ip6("fec0::1")->link_local());
  EXPECT_TRUE(parse_ip6("::1")->loopback());
  EXPECT_FALSE(parse_ip6("1::1")->loopback());
  EXPECT_TRUE(parse_ip6("::")->unspecified());
}

TEST(Martian, SingleHosts) {
  for (const char* s : {"1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "::2",
                        "2001:db8::", "fe80::1", "1::", "::fffe:1.2.3.4", "64:ff9b::1.2.3.4"})
    EXPECT_TRUE(wire::single_host(*parse_ip(s))) << s;
  for (const char* s :
       {"0.0.0.0", "0.255.255.255", "127.0.0.0", "127.255.255.255", "224.0.0.0", "239.1.2.3", "240.0.0.0",
        "255.255.255.255", "::", "::1", "ff02::1", "ff00::", "::ffff:1.2.3.4", "::ffff:0:0"})
    EXPECT_FALSE(wire::single_host(*parse_ip(s))) << s;
}

}  // namespace
}  // namespace sluice
