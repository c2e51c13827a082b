// One cookie function: what clang makes of bpf/syn_cookie.h for the kernel says the same as what the stack has. The
// object is loaded, so that the verifier has its say, and run with random requests. Needs root.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <random>

#include "syn_cookie_request.h"

namespace sluice::test {
namespace {

// The same steps in user space.
cookie_request answered(cookie_request r) {
  r.cookie = sluice_cookie_make(&r.key, &r.in, r.count, sluice_cookie_mss_index(r.mss));
  r.ts_val = sluice_cookie_timestamp(
      r.ts_now, sluice_cookie_ts_bits(r.scale, static_cast<int>(r.sack), static_cast<int>(r.ecn)));
  r.check_index = sluice_cookie_check(&r.key, &r.in, r.check_count, r.check_cookie);
  r.check_mss = r.check_index < 0 ? 0 : sluice_cookie_mss(static_cast<uint32_t>(r.check_index));
  return r;
}

class SynCookieBpf : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to load BPF programs: SKIPPED, NOT TESTED";
    object_ = bpf_object__open_file(SYN_COOKIE_OBJECT, nullptr);
    ASSERT_NE(object_, nullptr) << strerror(errno);
    ASSERT_EQ(bpf_object__load(object_), 0) << "the verifier refuses it: " << strerror(errno);
    program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, "cookie"));
    ASSERT_GE(program_, 0);
  }
  void TearDown() override { bpf_object__close(object_); }

  cookie_request run(const cookie_request& r) {
    cookie_request out{};
    LIBBPF_OPTS(bpf_test_run_opts, o);
    o.data_in = &r;
    o.data_size_in = sizeof r;
    o.data_out = &out;
    o.data_size_out = sizeof out;
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &o), 0) << strerror(errno);
    EXPECT_EQ(o.retval, 2u) << "XDP_PASS";
    return out;
  }

  bpf_object* object_ = nullptr;
  int program_ = -1;
};

TEST_F(SynCookieBpf, SaysWhatTheStackSays) {
  std::mt19937_64 random(1);
  int accepted = 0;
  for (int i = 0; i < 2000; i++) {
    cookie_request r{};
    r.key = {random(), random()};
    for (int word = 0; word < (i % 2 ? 1 : 4); word++) {
      r.in.local[word] = static_cast<uint32_t>(random());
      r.in.remote[word] = static_cast<uint32_t>(random());
    }
    r.in.local_port = static_cast<uint16_t>(random());
    r.in.remote_port = static_cast<uint16_t>(random());
    r.in.irs = static_cast<uint32_t>(random());
    r.count = static_cast<uint32_t>(random());
    r.mss = static_cast<uint32_t>(random() % 10'000);
    r.ts_now = static_cast<uint32_t>(random());
    r.scale = random() % 16;
    r.sack = random() % 2;
    r.ecn = random() % 2;
    r.check_count = r.count + static_cast<uint32_t>(random() % 5);  // two of five are too old
    r.check_cookie = answered(r).cookie ^ (random() % 4 == 0 ? 1u << random() % 32 : 0u);

    const cookie_request expected = answered(r), got = run(r);
    ASSERT_EQ(std::memcmp(&expected, &got, sizeof got), 0)
        << std::hex << expected.cookie << " " << got.cookie << " " << expected.check_index << " " << got.check_index;
    accepted += got.check_index >= 0;
  }
  EXPECT_GT(accepted, 700);
  EXPECT_LT(accepted, 1300);
}

}  // namespace
}  // namespace sluice::test
