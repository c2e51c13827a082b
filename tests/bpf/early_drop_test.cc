// The XDP program through the kernel's BPF_PROG_TEST_RUN: which frames are the kernel's. Without a socket in
// the map both answers are XDP_PASS; the program's own counters tell them apart. Needs root.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include "port/xdp_program.h"
#include "unit/frames.h"

namespace sluice::test {
namespace {

using port::KernelMatch;

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;
const char *const kBox4 = "198.18.1.1", *const kBox6 = "2001:db8:1::1";

class EarlyDrop : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to load BPF programs: SKIPPED, NOT TESTED";
  }
  void load(const std::vector<KernelMatch>& rules) {
    auto p = port::XdpProgram::load(rules);
    ASSERT_TRUE(p.ok()) << p.error();
    program_ = std::move(*p);
    program_->set_kernel_addresses({*parse_ip(kBox4), *parse_ip("198.18.1.255"), *parse_ip(kBox6)});
  }
  sluice_outcome run(Octets frame) {
    const auto before = program_->counts();
    LIBBPF_OPTS(bpf_test_run_opts, o);
    o.data_in = frame.data();
    o.data_size_in = static_cast<uint32_t>(frame.size());
    EXPECT_EQ(bpf_prog_test_run_opts(program_->program_fd(), &o), 0) << strerror(errno);
    EXPECT_EQ(o.retval, uint32_t{XDP_PASS});
    const auto after = program_->counts();
    int slot = -1;
    for (unsigned i = 0; i < SLUICE_COUNTS; i++)
      for (uint64_t n = before[i]; n < after[i]; n++) {
        EXPECT_EQ(slot, -1) << "counted twice";
        slot = static_cast<int>(i / SLUICE_CLASSES);
      }
    return static_cast<sluice_outcome>(slot);
  }
  bool kernel(const Octets& frame) { return run(frame) == SLUICE_OUT_KERNEL; }
  bool shared(const Octets& frame) { return run(frame) == SLUICE_OUT_SHARED; }
  bool ours(const Octets& frame) { return run(frame) == SLUICE_OUT_UNBOUND; }

  std::unique_ptr<port::XdpProgram> program_;
};

Octets v4(V4 f, const Octets& payload) {
  return eth(ip4(f, payload), 0x0800);
}
Octets v6(V6 f, const Octets& payload) {
  return eth(ip6(f, payload), 0x86dd);
}
Octets ssh4(const char* to = kBox4) {
  return v4({.dst = to, .proto = kTcp}, tcp(40000, 22, 2));
}
Octets ssh6(const char* to = kBox6) {
  return v6({.dst = to, .next = kTcp}, tcp(40000, 22, 2));
}
Octets tagged(Octets frame, std::initializer_list<unsigned> tpids) {
  Octets tags;
  for (unsigned t : tpids) tags = tags + words({t, 5});
  frame.insert(frame.begin() + 12, tags.begin(), tags.end());
  return frame;
}

TEST_F(EarlyDrop, NoRulesNoFrameIsTheKernels) {
  load({});
  for (const Octets& f : {ssh4(), ssh6(), eth(zeros(46), 0x0806), eth(zeros(46), 0x88b5), zeros(14)})
    EXPECT_TRUE(ours(f));
}

TEST_F(EarlyDrop, ARuleWithoutPrefixMeansTheKernelsAddresses) {
  load({{.proto = kTcp, .port = 22}});
  EXPECT_TRUE(kernel(ssh4()));
  EXPECT_TRUE(kernel(ssh6()));
  EXPECT_TRUE(ours(ssh4("198.18.2.10")));  // a session through the box
  EXPECT_TRUE(ours(ssh6("2001:db8:2::10")));
  EXPECT_TRUE(
      kernel(v4({.dst = kBox4, .proto = kTcp}, tcp(22, 40000, 16))));  // the answer to a session of the box's
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kTcp}, tcp(40000, 23, 2))));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kUdp}, udp(40000, 22))));
}

TEST_F(EarlyDrop, GroupsAndBroadcastsBelongToRulesWithoutPrefix) {
  load({{.proto = kUdp, .port = 68}, {.proto = 89}});
  EXPECT_TRUE(kernel(v4({.dst = "255.255.255.255", .proto = kUdp}, udp(67, 68))));
  EXPECT_TRUE(kernel(v4({.dst = "198.18.1.255", .proto = kUdp}, udp(67, 68))));
  EXPECT_TRUE(kernel(v4({.dst = "224.0.0.5", .proto = 89}, zeros(24))));
  EXPECT_TRUE(kernel(v6({.dst = "ff02::5", .next = 89}, zeros(24))));
  EXPECT_TRUE(ours(v4({.dst = "198.18.2.255", .proto = kUdp}, udp(67, 68))));
  EXPECT_TRUE(ours(v4({.dst = "224.0.0.5", .proto = 103}, zeros(24))));
}

TEST_F(EarlyDrop, APrefixMatchesEitherEnd) {
  load({{.prefix = parse_prefix("198.18.2.0/25")},
        {.prefix = parse_prefix("2001:db8:2::/49"), .proto = kUdp}});
  EXPECT_TRUE(kernel(v4({.dst = "198.18.2.127"}, udp(1, 2))));
  EXPECT_TRUE(kernel(v4({.src = "198.18.2.1", .dst = "198.18.9.9", .proto = 47}, zeros(8))));
  EXPECT_TRUE(ours(v4({.dst = "198.18.2.128"}, udp(1, 2))));
  EXPECT_TRUE(kernel(v6({.dst = "2001:db8:2:7fff::1"}, udp(1, 2))));
  EXPECT_TRUE(ours(v6({.dst = "2001:db8:2:8000::1"}, udp(1, 2))));
  EXPECT_TRUE(ours(v6({.dst = "2001:db8:2::1", .next = kTcp}, tcp(1, 2, 2))));
  EXPECT_TRUE(ours(ssh4("32.1.13.184")));  // IPv4 with the first bytes of the IPv6 prefix
}

TEST_F(EarlyDrop, ADefaultRouteLikePrefixTakesAFamily) {
  load({{.prefix = parse_prefix("0.0.0.0/0")}});
  EXPECT_TRUE(kernel(v4({}, udp(1, 2))));
  EXPECT_TRUE(ours(v6({}, udp(1, 2))));
}

TEST_F(EarlyDrop, BehindTagsOptionsAndExtensionHeaders) {
  load({{.proto = kTcp, .port = 22}});
  EXPECT_TRUE(kernel(tagged(ssh4(), {0x8100})));
  EXPECT_TRUE(kernel(tagged(ssh6(), {0x88a8, 0x8100})));
  EXPECT_TRUE(ours(tagged(ssh4(), {0x8100, 0x8100, 0x8100})));
  EXPECT_TRUE(kernel(v4({.dst = kBox4, .proto = kTcp, .options = zeros(40, 1)}, tcp(40000, 22, 2))));
  const Octets segment = tcp(40000, 22, 2);
  EXPECT_TRUE(kernel(
      v6({.dst = kBox6, .next = 0}, ext(43, {}) + ext(60, zeros(30)) + ext(kTcp, zeros(6)) + segment)));
  EXPECT_TRUE(kernel(v6({.dst = kBox6, .next = 44}, frag6(kTcp, 0, false) + segment)));  // an atomic fragment
  Octets chain = ext(kTcp, {}) + segment;
  for (int i = 0; i < 5; i++) chain = ext(60, {}) + chain;
  EXPECT_TRUE(kernel(v6({.dst = kBox6, .next = 60}, chain)));  // six, and no more
  EXPECT_TRUE(ours(v6({.dst = kBox6, .next = 60}, ext(60, {}) + chain)));
}

TEST_F(EarlyDrop, FramesCutShortAreOurs) {
  load({{.proto = kTcp, .port = 22}});
  for (const Octets& whole : {ssh4(), ssh6(), tagged(ssh4(), {0x8100})}) {
    const size_t needed = whole.size() - 16;  // up to the ports
    for (size_t n = 14; n < needed; n++) EXPECT_TRUE(ours(Octets(whole.begin(), whole.begin() + n))) << n;
    EXPECT_TRUE(kernel(Octets(whole.begin(), whole.begin() + needed)));
  }
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kTcp, .version_ihl = 0x44}, tcp(40000, 22, 2))));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kTcp, .version_ihl = 0x65}, tcp(40000, 22, 2))));
  EXPECT_TRUE(ours(v6({.dst = kBox6, .next = kTcp, .version = 4}, tcp(40000, 22, 2))));
  EXPECT_TRUE(ours(v6({.dst = kBox6, .next = 0}, Octets{kTcp, 255} + zeros(60))));
}

TEST_F(EarlyDrop, LaterFragmentsFollowTheFirst) {
  load({{.proto = kTcp, .port = 22}});
  const auto fragment4 = [](unsigned id, unsigned frag, unsigned dport) {
    return v4({.dst = kBox4, .proto = kTcp, .id = id, .frag = frag}, tcp(40000, dport, 16, 0, 0, zeros(20)));
  };
  EXPECT_TRUE(ours(fragment4(9, 5, 22)));  // the first was not seen
  EXPECT_TRUE(kernel(fragment4(9, 0x2000, 22)));
  EXPECT_TRUE(kernel(fragment4(9, 0x2005, 1)));
  EXPECT_TRUE(kernel(fragment4(9, 10, 1)));
  EXPECT_TRUE(ours(fragment4(10, 5, 22)));
  EXPECT_TRUE(ours(fragment4(10, 0x2000, 80)));
  EXPECT_TRUE(ours(fragment4(10, 5, 22)));
  const auto fragment6 = [](uint32_t id, unsigned offset, bool more) {
    return v6({.dst = kBox6, .next = 44},
              frag6(kTcp, offset, more, id) + tcp(40000, 22, 16, 0, 0, zeros(20)));
  };
  EXPECT_TRUE(ours(fragment6(9, 40, false)));
  EXPECT_TRUE(kernel(fragment6(9, 0, true)));
  EXPECT_TRUE(kernel(fragment6(9, 40, false)));
  EXPECT_TRUE(ours(fragment6(11, 40, false)));
}

TEST_F(EarlyDrop, RulesWithoutPortsTakeFragmentsAsTheyAre) {
  load({{.prefix = parse_prefix("198.18.1.1/32"), .proto = kTcp}});
  EXPECT_TRUE(kernel(v4({.dst = kBox4, .proto = kTcp, .frag = 5}, zeros(40))));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kUdp, .frag = 5}, zeros(40))));
}

TEST_F(EarlyDrop, IcmpErrorsAboutTheKernelsSessions) {
  load({{.proto = kTcp, .port = 22}});
  const Octets sent = ip4({.src = kBox4, .dst = "198.18.2.10", .proto = kTcp}, tcp(22, 40000, 16));
  EXPECT_TRUE(kernel(v4({.dst = kBox4, .proto = kIcmp}, icmp(3, 4, zeros(4), sent))));
  EXPECT_TRUE(kernel(
      v4({.dst = kBox4, .proto = kIcmp}, icmp(11, 0, zeros(4), Octets(sent.begin(), sent.begin() + 28)))));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kIcmp}, icmp(8, 0, zeros(4), sent))));
  const Octets other = ip4({.src = "198.18.7.7", .dst = "198.18.2.10", .proto = kTcp}, tcp(22, 40000, 16));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kIcmp}, icmp(3, 4, zeros(4), other))));
  const Octets web = ip4({.src = kBox4, .dst = "198.18.2.10", .proto = kTcp}, tcp(80, 40000, 16));
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kIcmp}, icmp(3, 4, zeros(4), web))));
  const Octets sent6 = ip6({.src = kBox6, .dst = "2001:db8:2::10", .next = kTcp}, tcp(22, 40000, 16));
  EXPECT_TRUE(kernel(v6({.dst = kBox6, .next = kIcmp6}, icmp(2, 0, zeros(4), sent6))));
  EXPECT_TRUE(ours(v6({.dst = kBox6, .next = kIcmp6}, icmp(128, 0, zeros(4), sent6))));
}

TEST_F(EarlyDrop, ArpAndNeighbourDiscoveryAreSharedWhileThereAreRules) {
  load({{.proto = kTcp, .port = 22}});
  EXPECT_TRUE(shared(eth(zeros(46), 0x0806)));
  EXPECT_TRUE(shared(tagged(eth(zeros(46), 0x0806), {0x8100})));
  EXPECT_TRUE(ours(tagged(eth(zeros(46), 0x0806), {0x88a8, 0x8100})));
  for (uint8_t type = 130; type < 140; type++)
    EXPECT_EQ(shared(v6({.dst = "ff02::1", .next = kIcmp6}, icmp(type, 0, zeros(20)))),
              type >= 133 && type <= 137)
        << +type;
  EXPECT_TRUE(ours(v4({.dst = kBox4, .proto = kIcmp6}, icmp(135, 0, zeros(20)))));
}

TEST_F(EarlyDrop, TheLastOfManyRules) {
  std::vector<KernelMatch> rules(SLUICE_MAX_KERNEL_RULES,
                                 KernelMatch{.prefix = parse_prefix("203.0.113.0/24"), .proto = 1});
  rules.back() = {.proto = kTcp, .port = 22};
  load(rules);
  EXPECT_TRUE(kernel(ssh4()));
  EXPECT_TRUE(ours(v4({.dst = kBox4}, udp(1, 22))));
}

}  // namespace
}  // namespace sluice::test
