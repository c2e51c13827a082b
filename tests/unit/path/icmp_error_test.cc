#include "path/icmp_error.h"

#include <gtest/gtest.h>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/parse.h"
#include "tests/unit/eal_env.h"
#include "tests/unit/frames.h"

namespace sluice::path {
namespace {

using namespace sluice::test;

// As random as a real one: a key of small numbers does not spread what it is multiplied with.
constexpr HashKey kKey{{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89}};

class IcmpErrorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto p = PacketPool::create("icmp", {.packets = 32, .cache = 0, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    pool_ = std::move(*p);
    errors_ = std::make_unique<IcmpErrors>(kKey, pool_->mempool());
    ifs_ = std::make_shared<Interfaces>();
    for (const auto& addresses : {std::vector<const char*>{"198.18.1.1/24", "10.0.0.1/8", "2001:db8:1::1/64"},
                                  {"198.18.2.1/24", "192.0.2.0/31", "2001:db8:2::1/64"},
                                  {}}) {
      Interface i;
      i.mac = kOurs;
      i.link_local = link_local_of(kOurs);
      for (const char* a : addresses) i.addresses.push_back(*parse_prefix(a));
      ifs_->port.push_back(i);
    }
    s_.interfaces = ifs_;
    s_.icmp = {1000, 1000, 1000, 1000};
  }
  void TearDown() override { EXPECT_EQ(pool_->in_use(), 0u); }

  // The IP packet that is made about `ip`, or nothing.
  Octets make(const Octets& ip, unsigned type, unsigned code, uint32_t info = 0, uint16_t in_port = 0,
              const Mac& dst = kOurs) {
    return made(ip, in_port, dst, [&](const rte_mbuf* m, const Meta& meta) {
      return errors_->make(s_, now_, m, meta, static_cast<uint8_t>(type), static_cast<uint8_t>(code), info, in_port);
    });
  }
  Octets reset(const Octets& ip, const Mac& dst = kOurs) {
    return made(ip, 0, dst, [&](const rte_mbuf* m, const Meta& meta) {
      return errors_->make_tcp_reset(s_, now_, m, meta);
    });
  }

  template <class F>
  Octets made(const Octets& ip, uint16_t in_port, const Mac& dst, F f) {
    ExactMbuf m(eth(ip, ip[0] >> 4 == 4 ? 0x0800 : 0x86dd, dst), in_port);
    Meta meta;
    EXPECT_EQ(parse(m, ifs_->port[0], meta), DropReason::count_);
    Buf e(f(m, meta));
    if (!e) return {};
    last_ = stash(e.get());
    const Octets frame = octets_of(e.get());
    EXPECT_EQ(e.get()->pkt_len, frame.size());
    EXPECT_EQ(Octets(frame.begin(), frame.begin() + 14), zeros(14));
    EXPECT_TRUE(last_.has(kMetaLocalOrigin));
    EXPECT_TRUE(last_.has(kMetaPortsValid));
    EXPECT_EQ(last_.l3, 14);
    EXPECT_EQ(last_.l4, last_.family == 4 ? 34 : 54);
    EXPECT_EQ(last_.ip_length, frame.size() - 14);
    EXPECT_EQ(last_.in_port, in_port);
    // It is itself a packet that a router takes.
    Octets again = frame;
    std::copy(kOurs.b.begin(), kOurs.b.end(), again.begin());
    put16(again, 12, last_.ethertype);
    ExactMbuf check(again, in_port);
    Meta parsed;
    EXPECT_EQ(parse(check, ifs_->port[0], parsed), DropReason::count_);
    EXPECT_EQ(parsed.proto, last_.proto);
    EXPECT_EQ(parsed.sport, last_.sport);
    EXPECT_EQ(parsed.dport, last_.dport);
    EXPECT_EQ(parsed.ip_length, last_.ip_length);
    const Octets packet(frame.begin() + 14, frame.end());
    expect_l4_checksum(packet);
    return packet;
  }
  static void expect_l4_checksum(const Octets& p) {
    const bool v4 = p[0] >> 4 == 4;
    const Octets l4(p.begin() + (v4 ? 20 : 40), p.end());
    const uint8_t proto = v4 ? p[9] : p[6];
    Octets pseudo;
    if (!v4) pseudo = Octets(p.begin() + 8, p.begin() + 40) + words({0, unsigned(l4.size()), 0, proto});
    else if (proto == 6) pseudo = Octets(p.begin() + 12, p.begin() + 20) + words({proto, unsigned(l4.size())});
    EXPECT_EQ(plain_sum(pseudo + l4), 0xffffu);
  }
  // `ip` with its TCP checksum put in; of IPv6, where the segment starts at `l4`.
  static Octets sealed(Octets ip, size_t l4 = 40) {
    if (ip[0] >> 4 == 4) l4 = (ip[0] & 15u) * 4;
    if (ip.size() >= l4 + 20) seal_tcp(ip, l4);
    return ip;
  }
  static Octets tail(const Octets& o, size_t from) { return Octets(o.begin() + from, o.end()); }
  static Ip4 source4(const Octets& p) { return *wire::peek<Ip4>(p, 12); }
  static Ip6 source6(const Octets& p) { return *wire::peek<Ip6>(p, 8); }

  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<IcmpErrors> errors_;
  std::shared_ptr<Interfaces> ifs_;
  Snapshot s_;
  Instant now_ = Instant{} + Duration::seconds(1);
  Meta last_;
};

TEST_F(IcmpErrorsTest, Ip4Error) {
  const Octets offender = ip4({.ttl = 1, .tos = 0x2b}, udp(1, 33434, pattern(32)));
  const Octets p = make(offender, 11, 0);
  ASSERT_EQ(p.size(), 28 + offender.size());
  EXPECT_EQ(tail(p, 28), offender);
  EXPECT_EQ(p[0], 0x45);
  EXPECT_EQ(p[1], 0xc0 | 0x08);
  EXPECT_EQ(get16(p, 6), 0u);
  EXPECT_EQ(p[8], 64);
  EXPECT_EQ(p[9], 1);
  EXPECT_EQ(to_string(source4(p)), "198.18.1.1");
  EXPECT_EQ(Octets(p.begin() + 16, p.begin() + 20), Octets(offender.begin() + 12, offender.begin() + 16));
  EXPECT_EQ(p[20], 11);
  EXPECT_EQ(get32(p, 24), 0u);
  EXPECT_EQ(last_.family, 4);
  EXPECT_EQ(last_.proto, 1);
  EXPECT_EQ(last_.kind, RingKind::route);
  // Identifications differ: an error may be fragmented on its way.
  EXPECT_NE(get16(make(offender, 11, 0), 4), get16(p, 4));
}

TEST_F(IcmpErrorsTest, SecondWord) {
  const Octets o = ip4({}, udp(1, 2)), six = ip6({}, udp(1, 2));
  EXPECT_EQ(get32(make(o, 3, 4, 1400), 24), 1400u);
  EXPECT_EQ(get32(make(o, 3, 1, 1400), 24), 0u);
  EXPECT_EQ(get32(make(o, 12, 0, 21), 24), 21u << 24);
  EXPECT_EQ(get32(make(six, 2, 0, 1280), 44), 1280u);
  EXPECT_EQ(get32(make(six, 4, 1, 40), 44), 40u);
  EXPECT_EQ(get32(make(six, 3, 0, 99), 44), 0u);
}

TEST_F(IcmpErrorsTest, QuotesAsMuchAsFits) {
  for (size_t n : {0u, 1u, 499u, 500u, 519u, 520u, 521u, 1452u, 1471u, 1472u}) {
    const Octets four = ip4({}, udp(1, 2, pattern(n)));
    EXPECT_EQ(make(four, 3, 1).size(), std::min<size_t>(576, 28 + four.size()));
    EXPECT_EQ(tail(make(four, 3, 1), 28), Octets(four.begin(), four.begin() + std::min<size_t>(548, four.size())));
    const Octets six = ip6({}, udp(1, 2, pattern(std::min<size_t>(n, 1452))));
    EXPECT_EQ(tail(make(six, 1, 0), 48), Octets(six.begin(), six.begin() + std::min<size_t>(1232, six.size())));
  }
}

TEST_F(IcmpErrorsTest, Ip4SourceAddress) {
  const auto from = [&](std::string_view src, std::string_view dst, uint16_t port) {
    return to_string(source4(make(ip4({.src = src, .dst = dst}, udp(1, 2)), 3, 0, 0, port)));
  };
  EXPECT_EQ(from("198.18.1.10", "203.0.113.1", 0), "198.18.1.1");
  EXPECT_EQ(from("10.1.2.3", "203.0.113.1", 0), "10.0.0.1");    // on that network
  EXPECT_EQ(from("203.0.113.9", "203.0.113.1", 0), "198.18.1.1");
  EXPECT_EQ(from("203.0.113.9", "203.0.113.1", 1), "198.18.2.1");
  EXPECT_EQ(from("203.0.113.9", "203.0.113.1", 2), "198.18.1.1");  // a port without an address borrows one
  EXPECT_EQ(from("203.0.113.9", "198.18.2.1", 0), "198.18.2.1");   // the address that was asked
  for (Interface& i : ifs_->port) i.addresses.clear();
  EXPECT_TRUE(make(ip4({}, udp(1, 2)), 3, 0).empty());
}

TEST_F(IcmpErrorsTest, Ip6SourceAddress) {
  const auto from = [&](std::string_view src, std::string_view dst, uint16_t port) {
    return to_string(source6(make(ip6({.src = src, .dst = dst}, udp(1, 2)), 1, 0, 0, port)));
  };
  EXPECT_EQ(from("2001:db8:1::10", "2001:db8:9::1", 0), "2001:db8:1::1");
  EXPECT_EQ(from("2001:db8:1::10", "2001:db8:9::1", 1), "2001:db8:2::1");
  EXPECT_EQ(from("2001:db8:1::10", "2001:db8:9::1", 2), "2001:db8:1::1");
  EXPECT_EQ(from("2001:db8:1::10", "2001:db8:2::1", 0), "2001:db8:2::1");
  EXPECT_EQ(from("fe80::9", "2001:db8:9::1", 0), to_string(link_local_of(kOurs)));
  EXPECT_EQ(from("fe80::9", "2001:db8:2::1", 0), "2001:db8:2::1");
  for (Interface& i : ifs_->port) i.addresses.clear();
  EXPECT_EQ(from("2001:db8:1::10", "2001:db8:9::1", 0), to_string(link_local_of(kOurs)));
}

TEST_F(IcmpErrorsTest, NoneAboutErrors4) {
  for (unsigned type = 0; type < 256; ++type) {
    const bool none = type == 3 || type == 4 || type == 5 || type == 11 || type == 12 || type > 18;
    EXPECT_EQ(make(ip4({.proto = 1}, icmp(static_cast<uint8_t>(type), 0)), 11, 0).empty(), none) << type;
  }
  EXPECT_TRUE(make(ip4({.proto = 1}, {}), 11, 0).empty());
  EXPECT_TRUE(make(ip4({.proto = 1}, {8}), 11, 0).empty());
  EXPECT_TRUE(make(ip4({.proto = 1, .frag = 0x2000}, icmp(3, 1)), 11, 0).empty());
}

TEST_F(IcmpErrorsTest, NoneAboutErrors6) {
  for (unsigned type = 0; type < 256; ++type) {
    const Octets i = icmp(static_cast<uint8_t>(type), 0);
    EXPECT_EQ(make(ip6({.next = 58}, i), 3, 0).empty(), type < 128 || type == 137) << type;
    EXPECT_EQ(make(ip6({.next = 60}, ext(58, {}) + i), 3, 0).empty(), type < 128 || type == 137) << type;
  }
  EXPECT_TRUE(make(ip6({.next = 58}, {}), 3, 0).empty());
  // The type in a later fragment cannot be seen; path MTU discovery needs the error.
  EXPECT_FALSE(make(ip6({.next = 44}, frag6(58, 8, true) + zeros(64, 1)), 2, 0, 1280).empty());
}

TEST_F(IcmpErrorsTest, NoneAboutLaterFragments4) {
  EXPECT_FALSE(make(ip4({.frag = 0x2000}, udp(1, 2)), 11, 0).empty());
  EXPECT_TRUE(make(ip4({.frag = 0x2001}, udp(1, 2)), 11, 0).empty());
  EXPECT_TRUE(make(ip4({.frag = 0x0001}, udp(1, 2)), 3, 4, 1400).empty());
}

TEST_F(IcmpErrorsTest, NoneAboutGroups) {
  for (const char* dst : {"224.0.0.1", "239.255.255.255", "255.255.255.255", "198.18.1.255", "198.18.2.255", "10.255.255.255"})
    EXPECT_TRUE(make(ip4({.dst = dst}, udp(1, 2)), 3, 3).empty()) << dst;
  EXPECT_FALSE(make(ip4({.dst = "198.18.3.255"}, udp(1, 2)), 3, 3).empty());
  EXPECT_FALSE(make(ip4({.dst = "192.0.2.1"}, udp(1, 2)), 3, 3).empty());  // RFC 3021: no broadcast on a /31
  EXPECT_TRUE(make(ip4({}, udp(1, 2)), 3, 3, 0, 0, kBroadcast).empty());
  const Mac group{{0x33, 0x33, 0, 0, 0, 1}};
  EXPECT_TRUE(make(ip6({}, udp(1, 2)), 1, 0, 0, 0, group).empty());
  EXPECT_TRUE(make(ip6({.dst = "ff05::1"}, udp(1, 2)), 1, 0).empty());
  EXPECT_TRUE(make(ip6({.dst = "ff05::1"}, udp(1, 2)), 4, 0, 40).empty());
  EXPECT_TRUE(make(ip6({.dst = "ff05::1"}, udp(1, 2)), 4, 1, 40).empty());
  // RFC 4443 2.4 (e.3): the two exceptions, from an address of ours
  EXPECT_EQ(to_string(source6(make(ip6({.dst = "ff05::1"}, udp(1, 2)), 2, 0, 1280, 0, group))), "2001:db8:1::1");
  EXPECT_FALSE(make(ip6({.dst = "ff05::1"}, udp(1, 2)), 4, 2, 42, 0, group).empty());
}

TEST_F(IcmpErrorsTest, NoneToWhatIsNoSingleHost) {
  for (const char* src : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "255.255.255.255",
                          "198.18.1.255", "198.18.2.255", "198.18.1.1", "198.18.2.1"})
    EXPECT_TRUE(make(ip4({.src = src}, udp(1, 2)), 3, 0).empty()) << src;
  for (const char* src : {"::", "::1", "ff02::1", "::ffff:198.18.1.10", "2001:db8:2::1"})
    EXPECT_TRUE(make(ip6({.src = src}, udp(1, 2)), 2, 0, 1280).empty()) << src;
  EXPECT_FALSE(make(ip4({.src = "192.0.2.1"}, udp(1, 2)), 3, 0).empty());
  EXPECT_FALSE(make(ip6({.src = "::2"}, udp(1, 2)), 1, 0).empty());
}

TEST_F(IcmpErrorsTest, RatesPerSourceAndInAll) {
  s_.icmp = {.errors_per_second = 100, .errors_burst = 30, .per_source_per_second = 10, .per_source_burst = 5};
  const auto ask = [&](std::string_view src) { return !make(ip4({.src = src}, udp(1, 2)), 11, 0).empty(); };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ask("198.18.1.10"));
  EXPECT_FALSE(ask("198.18.1.10"));
  EXPECT_TRUE(ask("198.18.1.11"));  // another has its own
  EXPECT_EQ(errors_->limited(), 1u);
  now_ = now_ + Duration::millis(100);
  EXPECT_TRUE(ask("198.18.1.10"));
  EXPECT_FALSE(ask("198.18.1.10"));
  // What the source's rate refuses costs nothing of the common one.
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(ask("198.18.1.10"));
  unsigned made = 0;
  for (int i = 0; i < 200; ++i) made += ask("203.0.113." + std::to_string(i));
  EXPECT_EQ(made, 29u);  // 30, less the one just made
  // And both families share it.
  EXPECT_TRUE(make(ip6({}, udp(1, 2)), 3, 0).empty());
  now_ = now_ + Duration::seconds(1);
  EXPECT_FALSE(make(ip6({}, udp(1, 2)), 3, 0).empty());
}

TEST_F(IcmpErrorsTest, NothingIsMadeOfAnEmptyPool) {
  std::vector<rte_mbuf*> held;
  for (rte_mbuf* m; (m = rte_pktmbuf_alloc(pool_->mempool()));) held.push_back(m);
  EXPECT_TRUE(make(ip4({}, udp(1, 2)), 11, 0).empty());
  EXPECT_TRUE(reset(sealed(ip4({.proto = 6}, tcp(1, 2, 2)))).empty());
  for (rte_mbuf* m : held) rte_pktmbuf_free(m);
}

// RFC 9293 3.10.7.1
TEST_F(IcmpErrorsTest, TcpReset) {
  using namespace wire;
  const uint32_t s = 0xfffffffe;
  struct { uint8_t flags; unsigned data; uint8_t want; uint32_t seq, ack; } table[] = {
      {kTcpSyn, 0, kTcpRst | kTcpAck, 0, s + 1},
      {0, 0, kTcpRst | kTcpAck, 0, s},
      {kTcpFin, 5, kTcpRst | kTcpAck, 0, s + 6},
      {kTcpSyn | kTcpFin | kTcpPsh, 5, kTcpRst | kTcpAck, 0, s + 7},
      {kTcpAck, 9, kTcpRst, 77, 0},
      {kTcpSyn | kTcpAck, 0, kTcpRst, 77, 0},
  };
  for (const auto& t : table) {
    for (bool six : {false, true}) {
      const Octets seg = tcp(1000, 113, t.flags, s, 77, pattern(t.data));
      const Octets p = reset(six ? sealed(ip6({.next = 60}, ext(6, {}) + seg), 48)
                                 : sealed(ip4({.proto = 6, .options = {0x94, 4, 0, 0}}, seg)));
      ASSERT_EQ(p.size(), six ? 60u : 40u);
      const size_t l4 = six ? 40 : 20;
      if (six) {
        EXPECT_EQ(to_string(source6(p)), "2001:db8:2::10");
      } else {
        EXPECT_EQ(to_string(source4(p)), "198.18.2.10");
      }
      EXPECT_EQ(get16(p, l4), 113u);
      EXPECT_EQ(get16(p, l4 + 2), 1000u);
      EXPECT_EQ(get32(p, l4 + 4), t.seq);
      EXPECT_EQ(get32(p, l4 + 8), t.ack);
      EXPECT_EQ(p[l4 + 12], 0x50);
      EXPECT_EQ(p[l4 + 13], t.want);
    }
  }
}

// Its destination would not answer what is damaged, and what a fragment leaves out is acknowledged too.
TEST_F(IcmpErrorsTest, NoTcpResetAboutADamagedOrFragmentedSegment) {
  const Octets seg = tcp(1000, 113, wire::kTcpSyn, 5, 0, pattern(12));
  for (const Octets& ip : {sealed(ip4({.proto = 6}, seg)), sealed(ip6({.next = 6}, seg))}) {
    const size_t l4 = ip.size() - seg.size();
    EXPECT_FALSE(reset(ip).empty());
    for (size_t at : {l4 + 4, l4 + 16, ip.size() - 1}) {
      Octets bad = ip;
      bad[at] ^= 0x10;
      EXPECT_TRUE(reset(bad).empty()) << at;
    }
  }
  EXPECT_TRUE(reset(sealed(ip4({.proto = 6, .frag = 0x2000}, seg))).empty());
  EXPECT_TRUE(reset(sealed(ip6({.next = 44}, frag6(6, 0, true) + seg), 48)).empty());
  EXPECT_FALSE(reset(sealed(ip6({.next = 44}, frag6(6, 0, false) + seg), 48)).empty())
      << "an atomic fragment is whole";
}

TEST_F(IcmpErrorsTest, NoTcpReset) {
  using namespace wire;
  const Octets syn = tcp(1, 2, kTcpSyn);
  const auto four = [](const V4& f, const Octets& segment) { return sealed(ip4(f, segment)); };
  for (uint8_t f : {kTcpRst, uint8_t(kTcpRst | kTcpAck), uint8_t(kTcpRst | kTcpSyn)})
    EXPECT_TRUE(reset(four({.proto = 6}, tcp(1, 2, f))).empty());
  for (size_t n = 0; n < 20; ++n)
    EXPECT_TRUE(reset(four({.proto = 6}, Octets(syn.begin(), syn.begin() + n))).empty()) << n;
  for (uint8_t offset : Octets{0, 1, 4, 6, 15})
    EXPECT_TRUE(reset(four({.proto = 6}, tcp(1, 2, kTcpSyn, 0, 0, {}, offset))).empty());
  EXPECT_FALSE(reset(four({.proto = 6}, tcp(1, 2, kTcpSyn, 0, 0, zeros(4), 6))).empty());
  EXPECT_TRUE(reset(four({.proto = 6, .frag = 5}, syn)).empty());
  EXPECT_TRUE(reset(four({.proto = 6, .frag = 0x2000}, syn)).empty());
  EXPECT_TRUE(reset(ip4({.proto = 6}, syn)).empty());  // checksum 0: damaged on its way
  EXPECT_TRUE(reset(ip6({.next = 6}, syn)).empty());
  EXPECT_TRUE(reset(four({.proto = 17}, syn)).empty());
  EXPECT_TRUE(reset(four({.dst = "224.0.0.1", .proto = 6}, syn)).empty());
  EXPECT_TRUE(reset(four({.dst = "198.18.2.255", .proto = 6}, syn)).empty());
  EXPECT_TRUE(reset(four({.src = "127.0.0.1", .proto = 6}, syn)).empty());
  EXPECT_TRUE(reset(sealed(ip6({.dst = "ff05::1", .next = 6}, syn))).empty());
  EXPECT_TRUE(reset(four({.proto = 6}, syn), kBroadcast).empty());
  s_.icmp.per_source_per_second = 0;
  s_.icmp.per_source_burst = 1;
  EXPECT_FALSE(reset(four({.src = "198.18.1.77", .proto = 6}, syn)).empty());
  EXPECT_TRUE(reset(four({.src = "198.18.1.77", .proto = 6}, syn)).empty());
  // What draws none costs none.
  s_.icmp.per_source_burst = 2;
  EXPECT_TRUE(reset(four({.src = "198.18.1.78", .proto = 6}, tcp(1, 2, kTcpRst))).empty());
  EXPECT_FALSE(reset(four({.src = "198.18.1.78", .proto = 6}, syn)).empty());
}

}  // namespace
}  // namespace sluice::path
