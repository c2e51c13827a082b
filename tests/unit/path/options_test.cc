#include <gtest/gtest.h>

#include <random>

#include "path/ip4_options.h"
#include "path/ip6_options.h"
#include "path/parse.h"
#include "tests/unit/frames.h"

namespace sluice::path {
namespace {

using namespace sluice::test;
using R = DropReason;

const Ip4 kEgress = a4("198.18.2.1");

Interface lan() {
  Interface i;
  i.mac = kOurs;
  i.addresses = {*parse_prefix("198.18.1.1/24")};
  return i;
}

struct Done {
  OptionsResult result;
  Octets options;  // as they are afterwards
  bool changed;
};

Done run(const Octets& options, Instant now = {}) {
  const Octets frame = eth(ip4({.options = options}, udp(1, 2)), 0x0800);
  ExactMbuf m(frame);
  Meta meta;
  const Interface in = lan();
  EXPECT_EQ(parse(m, in, meta), R::count_);
  Done d{process_ip4_options(m, meta, in, kEgress, now), {}, false};
  const Octets after = m.frame();
  d.changed = after != frame;
  EXPECT_EQ(plain_sum(Octets(after.begin() + 14, after.begin() + meta.l4)), 0xffffu);
  EXPECT_EQ(Octets(after.begin() + meta.l4, after.end()), udp(1, 2));
  d.options = Octets(after.begin() + 34, after.begin() + meta.l4);
  return d;
}

void expect_pass(const Octets& options, const Octets& want, Instant now = {}) {
  const Done d = run(options, now);
  EXPECT_EQ(d.result.drop, R::count_);
  EXPECT_FALSE(d.result.icmp);
  EXPECT_EQ(d.options, want);
}

void expect_problem(const Octets& options, unsigned pointer) {
  const Done d = run(options);
  EXPECT_EQ(d.result.drop, R::ip_options);
  EXPECT_TRUE(d.result.icmp);
  EXPECT_EQ(d.result.type, 12);
  EXPECT_EQ(d.result.code, 0);
  EXPECT_EQ(d.result.info, pointer);
  EXPECT_FALSE(d.changed);
}

TEST(Ip4Options, PassUnchanged) {
  for (const Octets& o : {Octets{0x94, 4, 0, 0}, Octets{1, 1, 1, 1}, Octets{0, 0, 0, 0}, Octets{0, 7, 3, 4},
                          Octets{0x82, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0}, Octets{0x1e, 2, 0x9e, 2},
                          Octets{0x86, 6, 1, 2, 3, 4, 1, 1}, zeros(40, 1)})
    expect_pass(o, o);
}

TEST(Ip4Options, RecordRoute) {
  const Octets own = of(kEgress);
  expect_pass({7, 7, 4, 0, 0, 0, 0, 0}, Octets{7, 7, 8} + own + zeros(1));
  expect_pass({7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0, 0}, Octets{7, 11, 12, 1, 2, 3, 4} + own + zeros(1));
  expect_pass({1, 7, 7, 4, 0, 0, 0, 0}, Octets{1, 7, 7, 8} + own);
  expect_pass(Octets{7, 39, 36} + zeros(36) + zeros(1), Octets{7, 39, 40} + zeros(32) + own + zeros(1));
  // full, in two ways, and with no room from the start
  expect_pass({7, 7, 8, 1, 2, 3, 4, 0}, {7, 7, 8, 1, 2, 3, 4, 0});
  expect_pass({7, 7, 255, 1, 2, 3, 4, 0}, {7, 7, 255, 1, 2, 3, 4, 0});
  expect_pass({7, 3, 4, 0}, {7, 3, 4, 0});
}

TEST(Ip4Options, Timestamps) {
  const Instant now = Instant{} + Duration::millis(0x01020304 % 86'400'000) + Duration::seconds(86'400 * 3LL);
  const uint32_t ms = 0x80000000u | 0x01020304 % 86'400'000;
  const Octets time = words({ms >> 16, ms & 0xffff}), own = of(kEgress);
  expect_pass(Octets{68, 8, 5, 0} + zeros(4), Octets{68, 8, 9, 0} + time, now);
  expect_pass(Octets{68, 12, 5, 1} + zeros(8), Octets{68, 12, 13, 1} + own + time, now);
  expect_pass(Octets{68, 12, 5, 0x71} + zeros(8), Octets{68, 12, 13, 0x71} + own + time, now);
  // prespecified: ours at the egress, ours at the ingress, and somebody else's
  expect_pass(Octets{68, 12, 5, 3} + own + zeros(4), Octets{68, 12, 13, 3} + own + time, now);
  const Octets ingress = of(a4("198.18.1.1")), other = of(a4("198.18.1.2"));
  expect_pass(Octets{68, 12, 5, 3} + ingress + zeros(4), Octets{68, 12, 13, 3} + ingress + time, now);
  expect_pass(Octets{68, 12, 5, 3} + other + zeros(4), Octets{68, 12, 5, 3} + other + zeros(4), now);
  // full: the overflow counts those who found no room, but not where addresses are prespecified
  expect_pass({68, 4, 5, 0}, {68, 4, 5, 0x10});
  expect_pass({68, 4, 5, 0xe1}, {68, 4, 5, 0xf1});
  expect_pass({68, 4, 5, 0xf3}, {68, 4, 5, 0xf3});
  // a kind that nobody knows
  expect_pass(Octets{68, 8, 5, 2} + zeros(4), Octets{68, 8, 5, 2} + zeros(4));
}

TEST(Ip4Options, BothAtOnce) {
  const Octets own = of(kEgress);
  expect_pass(Octets{7, 7, 4, 0, 0, 0, 0, 68, 8, 5, 0} + zeros(5),
              Octets{7, 7, 8} + own + Octets{68, 8, 9, 0, 0x80, 0, 0, 7, 0}, Instant{} + Duration::millis(7));
}

TEST(Ip4Options, MalformedOnesNameTheOctet) {
  struct {
    const char* what;
    Octets options;
    unsigned pointer;
  } table[] = {
      {"no length octet", {1, 1, 1, 7}, 23},
      {"length 0", {7, 0, 4, 0}, 20},
      {"length 1", {0x94, 1, 0, 0}, 20},
      {"unknown, length 1", {0x1e, 1, 0, 0}, 20},
      {"longer than the header", {7, 9, 4, 0, 0, 0, 0, 0}, 20},
      {"second one too long", {1, 0x94, 4, 0, 0, 0x1e, 4, 0}, 25},
      {"record route, length 2", {7, 2, 0, 0}, 21},
      {"record route, pointer 3", {7, 7, 3, 0, 0, 0, 0, 0}, 22},
      {"record route, pointer 0", {7, 7, 0, 0, 0, 0, 0, 0}, 22},
      {"record route, room for 3", {7, 6, 4, 0, 0, 0, 0, 0}, 22},
      {"record route, pointer odd", {7, 7, 5, 0, 0, 0, 0, 0}, 22},
      {"record route twice", {7, 3, 4, 7, 3, 4, 0, 0}, 23},
      {"timestamp, length 3", {68, 3, 5, 0}, 21},
      {"timestamp, pointer 4", {68, 8, 4, 0, 0, 0, 0, 0}, 22},
      {"timestamp, room for 3", {68, 7, 5, 0, 0, 0, 0, 0}, 22},
      {"timestamp and address, room for 4", {68, 8, 5, 1, 0, 0, 0, 0}, 22},
      {"prespecified, room for 4", {68, 8, 5, 3, 0, 0, 0, 0}, 22},
      {"overflow overflows", {68, 4, 5, 0xf0}, 23},
      {"timestamp twice", {68, 4, 5, 0, 68, 4, 5, 0}, 24},
      {"router alert, length 3", {0x94, 3, 0, 0}, 21},
      {"source route, length 2", {0x83, 2, 0, 0}, 21},
      {"source route, pointer 3", {0x89, 7, 3, 0, 0, 0, 0, 0}, 22},
      {"two source routes", {0x83, 3, 4, 0x89, 3, 4, 0, 0}, 23},
  };
  for (const auto& t : table) {
    SCOPED_TRACE(t.what);
    expect_problem(t.options, t.pointer);
  }
}

TEST(Ip4Options, SourceRoutesAreRefusedSilently) {
  for (const Octets& o :
       {Octets{0x83, 7, 4, 1, 2, 3, 4, 0}, Octets{0x89, 7, 4, 1, 2, 3, 4, 0}, Octets{0x83, 3, 4, 0},
        Octets{0x89, 7, 8, 1, 2, 3, 4, 0}, Octets{1, 7, 3, 4, 0x83, 3, 4, 0}}) {
    const Done d = run(o);
    EXPECT_EQ(d.result.drop, R::ip_options);
    EXPECT_FALSE(d.result.icmp);
    EXPECT_FALSE(d.changed);
  }
}

TEST(Ip4Options, RandomOctetsAreHandledWithinTheHeader) {
  std::mt19937 rnd(2);
  const uint8_t types[] = {0, 1, 7, 68, 0x83, 0x89, 0x94, 0x1e};
  for (int i = 0; i < 100'000; ++i) {
    Octets o(4 * (1 + rnd() % 10));
    for (uint8_t& b : o) b = static_cast<uint8_t>(rnd() % 3 ? rnd() % 12 : rnd());
    o[0] = types[rnd() % 8];
    run(o);
  }
}

struct Verdict6 {
  R drop;
  bool icmp;
  unsigned code, pointer;
  bool operator==(const Verdict6&) const = default;
};

Verdict6 run6(const V6& f, const Octets& payload, bool local) {
  Interface i = lan();
  ExactMbuf m(eth(ip6(f, payload), 0x86dd));
  Meta meta;
  EXPECT_EQ(parse(m, i, meta), R::count_);
  const OptionsResult r = local ? check_local_ext_headers(m, meta) : process_hop_by_hop(m, meta);
  EXPECT_TRUE(!r.icmp || r.type == 4);
  return {r.drop, r.icmp, r.code, r.info};
}

TEST(Ip6Options, ResultsBecomeDropsAndErrors) {
  const Verdict6 pass{R::count_, false, 0, 0}, silent{R::ip6_extension, false, 0, 0};
  EXPECT_EQ(run6({.next = 0}, ext(17, {5, 2, 0, 0}) + udp(1, 2), false), pass);
  EXPECT_EQ(run6({.next = 0}, ext(17, {0x45, 0}) + udp(1, 2), false), silent);
  EXPECT_EQ(run6({.next = 0}, ext(17, {0x85, 0}) + udp(1, 2), false),
            (Verdict6{R::ip6_extension, true, 2, 42}));
  EXPECT_EQ(run6({.next = 43}, ext(17, Octets{0, 1} + zeros(20)) + udp(1, 2), true),
            (Verdict6{R::ip6_extension, true, 0, 42}));
  EXPECT_EQ(run6({.next = 43}, ext(17, Octets{0, 0} + zeros(20)) + udp(1, 2), true), pass);
}

}  // namespace
}  // namespace sluice::path
