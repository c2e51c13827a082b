#include "path/parse.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/frames.h"

namespace sluice::path {
namespace {

using namespace sluice::test;
using R = DropReason;
constexpr R kFine = R::count_;

Interface lan() {
  Interface i;
  i.mac = kOurs;
  i.mtu = 1500;
  return i;
}

struct Parsed {
  R reason;
  Meta meta;
  Octets frame;  // as it is afterwards
};

Parsed run(const Octets& frame, const Interface& ifc = lan()) {
  ExactMbuf m(frame, 3);
  Parsed p{};
  std::memset(static_cast<void*>(&p.meta), 0xa5, sizeof p.meta);  // nothing may be left as it was
  p.reason = parse(m, ifc, p.meta);
  EXPECT_EQ(m->pkt_len, m->data_len);
  p.frame = m.frame();
  return p;
}

R refused(const Octets& frame) {
  return run(frame).reason;
}

Octets v4(const V4& f, const Octets& payload) {
  return eth(ip4(f, payload), 0x0800);
}
Octets v6(const V6& f, const Octets& payload) {
  return eth(ip6(f, payload), 0x86dd);
}

void expect_meta(const Meta& m, unsigned flags, unsigned family, unsigned proto, unsigned l3, unsigned l4,
                 unsigned ip_length) {
  EXPECT_EQ(m.flags, flags);
  EXPECT_EQ(m.family, family);
  EXPECT_EQ(m.proto, proto);
  EXPECT_EQ(m.l3, l3);
  EXPECT_EQ(m.l4, l4);
  EXPECT_EQ(m.ip_length, ip_length);
  EXPECT_EQ(m.in_port, 3);
}

TEST(Parse, PlainUdpAndTcp) {
  Parsed p = run(v4({}, udp(4000, 53, pattern(20))));
  ASSERT_EQ(p.reason, kFine);
  expect_meta(p.meta, kMetaPortsValid, 4, 17, 14, 34, 48);
  EXPECT_EQ(p.meta.ethertype, 0x0800);
  EXPECT_EQ(be16::from_raw(p.meta.sport).host(), 4000);
  EXPECT_EQ(be16::from_raw(p.meta.dport).host(), 53);
  EXPECT_EQ(p.meta.vlan, 0);
  EXPECT_EQ(p.meta.frag_offset, 0);

  p = run(v4({.proto = 6, .frag = 0x4000}, tcp(1, 443, wire::kTcpSyn)));
  ASSERT_EQ(p.reason, kFine);
  expect_meta(p.meta, kMetaPortsValid, 4, 6, 14, 34, 40);
}

TEST(Parse, EveryFrameShorterThanItsPacketIsRefused) {
  for (const Octets& whole :
       {v4({}, udp(1, 2, pattern(9))), v4({.proto = 6}, tcp(1, 2, 2)),
        v4({.options = {7, 7, 4, 0, 0, 0, 0}}, udp(1, 2)), v6({}, udp(1, 2, pattern(9))),
        v6({.next = 0}, ext(17, {5, 2, 0, 0}) + udp(1, 2))}) {
    ASSERT_EQ(refused(whole), kFine);
    for (size_t n = 0; n < whole.size(); ++n)
      EXPECT_EQ(refused(Octets(whole.begin(), whole.begin() + n)), n < 14 ? R::frame_short : R::ip_truncated)
          << n;
  }
}

TEST(Parse, PaddingIsCutOff) {
  for (size_t pad : {1u, 6u, 18u, 100u}) {
    const Octets packet = v4({.proto = 253}, pattern(8));
    Parsed p = run(packet + zeros(pad, 0xd0));
    ASSERT_EQ(p.reason, kFine);
    EXPECT_EQ(p.frame, packet);
    const Octets fast = v4({}, udp(1, 2, pattern(12)));
    EXPECT_EQ(run(fast + zeros(pad, 0xd0)).frame, fast);
    const Octets six = v6({.next = 59}, {});
    EXPECT_EQ(run(six + zeros(pad, 0xd0)).frame, six);
  }
}

TEST(Parse, Addressing) {
  const Octets ip = ip4({}, udp(1, 2));
  EXPECT_EQ(refused(eth(ip, 0x0800, kTheirs)), R::frame_not_for_us);
  EXPECT_EQ(refused(eth(ip, 0x0800, Mac{})), R::frame_not_for_us);
  for (int byte = 0; byte < 6; ++byte) {
    Mac near = kOurs;
    near.b[byte] ^= 0x10;
    EXPECT_EQ(refused(eth(ip, 0x0800, near)), R::frame_not_for_us) << byte;
  }
  EXPECT_TRUE(run(eth(ip, 0x0800, kBroadcast)).meta.has(kMetaL2Group));
  EXPECT_TRUE(run(eth(ip, 0x0800, Mac{{1, 0, 0x5e, 0, 0, 1}})).meta.has(kMetaL2Group));
  EXPECT_FALSE(run(eth(ip, 0x0800)).meta.has(kMetaL2Group));
}

// A replayed capture was taken in front of somebody else's MAC.
TEST(Parse, AnyDestinationWhereAskedFor) {
  Interface any = lan();
  any.any_destination = true;
  for (const Octets& ip : {ip4({}, udp(1, 2)), ip4({.proto = 1}, icmp(8, 0))}) {
    const Parsed p = run(eth(ip, 0x0800, kTheirs), any);
    EXPECT_EQ(p.reason, kFine);
    EXPECT_EQ(p.meta.flags, kMetaPortsValid);
    EXPECT_TRUE(run(eth(ip, 0x0800, kBroadcast), any).meta.has(kMetaL2Group));
  }
}

TEST(Parse, OtherEtherTypes) {
  const Octets arp = words({1, 0x0800, 0x0604, 1}) + of(kTheirs) + zeros(14);
  Parsed p = run(eth(arp, 0x0806, kBroadcast));
  ASSERT_EQ(p.reason, kFine);
  expect_meta(p.meta, kMetaL2Group, 0, 0, 14, 0, 0);
  EXPECT_EQ(p.meta.ethertype, 0x0806);
  for (unsigned type : {0x0000u, 0x0026u, 0x05dcu, 0x0600u, 0x88ccu, 0x8847u, 0xffffu})
    EXPECT_EQ(refused(eth(zeros(46, 0xaa), type)), R::ethertype_unknown) << std::hex << type;
}

TEST(Parse, FramesOverTheMtu) {
  for (unsigned over : {0u, 1u, 4u}) {
    const R want = over ? R::frame_long : kFine;
    EXPECT_EQ(refused(v4({}, udp(1, 2, pattern(1472 + over)))), want);
    EXPECT_EQ(refused(v6({}, udp(1, 2, pattern(1452 + over)))), want);
    EXPECT_EQ(refused(v4({}, udp(1, 2)) + zeros(1472 + over)), want);
    EXPECT_EQ(refused(eth(words({0x2005, 0x0800}) + ip4({}, udp(1, 2, pattern(1472 + over))), 0x8100)), want);
  }
}

TEST(Parse, VlanTags) {
  const Octets ip = ip4({}, udp(1, 2));
  Parsed p = run(eth(words({0x2005, 0x0800}) + ip, 0x8100));
  ASSERT_EQ(p.reason, kFine);
  expect_meta(p.meta, kMetaVlan | kMetaPortsValid, 4, 17, 18, 38, 28);
  EXPECT_EQ(p.meta.vlan, 5);
  EXPECT_EQ(p.meta.ethertype, 0x0800);
  for (unsigned outer : {0x88a8u, 0x9100u, 0x8100u}) {
    p = run(eth(words({0xe00a, 0x8100, 0x0fff, 0x86dd}) + ip6({}, udp(1, 2)), outer));
    ASSERT_EQ(p.reason, kFine);
    expect_meta(p.meta, kMetaVlan | kMetaPortsValid, 6, 17, 22, 62, 48);
    EXPECT_EQ(p.meta.vlan, 10);
  }
  EXPECT_EQ(refused(eth(words({1, 0x8100, 2, 0x8100, 3, 0x0800}) + ip, 0x8100)), R::ethertype_unknown);
  for (size_t n = 0; n < 4; ++n) EXPECT_EQ(refused(eth(zeros(n, 1), 0x8100)), R::frame_short);
  EXPECT_EQ(refused(eth(words({1, 0x8100, 2}), 0x8100)), R::frame_short);
  // inner id 0 behind a real outer one is still that VLAN's
  const Octets both = eth(words({9, 0x8100, 0, 0x0800}) + ip, 0x8100);
  p = run(both);
  EXPECT_EQ(p.meta.vlan, 9);
  EXPECT_EQ(p.meta.l3, 22);
  EXPECT_EQ(p.frame, both);
}

TEST(Parse, PriorityTagsAreTakenOut) {
  const Octets ip = ip4({}, udp(1, 2));
  Parsed p = run(eth(words({0xe000, 0x0800}) + ip, 0x8100));
  ASSERT_EQ(p.reason, kFine);
  EXPECT_EQ(p.frame, eth(ip, 0x0800));
  expect_meta(p.meta, kMetaPortsValid, 4, 17, 14, 34, 28);
  p = run(eth(words({0, 0x8100, 7, 0x0800}) + ip, 0x88a8));
  EXPECT_EQ(p.frame, eth(words({7, 0x0800}) + ip, 0x8100));
  EXPECT_EQ(p.meta.vlan, 7);
  EXPECT_TRUE(p.meta.has(kMetaVlan));
}

TEST(Parse, Ip4HeaderSanity) {
  const Octets u = udp(1, 2, pattern(40));
  for (int v = 0; v < 16; ++v)
    EXPECT_EQ(refused(v4({.version_ihl = v << 4 | 5}, u)), v == 4 ? kFine : R::ip_version) << v;
  for (int ihl = 0; ihl < 5; ++ihl)
    EXPECT_EQ(refused(v4({.version_ihl = 0x40 | ihl}, u)), R::ip_header_length);
  EXPECT_EQ(refused(v4({.version_ihl = 0x4f}, udp(1, 2))), R::ip_truncated);
  for (int total : {0, 1, 19}) EXPECT_EQ(refused(v4({.total = total}, u)), R::ip_total_length) << total;
  EXPECT_EQ(refused(v4({.options = zeros(8, 1), .total = 27}, u)), R::ip_total_length);
  for (int total : {69, 1500, 65535}) EXPECT_EQ(refused(v4({.total = total}, u)), R::ip_truncated) << total;
  EXPECT_EQ(refused(v4({.total = 20}, u)), kFine);
}

TEST(Parse, Ip4Checksum) {
  const Octets good = v4({.options = {0x94, 4, 0, 0}}, udp(1, 2)), fast = v4({}, udp(1, 2));
  for (const Octets& f : {good, fast}) {
    const size_t header = (f[14] & 15u) * 4;
    for (size_t bit = 0; bit < header * 8; ++bit) {
      Octets bad = f;
      bad[14 + bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_NE(refused(bad), kFine) << "bit " << bit;
    }
  }
  EXPECT_EQ(refused(v4({.checksum = 0}, udp(1, 2))), R::ip_checksum);
  EXPECT_EQ(refused(v4({.proto = 253, .checksum = 0}, udp(1, 2))), R::ip_checksum);
}

// A header that would be right if one of its words were not looked at.
TEST(Parse, Ip4ChecksumCoversEveryWord) {
  for (const uint8_t proto : Octets{17, 253}) {
    const Octets good = ip4({.proto = proto, .tos = 4, .id = 77, .frag = 0x4000}, udp(1, 2));
    for (size_t word = 0; word < 20; word += 2) {
      if (word == 10) continue;  // the checksum itself
      Octets bad = good, without = Octets(good.begin(), good.begin() + 20);
      put16(without, word, 0);
      put16(without, 10, 0);
      put16(bad, 10, plain_checksum(without));
      EXPECT_EQ(refused(eth(bad, 0x0800)), R::ip_checksum) << word;
    }
  }
}

// One's complement has two zeros; a header whose sum was stored as 0xffff instead of 0 still verifies.
TEST(Parse, Ip4ChecksumZeroAndMinusZero) {
  for (uint8_t proto : Octets{17, 253}) {
    V4 f{.proto = proto, .id = 0};
    Octets p;
    do p = ip4(f, udp(1, 2));
    while (get16(p, 10) != 0 && ++f.id < 0x10000);
    ASSERT_EQ(get16(p, 10), 0u);
    EXPECT_EQ(refused(eth(p, 0x0800)), kFine);
    put16(p, 10, 0xffff);
    EXPECT_EQ(refused(eth(p, 0x0800)), kFine);
  }
}

TEST(Parse, Ip4Options) {
  Parsed p = run(v4({.options = {0x94, 4, 0, 0}}, udp(7, 8)));
  ASSERT_EQ(p.reason, kFine);
  expect_meta(p.meta, kMetaIpOptions | kMetaPortsValid, 4, 17, 14, 38, 32);
  EXPECT_EQ(be16::from_raw(p.meta.dport).host(), 8);
  p = run(v4({.options = zeros(40, 1)}, udp(7, 8)));
  expect_meta(p.meta, kMetaIpOptions | kMetaPortsValid, 4, 17, 14, 74, 68);
}

TEST(Parse, Ip4Fragments) {
  struct {
    unsigned frag, flags, offset;
  } table[] = {{0x0000, kMetaPortsValid, 0},
               {0x4000, kMetaPortsValid, 0},
               {0x8000, kMetaPortsValid, 0},
               {0x2000, kMetaFragFirst | kMetaPortsValid, 0},
               {0x6000, kMetaFragFirst | kMetaPortsValid, 0},
               {0x0001, kMetaFragLater, 8},
               {0x2001, kMetaFragLater, 8},
               {0x1fff, kMetaFragLater, 65528},
               {0x3fff, kMetaFragLater, 65528},
               {0x4005, kMetaFragLater, 40}};
  for (const auto& t : table) {
    Parsed p = run(v4({.frag = t.frag}, udp(1, 2)));
    ASSERT_EQ(p.reason, kFine) << std::hex << t.frag;  // impossible ends are the destination's business
    EXPECT_EQ(p.meta.flags, t.flags) << std::hex << t.frag;
    EXPECT_EQ(p.meta.frag_offset, t.offset);
    EXPECT_EQ(p.meta.dport != 0, !p.meta.has(kMetaFragLater));
  }
}

TEST(Parse, ShortTransportHeadersAreForwarded) {
  struct {
    uint8_t proto;
    size_t whole, ports;
  } table[] = {{6, 20, 4}, {17, 8, 4}, {1, 8, 2}, {132, 12, 4}};
  for (const auto& t : table) {
    for (unsigned frag : {0u, 0x2000u}) {
      for (size_t n = 0; n <= t.whole; ++n) {
        Parsed p = run(v4({.proto = t.proto, .frag = frag}, zeros(n, 0x11)));
        ASSERT_EQ(p.reason, kFine);
        EXPECT_EQ(p.meta.has(kMetaPortsValid), n >= t.ports) << int(t.proto) << " " << n;
        EXPECT_EQ(p.meta.has(kMetaL4Short), n < t.whole) << int(t.proto) << " " << n;
        EXPECT_EQ(p.meta.sport != 0, n >= t.ports);
      }
    }
    EXPECT_FALSE(run(v4({.proto = t.proto, .frag = 5}, {})).meta.has(kMetaL4Short));
  }
  EXPECT_FALSE(run(v4({.proto = 47}, {})).meta.has(kMetaL4Short));
}

TEST(Parse, EveryProtocolNumberPasses) {
  for (unsigned proto = 0; proto < 256; ++proto) {
    Parsed p = run(v4({.proto = static_cast<uint8_t>(proto)}, pattern(32)));
    ASSERT_EQ(p.reason, kFine);
    EXPECT_EQ(p.meta.proto, proto);
    const bool ports = proto == 6 || proto == 17 || proto == 1 || proto == 132;
    EXPECT_EQ(p.meta.has(kMetaPortsValid), ports) << proto;
  }
}

TEST(Parse, IcmpTypeAndCode) {
  Meta m = run(v4({.proto = 1}, icmp(8, 3))).meta;
  EXPECT_EQ(m.sport, 8);
  EXPECT_EQ(m.dport, 3);
  m = run(v6({.next = 58}, icmp(135, 1))).meta;
  EXPECT_EQ(m.sport, 135);
  EXPECT_EQ(m.dport, 1);
  // Each belongs to its own family.
  EXPECT_FALSE(run(v4({.proto = 58}, icmp(135, 1))).meta.has(kMetaPortsValid));
  EXPECT_FALSE(run(v6({.next = 1}, icmp(8, 1))).meta.has(kMetaPortsValid));
}

// The inline path must say just what the other says, whatever the frame.
TEST(Parse, FastPathAgreesWithTheSlowOne) {
  std::mt19937 rnd(1);
  const Octets seeds[] = {v4({}, udp(1, 2, pattern(8))), v4({.proto = 6}, tcp(5, 6, 16)) + zeros(6),
                          v4({.frag = 0x4000}, udp(9, 9, pattern(1472))), v4({}, udp(1, 2))};
  unsigned fine = 0;
  for (int i = 0; i < 200'000; ++i) {
    Octets f = seeds[rnd() % 4];
    for (auto k = rnd() % 3; k > 0; --k) f[rnd() % 42] ^= static_cast<uint8_t>(1 << rnd() % 8);
    if (rnd() % 2) {  // right the checksum again, so that the other tests are reached
      put16(f, 24, 0);
      put16(f, 24, plain_checksum(Octets(f.begin() + 14, f.begin() + 34)));
    }
    if (rnd() % 8 == 0) f.resize(rnd() % (f.size() + 4));
    ExactMbuf a(f), b(f);
    Meta x{}, y{};
    const R fast = parse(a, lan(), x), slow = parse_slow(b, lan(), y);
    ASSERT_EQ(fast, slow);
    if (fast != kFine) continue;
    ++fine;
    ASSERT_EQ(std::memcmp(&x, &y, offsetof(Meta, egress)), 0);
    ASSERT_EQ(a.frame(), b.frame());
  }
  EXPECT_GT(fine, 50'000u);
}

#ifdef SLUICE_ASAN
// The guard of all these tests: one byte behind the frame is out of bounds, and seen.
TEST(ExactMbufDeathTest, OneByteTooManyIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ExactMbuf m(v4({}, udp(1, 2)));
        volatile uint8_t b = *rte_pktmbuf_mtod_offset(static_cast<rte_mbuf*>(m), uint8_t*, m->data_len);
        (void)b;
      },
      "heap-buffer-overflow");
}
#endif

}  // namespace
}  // namespace sluice::path
