// A policy as verdicts read it; whole or not at all.
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <functional>

#include "lists.h"
#include "port/early_drop.h"
#include "shed/policy_compile.h"

namespace sluice::shed {
namespace {

using Policies = InBothMemories;
INSTANTIATE_TEST_SUITE_P(Memory, Policies, ::testing::Bool(), memory_name);

TEST_P(Policies, TheDefaultShedsByLevelAlone) {
  const sluice_policy& p = *shed_->environment().policy;
  EXPECT_EQ(p.checks & ~uint32_t{SLUICE_CHECK_COOKIES}, 0u);
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_CONTROL].interval, 50'000u);
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_CONTROL].burst, 1999u * 50'000u);
  EXPECT_EQ(p.syn.interval, 100'000u);
  const Keys k = keys();
  EXPECT_EQ(p.hint_key.k0, k.hint[0]);
  EXPECT_EQ(p.table_key.k1, k.table[1]);
  EXPECT_EQ(p.cookie_key.k0, k.cookie[0]);
  EXPECT_EQ(p.timestamp_key.k1, k.timestamp[1]);
  EXPECT_EQ(shed_->maps().control >= 0, GetParam());
}

TEST_P(Policies, EachPartBecomesItsCheck) {
  Policy p;
  p.check_frames = p.tcp_flags = p.syn_always = true;
  p.block_protocols = {2, 255};
  p.block_ports = {{17, 0, 3}, {6, 65530, 65535}};
  p.amplifiers = {53, 11211};
  p.icmp = {1000, 0};
  p.icmp_max = 1024;
  p.source = {100, 1};
  p.destination = {3, 2};
  p.class_rate[SLUICE_CLASS_NEW] = {1000, 100};
  p.classes = {{SLUICE_CLASS_CONTROL, prefix("198.18.1.9/28"), 17, PortRange{0, 7, 9}, 1ull << 46}};
  ASSERT_TRUE(shed_->set_policy(p, 4));
  const sluice_policy& c = *shed_->environment().policy;
  EXPECT_EQ(c.checks, uint32_t{SLUICE_CHECK_FRAMES | SLUICE_CHECK_PROTOCOLS | SLUICE_CHECK_PORTS | SLUICE_CHECK_TCP_FLAGS |
                               SLUICE_CHECK_AMPLIFICATION | SLUICE_CHECK_ICMP | SLUICE_CHECK_SOURCES |
                               SLUICE_CHECK_DESTINATIONS | SLUICE_CHECK_CLASSES | SLUICE_CHECK_SYNS | SLUICE_CHECK_COOKIES});
  EXPECT_EQ(c.protocols[0], 4u);
  EXPECT_EQ(c.protocols[3], 1ull << 63);
  EXPECT_EQ(c.udp_ports[0], 15u);
  EXPECT_EQ(c.tcp_ports[1023], 0xfc00000000000000u);
  EXPECT_EQ(c.amplifiers[0], 1ull << 53);
  EXPECT_EQ(c.amplifiers[11211 / 64], 1ull << 11211 % 64);
  EXPECT_EQ(c.icmp.interval, 4'000'000u) << "of one queue of four";
  EXPECT_EQ(c.icmp.burst, 24u * 4'000'000u) << "a tenth of a second's";
  EXPECT_EQ(c.source.interval, 10'000'000u);
  EXPECT_EQ(c.source.burst, 0u);
  EXPECT_EQ(c.destination.interval, 333'333'333u);
  EXPECT_EQ(c.destination.burst, 333'333'333u);
  EXPECT_EQ(c.class_rate[SLUICE_CLASS_NEW].interval, 4'000'000u);
  EXPECT_EQ(c.class_rate[SLUICE_CLASS_NEW].burst, 24u * 4'000'000u);
  ASSERT_EQ(c.rules, 1u);
  EXPECT_EQ(c.rule[0].addr[3], 0);
  EXPECT_EQ(c.rule[0].mask[3], 0xf0);
  EXPECT_EQ(c.rule[0].mask[4], 0);
  EXPECT_EQ(c.rule[0].family, 4);
  EXPECT_EQ(c.rule[0].any_port, 0);
  EXPECT_EQ(c.rule[0].port_hi, 9);
  EXPECT_EQ(c.rule[0].dscp, 1ull << 46);
}

TEST_P(Policies, WholeOrNotAtAll) {
  Policy good;
  good.icmp_max = 77;
  good.lists = {{prefix("198.18.0.0/15"), SLUICE_ACTION_BLOCK}};
  ASSERT_TRUE(shed_->set_policy(good));
  Policy bad = good;
  bad.icmp_max = 78;
  bad.lists = {{prefix("192.0.2.0/24"), SLUICE_ACTION_BLOCK}};
  const auto refused = [&](Policy p) {
    const Status s = shed_->set_policy(p);
    EXPECT_EQ(shed_->environment().policy->icmp_max, 77u);
    EXPECT_EQ(look("198.18.0.1"), SLUICE_ACTION_BLOCK);
    EXPECT_EQ(look("192.0.2.1"), SLUICE_ACTION_NONE);
    EXPECT_TRUE(shed_->policy() == good);
    return !s && !s.error().empty();
  };
  Policy p = bad;
  p.source.per_second = 10'000'001;
  EXPECT_TRUE(refused(p));
  p = bad;
  p.source_bits4 = 33;
  EXPECT_TRUE(refused(p));
  p = bad;
  p.classes.resize(SLUICE_MAX_CLASS_RULES + 1);
  EXPECT_TRUE(refused(p));
  p = bad;
  p.block_ports = {{17, 9, 8}};
  EXPECT_TRUE(refused(p));
  p = bad;
  p.lists.push_back({});
  EXPECT_TRUE(refused(p));
  ASSERT_TRUE(shed_->set_policy(bad));
  EXPECT_EQ(look("192.0.2.1"), SLUICE_ACTION_BLOCK);
  EXPECT_EQ(look("198.18.0.1"), SLUICE_ACTION_NONE);
}

TEST_P(Policies, AChangeKeepsCommandsAndSaysThatThereAreLists) {
  ASSERT_TRUE(block("203.0.113.0/24"));
  Policy p;
  p.bogons = Policy::Bogons::full;
  ASSERT_TRUE(shed_->set_policy(p));
  EXPECT_NE(shed_->environment().policy->checks & SLUICE_CHECK_LISTS, 0u);
  EXPECT_EQ(look("203.0.113.1"), SLUICE_ACTION_BLOCK);
  EXPECT_EQ(look("10.1.1.1"), SLUICE_ACTION_BOGON);
  EXPECT_EQ(look("127.0.0.1"), SLUICE_ACTION_BOGON);
  EXPECT_EQ(look("::1"), SLUICE_ACTION_BOGON);
  EXPECT_EQ(look("::"), SLUICE_ACTION_NONE) << "duplicate address detection";
  EXPECT_EQ(look("fe80::1"), SLUICE_ACTION_NONE);
  EXPECT_EQ(look("8.8.8.8"), SLUICE_ACTION_NONE);
  p.bogons = Policy::Bogons::martian;
  ASSERT_TRUE(shed_->set_policy(p));
  EXPECT_EQ(look("10.1.1.1"), SLUICE_ACTION_NONE);
  EXPECT_EQ(look("240.0.0.1"), SLUICE_ACTION_BOGON);
  ASSERT_TRUE(shed_->set_policy({}));
  EXPECT_EQ(lists().size(), 1u);
  EXPECT_EQ(look("127.0.0.1"), SLUICE_ACTION_NONE);
}

TEST_P(Policies, ServicesAreThereBesideThePolicy) {
  Service s;
  s.addr = ip("198.18.0.1");
  s.port = 80;
  s.window_scale = 7;
  s.ecn = false;
  Service six;
  six.addr = ip("2001:db8::1");
  six.port = 443;
  shed_->set_services({s, six});
  Policy p;
  p.icmp_max = 5;
  ASSERT_TRUE(shed_->set_policy(p));
  const sluice_policy& c = *shed_->environment().policy;
  EXPECT_EQ(c.icmp_max, 5u);
  ASSERT_EQ(c.services, 2u);
  EXPECT_EQ(c.service[0].port, 80);
  EXPECT_EQ(c.service[0].options, SLUICE_SERVICE_SACK | SLUICE_SERVICE_TIMESTAMPS | SLUICE_SERVICE_SCALE);
  EXPECT_EQ(c.service[0].family, 4);
  EXPECT_EQ(c.service[1].family, 6);
  shed_->set_services(std::vector<Service>(SLUICE_MAX_SERVICES + 5, s));
  EXPECT_EQ(shed_->environment().policy->services, unsigned{SLUICE_MAX_SERVICES});
}

TEST_P(Policies, UpkeepEndsEntriesAndTurnsHints) {
  const Instant t0{5'000'000'000};
  ASSERT_TRUE(block("198.18.0.0/15", Origin::command, t0 + Duration::seconds(10)));
  shed_->maintain(t0, t0);
  const auto generation = shed_->hints().generation();
  shed_->hints().mark(ip("198.18.0.1"), ip("198.18.0.2"), 1, 2, 6);
  shed_->maintain(t0 + Duration::seconds(9), t0);
  EXPECT_EQ(lists().size(), 1u);
  shed_->maintain(t0 + Duration::seconds(10), t0);
  EXPECT_EQ(lists().size(), 0u);
  EXPECT_EQ(shed_->hints().generation(), generation);
  shed_->maintain(t0 + FlowHints::kGeneration, t0);
  EXPECT_EQ(shed_->hints().generation(), generation + 1);
  EXPECT_TRUE(shed_->hints().marked(ip("198.18.0.1"), ip("198.18.0.2"), 1, 2, 6));
  shed_->maintain(t0 + FlowHints::kGeneration * 2, t0);
  EXPECT_FALSE(shed_->hints().marked(ip("198.18.0.1"), ip("198.18.0.2"), 1, 2, 6));
}

// In a process of its own, which gives its rights away first. What it says comes back by a pipe.
std::string refusal_after(const std::function<void()>& lose_rights) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    lose_rights();
    const auto s = Shed::create(keys(), true);
    const std::string said = s ? "made" : s.error();
    _exit(write(ends[1], said.data(), said.size()) < 0);
  }
  close(ends[1]);
  char text[1024];
  const ssize_t n = read(ends[0], text, sizeof text);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return {text, n > 0 ? static_cast<size_t>(n) : 0};
}

TEST(Create, WithoutRightsSaysWhichMapAndWhatToDo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give its rights away: SKIPPED, NOT TESTED";
  const std::string said = refusal_after([] { (void)!setuid(65534); });
  EXPECT_NE(said.find("no map 'control' of 1 KiB"), std::string::npos) << said;
  EXPECT_NE(said.find("run as root, or with CAP_BPF"), std::string::npos) << said;
  EXPECT_TRUE(Shed::create(keys(), false).ok()) << "plain memory needs no rights";
}

TEST(Create, WithoutRoomSaysSo) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer itself needs the address space: SKIPPED, NOT TESTED";
#endif
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make BPF maps: SKIPPED, NOT TESTED";
  const std::string said = refusal_after([] {
    const rlimit little{64 << 20, 64 << 20};
    setrlimit(RLIMIT_AS, &little);
  });
  EXPECT_NE(said.find("RLIMIT_AS"), std::string::npos) << said;
}

TEST(Ways, ANewPrefixTakesTheOneThatHasWaitedLongestAndItsBucketIsFull) {
  sluice_bucket_set set{};
  const uint64_t tats[] = {40, 10, 30, 20};
  for (unsigned i = 0; i < SLUICE_BUCKET_WAYS; i++) sluice_way_of(&set, 2 * i + 1)->tat = tats[i];
  for (unsigned i = 0; i < SLUICE_BUCKET_WAYS; i++) ASSERT_EQ(sluice_way_of(&set, 2 * i + 1)->tat, tats[i]);
  sluice_bucket_way* const fresh = sluice_way_of(&set, 99);
  EXPECT_EQ(fresh, &set.way[1]);
  EXPECT_EQ(fresh->tag, 99u);
  EXPECT_EQ(fresh->tat, 0u);
  for (unsigned i : {0u, 2u, 3u}) EXPECT_EQ(set.way[i].tat, tats[i]) << i;
}

TEST(Reason, EachDropHasItsOwn) {
  EXPECT_EQ(port::reason_of(SLUICE_DROP_block), DropReason::shed_block);
  EXPECT_EQ(port::reason_of(SLUICE_DROP_overload), DropReason::shed_overload);
  for (unsigned o = 0; o < SLUICE_OUTCOMES; o++) {
    const DropReason r = port::reason_of(static_cast<sluice_outcome>(o));
    if (o < SLUICE_DROP_malformed)
      EXPECT_EQ(r, DropReason::count_);
    else
      EXPECT_EQ(drop_info(r).name.substr(0, 5), "shed_");
  }
}

}  // namespace
}  // namespace sluice::shed
