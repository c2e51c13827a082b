#include "wire/ip4_options.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/frames.h"

namespace sluice::wire {
namespace {

using namespace sluice::test;

// "type@offset+length …", and '!' with the offset at fault.
std::string walk(const Octets& options) {
  const Octets header = zeros(20) + options;
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[header.size()]);
  std::copy(header.begin(), header.end(), exact.get());
  Ip4OptionWalk w({exact.get(), header.size()});
  std::string s;
  unsigned steps = 0;
  for (Ip4Option o; w.next(o);) {
    s += std::to_string(o.type) + "@" + std::to_string(o.offset) + "+" + std::to_string(o.length) + " ";
    EXPECT_GE(o.length, 2u);
    EXPECT_LE(o.offset + o.length, header.size());
    EXPECT_LE(++steps, 20u);
  }
  if (w.malformed()) s += "!" + std::to_string(w.at());
  Ip4Option again;
  EXPECT_FALSE(w.next(again));  // and stays at the end
  return s;
}

TEST(Ip4OptionWalk, Table) {
  EXPECT_EQ(walk({}), "");
  EXPECT_EQ(walk({0, 7, 3, 4}), "");
  EXPECT_EQ(walk({1, 1, 1, 1}), "");
  EXPECT_EQ(walk({1, 7, 3, 4}), "7@21+3 ");
  EXPECT_EQ(walk({0x94, 4, 0, 0, 1, 0x82, 2, 0}), "148@20+4 130@25+2 ");
  EXPECT_EQ(walk({1, 1, 1, 7}), "!23");
  EXPECT_EQ(walk({7, 0, 1, 1}), "!20");
  EXPECT_EQ(walk({7, 1, 1, 1}), "!20");
  EXPECT_EQ(walk({7, 5, 1, 1}), "!20");
  EXPECT_EQ(walk({7, 2, 7, 3}), "7@20+2 !22");
  EXPECT_EQ(walk({7, 255, 1, 1}), "!20");
}

TEST(Ip4OptionWalk, EndsWhateverTheBytesSay) {
  std::mt19937 rnd(4);
  for (int i = 0; i < 200'000; ++i) {
    Octets o(4 * (rnd() % 11));
    for (uint8_t& b : o) b = static_cast<uint8_t>(rnd() % 2 ? rnd() % 6 : rnd());
    walk(o);
  }
}

}  // namespace
}  // namespace sluice::wire
