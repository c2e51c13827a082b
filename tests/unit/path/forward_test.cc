// Forwarding: routes, rewriting, martians, MTU, neighbours, what is for the box, rings.
#include "pipeline_fixture.h"
#include "tests/unit/eal_env.h"

namespace sluice::test {
namespace {

using Forward = PipelineTest;

TEST_F(Forward, OneHopRewritesMacsTtlAndChecksum) {
  for (int i = 0; i < 3; i++) {  // the first packet is decided, the others replayed
    expect_forwarded(kA, udp4(kA4, kB4), kB);
    EXPECT_EQ(Octets(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 14),
              of(host_mac(kB, 10)) + of(kMac[kB]) + words({0x800}));
  }
  EXPECT_EQ(pipeline->flows(), 1u);
  for (int i = 0; i < 3; i++) expect_forwarded(kA, udp6(kA6, kB6), kB);
  EXPECT_EQ(pipeline->flows(), 2u);
}

TEST_F(Forward, EveryTtlGivesARightChecksumAndNeverNegativeZero) {
  for (unsigned id = 0; id < 65536; id += 255) {
    V4 h;
    h.id = id;
    h.ttl = static_cast<uint8_t>(2 + id % 254);
    expect_forwarded(kA, udp4(kA4, kB4, 1, 2, {}, h), kB);
    EXPECT_NE(get16(out.sent[0].frame, 24), 0xffffu);
  }
}

TEST_F(Forward, ChecksumThatWouldBecomeNegativeZeroIsZero) {
  for (unsigned id = 0; id < 65536; id++) {
    V4 h;
    h.id = id;
    const Octets p = udp4(kA4, kB4, 1, 2, {}, h);
    if (get16(p, 10) != 0xfeff) continue;
    in(kA, p);
    ASSERT_EQ(out.sent.size(), 1u);
    EXPECT_EQ(get16(out.sent[0].frame, 24), 0u);
    return;
  }
  FAIL() << "no packet with checksum feff";
}

TEST_F(Forward, PaddingIsNotForwarded) {
  Octets f = frame(kA, udp4(kA4, kB4, 1, 2, {}));
  f.resize(100, 0xee);
  raw(kA, f);
  ASSERT_EQ(out.sent.size(), 1u);
  EXPECT_EQ(out.sent[0].frame.size(), 14u + 28u);
}

TEST_F(Forward, LongestPrefixAndHairpin) {
  expect_forwarded(kA, udp4(kA4, "198.18.70.1"), kB);
  EXPECT_EQ(Octets(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 6), of(host_mac(kB, 10)));
  expect_forwarded(kA, udp4(kA4, "198.18.1.11"), kA);
  expect_forwarded(kC, udp6(kC6, "2001:db8:41::1"), kB);
}

TEST_F(Forward, EcmpIsPerFlowAndUsesAllHops) {
  std::vector<Octets> macs;
  for (unsigned k = 0; k < 100; k++) {
    Octets first;
    for (unsigned j = 0; j < 3; j++) {
      V4 h;
      h.ttl = static_cast<uint8_t>(60 - j);
      h.tos = static_cast<uint8_t>(j);
      in(kA, udp4(kA4, "198.18.97.5", 1000 + k * 7, 80, pattern(10 + j * 30), h));
      ASSERT_EQ(out.sent.size(), 1u);
      const Octets mac(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 6);
      if (j == 0) first = mac;
      EXPECT_EQ(mac, first) << "one flow, two hops";
    }
    macs.push_back(first);
  }
  const auto n = std::count(macs.begin(), macs.end(), of(host_mac(kB, 10)));
  EXPECT_GT(n, 25);
  EXPECT_LT(n, 75);
}

TEST_F(Forward, FragmentsOfADatagramTakeOneHop) {
  for (unsigned k = 0; k < 32; k++) {
    std::vector<Octets> macs;
    for (unsigned off : {0u, 1000u, 2000u}) {
      V4 h;
      h.src = kA4, h.dst = "198.18.97.5";
      h.id = k;
      h.frag = off / 8 | (off < 2000 ? 0x2000 : 0);
      const Octets payload = off == 0 ? udp(7000 + k, 80, pattern(992)) : pattern(1000);
      in(kA, ip4(h, payload));
      ASSERT_EQ(out.sent.size(), 1u);
      macs.push_back(Octets(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 6));
    }
    EXPECT_EQ(macs[0], macs[1]);
    EXPECT_EQ(macs[0], macs[2]);
  }
}

TEST_F(Forward, ABurstKeepsTheOrderOfAFlow) {
  std::vector<Octets> frames;
  for (unsigned i = 0; i < 64; i++) {
    V4 h;
    h.id = i;
    frames.push_back(frame(kA, udp4(kA4, i % 3 ? kB4 : kC4, 1000 + i % 2, 2000, pattern(18), h)));
  }
  for (int round = 0; round < 2; round++) {
    out.sent.clear();
    burst(kA, frames);
    ASSERT_EQ(out.sent.size(), 64u);
    for (uint16_t p : {kB, kC}) {
      std::vector<unsigned> ids;
      for (auto& s : out.sent)
        if (s.port == p) ids.push_back(get16(s.frame, 18));
      EXPECT_TRUE(round == 0 || std::is_sorted(ids.begin(), ids.end()));
      EXPECT_EQ(std::count_if(frames.begin(), frames.end(), [&](auto& f) { return (f[32] == 3) == (p == kC); }),
                static_cast<long>(ids.size()));
    }
  }
}

TEST_F(Forward, MartiansAreNotForwardedThoughThereAreRoutes) {
  using D = DropReason;
  for (const char* s : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"})
    expect_dropped(kA, udp4(s, kB4), D::ip_source_invalid, s);
  for (const char* d : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "240.1.2.3"})
    expect_dropped(kA, udp4(kA4, d), D::ip_destination_invalid, d);
  expect_dropped(kA, udp4(kA4, "255.255.255.255"), D::broadcast_policy);
  expect_dropped(kA, udp4(kA4, "198.18.2.255"), D::broadcast_policy, "directed broadcast");
  expect_dropped(kA, udp4("198.18.1.255", kB4), D::ip_source_invalid, "broadcast source");
  expect_dropped(kA, udp4(kA4, "224.0.0.5"), D::multicast_policy);
  expect_dropped(kA, udp4("169.254.1.1", kB4), D::ip_source_invalid);
  expect_dropped(kA, udp4(kA4, "169.254.1.1"), D::ip_destination_invalid);
  for (const char* s : {"::", "::1", "ff02::1", "::ffff:1.2.3.4"})
    expect_dropped(kA, udp6(s, kB6), D::ip_source_invalid, s);
  for (const char* d : {"::", "::1", "::ffff:1.2.3.4"}) expect_dropped(kA, udp6(kA6, d), D::ip_destination_invalid, d);
  expect_dropped(kA, udp6(kA6, "fe80::99"), D::ip_destination_invalid);
  expect_dropped(kA, udp6(kA6, "ff0e::1"), D::multicast_policy);
  in(kA, udp6("fe80::99", kB6));
  EXPECT_EQ(out.sent.size(), 0u);
  EXPECT_EQ(all_drops(), 7u + 5 + 3 + 1 + 2 + 4 + 3 + 2 + 1);
}

TEST_F(Forward, TheBoxOwnAddressIsNoSource) {
  for (int i = 0; i < 2; i++) {
    expect_dropped(kA, udp4("198.18.1.1", kB4), DropReason::source_own);
    expect_dropped(kA, udp4("198.18.2.1", "198.18.1.1"), DropReason::source_own, "to the box");
    expect_dropped(kA, udp6("2001:db8:3::1", kB6), DropReason::source_own);
  }
}

TEST_F(Forward, StrictReversePathWantsTheRouteBackThroughTheSamePort) {
  interface(kA).reverse_path_strict = true;
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  expect_forwarded(kA, udp4("198.19.5.5", kB4), kB);
  for (int i = 0; i < 2; i++) {
    expect_dropped(kA, udp4(kC4, kB4), DropReason::reverse_path);
    expect_dropped(kA, udp4("198.20.0.1", kB4), DropReason::reverse_path, "no route back");
    expect_dropped(kA, udp4(kC4, "198.18.1.1"), DropReason::reverse_path, "to the box");
  }
  expect_forwarded(kB, udp4(kC4, kA4), kA, "not strict here");
}

TEST_F(Forward, NoRouteUnreachableAndBlackHole) {
  expect_error(kA, udp4(kA4, "198.20.0.1"), 3, 0, DropReason::no_route);
  expect_error(kA, udp4(kA4, "198.18.99.1"), 3, 1, DropReason::no_route);
  expect_error(kA, udp6(kA6, "3fff::1"), 1, 0, DropReason::no_route);
  expect_dropped(kA, udp4(kA4, "198.18.96.1"), DropReason::blackhole);
  EXPECT_EQ(pipeline->flows(), 0u) << "what draws an error is not compiled";
}

TEST_F(Forward, TtlOneIsTimeExceededFromTheIngressPort) {
  V4 h;
  h.ttl = 1;
  V6 h6;
  h6.hop_limit = 1;
  for (int i = 0; i < 2; i++) {
    expect_error(kA, udp4(kA4, kB4, 1, 2, pattern(18), h), 11, 0, DropReason::ttl_expired);
    EXPECT_EQ(Octets(out.sent[0].frame.begin() + 26, out.sent[0].frame.begin() + 30), of(a4("198.18.1.1")));
    expect_error(kA, udp6(kA6, kB6, 1, 2, pattern(18), h6), 3, 0, DropReason::ttl_expired);
    expect_forwarded(kA, udp4(kA4, kB4, 1, 2), kB);  // and the flow is there the second time
    expect_forwarded(kA, udp6(kA6, kB6, 1, 2), kB);
  }
}

TEST_F(Forward, TooBigIsFragmentedOrRefused) {
  for (int i = 0; i < 2; i++) {
    in(kA, udp4(kA4, kC4, 1, 2, pattern(1472)));
    ASSERT_EQ(out.sent.size(), 2u);
    EXPECT_EQ(out.sent[0].port, kC);
    EXPECT_EQ(out.sent[0].frame.size(), 14u + 1396u);
    EXPECT_EQ(out.sent[0].frame[22], 63);
    EXPECT_EQ(Octets(out.sent[1].frame.begin(), out.sent[1].frame.begin() + 12), of(host_mac(kC, 10)) + of(kMac[kC]));
    V4 h;
    h.frag = 0x4000;
    expect_error(kA, udp4(kA4, kC4, 1, 2, pattern(1472), h), 3, 4, DropReason::mtu_exceeded);
    EXPECT_EQ(get16(out.sent[0].frame, 40), 1400u);
    expect_error(kA, udp6(kA6, kC6, 1, 2, pattern(1452)), 2, 0, DropReason::mtu_exceeded);
    EXPECT_EQ(get32(out.sent[0].frame, 58), 1400u);
    expect_forwarded(kA, udp4(kA4, kC4, 1, 2, pattern(1372), h), kC, "just fits");
  }
  EXPECT_EQ(account.port[kA].consumed.get(), 2u);
}

TEST_F(Forward, NeighbourWithoutMacGoesToTheStackReadyButForIt) {
  for (int i = 0; i < 2; i++) {
    in(kA, udp4(kA4, "198.18.2.99"));
    ASSERT_EQ(out.stack.size(), 1u);
    const auto& p = out.stack[0];
    EXPECT_EQ(p.meta.kind, RingKind::resolve);
    EXPECT_EQ(p.meta.egress, kB);
    EXPECT_EQ(p.meta.next_hop, IpAddr(a4("198.18.2.99")));
    EXPECT_EQ(p.frame[22], 63) << "the TTL is counted down once, here";
  }
  reachable(kB, a4("198.18.2.99"), host_mac(kB, 99));
  expect_forwarded(kA, udp4(kA4, "198.18.2.99"), kB);
  EXPECT_EQ(Octets(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 6), of(host_mac(kB, 99)));
}

TEST_F(Forward, ChangedMacReachesFlowsAndAReusedSlotDoesNot) {
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  reachable(kB, a4(std::string(kB4)), host_mac(kB, 77));
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  EXPECT_EQ(out.sent[0].frame[5], 77);
  neighbors.erase(neighbors.find(kB, a4(std::string(kB4))).index);
  in(kA, udp4(kA4, kB4));
  EXPECT_TRUE(out.sent.empty());
  ASSERT_EQ(out.stack.size(), 1u);
  EXPECT_EQ(out.stack[0].meta.kind, RingKind::resolve);
  reachable(kB, a4(std::string(kB4)), host_mac(kB, 10));
  expect_forwarded(kA, udp4(kA4, kB4), kB);
}

TEST_F(Forward, RouteChangeIsSeenByFlows) {
  expect_forwarded(kA, udp4(kA4, "198.18.70.1"), kB);
  route("198.18.70.0/24", group(Kind::forward, {{kC, a4("198.18.3.10")}}));
  build_routes();
  expect_forwarded(kA, udp4(kA4, "198.18.70.1"), kC);
  route("198.18.70.1/32", group(Kind::blackhole));
  build_routes();
  expect_dropped(kA, udp4(kA4, "198.18.70.1"), DropReason::blackhole);
}

TEST_F(Forward, WhatIsForTheBoxGoesToTheStack) {
  for (int i = 0; i < 2; i++) {
    for (const char* d : {"198.18.1.1", "198.18.2.1"}) {
      in(kA, udp4(kA4, d));
      ASSERT_EQ(out.stack.size(), 1u) << d;
      EXPECT_EQ(out.stack[0].meta.kind, RingKind::local);
      EXPECT_EQ(out.stack[0].meta.in_port, kA);
      EXPECT_EQ(out.stack[0].meta.l4, 34);
    }
    for (const std::string& d : {std::string("2001:db8:1::1"), to_string(link_local_of(kMac[kA]))}) {
      in(kA, udp6(i ? kA6 : std::string_view("fe80::10"), d));
      ASSERT_EQ(out.stack.size(), 1u) << d;
    }
  }
  raw(kA, eth(zeros(46), 0x806, kBroadcast));
  ASSERT_EQ(out.stack.size(), 1u);
  EXPECT_EQ(out.stack[0].meta.kind, RingKind::local);
}

TEST_F(Forward, GroupFramesAreForTheBoxOrDroppedByPolicy) {
  const Ip6 sol = solicited_node(a6("2001:db8:1::1"));
  raw(kA, eth(udp6(kA6, to_string(sol)), 0x86dd, multicast_mac(sol)));
  EXPECT_EQ(out.stack.size(), 1u);
  raw(kA, eth(udp6(kA6, "ff02::1"), 0x86dd, multicast_mac(a6("ff02::1"))));
  EXPECT_EQ(out.stack.size(), 1u);
  raw(kA, eth(udp6(kA6, "ff02::5"), 0x86dd, multicast_mac(a6("ff02::5"))));
  EXPECT_EQ(drops(DropReason::multicast_policy), 1u);
  raw(kA, eth(udp4(kA4, kB4), 0x800, kBroadcast));
  EXPECT_EQ(drops(DropReason::broadcast_policy), 1u) << "unicast in a broadcast frame";
  raw(kA, eth(udp4(kA4, "198.18.1.1"), 0x800, kBroadcast));
  EXPECT_EQ(drops(DropReason::broadcast_policy), 2u) << "to the box, too";
  raw(kA, eth(udp6(kA6, kB6), 0x86dd, multicast_mac(a6("ff02::1"))));
  EXPECT_EQ(drops(DropReason::multicast_policy), 2u);
  EXPECT_TRUE(out.sent.empty());
}

TEST_F(Forward, ExceptionTrafficInABroadcastGoesToTheHost) {
  LocalTraffic dhcp;
  dhcp.proto = 17;
  dhcp.dport = 68;
  interface(kA).exception = {dhcp};
  raw(kA, eth(udp4(kA4, "255.255.255.255", 67, 68), 0x800, kBroadcast));
  EXPECT_EQ(out.stack.size(), 1u);
  raw(kA, eth(udp4(kA4, "255.255.255.255", 67, 69), 0x800, kBroadcast));
  EXPECT_EQ(drops(DropReason::broadcast_policy), 1u);
}

TEST_F(Forward, VlanTagsAreNotForUs) {
  raw(kA, eth(words({5, 0x800}) + udp4(kA4, kB4), 0x8100));
  EXPECT_EQ(drops(DropReason::vlan_unknown), 1u);
  raw(kA, eth(words({0, 0x800}) + udp4(kA4, kB4), 0x8100));
  EXPECT_EQ(out.sent.size(), 1u) << "a priority tag is";
}

TEST_F(Forward, ShortL4AndUnknownProtocolsPass) {
  for (uint8_t proto : Octets{1, 6, 17, 47, 50, 132, 253}) {
    for (size_t n : {0u, 1u, 4u, 7u}) {
      V4 h;
      h.src = kA4, h.dst = kB4, h.proto = proto;
      expect_forwarded(kA, ip4(h, zeros(n, 0x11)), kB, std::to_string(proto) + "/" + std::to_string(n));
      V6 h6;
      h6.src = kA6, h6.dst = kB6, h6.next = proto;
      expect_forwarded(kA, ip6(h6, zeros(n, 0x11)), kB, std::to_string(proto) + "/" + std::to_string(n));
    }
  }
}

TEST_F(Forward, RecordRouteIsFilledInOnEveryPacket) {
  V4 h;
  h.options = {7, 7, 4, 0, 0, 0, 0};
  for (int i = 0; i < 2; i++) {
    in(kA, udp4(kA4, kB4, 1, 2, pattern(18), h));
    ASSERT_EQ(out.sent.size(), 1u);
    EXPECT_EQ(Octets(out.sent[0].frame.begin() + 37, out.sent[0].frame.begin() + 41), of(a4("198.18.2.1")));
    EXPECT_EQ(plain_sum(Octets(out.sent[0].frame.begin() + 14, out.sent[0].frame.begin() + 42)), 0xffffu);
    expect_forwarded(kA, udp4(kA4, kB4, 1, 2), kB);
  }
  h.options = {7, 7, 2, 0, 0, 0, 0};
  expect_error(kA, udp4(kA4, kB4, 1, 2, pattern(18), h), 12, 0, DropReason::ip_options);
}

TEST_F(Forward, PartialChecksumsAreRepairedWhereThePortSaysSo) {
  for (bool six : {false, true}) {
    Octets data = pattern(33);
    Octets p = six ? udp6(kA6, kB6, 5, 6, data) : udp4(kA4, kB4, 5, 6, data);
    const size_t l4 = six ? 40 : 20;
    const size_t len = p.size() - l4;
    const Octets pseudo = Octets(p.begin() + (six ? 8 : 12), p.begin() + static_cast<long>(l4)) +
                          words({0, 17, unsigned(len)});
    put16(p, l4 + 6, plain_sum(pseudo));
    for (bool repair : {false, true}) {
      interface(kA).repair_checksums = repair;
      in(kA, p);
      ASSERT_EQ(out.sent.size(), 1u);
      const Octets& f = out.sent[0].frame;
      EXPECT_EQ(plain_sum(Octets(f.begin() + 14 + static_cast<long>(l4), f.end()), plain_sum(pseudo)) == 0xffff, repair);
    }
    interface(kA).repair_checksums = true;
    Octets wrong = p;
    put16(wrong, l4 + 6, 0x1234);
    expect_forwarded(kA, wrong, kB, "a wrong checksum stays wrong");
  }
}

TEST_F(Forward, EgressPortThatIsGoneIsACountedDrop) {
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  auto ifs = default_interfaces();
  ifs.port[kB].configured = false;
  ifs.generation = 2;
  snapshot.interfaces = std::make_shared<Interfaces>(ifs);
  snapshot.id++;
  expect_dropped(kA, udp4(kA4, kB4), DropReason::port_down);
  in(kB, udp4(kB4, kA4));
  EXPECT_EQ(drops(DropReason::port_down), 2u) << "what still comes in through it, too";
}

TEST_F(Forward, RingTransmitRouteAndRefuse) {
  Meta m;
  m.family = 4, m.l3 = 14, m.l4 = 34, m.proto = 17, m.in_port = kA, m.egress = kC;
  const Octets ip = udp4("198.18.1.1", kB4);
  m.ip_length = static_cast<uint16_t>(ip.size());
  ring(RingKind::transmit, frame(kC, ip), m);
  ASSERT_EQ(out.sent.size(), 1u);
  EXPECT_EQ(out.sent[0].port, kC);
  m.egress = kNoPort;
  m.flags = kMetaLocalOrigin;
  ring(RingKind::route, frame(kA, ip), m);
  ASSERT_EQ(out.sent.size(), 1u);
  EXPECT_EQ(out.sent[0].port, kB);
  EXPECT_EQ(out.sent[0].frame[22], 64) << "what the box sends keeps its TTL";
  EXPECT_EQ(Octets(out.sent[0].frame.begin(), out.sent[0].frame.begin() + 12), of(host_mac(kB, 10)) + of(kMac[kB]));

  m.flags = kMetaPortsValid;
  m.icmp_type = 3, m.icmp_code = 1, m.reason = DropReason::neighbor_unresolved;
  const Octets victim = udp4(kA4, kB4);
  ring(RingKind::refuse, frame(kA, victim), m, kA);
  ASSERT_EQ(out.sent.size(), 1u);
  EXPECT_EQ(out.sent[0].port, kA);
  EXPECT_EQ(out.sent[0].frame[34], 3);
  EXPECT_EQ(drops(DropReason::neighbor_unresolved), 1u);
}

TEST_F(Forward, OwnPacketsToLinkLocalLeaveWhereTheyBelong) {
  reachable(kC, a6("fe80::99"), host_mac(kC, 99));
  Meta m;
  m.family = 6, m.l3 = 14, m.l4 = 54, m.proto = 58, m.in_port = kC, m.flags = kMetaLocalOrigin;
  const Octets ip = udp6("2001:db8:3::1", "fe80::99");
  m.ip_length = static_cast<uint16_t>(ip.size());
  ring(RingKind::route, frame(kC, ip), m);
  ASSERT_EQ(out.sent.size(), 1u);
  EXPECT_EQ(out.sent[0].port, kC);
  ring(RingKind::route, frame(kC, udp6("2001:db8:3::1", "2001:db8:1::1")), m);
  EXPECT_TRUE(out.sent.empty()) << "to itself";
  EXPECT_TRUE(out.stack.empty());
}

TEST_F(Forward, IdleFlowsAreSweptAndShown) {
  for (unsigned i = 0; i < 20; i++) expect_forwarded(kA, udp4(kA4, kB4, 1000 + i, 2000), kB);
  ASSERT_EQ(flows().size(), 20u);
  EXPECT_EQ(flows()[0].dport, 2000);
  EXPECT_EQ(flows()[0].packets, 1u);
  later(Duration::seconds(40));
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 2000), kB);
  later(Duration::seconds(40));
  for (unsigned i = 0; i < 100; i++) pipeline->sweep(now, 1000);
  ASSERT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows()[0].sport, 1000);
  EXPECT_EQ(flows()[0].packets, 2u);
}

TEST_F(Forward, AFullTableForwardsAllTheSame) {
  config.flows4 = 64;
  restart();
  for (unsigned i = 0; i < 1000; i++) expect_forwarded(kA, udp4(kA4, kB4, 1000 + i, 2000), kB);
  EXPECT_LE(pipeline->flows(), pipeline->flow_capacity());
  EXPECT_EQ(all_drops(), 0u);
}

TEST_F(Forward, VerdictsTellWhatBecameOfEachPacket) {
  std::vector<path::Verdict> told;
  pipeline->verdicts = [&](const rte_mbuf*, const path::Verdict& v) { told.push_back(v); };
  V4 dying;
  dying.ttl = 1;
  in(kA, udp4(kA4, kB4));
  in(kA, udp4(kA4, kB4));
  in(kA, udp4(kA4, "198.18.96.1"));
  in(kA, udp4(kA4, "198.18.1.1"));
  in(kA, udp4(kA4, kB4, 1, 2, pattern(18), dying));
  in(kA, udp4(kA4, "198.18.2.99"));
  in(kA, udp4(kA4, kC4, 1, 2, pattern(1472)));
  ASSERT_EQ(told.size(), 7u);
  EXPECT_STREQ(told[0].what, "forward");
  EXPECT_TRUE(told[0].slow_path);
  EXPECT_EQ(told[0].egress, kB);
  EXPECT_EQ(to_string(told[0].route), "198.18.2.0/24");
  EXPECT_FALSE(told[1].slow_path);
  EXPECT_EQ(told[2].reason, DropReason::blackhole);
  EXPECT_STREQ(told[3].what, "local");
  EXPECT_EQ(told[4].reason, DropReason::ttl_expired);
  EXPECT_STREQ(told[5].what, "resolve");
  EXPECT_STREQ(told[6].what, "forward");
}

TEST_F(Forward, SteeringBringsBothDirectionsToOneWorker) {
  config.workers = 4;
  config.steer = true;
  std::vector<std::unique_ptr<path::Pipeline>> w;
  for (unsigned i = 0; i < 4; i++) {
    config.worker = i;
    w.push_back(std::make_unique<path::Pipeline>(config, neighbors, account, pool->mempool()));
  }
  auto owner = [&](uint16_t port, const Octets& ip) -> unsigned {  // the worker that does not hand it over
    unsigned found = 9, keepers = 0;
    for (unsigned i = 0; i < 4; i++) {
      std::swap(pipeline, w[i]);
      in(port, ip);
      std::swap(pipeline, w[i]);
      if (out.handed.empty()) found = i, keepers++;
      else EXPECT_EQ(out.handed[0].meta.kind, RingKind::steer);
    }
    EXPECT_EQ(keepers, 1u);
    return found;
  };
  std::vector<unsigned> seen(4);
  for (unsigned k = 0; k < 40; k++) {
    const unsigned there = owner(kA, udp4(kA4, kB4, 1000 + k, 53));
    EXPECT_EQ(there, owner(kB, udp4(kB4, kA4, 53, 1000 + k)));
    EXPECT_EQ(owner(kA, udp6(kA6, kB6, 1000 + k, 53)), owner(kB, udp6(kB6, kA6, 53, 1000 + k)));
    V4 h;
    h.src = "198.18.2.11", h.dst = kA4, h.proto = 1;
    EXPECT_EQ(there, owner(kB, ip4(h, icmp(3, 3, zeros(4), udp4(kA4, kB4, 1000 + k, 53))))) << "an error about it";
    seen[there]++;
  }
  for (unsigned n : seen) EXPECT_GT(n, 2u);
}

TEST_F(Forward, SteeredPacketsAreHandledWhereTheyArrive) {
  config.workers = 2;
  config.steer = true;
  restart();
  unsigned handed = 0;
  for (unsigned k = 0; k < 16; k++) {
    const Octets ip = udp4(kA4, kB4, 1000 + k, 53);
    in(kA, ip);
    if (out.handed.empty()) continue;
    handed++;
    const Meta m = out.handed[0].meta;
    const Octets f = out.handed[0].frame;
    rte_mbuf* again = mbuf(kA, f);
    out.held[kA]--;  // it is back
    stash(again) = m;
    pipeline->from_ring(snapshot, now, &again, 1, out);
    out.flush();
    ASSERT_EQ(out.sent.size(), 1u);
    EXPECT_EQ(out.sent[0].port, kB);
  }
  EXPECT_GT(handed, 2u);
}

}  // namespace
}  // namespace sluice::test
