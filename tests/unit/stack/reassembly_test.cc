#include <algorithm>
#include <numeric>
#include <random>

#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

class ReassemblyTest : public Lab {
 public:
  const std::string own4 = "198.18.1.1", own6 = "2001:db8:1::1";
  std::string peer4 = "198.18.1.10", peer6 = "2001:db8:1::10";

  std::string own(bool v4) const { return v4 ? own4 : own6; }
  std::string peer(bool v4) const { return v4 ? peer4 : peer6; }
  Octets echo(bool v4, const Octets& data) {
    return v4 ? icmp(8, 0, {1, 2, 3, 4}, data) : icmp6(peer6, own6, 128, 0, Octets{1, 2, 3, 4} + data);
  }
  void piece(bool v4, unsigned id, unsigned offset, bool more, const Octets& data, uint8_t proto = 0) {
    if (!proto) proto = v4 ? 1 : 58;
    if (v4) in(eth(ip4({.src = peer4, .dst = own4, .proto = proto, .id = id, .frag = (more ? 0x2000u : 0) | offset / 8}, data), 0x800));
    else in(eth(ip6({.src = peer6, .dst = own6, .next = 44}, frag6(proto, offset, more, id) + data), 0x86dd));
  }
  void piece(bool v4, unsigned id, const Octets& whole, size_t from, size_t to) {
    piece(v4, id, static_cast<unsigned>(from), to < whole.size(), head(tail(whole, from), to - from));
  }
  // All that came out, put together again; empty where it does not fit together.
  Octets answer(bool v4) {
    std::vector<std::pair<unsigned, Octets>> parts;
    bool whole = false;
    unsigned last = 0;
    while (!out.empty()) {
      const Sent s = take();
      EXPECT_EQ(s.kind(), RingKind::route);
      EXPECT_LE(s.frame.size(), 1514u);
      if (v4) {
        const unsigned frag = get16(s.frame, 20);
        EXPECT_EQ(plain_sum(head(s.ip(), 20)), 0xffffu);
        EXPECT_EQ((frag & 0x1fff) * 8, s.meta.frag_offset);
        if (!(frag & 0x2000)) last += 1 + 100 * !out.empty();
        parts.push_back({(frag & 0x1fff) * 8, tail(s.frame, 34)});
      } else if (s.frame[20] == 44) {
        const unsigned f = get16(s.frame, 56);
        EXPECT_EQ(f & 0xfff8, s.meta.frag_offset);
        if (!(f & 1)) last += 1 + 100 * !out.empty();
        parts.push_back({f & 0xfff8, tail(s.frame, 62)});
      } else {
        whole = true;
        parts.push_back({0, tail(s.frame, 54)});
      }
    }
    Octets all;
    for (auto& [offset, data] : parts) {
      if (offset != all.size()) return {};
      all = all + data;
    }
    return whole || last == 1 ? all : Octets{};  // the end once, and at the end
  }
  Octets reply(bool v4, const Octets& data) {
    return v4 ? icmp(0, 0, {1, 2, 3, 4}, data) : icmp6(own6, peer6, 129, 0, Octets{1, 2, 3, 4} + data);
  }
  void silence() {
    nothing();
  }
};

class BothFamilies : public ReassemblyTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Ip, BothFamilies, ::testing::Values(true, false), [](const auto& i) { return i.param ? "v4" : "v6"; });

TEST_P(BothFamilies, PiecesOfAnySizeInAnyOrder) {
  const bool v4 = GetParam();
  std::mt19937 rng(7);
  unsigned id = 1;
  for (auto [n, size] : std::vector<std::pair<size_t, size_t>>{{64, 8}, {100, 8}, {1000, 64}, {600, 24}, {3000, 1400}, {4000, 1448}, {20000, 1400}, {20000, 8}, {65000, 1448}}) {
    const Octets data = pattern(n), e = echo(v4, data);
    std::vector<size_t> order((e.size() + size - 1) / size);
    std::iota(order.begin(), order.end(), 0);
    for (int how = 0; how < 3; how++, id++) {
      if (how == 1) std::reverse(order.begin(), order.end());
      if (how == 2) std::shuffle(order.begin(), order.end(), rng);
      for (size_t k : order) piece(v4, id, e, k * size, std::min(e.size(), (k + 1) * size));
      EXPECT_EQ(answer(v4), reply(v4, data)) << n << " bytes in pieces of " << size << ", order " << how;
      EXPECT_EQ(stack->held(), 0u);
    }
  }
}

TEST_P(BothFamilies, ExactDuplicatesDoNoHarm) {
  const bool v4 = GetParam();
  const Octets e = echo(v4, pattern(232));
  for (auto [from, to] : {std::pair{0, 80}, {0, 80}, {160, 240}, {160, 240}, {80, 160}}) piece(v4, 1, e, size_t(from), size_t(to));
  EXPECT_EQ(answer(v4), reply(v4, pattern(232)));
  EXPECT_EQ(stack->held(), 0u);
}

TEST_P(BothFamilies, OverlapsPoisonTheDatagram) {
  const bool v4 = GetParam();
  const Octets e = echo(v4, zeros(152, 'A'));
  unsigned id = 10;
  using Cuts = std::vector<std::pair<size_t, size_t>>;
  for (const Cuts& cuts : {Cuts{{0, 80}, {40, 120}, {120, 160}}, Cuts{{40, 120}, {0, 80}, {120, 160}}, Cuts{{0, 80}, {72, 160}},
                           Cuts{{72, 160}, {0, 80}}, Cuts{{0, 80}, {0, 40}, {80, 160}}, Cuts{{0, 80}, {40, 80}, {80, 160}},
                           Cuts{{0, 40}, {40, 80}, {0, 80}, {80, 160}}, Cuts{{80, 160}, {80, 120}, {0, 80}}}) {
    for (auto [from, to] : cuts) piece(v4, id, e, from, to);
    id++;
  }
  // Other data in the same place.
  piece(v4, id, 0, true, head(e, 80));
  piece(v4, id, 0, true, head(e, 79) + Octets{'C'});
  piece(v4, id, 80, false, tail(e, 80));
  // Two ends, and data behind the end.
  piece(v4, id + 1, 80, false, head(tail(e, 80), 40));
  piece(v4, id + 1, 80, false, tail(e, 80));
  piece(v4, id + 1, 0, true, head(e, 80));
  piece(v4, id + 2, 80, true, head(tail(e, 80), 80));
  piece(v4, id + 2, 40, false, head(tail(e, 40), 40));
  piece(v4, id + 2, 0, true, head(e, 40));
  silence();
  EXPECT_GT(drops(DropReason::reassembly_overlap), 20u);
  EXPECT_EQ(stack->held(), 0u);
  advance(Duration::seconds(20));
  silence();  // nothing is said of them, either
  piece(v4, 10, e, 0, 80);
  piece(v4, 10, e, 80, 160);
  EXPECT_EQ(answer(v4), reply(v4, zeros(152, 'A')));  // the time is over, the identification free again
}

TEST_P(BothFamilies, WhatIsNeverCompletedIsGivenUpWithAnErrorForTheFirst) {
  const bool v4 = GetParam();
  const Octets e = echo(v4, pattern(152));
  piece(v4, 1, e, 80, 160);
  piece(v4, 1, e, 0, 72);
  piece(v4, 2, e, 80, 160);
  EXPECT_EQ(stack->held(), 2u);
  advance(ifs.reassembly_timeout - Duration::millis(1));
  silence();
  advance(Duration::millis(2));
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::refuse);
  EXPECT_EQ(s.meta.icmp_type, v4 ? 11 : 3);
  EXPECT_EQ(s.meta.icmp_code, 1);
  EXPECT_EQ(s.meta.reason, DropReason::reassembly_timeout);
  EXPECT_EQ(s.meta.frag_offset, 0);
  silence();
  EXPECT_EQ(drops(DropReason::reassembly_timeout), 2u);
  EXPECT_EQ(stack->next_deadline(), Instant::never());
}

TEST_P(BothFamilies, NothingIsPutTogetherBeyond64K) {
  const bool v4 = GetParam();
  piece(v4, 1, 0, true, pattern(1400));
  for (size_t n : {8u, 9u, 100u, 1400u}) piece(v4, 2, 65528, false, pattern(n));
  piece(v4, 1, 64800, true, pattern(1400));
  if (v4) {
    silence();
  } else {
    for (int i = 0; i < 5; i++) {
      const Sent s = take();
      EXPECT_EQ(s.kind(), RingKind::refuse);
      EXPECT_EQ(s.meta.icmp_type, 4);
      EXPECT_EQ(s.meta.icmp_code, 0);
      EXPECT_EQ(s.meta.icmp_info, 42u);
    }
    silence();
  }
  EXPECT_EQ(stack->held(), 1u);
  EXPECT_EQ(drops(DropReason::fragment_invalid), 5u);
}

TEST_P(BothFamilies, OddLengthsAreRefused) {
  const bool v4 = GetParam();
  for (size_t n : {9u, 77u, 1001u}) {
    piece(v4, 1, 0, true, pattern(n));
    if (!v4) {
      const Sent s = take();
      EXPECT_EQ(s.meta.icmp_type, 4);
      EXPECT_EQ(s.meta.icmp_code, 0);
      EXPECT_EQ(s.meta.icmp_info, 4u);
    }
    silence();
  }
  piece(v4, 1, 8, true, {});
  silence();
  EXPECT_EQ(stack->held(), 0u);
}

TEST_P(BothFamilies, AFloodDoesNotKeepOthersOut) {
  const bool v4 = GetParam();
  const Octets e = echo(v4, pattern(152));
  for (unsigned source = 20; source < 60; source++) {
    peer4 = "198.18.1." + std::to_string(source);
    peer6 = "2001:db8:1::" + std::to_string(source);
    for (unsigned id = 0; id < 40; id++) piece(v4, id, e, 0, 80);
  }
  EXPECT_LE(stack->held(), config.reassembly_datagrams);
  silence();
  EXPECT_GT(drops(DropReason::reassembly_full), 1000u);
  peer4 = "198.18.1.10";
  peer6 = "2001:db8:1::10";
  const Octets mine = echo(v4, pattern(152));
  piece(v4, 99, mine, 80, 160);
  piece(v4, 99, mine, 0, 80);
  EXPECT_EQ(answer(v4), reply(v4, pattern(152)));
}

TEST_P(BothFamilies, AFloodOfOneSourceHurtsThatSource) {
  const bool v4 = GetParam();
  const Octets e = echo(v4, pattern(152));
  piece(v4, 1, e, 0, 80);
  peer4 = "198.18.1.11";
  peer6 = "2001:db8:1::11";
  for (unsigned id = 0; id < 1000; id++) piece(v4, id, e, 0, 80);
  EXPECT_EQ(stack->held(), 1 + config.reassembly_per_source);
  peer4 = "198.18.1.10";
  peer6 = "2001:db8:1::10";
  piece(v4, 1, e, 80, 160);
  EXPECT_EQ(answer(v4), reply(v4, pattern(152)));
}

TEST_P(BothFamilies, UpperLayersSeeTheWholeDatagram) {
  const bool v4 = GetParam();
  const Octets u = sealed(peer(v4), own(v4), 17, udp(3333, 9, pattern(2000)), 6);
  piece(v4, 1, 1400, false, tail(u, 1400), 17);
  piece(v4, 1, 0, true, head(u, 1400), 17);
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::refuse);
  EXPECT_EQ(s.meta.reason, DropReason::udp_closed);
  EXPECT_EQ(s.meta.frag_offset, 0);
  Octets bad = u;
  bad[1500] ^= 1;
  piece(v4, 2, 0, true, head(bad, 1400), 17);
  piece(v4, 2, 1400, false, tail(bad, 1400), 17);
  silence();
  EXPECT_EQ(drops(DropReason::udp_invalid), 1u);
}

TEST_F(ReassemblyTest, TheProtocolIsPartOfTheKeyInIp4) {
  const Octets e = echo(true, pattern(152));
  piece(true, 1, e, 0, 80);
  piece(true, 1, 80, false, tail(e, 80), 17);
  silence();
  piece(true, 1, e, 80, 160);
  EXPECT_EQ(answer(true), reply(true, pattern(152)));
  EXPECT_EQ(stack->held(), 1u);
}

TEST_F(ReassemblyTest, TheFirstFragmentNamesTheProtocolInIp6) {
  const Octets e = echo(false, pattern(152));
  piece(false, 1, 80, false, tail(e, 80), 17);
  piece(false, 1, 0, true, head(e, 80), 58);
  EXPECT_EQ(answer(false), reply(false, pattern(152)));
}

TEST_F(ReassemblyTest, ChainsMustBeInTheFirstFragment) {
  const Octets t = sealed(peer6, own6, 6, tcp(1, 2, wire::kTcpSyn), 16);
  piece(false, 1, 0, true, head(t, 16), 6);
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::refuse);
  EXPECT_EQ(s.meta.icmp_type, 4);
  EXPECT_EQ(s.meta.icmp_code, 3);
  EXPECT_EQ(s.meta.icmp_info, 0u);
  piece(false, 2, 0, true, Octets{58, 1} + zeros(6), 60);  // an options header that goes on elsewhere
  EXPECT_EQ(take().meta.icmp_code, 3);
  silence();
}

TEST_F(ReassemblyTest, HeadersInFrontAndBehindTheFragmentHeader) {
  const Octets e = echo(false, pattern(100)), body = ext(58, zeros(6)) + e;  // options, then the message
  auto part = [&](unsigned offset, bool more, const Octets& data) {
    in(eth(ip6({.src = peer6, .dst = own6, .next = 60}, ext(44, {5, 2, 0, 0}) + frag6(60, offset, more, 9) + data), 0x86dd));
  };
  part(80, false, tail(body, 80));
  part(0, true, head(body, 80));
  EXPECT_EQ(answer(false), reply(false, pattern(100)));

  // An unknown protocol: the pointer is of the first fragment, which is what is quoted.
  auto unknown = [&](unsigned offset, bool more, const Octets& data, uint8_t next) {
    in(eth(ip6({.src = peer6, .dst = own6, .next = 44}, frag6(next, offset, more, 10) + data), 0x86dd));
  };
  unknown(0, true, pattern(16), 253);
  unknown(16, false, pattern(16), 253);
  Sent s = take();
  EXPECT_EQ(s.meta.icmp_code, 1);
  EXPECT_EQ(s.meta.icmp_info, 40u);
  unknown(0, true, ext(253, zeros(6)) + pattern(8), 60);
  unknown(16, false, pattern(16), 60);
  s = take();
  EXPECT_EQ(s.meta.icmp_info, 48u);
}

TEST_F(ReassemblyTest, FragmentsWithinFragmentsAreRefused) {
  const Octets inner = frag6(58, 0, true, 5) + head(echo(false, pattern(152)), 80);
  for (unsigned id = 0; id < 600; id++) {
    piece(false, id, 0, true, head(inner, 40), 44);
    const Sent s = take();
    EXPECT_EQ(s.meta.icmp_type, 4);
    EXPECT_EQ(s.meta.icmp_code, 3);
    piece(false, id, 40, false, tail(inner, 40), 44);
  }
  silence();
  EXPECT_LE(stack->held(), config.reassembly_per_source);
}

}  // namespace
}  // namespace sluice::test
