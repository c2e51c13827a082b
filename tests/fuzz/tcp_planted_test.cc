// Linked with a TCP library in which a read goes one byte too far (meson.build says where): the fuzz targets must die
// of it. Poisoned memory is AddressSanitizer's; other builds skip this, loudly.
#include <gtest/gtest.h>

#include <string_view>

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

void run_all() {
  for (uint64_t seed = 0; seed < 20'000; seed++) tcp_options(random_input(seed, 48));
  for (uint64_t seed = 0; seed < 1500; seed++) tcp_segments(random_input(seed, 3000));
}

TEST(TcpFuzz, OneByteTooFarIsCaught) {
  if (!kPoisons) GTEST_SKIP() << "SKIPPED: needs a build with AddressSanitizer (-Db_sanitize=address)";
  const bool payload = std::string_view(SLUICE_PLANTED) == "payload";
  EXPECT_DEATH(run_all(), payload ? "use-after-poison" : "heap-buffer-overflow");
}

}  // namespace
