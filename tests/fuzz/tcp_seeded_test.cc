// The fuzz targets of TCP on inputs from a seeded generator, a few seconds.
#include <gtest/gtest.h>

#include "fuzz/seeded.h"
#include "fuzz/tcp_targets.h"
#include "tcp/types.h"

namespace {

using sluice::fuzz::random_input;
using sluice::tcp::State;

TEST(TcpFuzz, OptionsAreParsedAndBuilt) {
  for (uint64_t seed = 0; seed < 20'000; seed++) sluice::fuzz::tcp_options(random_input(seed, 48));
}

TEST(TcpFuzz, SegmentsAgainstEveryState) {
  for (uint64_t seed = 0; seed < 1500; seed++) sluice::fuzz::tcp_segments(random_input(seed, 3000));
  for (unsigned s = static_cast<unsigned>(State::syn_sent); s <= static_cast<unsigned>(State::time_wait); s++)
    EXPECT_TRUE(sluice::fuzz::tcp_states_seen() >> s & 1) << "never in " << to_string(static_cast<State>(s));
}

TEST(TcpFuzz, CommandsMisused) {
  for (uint64_t seed = 0; seed < 1500; seed++) sluice::fuzz::tcp_misuse(random_input(seed, 3000));
}

}  // namespace
