#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

constexpr uint8_t kRst = wire::kTcpRst, kAck = wire::kTcpAck, kSyn = wire::kTcpSyn, kFin = wire::kTcpFin;

class LocalTest : public Lab {
 public:
  const std::string own4 = "198.18.1.1", peer4 = "198.18.1.10", own6 = "2001:db8:1::1", peer6 = "2001:db8:1::10",
                    link = to_string(link_local_of(mac_of_port(0))), peer_link = "fe80::54:1";

  Octets echo4(const Octets& data) { return icmp(8, 0, {0x12, 0x34, 0, 7}, data); }
  Octets echo6(const std::string& s, const std::string& d, const Octets& data) {
    return icmp6(s, d, 128, 0, Octets{0x12, 0x34, 0, 7} + data);
  }
  void in4(const V4& v, const Octets& payload, uint16_t port = 0) { in(eth(ip4(v, payload), 0x800, mac_of_port(port)), port); }
  void in6(const V6& v, const Octets& payload, uint16_t port = 0) { in(eth(ip6(v, payload), 0x86dd, mac_of_port(port)), port); }
  void expect_refused(uint8_t type, uint8_t code, uint32_t info, DropReason why) {
    const Sent s = take();
    EXPECT_EQ(s.kind(), RingKind::refuse);
    EXPECT_EQ(s.meta.icmp_type, type);
    EXPECT_EQ(s.meta.icmp_code, code);
    EXPECT_EQ(s.meta.icmp_info, info);
    EXPECT_EQ(s.meta.reason, why);
    EXPECT_EQ(s.meta.worker, kWorker);
    nothing();
  }
};

TEST_F(LocalTest, EchoIsAnsweredFromTheAddressAsked) {
  for (const char* own : {"198.18.1.1", "198.18.2.1", "198.18.3.1"})
    for (size_t n : {0u, 1u, 56u, 57u, 1472u}) {
      in4({.src = "198.19.0.9", .dst = own, .proto = 1, .ttl = 1, .tos = 0x48}, echo4(pattern(n)));
      const Sent s = take();
      EXPECT_EQ(s.kind(), RingKind::route);
      EXPECT_EQ(s.meta.worker, kWorker);
      EXPECT_TRUE(s.meta.has(kMetaLocalOrigin));
      EXPECT_EQ(s.meta.l3, 14);
      EXPECT_EQ(s.meta.l4, 34);
      EXPECT_EQ(s.meta.ip_length, 28 + n);
      EXPECT_EQ(s.frame.size(), 42 + n);
      EXPECT_EQ(s.meta.in_port, 0);
      const Octets ip = s.ip();
      EXPECT_EQ(ip, ip4({.src = own, .dst = "198.19.0.9", .proto = 1, .ttl = 64, .tos = 0x48, .id = get16(ip, 4)},
                        icmp(0, 0, {0x12, 0x34, 0, 7}, pattern(n))));
    }
  EXPECT_EQ(consumed(), 15u);
  EXPECT_EQ(account.box.created.get(), 15u);
}

TEST_F(LocalTest, Echo6IsAnsweredFromTheAddressAsked) {
  for (const char* own : {"2001:db8:1::1", "2001:db8:2::1"})
    for (size_t n : {0u, 1u, 56u, 57u, 1452u}) {
      in6({.src = "2001:db8:a000::9", .dst = own, .next = 58, .hop_limit = 1}, echo6("2001:db8:a000::9", own, pattern(n)));
      const Sent s = take();
      EXPECT_EQ(s.kind(), RingKind::route);
      EXPECT_EQ(s.ip(), ip6({.src = own, .dst = "2001:db8:a000::9", .next = 58},
                            icmp6(own, "2001:db8:a000::9", 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(n))));
      EXPECT_EQ(s.meta.l4, 54);
    }
}

TEST_F(LocalTest, EchoToTheSubnetsRoutersComesFromAnOwnAddress) {
  for (const char* anycast : {"2001:db8:1::", "2001:db8:2::"}) {
    in6({.src = peer6, .dst = anycast, .next = 58}, echo6(peer6, anycast, pattern(8)));
    EXPECT_EQ(take().ip(), ip6({.src = own6, .dst = peer6, .next = 58}, icmp6(own6, peer6, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(8))));
  }
  ifs.port[0].addresses = {parse_prefix("2001:db8:1::1/127").value()};
  in6({.src = peer6, .dst = "2001:db8:1::", .next = 58}, echo6(peer6, "2001:db8:1::", {}));
  nothing();
}

TEST_F(LocalTest, LinkLocalEchoStaysOnItsLink) {
  in6({.src = peer_link, .dst = link, .next = 58}, echo6(peer_link, link, pattern(8)));
  EXPECT_TRUE(take().nd(135));
  na({.src = peer_link, .dst = link, .target = peer_link, .options = option_mac(2, kPeer), .flags = kSolicited});
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::transmit);
  EXPECT_EQ(s.meta.egress, 0);
  EXPECT_EQ(s.frame, eth(ip6({.src = link, .dst = peer_link, .next = 58}, icmp6(link, peer_link, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(8))),
                         0x86dd, kPeer, mac_of_port(0)));
  // Another port's link-local address is nobody here.
  const std::string other = to_string(link_local_of(mac_of_port(1)));
  in6({.src = peer_link, .dst = other, .next = 58}, echo6(peer_link, other, {}));
  nothing();
  EXPECT_EQ(drops(DropReason::ip_destination_invalid), 1u);
  // Nor can a link-local address speak off its link.
  in6({.src = "2001:db8:77::1", .dst = link, .next = 58}, echo6("2001:db8:77::1", link, {}));
  nothing();
}

TEST_F(LocalTest, EchoToAllNodesIsAnsweredFromAnOwnAddress) {
  ns({.src = peer_link, .dst = link, .target = link, .options = option_mac(1, kPeer)});
  out.clear();
  in(eth(ip6({.src = peer_link, .dst = "ff02::1", .next = 58}, echo6(peer_link, "ff02::1", pattern(4))), 0x86dd, multicast_mac(a6("ff02::1")), kPeer));
  Sent s = take();
  EXPECT_EQ(tail(s.frame, 14), ip6({.src = link, .dst = peer_link, .next = 58}, icmp6(link, peer_link, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(4))));
  in(eth(ip6({.src = peer6, .dst = "ff02::1", .next = 58}, echo6(peer6, "ff02::1", {})), 0x86dd, multicast_mac(a6("ff02::1")), kPeer));
  EXPECT_EQ(tail(head(take().frame, 38), 22), of(a6(own6)));
  in(eth(ip6({.src = peer6, .dst = "ff02::99", .next = 58}, echo6(peer6, "ff02::99", {})), 0x86dd, multicast_mac(a6("ff02::99")), kPeer));
  nothing();
  EXPECT_EQ(drops(DropReason::multicast_policy), 1u);
}

TEST_F(LocalTest, BroadcastAndMulticastEchoIsNotAnswered) {
  in(eth(ip4({.src = peer4, .dst = "198.18.1.255", .proto = 1}, echo4({})), 0x800, kBroadcast, kPeer));
  in(eth(ip4({.src = peer4, .dst = "255.255.255.255", .proto = 1}, echo4({})), 0x800, kBroadcast, kPeer));
  in(eth(ip4({.src = peer4, .dst = "224.0.0.1", .proto = 1}, echo4({})), 0x800, multicast_mac(a4("224.0.0.1")), kPeer));
  in(eth(ip4({.src = peer4, .dst = own4, .proto = 1}, echo4({})), 0x800, kBroadcast, kPeer));  // RFC 1122 3.3.6
  nothing();
}

TEST_F(LocalTest, WrongOrShortIcmpIsSilent) {
  Octets bad = echo4(pattern(20));
  bad[2] ^= 0x40;
  in4({.src = peer4, .dst = own4, .proto = 1}, bad);
  for (size_t n = 0; n < 8; n++) in4({.src = peer4, .dst = own4, .proto = 1}, head(icmp(8, 0), n));
  Octets bad6 = echo6(peer6, own6, pattern(20));
  bad6[2] ^= 0x40;
  in6({.src = peer6, .dst = own6, .next = 58}, bad6);
  for (size_t n = 0; n < 8; n++) in6({.src = peer6, .dst = own6, .next = 58}, head(echo6(peer6, own6, {}), n));
  nothing();
  EXPECT_EQ(drops(DropReason::icmp_invalid), 18u);
}

TEST_F(LocalTest, OtherIcmpIsCountedAndLetGo) {
  for (uint8_t type : Octets{0, 3, 4, 5, 11, 12, 13, 15, 17, 40, 255}) in4({.src = peer4, .dst = own4, .proto = 1}, icmp(type, 0, zeros(4), zeros(40)));
  for (uint8_t type : Octets{1, 3, 4, 100, 129, 130, 255}) in6({.src = peer6, .dst = own6, .next = 58}, icmp6(peer6, own6, type, 0, zeros(60)));
  nothing();
  EXPECT_EQ(drops(DropReason::icmp_unhandled), 18u);
}

TEST_F(LocalTest, RecordRouteAndTimestampComeBackSourceRoutesDoNot) {
  const Octets rr = Octets{7, 11, 8} + of(a4("198.18.1.1")) + zeros(4), ts = Octets{68, 12, 9, 0} + zeros(8, 5);
  in4({.src = peer4, .dst = own4, .proto = 1, .options = Octets{1} + rr + ts}, echo4(pattern(9)));
  const Sent s = take();
  const Octets ip = s.ip();
  EXPECT_EQ(ip, ip4({.src = own4, .dst = peer4, .proto = 1, .id = get16(ip, 4), .options = rr + ts}, icmp(0, 0, {0x12, 0x34, 0, 7}, pattern(9))));
  EXPECT_EQ(s.meta.l4, 14 + 44);
  EXPECT_TRUE(s.meta.has(kMetaIpOptions));
  in4({.src = peer4, .dst = own4, .proto = 1, .options = {148, 4, 0, 0}}, echo4({}));
  EXPECT_EQ(take().frame[14], 0x45);
  for (uint8_t type : Octets{131, 137}) in4({.src = peer4, .dst = own4, .proto = 1, .options = Octets{type, 7, 8} + of(a4(peer4))}, echo4({}));
  nothing();
  EXPECT_EQ(drops(DropReason::ip_options), 2u);
}

TEST_F(LocalTest, NobodySpeaksFromTheBoxsAddresses) {
  in4({.src = own4, .dst = own4, .proto = 1}, echo4({}));
  in4({.src = "198.18.2.1", .dst = own4, .proto = 1}, echo4({}));
  in4({.src = "198.18.1.255", .dst = own4, .proto = 1}, echo4({}));
  in6({.src = own6, .dst = own6, .next = 58}, echo6(own6, own6, {}));
  in6({.src = "::", .dst = own6, .next = 58}, echo6("::", own6, {}));
  in6({.src = "::", .dst = own6, .next = 17}, sealed("::", own6, 17, udp(1, 2), 6));
  nothing();
}

TEST_F(LocalTest, UdpToAClosedPortIsRefused) {
  in4({.src = peer4, .dst = own4}, sealed(peer4, own4, 17, udp(3333, 9, pattern(33)), 6));
  expect_refused(3, 3, 0, DropReason::udp_closed);
  in4({.src = peer4, .dst = "198.18.2.1"}, udp(3333, 9));  // no checksum
  expect_refused(3, 3, 0, DropReason::udp_closed);
  in6({.src = peer6, .dst = own6}, sealed(peer6, own6, 17, udp(3333, 9, pattern(33)), 6));
  expect_refused(1, 4, 0, DropReason::udp_closed);
}

TEST_F(LocalTest, UnsoundUdpIsSilent) {
  Octets bad = sealed(peer4, own4, 17, udp(3333, 9, pattern(20)), 6);
  bad[12] ^= 1;
  in4({.src = peer4, .dst = own4}, bad);
  in6({.src = peer6, .dst = own6}, udp(3333, 9, pattern(5)));  // no checksum
  for (size_t n = 0; n < 8; n++) in4({.src = peer4, .dst = own4}, head(udp(3333, 9), n));
  for (unsigned length : {0u, 1u, 7u, 9u, 100u, 65535u}) in4({.src = peer4, .dst = own4}, words({7, 9, length, 0}));
  nothing();
  EXPECT_EQ(drops(DropReason::udp_invalid), 16u);
  in6({.src = peer6, .dst = "ff02::1"}, sealed(peer6, "ff02::1", 17, udp(1, 2), 6));
  nothing();
}

TEST_F(LocalTest, UnknownProtocolsAreRefused) {
  in4({.src = peer4, .dst = own4, .proto = 253}, pattern(40));
  expect_refused(3, 2, 0, DropReason::protocol_unknown);
  in6({.src = peer6, .dst = own6, .next = 253}, pattern(40));
  expect_refused(4, 1, 6, DropReason::protocol_unknown);
  in6({.src = peer6, .dst = own6, .next = 60}, ext(253, zeros(6)) + pattern(8));
  expect_refused(4, 1, 40, DropReason::protocol_unknown);
  in6({.src = peer6, .dst = own6, .next = 59}, pattern(8));
  nothing();
  EXPECT_EQ(consumed(), 1u);
}

TEST_F(LocalTest, ExtensionHeadersAreGoneThrough) {
  const Octets e = echo6(peer6, own6, pattern(12));
  const Octets expected = ip6({.src = own6, .dst = peer6, .next = 58}, icmp6(own6, peer6, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(12)));
  const Octets routing_done = Octets{58, 2, 0, 0} + zeros(20);
  in6({.src = peer6, .dst = own6, .next = 60}, ext(58, {5, 2, 0, 0}) + e);           // an option to be skipped
  EXPECT_EQ(take().ip(), expected);
  in6({.src = peer6, .dst = own6, .next = 43}, routing_done + e);
  EXPECT_EQ(take().ip(), expected);
  in6({.src = peer6, .dst = own6, .next = 44}, frag6(58, 0, false) + e);              // atomic
  EXPECT_EQ(take().ip(), expected);
  in6({.src = peer6, .dst = own6, .next = 60}, ext(58, {0x80 | 30, 2, 0, 0}) + e);
  expect_refused(4, 2, 42, DropReason::ip6_extension);
  in6({.src = peer6, .dst = own6, .next = 60}, ext(58, {0xc0 | 30, 2, 0, 0}) + e);
  expect_refused(4, 2, 42, DropReason::ip6_extension);
  in6({.src = peer6, .dst = own6, .next = 60}, ext(58, {0x40 | 30, 2, 0, 0}) + e);
  nothing();
  in6({.src = peer6, .dst = own6, .next = 43}, Octets{58, 2, 0, 1} + zeros(4) + of(a6(own6)) + e);
  expect_refused(4, 0, 42, DropReason::ip6_extension);
}

TEST_F(LocalTest, TcpToAClosedPortIsReset) {
  struct Case {
    uint8_t flags;
    uint32_t seq, ack;
    size_t data;
    uint8_t out_flags;
    uint32_t out_seq, out_ack;
  };
  const Case cases[] = {{kSyn, 0xffffffff, 0, 0, kRst | kAck, 0, 0},
                        {kSyn, 0x12345678, 0, 0, kRst | kAck, 0, 0x12345679},
                        {kAck, 55, 7, 0, kRst, 7, 0},
                        {kAck, 55, 0xffffffff, 3, kRst, 0xffffffff, 0},
                        {uint8_t(kSyn | kFin), 1000, 0, 5, kRst | kAck, 0, 1007},
                        {kFin, 1000, 0, 5, kRst | kAck, 0, 1006},
                        {0, 1000, 0, 5, kRst | kAck, 0, 1005}};
  for (const Case& c : cases)
    for (bool v4 : {true, false}) {
      const std::string s = v4 ? peer4 : peer6, d = v4 ? own4 : own6;
      const Octets seg = sealed(s, d, 6, tcp(30000, 4, c.flags, c.seq, c.ack, pattern(c.data)), 16);
      if (v4) in4({.src = s, .dst = d, .proto = 6}, seg);
      else in6({.src = s, .dst = d, .next = 6}, seg);
      const Sent r = take();
      EXPECT_EQ(r.kind(), RingKind::route);
      const Octets t = r.l4();
      ASSERT_EQ(t.size(), 20u);
      EXPECT_TRUE(sum_ok(d, s, 6, t));
      EXPECT_EQ(get16(t, 0), 4u);
      EXPECT_EQ(get16(t, 2), 30000u);
      EXPECT_EQ(get32(t, 4), c.out_seq);
      EXPECT_EQ(get32(t, 8), c.out_ack);
      EXPECT_EQ(get16(t, 12), 0x5000u | c.out_flags);
      if (v4) EXPECT_EQ(r.ip(), ip4({.src = d, .dst = s, .proto = 6, .id = 0, .frag = 0x4000}, t));
      else EXPECT_EQ(r.ip(), ip6({.src = d, .dst = s, .next = 6}, t));
    }
  EXPECT_EQ(drops(DropReason::tcp_closed), 14u);
}

TEST_F(LocalTest, ResetsAndMalformedSegmentsDrawNothing) {
  for (uint8_t flags : Octets{int(kRst), kRst | kAck, kRst | kSyn}) in4({.src = peer4, .dst = own4, .proto = 6}, sealed(peer4, own4, 6, tcp(1, 2, flags), 16));
  EXPECT_EQ(drops(DropReason::tcp_closed), 3u);
  const Octets good = sealed(peer4, own4, 6, tcp(1, 2, kSyn), 16);
  for (size_t n = 0; n < 20; n++) in4({.src = peer4, .dst = own4, .proto = 6}, head(good, n));
  Octets wrong = good;
  wrong[5] ^= 1;
  in4({.src = peer4, .dst = own4, .proto = 6}, wrong);
  for (uint8_t offset : Octets{0, 4, 6, 15}) in4({.src = peer4, .dst = own4, .proto = 6}, sealed(peer4, own4, 6, tcp(1, 2, kSyn, 0, 0, {}, offset), 16));
  nothing();
  EXPECT_EQ(drops(DropReason::tcp_invalid), 24u);
  EXPECT_EQ(drops(DropReason::tcp_checksum), 1u);
}

TEST_F(LocalTest, ResetsAreRateLimited) {
  const Octets seg = sealed(peer4, own4, 6, tcp(1, 2, kSyn), 16);
  for (int i = 0; i < 3000; i++) in4({.src = peer4, .dst = own4, .proto = 6}, seg);
  EXPECT_LE(out.size(), 1500u);
  EXPECT_GE(out.size(), 200u);
}

TEST_F(LocalTest, ChosenTrafficIsTheHosts) {
  ifs.port[0].exception = {{.proto = 6, .dport = 22, .sport = 0, .source = {}},
                           {.proto = 17, .dport = 0, .sport = 67, .source = parse_prefix("198.18.1.0/24")}};
  in4({.src = peer4, .dst = own4, .proto = 6}, sealed(peer4, own4, 6, tcp(1000, 22, kSyn), 16));
  in4({.src = peer4, .dst = own4}, udp(67, 68));
  EXPECT_EQ(to_host.size(), 2u);
  nothing();
  in4({.src = peer4, .dst = own4, .proto = 6}, sealed(peer4, own4, 6, tcp(1000, 23, kSyn), 16));
  EXPECT_EQ(take().kind(), RingKind::route);
  in4({.src = "198.18.9.9", .dst = own4}, udp(67, 68));
  EXPECT_EQ(take().kind(), RingKind::refuse);
  in4({.src = peer4, .dst = own4, .proto = 6}, sealed(peer4, own4, 6, tcp(1000, 22, kSyn), 16), 1);
  EXPECT_EQ(take().kind(), RingKind::route);
  EXPECT_EQ(to_host.size(), 2u);
}

TEST_F(LocalTest, PacketTooBigMakesTheBoxFragment) {
  const Octets e = echo6(peer6, own6, pattern(1400));
  in6({.src = peer6, .dst = own6, .next = 58}, e);
  EXPECT_EQ(take().frame[20], 58);
  const Octets quote = ip6({.src = own6, .dst = peer6, .next = 58}, pattern(100));
  in6({.src = "2001:db8:1::99", .dst = own6, .next = 58}, icmp6("2001:db8:1::99", own6, 2, 0, words({0, 1300}) + quote));
  in6({.src = peer6, .dst = own6, .next = 58}, e);
  const Sent first = take(), second = take();
  EXPECT_EQ(first.frame[20], 44);
  EXPECT_LE(first.frame.size(), 14 + 1300u);
  EXPECT_EQ(first.meta.frag_offset, 0);
  EXPECT_TRUE(first.meta.has(kMetaFragFirst));
  EXPECT_TRUE(second.meta.has(kMetaFragLater));
  EXPECT_EQ(tail(first.frame, 62) + tail(second.frame, 62), icmp6(own6, peer6, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(1400)));
  nothing();
  // Of somebody else's packets, or below the minimum, it is not believed.
  const Octets alien = ip6({.src = "2001:db8:9::1", .dst = "2001:db8:1::11", .next = 58}, pattern(100));
  in6({.src = peer6, .dst = own6, .next = 58}, icmp6(peer6, own6, 2, 0, words({0, 1280}) + alien));
  EXPECT_EQ(drops(DropReason::icmp_invalid), 1u);
  in6({.src = peer6, .dst = own6, .next = 58}, icmp6(peer6, own6, 2, 0, words({0, 100}) + quote));
  in6({.src = peer6, .dst = own6, .next = 58}, echo6(peer6, own6, pattern(1200)));
  EXPECT_EQ(take().frame[20], 58);
  nothing();
}

TEST_F(LocalTest, ASmallerLinkMakesTheBoxFragment6) {
  // In through the port of 1400 bytes in two fragments; out within 1400.
  const std::string own = "2001:db8:3::1", peer = "2001:db8:3::10";
  const Octets e = echo6(peer, own, pattern(1392));
  in6({.src = peer, .dst = own, .next = 44}, frag6(58, 0, true) + head(e, 1000), 2);
  in6({.src = peer, .dst = own, .next = 44}, frag6(58, 1000, false) + tail(e, 1000), 2);
  const Sent first = take(), second = take();
  EXPECT_LE(first.frame.size(), 1414u);
  EXPECT_EQ(tail(first.frame, 62) + tail(second.frame, 62), icmp6(own, peer, 129, 0, Octets{0x12, 0x34, 0, 7} + pattern(1392)));
  nothing();
}

}  // namespace
}  // namespace sluice::test
