// TCP options: what RFC 9293 3.1 and 3.2 (MUST-5, MUST-6, MUST-7), 7323 2.2 and 3.2, and 2018 2 and 3 ask of them.
#include "wire/tcp_options.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace sluice::wire {
namespace {

using Octets = std::vector<uint8_t>;

// From an exact allocation, so that a read behind the end is seen by a checking allocator.
TcpOptions parse(const Octets& o) {
  const auto exact = std::make_unique<uint8_t[]>(o.size());
  std::copy(o.begin(), o.end(), exact.get());
  return parse_tcp_options({exact.get(), o.size()});
}
Octets build(const TcpOptions& o) {
  uint8_t out[kMaxTcpOptions];
  const unsigned n = build_tcp_options(out, o);
  return {out, out + n};
}

TEST(TcpOptions, None) {
  EXPECT_EQ(parse({}), TcpOptions{});
  EXPECT_EQ(build({}), Octets{});
}

TEST(TcpOptions, ASynAsMostStacksSendIt) {
  const Octets wire{2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
  const TcpOptions o{.has_mss = true, .has_window_scale = true, .sack_permitted = true, .has_timestamps = true,
                     .window_scale = 7, .mss = 1460, .ts_val = 0x01020304};
  EXPECT_EQ(parse(wire), o);
  EXPECT_EQ(build(o), wire);
}

TEST(TcpOptions, AlignedTimestampsAlone) {
  const Octets wire{1, 1, 8, 10, 0xfe, 2, 3, 4, 5, 6, 7, 0xf8};
  const TcpOptions o{.has_timestamps = true, .ts_val = 0xfe020304, .ts_ecr = 0x050607f8};
  EXPECT_EQ(parse(wire), o);
  EXPECT_EQ(build(o), wire);
}

TEST(TcpOptions, TwelveBytesThatAreNotTimestamps) {
  EXPECT_EQ(parse({1, 1, 8, 9, 0, 0, 0, 0, 0, 0, 0, 1}), TcpOptions{});  // a wrong length, skipped
  EXPECT_EQ(parse({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}),
            (TcpOptions{.sack_blocks = 1, .sack = {{1, 2}}}));
  EXPECT_EQ(parse({8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1}), (TcpOptions{.has_timestamps = true, .ts_val = 1, .ts_ecr = 2}));
}

// MUST-5: in any segment, in any order, aligned or not. MUST-64, MUST-69: what follows the end is not looked at.
TEST(TcpOptions, AnyOrderAndPadding) {
  EXPECT_EQ(parse({1, 3, 3, 2, 1, 1, 1, 2, 4, 2, 24, 0, 4, 2}),
            (TcpOptions{.has_mss = true, .has_window_scale = true, .window_scale = 2, .mss = 536}));
  EXPECT_EQ(parse({0, 2, 4, 5, 0xb4}), TcpOptions{});
  EXPECT_EQ(parse(Octets(40, 1)), TcpOptions{});
}

// MUST-6: every option but End and NOP has a length, so that unknown ones are skipped.
TEST(TcpOptions, UnknownKindsAreSkipped) {
  for (unsigned kind = 6; kind < 256; kind++) {
    if (kind == kTcpOptTimestamps) continue;
    for (const uint8_t length : std::initializer_list<uint8_t>{2, 3, 4, 10, 16}) {
      Octets o{static_cast<uint8_t>(kind), length};
      o.resize(length, 2);
      o.insert(o.end(), {2, 4, 4, 0});
      EXPECT_EQ(parse(o), (TcpOptions{.has_mss = true, .mss = 1024})) << kind << " " << +length;
    }
  }
}

// MUST-7: an illegal length must not crash; what came before holds.
TEST(TcpOptions, LengthsThatCannotBeStopTheWalk) {
  const TcpOptions before{.has_mss = true, .malformed = true, .mss = 1024};
  for (const Octets& bad : {Octets{8, 0}, Octets{8, 1}, Octets{8, 10, 1, 2}, Octets{3}, Octets{254, 255},
                            Octets{5, 10, 0, 0, 0, 1, 0, 0, 0}, Octets{99, 0, 3, 3, 7}}) {
    Octets o{2, 4, 4, 0};
    o.insert(o.end(), bad.begin(), bad.end());
    EXPECT_EQ(parse(o), before) << +bad[0];
  }
}

TEST(TcpOptions, KnownKindsWithAWrongLengthAreIgnored) {
  for (const uint8_t kind : std::initializer_list<uint8_t>{2, 3, 4, 5, 8})
    for (uint8_t length = 2; length < 36; length++) {
      const bool right = (kind == 2 && length == 4) || (kind == 3 && length == 3) || (kind == 4 && length == 2) ||
                         (kind == 5 && length % 8 == 2 && length > 2) || (kind == 8 && length == 10);
      Octets o{kind, length};
      o.resize(length, 9);
      o.insert(o.end(), {1, 1, 1});
      EXPECT_EQ(parse(o) == TcpOptions{}, !right) << +kind << " " << +length;
    }
  Octets five{5, 42};  // more blocks than an option can hold, in a buffer that no header can have
  five.resize(42);
  EXPECT_EQ(parse(five), TcpOptions{});
}

TEST(TcpOptions, SackBlocks) {
  const TcpOptions o{.has_timestamps = true, .sack_blocks = 3, .ts_val = 1, .ts_ecr = 2,
                     .sack = {{0xfffffff0, 16}, {100, 200}, {300, 400}}};
  const Octets wire = build(o);
  ASSERT_EQ(wire.size(), 40u);
  EXPECT_EQ(wire[14], kTcpOptSack);
  EXPECT_EQ(wire[15], 26);
  EXPECT_EQ(parse(wire), o);
  const TcpOptions four{.sack_blocks = 4, .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
  EXPECT_EQ(build(four).size(), 36u);
  EXPECT_EQ(parse(build(four)), four);
}

TEST(TcpOptions, AsManySackBlocksAsFit) {
  TcpOptions o{.has_timestamps = true, .sack_blocks = 4, .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
  EXPECT_EQ(parse(build(o)).sack_blocks, 3);
  o.has_mss = o.has_window_scale = o.sack_permitted = true;
  EXPECT_EQ(parse(build(o)).sack_blocks, 2);
  EXPECT_LE(build(o).size(), size_t{kMaxTcpOptions});
  o.sack_blocks = 255;
  EXPECT_LE(build(o).size(), size_t{kMaxTcpOptions});
}

// Every combination comes back as it was, in whole words, and timestamps are aligned.
TEST(TcpOptions, RoundTrip) {
  for (unsigned bits = 0; bits < 16; bits++) {
    TcpOptions o;
    if (bits & 1) o.has_mss = true, o.mss = 8960;
    if (bits & 2) o.has_window_scale = true, o.window_scale = 255;
    if (bits & 4) o.sack_permitted = true;
    if (bits & 8) o.has_timestamps = true, o.ts_val = 0xdeadbeef, o.ts_ecr = 77;
    const Octets wire = build(o);
    EXPECT_EQ(parse(wire), o) << bits;
    EXPECT_EQ(wire.size() % 4, 0u) << bits;
    for (size_t i = 0; i + 9 < wire.size(); i++) {
      if (wire[i] == 8 && wire[i + 1] == 10) {
        EXPECT_EQ(i % 4, 2u) << bits;
      }
    }
  }
}

TEST(TcpOptions, RandomBytesSurvive) {
  std::mt19937 random(7);
  for (int i = 0; i < 200'000; i++) {
    Octets o(random() % 41);
    for (uint8_t& b : o) b = static_cast<uint8_t>(random() % (random() % 2 ? 256 : 12));
    const TcpOptions parsed = parse(o);
    EXPECT_LE(parsed.sack_blocks, kMaxSackBlocks);
  }
}

}  // namespace
}  // namespace sluice::wire
