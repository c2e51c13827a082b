// The verdict's fuzz target on seeded input, in every test run: SYNs that are answered among them.
#include <gtest/gtest.h>

#include "fuzz/seeded.h"
#include "unit/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::test {
namespace {

TEST(VerdictSeeded, NoFrameDoesHarm) {
  const Octets options{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
  const Octets syn = tcp(40000, 80, 2, 77, 0, options, 10);
  Octets syn4 = ip4({.proto = 6}, syn), syn6 = ip6({.next = 6}, syn);
  seal_tcp(syn4, 20);
  seal_tcp(syn6, 40);
  const Octets frames[] = {eth(syn4, 0x0800), eth(syn6, 0x86dd),
                           eth(ip6({.next = 0}, ext(60, {}) + ext(44, {}) + frag6(6, 0, true) + tcp(1, 80, 2)), 0x86dd),
                           eth(ip4({.proto = 1}, icmp(8, 0)), 0x0800)};
  for (uint64_t seed = 0; seed < 60'000; seed++) {
    std::mt19937_64 r(seed);
    Octets in{static_cast<uint8_t>(seed / 300), static_cast<uint8_t>(r() % 3 ? 0 : r()), static_cast<uint8_t>(r() % 3)};
    Octets f = r() % 8 ? frames[r() % 4] : fuzz::random_input(seed, 200);
    for (size_t n = f.empty() ? 0 : r() % 4; n > 0; n--) f[r() % f.size()] = static_cast<uint8_t>(r());
    if (r() % 4 == 0) f.resize(r() % (f.size() + 20));
    in = in + f;
    ASSERT_EQ(LLVMFuzzerTestOneInput(in.data(), in.size()), 0);
  }
}

}  // namespace
}  // namespace sluice::test
