// TCP's way through IP: what reaches the library, what its segments look like on the wire, whose the mbufs are.
#include "tests/unit/stack/tcp_lab.h"

namespace sluice::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Ip, TcpIpTest, ::testing::Bool(), [](const auto& i) { return i.param ? "v6" : "v4"; });

// ---- out

TEST_P(TcpIpTest, PayloadIsGatheredCutAndSummed) {
  listen();
  uint32_t ack;
  const tcp::ConnId c = accept(4000, ack);
  static const Octets text = pattern(3000);
  // Odd lengths, so that words of the checksum span pieces.
  std::vector<tcp::Slice> slices;
  for (uint32_t at = 0, n = 1; at < text.size(); at += n, n = std::min<uint32_t>(n * 3 + 2, static_cast<uint32_t>(text.size()) - at))
    slices.push_back({.data = text.data() + at, .length = n});
  ASSERT_EQ(tcp_stack().send(now, c, slices), tcp::Outcome::ok);
  flush();
  Octets all;
  while (!out.empty()) {
    const Sent s = take();
    const Octets t = s.l4();
    EXPECT_EQ(s.kind(), RingKind::route);
    EXPECT_EQ(s.meta.worker, kWorker);
    EXPECT_EQ(s.meta.in_port, 0);
    EXPECT_TRUE(s.meta.has(kMetaLocalOrigin));
    EXPECT_EQ(s.frame.size(), s.meta.l3 + s.meta.ip_length);
    EXPECT_TRUE(sum_ok(own, peer, 6, t));
    EXPECT_EQ(get32(t, 4), ack + all.size());
    EXPECT_LE(t.size() - 20, six ? 1220u : 536u) << "no MSS option was sent";
    const bool last = all.size() + t.size() - 20 == text.size();
    EXPECT_EQ(bool(t[13] & kPsh), last);
    if (six) EXPECT_EQ(s.ip(), ip6({.src = own, .dst = peer, .next = 6}, t));
    else EXPECT_EQ(s.ip(), ip4({.src = own, .dst = peer, .proto = 6, .id = 0, .frag = 0x4000}, t));
    all = all + tail(t, 20);
  }
  EXPECT_EQ(all, text);
}

TEST_P(TcpIpTest, PortsThatFinishChecksumsGetTheirBeginning) {
  config.tx.tcp_checksum = true;
  start();
  segment(4000, kSyn, 1000);
  const Sent s = take();
  EXPECT_EQ(s.ol_flags, RTE_MBUF_F_TX_TCP_CKSUM | (six ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
  const unsigned sum = plain_sum(pseudo(own, peer, 6, s.l4().size()));
  EXPECT_EQ(get16(s.l4(), 16), sum) << "the pseudo header's sum, not inverted";
  if (six) return;
  EXPECT_EQ(plain_sum(head(s.ip(), 20)), 0xffffu);
}

class LinkLocalTest : public TcpIpTest {};
INSTANTIATE_TEST_SUITE_P(Ip6, LinkLocalTest, ::testing::Values(true));

TEST_P(LinkLocalTest, StaysOnItsLink) {
  const std::string link = to_string(link_local_of(mac_of_port(1)));
  auto syn = [&](const std::string& from) {
    const Octets m = sealed(from, link, 6, tcp(4000, kPort, kSyn, 1), 16);
    in_packet(ip6({.src = from, .dst = link, .next = 6}, m), 1);
  };
  syn("fe80::54:1");
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::route);
  EXPECT_EQ(s.meta.in_port, 1) << "the worker knows the link by it";
  syn("2001:db8:77::1");
  nothing();
}

// ---- in

TEST_P(TcpIpTest, GroupsAndAnycastNeverReachTcp) {
  listen();
  const std::string anycast = "2001:db8:1::";
  if (six) in_packet(ip6({.src = peer, .dst = anycast, .next = 6}, sealed(peer, anycast, 6, tcp(1, kPort, kSyn), 16)));
  const std::string group = six ? "ff02::1" : "198.18.1.255";
  const Octets m = sealed(peer, group, 6, tcp(1, kPort, kSyn), 16);
  in(eth(packet(m, peer, group), six ? 0x86dd : 0x800, six ? multicast_mac(a6(group)) : kBroadcast, kPeer));
  nothing();
  EXPECT_EQ(drops(DropReason::tcp_invalid), six ? 2u : 0u);
  EXPECT_EQ(drops(DropReason::broadcast_policy), six ? 0u : 1u);
}

TEST_P(TcpIpTest, TheChecksumIsThePortsToJudgeWhereItDoes) {
  Octets wrong = message(4000, kSyn, 1000);
  wrong[5] ^= 1;
  in_packet(packet(wrong, peer, own));
  rx_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD;
  in_packet(packet(wrong, peer, own));
  rx_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
  in_packet(packet(wrong, peer, own));
  nothing();
  EXPECT_EQ(drops(DropReason::tcp_checksum), 3u);
  rx_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  in_packet(packet(wrong, peer, own));
  EXPECT_EQ(take().l4()[13], kRst | kAck);
}

TEST_P(TcpIpTest, AKeptBufferIsConsumedAndCounted) {
  listen();
  uint32_t ack;
  accept(4000, ack);
  const uint64_t before = consumed();
  segment(4000, kAck, 1001, ack, pattern(100));
  EXPECT_EQ(consumed(), before + 1);
  EXPECT_EQ(stack->held_by_tcp(), 1u);
  EXPECT_EQ(stack->held(), 0u);
  EXPECT_EQ(received(), pattern(100));
  EXPECT_EQ(stack->held_by_tcp(), 0u);
}

TEST_P(TcpIpTest, TheBuffersHaveALimit) {
  config.tcp_buffers = 4;
  start();
  listen();
  uint32_t ack;
  accept(4000, ack);
  for (uint32_t i = 1; i <= 10; i++) segment(4000, kAck, 1001 + 100 * i, ack, pattern(50));  // with holes
  EXPECT_LE(stack->held_by_tcp(), 4u);
  EXPECT_GT(drops(DropReason::tcp_memory), 0u);
  out.clear();
}

TEST_P(TcpIpTest, ADatagramFromFragmentsIsCutToBuffers) {
  listen();
  uint32_t ack;
  accept(4000, ack);
  out.clear();
  const Octets text = pattern(9000);
  const Octets m = message(4000, kAck | kPsh | kFin, 1001, ack, text);
  auto in_fragments = [&](uint32_t id) {
    for (size_t at = 0; at < m.size(); at += 1400) {
      const Octets part = head(tail(m, at), 1400);
      const bool more = at + 1400 < m.size();
      if (six) in_packet(ip6({.src = peer, .dst = own, .next = 44}, frag6(6, static_cast<unsigned>(at), more, id) + part));
      else in_packet(ip4({.src = peer, .dst = own, .proto = 6, .id = id, .frag = unsigned(at / 8 | (more ? 0x2000 : 0))}, part));
    }
  };
  in_fragments(1);
  EXPECT_EQ(stack->stats().reassembled, 1u);
  EXPECT_EQ(received(), text);
  EXPECT_TRUE(handed_over.empty());

  // The same for another stack engine: whole packets of its connection.
  theirs = kPort - 1;
  in_fragments(2);
  ASSERT_GT(handed_over.size(), 1u);
  Octets all;
  for (const Sent& s : handed_over) {
    const Octets t = s.l4();
    const bool last = &s == &handed_over.back();
    EXPECT_EQ(s.ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
    EXPECT_EQ(s.meta.kind, RingKind::local);
    EXPECT_EQ(s.meta.in_port, 0);
    EXPECT_EQ(get32(t, 4), 1001 + all.size());
    EXPECT_EQ(t[13], last ? kAck | kPsh | kFin : kAck);
    all = all + tail(t, 20);
  }
  EXPECT_EQ(all, text);
  out.clear();
}

TEST_P(TcpIpTest, AnotherEnginesSegmentsGoOn) {
  listen();
  theirs = kPort - 1;
  segment(4000, kSyn, 1000);
  nothing();
  ASSERT_EQ(handed_over.size(), 1u);
  EXPECT_EQ(handed_over[0].l4(), message(4000, kSyn, 1000));
}

// ---- errors

TEST_P(TcpIpTest, IcmpErrorsAreToldByKind) {
  struct Case {
    uint8_t type, code;
    bool ends;
  };
  const std::vector<Case> cases = six ? std::vector<Case>{{1, 0, false}, {1, 1, true}, {1, 3, false}, {1, 4, true}, {3, 0, false}, {4, 1, true}}
                                      : std::vector<Case>{{3, 0, false}, {3, 1, false}, {3, 2, true}, {3, 3, true}, {3, 13, true}, {11, 0, false}, {12, 0, false}};
  for (const Case& c : cases) {
    tcp::ConnId id;
    ASSERT_EQ(connect(peer, id), tcp::Outcome::ok);
    const Sent syn = take();
    in_packet(packet(six ? icmp6(peer, own, c.type, c.code, zeros(4) + syn.ip()) : icmp(c.type, c.code, zeros(4), head(syn.ip(), 28)),
                     peer, own, six ? 58 : 1));
    tcp::Event e[2];
    const unsigned told = tcp_stack().events(e);
    EXPECT_EQ(told, c.ends ? 1u : 0u) << int(c.type) << "/" << int(c.code);
    EXPECT_EQ(e[0].failure, told ? tcp::Failure::unreachable : tcp::Failure::none);
    EXPECT_EQ(!tcp_stack().info(now, id), c.ends);
    out.clear();
  }
}

TEST_P(TcpIpTest, APacketThatWasTooBigLowersThePathMtu) {
  listen();
  uint32_t ack;
  const tcp::ConnId c = accept(4000, ack);
  static const Octets text = pattern(500);
  const tcp::Slice slice{.data = text.data(), .length = 500};
  ASSERT_EQ(tcp_stack().send(now, c, {&slice, 1}), tcp::Outcome::ok);
  flush();
  const Octets quoted = take().ip();
  const uint32_t mtu = six ? 1300 : 1000;
  const Octets rest = words({mtu >> 16, mtu & 0xffff});
  auto error = [&](const Octets& quote) {
    in_packet(packet(six ? icmp6(peer, own, 2, 0, rest + quote) : icmp(3, 4, rest, quote), peer, own, six ? 58 : 1));
  };
  const uint32_t before = tcp_stack().info(now, c)->path_mtu;
  Octets forged = quoted;
  forged[(six ? 40 : 20) + 5] ^= 0xff;  // a sequence number that is not in flight
  error(forged);
  EXPECT_EQ(tcp_stack().info(now, c)->path_mtu, before);
  error(quoted);
  EXPECT_EQ(tcp_stack().info(now, c)->path_mtu, mtu);
  out.clear();
}

TEST_P(TcpIpTest, QuotesThatAreNoSegmentAreLetGo) {
  const Octets segment_of_ours = sealed(own, peer, 6, tcp(kPort, 4000, kAck, 5), 16);
  const Octets quote = packet(segment_of_ours, own, peer);
  const size_t l4 = six ? 40 : 20;
  auto error = [&](const Octets& q) {
    in_packet(packet(six ? icmp6(peer, own, 1, 4, zeros(4) + q) : icmp(3, 3, zeros(4), q), peer, own, six ? 58 : 1));
  };
  for (size_t n = 0; n < l4 + 8; n++) error(head(quote, n));
  Octets other = quote;
  other[six ? 6 : 9] = 17;
  error(other);
  if (!six) {
    other = quote;
    put16(other, 6, 1);  // a later fragment
    error(other);
  }
  error(packet(segment_of_ours, six ? "2001:db8:1::2" : "198.18.1.2", peer));  // of somebody else's
  nothing();
  EXPECT_EQ(drops(DropReason::icmp_unhandled), l4 + 8 + (six ? 2u : 3u));
}

// ---- connecting

TEST_P(TcpIpTest, AConnectionStartsFromTheRoute) {
  tcp::ConnId id;
  EXPECT_EQ(connect(six ? "2001:db8:77::1" : "203.0.113.1", id), tcp::Outcome::invalid) << "no route";
  EXPECT_EQ(connect(peer, id, 9, six ? "2001:db8:1::66" : "198.18.1.66"), tcp::Outcome::invalid) << "not the box's";
  EXPECT_EQ(connect(peer, id, 9, six ? "198.18.1.1" : "2001:db8:1::1"), tcp::Outcome::invalid) << "the other family";
  const std::string small = six ? "2001:db8:3::10" : "198.18.3.10";
  ASSERT_EQ(connect(small, id), tcp::Outcome::ok);
  const Sent s = take();
  EXPECT_EQ(s.meta.in_port, 2);
  const Octets t = s.l4();
  ASSERT_EQ(get16(t, 20), 0x0204u);
  EXPECT_EQ(get16(t, 22), 1400u - (six ? 60 : 40)) << "the MSS that its link has room for";
  nothing();
}

TEST_P(TcpIpTest, ItsPortLeadsAnswersToItsEngine) {
  theirs = 40000;
  for (unsigned i = 0; i < 50; i++) {
    tcp::ConnId id;
    ASSERT_EQ(connect(peer, id, static_cast<uint16_t>(1000 + i % 3)), tcp::Outcome::ok);
    EXPECT_LE(get16(take().l4(), 0), 40000u);
  }
}

}  // namespace
}  // namespace sluice::test
