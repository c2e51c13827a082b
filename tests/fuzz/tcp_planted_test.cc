// Linked with a TCP library in which a read goes one byte too far (meson.build says where): the fuzz targets must die of
// it. Poisoned memory is AddressSanitizer's; other builds skip this, loudly.
#include <gtest/gtest.h>

#include <vector>

#include "fuzz/poison.h"
#include "fuzz/seeded.h"
#include "fuzz/tcp_targets.h"

namespace {

using namespace sluice::fuzz;

#if SLUICE_ASAN
constexpr bool kPoisons = true;
#else
constexpr bool kPoisons = false;
#endif

TEST(TcpFuzz, OneByteTooFarInAPayloadIsCaught) {
  if (!kPoisons) GTEST_SKIP() << "SKIPPED: needs a build with AddressSanitizer (-Db_sanitize=address)";
  GTEST_FLAG_SET(death_test_style, "fast");
  EXPECT_DEATH(
      for (uint64_t seed = 0; seed < 1500; seed++) tcp_segments(random_input(seed, 3000)), "use-after-poison");
}

TEST(TcpFuzz, OneByteTooFarInOptionsIsCaught) {
  if (!kPoisons) GTEST_SKIP() << "SKIPPED: needs a build with AddressSanitizer (-Db_sanitize=address)";
  EXPECT_DEATH(
      for (uint64_t seed = 0; seed < 20'000; seed++) tcp_options(random_input(seed, 48)), "heap-buffer-overflow");
}

}  // namespace
