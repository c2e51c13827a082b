// The prefix lists as a verdict sees them, against a plain model: random changes of both families, ends, bounds, errors.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "lists.h"

namespace sluice::shed {
namespace {

constexpr auto kNone = SLUICE_ACTION_NONE, kBlock = SLUICE_ACTION_BLOCK, kAllow = SLUICE_ACTION_ALLOW,
               kBogon = SLUICE_ACTION_BOGON;

using Lists = InBothMemories;
INSTANTIATE_TEST_SUITE_P(Memory, Lists, ::testing::Bool(), memory_name);

// The slowest list that is obviously right.
class Model {
 public:
  void add(const ListEntry& e, Origin o, Instant until = Instant::never()) { all_[e.prefix.masked()][o] = {e.action, until}; }
  bool remove(const Prefix& p, Origin o) {
    const auto at = all_.find(p.masked());
    if (at == all_.end() || at->second.erase(o) == 0) return false;
    if (at->second.empty()) all_.erase(at);
    return true;
  }
  void clear(Origin o) {
    for (auto at = all_.begin(); at != all_.end();) {
      at->second.erase(o);
      at = at->second.empty() ? all_.erase(at) : std::next(at);
    }
  }
  size_t expire(Instant now) {
    size_t n = 0;
    for (auto at = all_.begin(); at != all_.end();) {
      n += std::erase_if(at->second, [&](const auto& e) { return e.second.second <= now; });
      at = at->second.empty() ? all_.erase(at) : std::next(at);
    }
    return n;
  }
  sluice_action look(const IpAddr& a) const {
    sluice_action found = kNone;
    int longest = -1;
    for (const auto& [p, origins] : all_)
      if (p.len > longest && p.contains(a)) longest = p.len, found = origins.begin()->second.first;
    return found;
  }
  size_t size() const {
    size_t n = 0;
    for (const auto& e : all_) n += e.second.size();
    return n;
  }
  const std::map<Prefix, std::map<Origin, std::pair<sluice_action, Instant>>>& all() const { return all_; }

 private:
  std::map<Prefix, std::map<Origin, std::pair<sluice_action, Instant>>> all_;
};

// Prefixes that nest and touch: all lie in one corner of each family.
class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  IpAddr address() {
    if (below(2)) return Ip4::from_host(0x0a000000 | (below(4) << 8 << below(10)) | below(256));
    Ip6 a;
    a.b = {0x20, 0x01, 0x0d, 0xb8};
    for (size_t i = 4; i < 16; i++) a.b[i] = static_cast<uint8_t>(below(4) ? 0u : 1u << below(8));
    return a;
  }
  Prefix prefix() {
    static constexpr uint8_t kLengths6[] = {0, 1, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128};
    Prefix p;
    p.addr = address();
    p.len = p.addr.family == 4 ? static_cast<uint8_t>(below(33)) : kLengths6[below(12)];
    return p;
  }
  ListEntry entry() { return {prefix(), static_cast<sluice_action>(1 + below(3))}; }
  Origin origin() { return static_cast<Origin>(below(3)); }

 private:
  std::mt19937 random_;
};

// The first and last address of a prefix, and their neighbours outside.
std::vector<IpAddr> edges(const Prefix& p) {
  IpAddr first = p.masked().addr, last = first;
  for (unsigned bit = p.len; bit < p.addr.bits(); bit++)
    last.b[bit / 8] = static_cast<uint8_t>(last.b[bit / 8] | 0x80u >> bit % 8);
  std::vector<IpAddr> all{first, last};
  const int bytes = static_cast<int>(p.addr.bits() / 8);
  for (int i = bytes; i-- > 0 && first.b[static_cast<size_t>(i)]-- == 0;) {}
  for (int i = bytes; i-- > 0 && ++last.b[static_cast<size_t>(i)] == 0;) {}
  all.push_back(first), all.push_back(last);
  return all;
}

void compare(const Shed& constant, const Model& model, const std::vector<IpAddr>& where, const std::string& after) {
  auto& shed = const_cast<Shed&>(constant);
  const sluice_env env = shed.environment();
  for (const IpAddr& a : where) {
    ASSERT_EQ(look(env, a), model.look(a)) << to_string(a) << " after " << after;
    const auto found = shed.lists().find(a);
    ASSERT_EQ(found ? found->entry.action : kNone, model.look(a)) << to_string(a) << " by find(), after " << after;
  }
}

TEST_P(Lists, RandomChangesAreSeenAsThePlainModelSeesThem) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    Draw draw(seed);
    Model model;
    for (int step = 0; step < 1500; step++) {
      const Origin o = draw.origin();
      Prefix touched;
      std::string what;
      if (draw.below(200) == 0) {
        std::vector<ListEntry> fresh(draw.below(300));
        model.clear(o);
        for (ListEntry& e : fresh) model.add(e = draw.entry(), o);
        ASSERT_TRUE(lists().replace(o, fresh));
        what = "replace";
      } else if (draw.below(5) < 2 && model.size() > 0) {
        auto at = std::next(model.all().begin(), draw.below(static_cast<unsigned>(model.all().size())));
        touched = at->first;
        what = "remove " + to_string(touched);
        ASSERT_EQ(lists().remove(touched, o), model.remove(touched, o));
      } else {
        const ListEntry e = draw.entry();
        touched = e.prefix;
        what = "add " + to_string(touched);
        ASSERT_TRUE(lists().add(e, o));
        model.add(e, o);
      }
      std::vector<IpAddr> where{draw.address(), draw.address(), draw.address()};
      if (!touched.addr.none())
        for (const IpAddr& a : edges(touched)) where.push_back(a);
      ASSERT_NO_FATAL_FAILURE(compare(*shed_, model, where, what));
      ASSERT_EQ(lists().size(), model.size());
    }
    for (const Origin o : {Origin::command, Origin::file, Origin::bogon}) ASSERT_TRUE(lists().replace(o, {}));
    ASSERT_EQ(lists().size(), 0u);
  }
}

TEST_P(Lists, ThePrefixAroundShowsAgainWhenTheInnerGoes) {
  ASSERT_TRUE(block("198.18.0.0/15"));
  ASSERT_TRUE(allow("198.18.7.0/24"));
  ASSERT_TRUE(block("198.18.7.128/25"));
  ASSERT_TRUE(block("2001:db8::/32"));
  ASSERT_TRUE(allow("2001:db8::1/128"));
  EXPECT_EQ(look("198.18.7.1"), kAllow);
  EXPECT_EQ(look("198.18.7.200"), kBlock);
  EXPECT_EQ(look("2001:db8::1"), kAllow);
  ASSERT_TRUE(lists().remove(prefix("198.18.7.0/24"), Origin::command));
  EXPECT_EQ(look("198.18.7.1"), kBlock);
  EXPECT_EQ(look("198.18.7.200"), kBlock);
  ASSERT_TRUE(lists().remove(prefix("198.18.0.0/15"), Origin::command));
  EXPECT_EQ(look("198.18.7.1"), kNone);
  EXPECT_EQ(look("198.18.7.200"), kBlock);
  ASSERT_TRUE(lists().remove(prefix("2001:db8::1/128"), Origin::command));
  EXPECT_EQ(look("2001:db8::1"), kBlock);
  EXPECT_FALSE(lists().remove(prefix("2001:db8::1/128"), Origin::command));
}

TEST_P(Lists, CommandsStandBeforeTheFileAndBogonsComeLast) {
  ASSERT_TRUE(lists().add({prefix("192.0.2.0/24"), kBogon}, Origin::bogon));
  ASSERT_TRUE(block("192.0.2.0/24", Origin::file));
  EXPECT_EQ(look("192.0.2.1"), kBlock);
  ASSERT_TRUE(allow("192.0.2.0/24"));
  EXPECT_EQ(look("192.0.2.1"), kAllow);
  EXPECT_EQ(lists().size(), 3u);
  EXPECT_EQ(lists().size(Origin::file, kBlock), 1u);
  ASSERT_TRUE(block("192.0.2.0/24"));  // the command again, with another action
  EXPECT_EQ(lists().size(), 3u);
  EXPECT_EQ(lists().size(Origin::command, kAllow), 0u);
  ASSERT_TRUE(lists().remove(prefix("192.0.2.0/24"), Origin::command));
  ASSERT_TRUE(lists().remove(prefix("192.0.2.0/24"), Origin::file));
  EXPECT_EQ(look("192.0.2.1"), kBogon);
  EXPECT_EQ(lists().find(ip("192.0.2.9"))->from, Origin::bogon);
}

TEST_P(Lists, EndAtTheirTimeAndNotBefore) {
  const Instant t0{1'000'000'000};
  const auto at = [&](int s) { return t0 + Duration::seconds(s); };
  Draw draw(7);
  Model model;
  for (int i = 0; i < 400; i++) {
    const ListEntry e = draw.entry();
    const Origin o = draw.origin();
    const Instant until = draw.below(3) ? at(static_cast<int>(draw.below(100))) : Instant::never();
    ASSERT_TRUE(lists().add(e, o, until));
    model.add(e, o, until);
  }
  for (int s = 0; s <= 100; s++) {
    ASSERT_LE(lists().next_expiry(), Instant::never());
    ASSERT_EQ(lists().expire(at(s)), model.expire(at(s))) << s;
    ASSERT_EQ(lists().size(), model.size());
    ASSERT_GT(lists().next_expiry(), at(s));
    ASSERT_NO_FATAL_FAILURE(compare(*shed_, model, {draw.address(), draw.address(), draw.address()}, "expire"));
  }
  EXPECT_EQ(lists().next_expiry(), Instant::never());
}

TEST_P(Lists, TenThousandEndAtOnce) {
  std::vector<ListEntry> all;
  for (uint32_t i = 0; i < 10'000; i++) all.push_back({{Ip4::from_host(0xc6120000 + i), 32}, kBlock});
  ASSERT_TRUE(lists().replace(Origin::command, all, Instant{50}));
  ASSERT_TRUE(block("198.18.0.0/16", Origin::file));
  EXPECT_EQ(lists().expire(Instant{49}), 0u);
  EXPECT_EQ(lists().expire(Instant{50}), 10'000u);
  EXPECT_EQ(lists().size(), 1u);
  EXPECT_EQ(look("198.18.0.1"), kBlock);
  EXPECT_EQ(look("198.19.0.1"), kNone);
}

// More than are built without a thread, and away from what Draw draws.
std::vector<ListEntry> many(unsigned n) {
  std::vector<ListEntry> all;
  for (uint32_t i = 0; i < n; i++) all.push_back({{Ip4::from_host(0x60000000 + i * 64), 32}, kBlock});
  return all;
}

Status settled(PrefixList& lists, const PrefixList::Outcome& outcome, Instant now) {
  while (!outcome.done) {
    lists.settle(now);
    std::this_thread::yield();
  }
  return outcome.status;
}

TEST_P(Lists, WhatChangesDuringABuildIsSeenAtOnceAndAfterwards) {
  Draw draw(11);
  Model model;
  const auto at = [](unsigned s) { return Instant{} + Duration::seconds(s); };
  for (unsigned round = 1; round <= 4; round++) {
    Batch batch{.from = Origin::command, .come = many(30'000), .go = round % 2 ? 0 : 1u << kBlock, .until = Instant::never()};
    for (int i = 0; i < 100; i++) batch.come.push_back({draw.prefix(), draw.below(2) ? kBlock : kAllow});
    const auto come = batch.come;
    ASSERT_FALSE(lists().building());
    auto outcome = lists().begin(std::move(batch), at(round * 10));
    ASSERT_TRUE(outcome) << outcome.error();
    ASSERT_TRUE(lists().building());
    EXPECT_FALSE(lists().begin({}, at(round * 10)));
    // The batch counts from here on, but for the verdict it is not there yet; so what follows goes into both models.
    Model after = model;
    if (round % 2 == 0)
      for (const auto& [p, origins] : model.all())
        if (auto o = origins.find(Origin::command); o != origins.end() && o->second.first == kBlock) after.remove(p, Origin::command);
    for (const ListEntry& e : come) after.add(e, Origin::command);
    for (int step = 0; step < 300; step++) {
      const Origin o = draw.origin();
      const ListEntry e = draw.entry();
      const Instant until = draw.below(3) ? Instant::never() : at(round * 10 + draw.below(9));
      if (draw.below(3)) {
        ASSERT_TRUE(lists().add(e, o, until));
        model.add(e, o, until), after.add(e, o, until);
      } else {
        const bool was_there = model.remove(e.prefix, o);
        ASSERT_EQ(lists().remove(e.prefix, o), was_there);
        if (was_there) after.remove(e.prefix, o);
      }
      if (step % 8 == 0) {
        ASSERT_NO_FATAL_FAILURE(compare(*shed_, model, edges(e.prefix), "a change during a build"));
      }
    }
    ASSERT_EQ(lists().expire(at(round * 10 + 4)), model.expire(at(round * 10 + 4)));
    ASSERT_TRUE(settled(lists(), **outcome, at(round * 10 + 5)));
    after.expire(at(round * 10 + 5));
    model = after;
    ASSERT_EQ(lists().size(), model.size());
    std::vector<IpAddr> where{Ip4::from_host(0x60000000), Ip4::from_host(0x60000001)};
    for (const auto& [p, origins] : model.all())
      if (p.addr.b[0] != 0x60)
        for (const IpAddr& a : edges(p)) where.push_back(a);
    where.resize(std::min<size_t>(where.size(), 60));
    ASSERT_NO_FATAL_FAILURE(compare(*shed_, model, where, "the build"));
  }
}

TEST_P(Lists, ABuildThatFailsLeavesTheOldListAndWhatChangedMeanwhile) {
  ASSERT_TRUE(block("198.18.0.0/24"));
  auto outcome = lists().begin({.from = Origin::command, .come = many(PrefixList::kMost)}, Instant{});
  ASSERT_TRUE(outcome);
  ASSERT_TRUE(block("198.19.0.0/24"));
  ASSERT_TRUE(lists().remove(prefix("198.18.0.0/24"), Origin::command));
  ASSERT_TRUE(block("198.20.0.0/24"));
  const Status s = settled(lists(), **outcome, Instant{});
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().find("at most 2000000 prefixes"), std::string::npos) << s.error();
  EXPECT_EQ(lists().size(), 2u);
  EXPECT_EQ(look("96.0.0.0"), kNone);
  EXPECT_EQ(look("198.18.0.1"), kNone);
  EXPECT_EQ(look("198.19.0.1"), kBlock);
  EXPECT_EQ(look("198.20.0.1"), kBlock);
}

TEST_P(Lists, WhatHasNoRoomInWhatWasBuiltIsBuiltAgain) {
  auto outcome = lists().begin({.from = Origin::command, .come = many(30'000)}, Instant{});
  ASSERT_TRUE(outcome);
  // Each needs a group in either slot: more than a new one has to spare, of which the empty list has as many.
  unsigned added = 0;
  for (uint32_t i = 0; i < 20'000; i++) added += lists().add({{Ip4::from_host(0x0a000000 + (i << 8)), 32}, kBlock}, Origin::command).ok();
  EXPECT_EQ(added < 20'000u, GetParam()) << "what has no room now is refused; plain memory has it";
  ASSERT_TRUE(settled(lists(), **outcome, Instant{}));
  EXPECT_EQ(lists().size(), 30'000u + added);
  EXPECT_EQ(look("10.0.0.0"), kBlock);
  EXPECT_EQ(look("96.0.0.64"), kBlock);
  for (uint32_t i = added; i < 20'000; i++) {
    const Status s = lists().add({{Ip4::from_host(0x0a000000 + (i << 8)), 32}, kBlock}, Origin::command);
    ASSERT_TRUE(s) << s.error();
    for (; lists().building(); std::this_thread::yield()) lists().settle(Instant{});
  }
}

TEST_P(Lists, ALargeListGetsMoreRoomBeforeItHasNone) {
  ASSERT_TRUE(lists().replace(Origin::file, many(30'000)));
  for (uint32_t i = 0; i < 15'000; i++) {
    Status s = lists().add({{Ip4::from_host(0x0a000000 + (i << 8)), 32}, kBlock}, Origin::command);
    ASSERT_TRUE(s) << i << ": " << s.error();
    if (i % 1000 == 0)
      for (; lists().building(); std::this_thread::yield()) lists().settle(Instant{});
  }
  EXPECT_EQ(look("10.0.0.0"), kBlock);
  EXPECT_EQ(look("10.58.151.0"), kBlock);
  EXPECT_EQ(look("96.0.0.64"), kBlock);
}

TEST_P(Lists, VeryManyEndWithoutHoldingUpTheirThread) {
  ASSERT_TRUE(lists().replace(Origin::command, many(30'000), Instant{50}));
  ASSERT_TRUE(block("198.18.0.0/16", Origin::file));
  EXPECT_EQ(lists().expire(Instant{50}), 0u);
  EXPECT_TRUE(lists().building());
  ASSERT_TRUE(block("198.19.0.0/16"));
  for (; lists().building(); std::this_thread::yield()) lists().settle(Instant{50});
  EXPECT_EQ(lists().size(), 2u);
  EXPECT_EQ(look("96.0.0.64"), kNone);
  EXPECT_EQ(look("198.18.0.1"), kBlock);
  EXPECT_EQ(look("198.19.0.1"), kBlock);
}

TEST_P(Lists, EndDuringABuildIsQuietAndOrderly) {
  ASSERT_TRUE(lists().begin({.from = Origin::command, .come = many(300'000)}, Instant{}));
  shed_.reset();
}

TEST_P(Lists, GroupsAreUsedAgainAndTheirCapacityGrows) {
  // Each /24 here needs a group; none of the slots that a small list begins with has so many.
  constexpr uint32_t kBlocks = 6000;
  for (int round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < kBlocks; i++)
      ASSERT_TRUE(lists().add({{Ip4::from_host(0x0a000000 + (i << 8) + i % 256), 32}, kBlock}, Origin::command));
    for (uint32_t i = 0; i < kBlocks; i += 7) {
      EXPECT_EQ(look(Ip4::from_host(0x0a000000 + (i << 8) + i % 256)), kBlock);
      EXPECT_EQ(look(Ip4::from_host(0x0a000000 + (i << 8) + (i + 1) % 256)), kNone);
    }
    for (uint32_t i = 0; i < kBlocks; i++)
      ASSERT_TRUE(lists().remove({Ip4::from_host(0x0a000000 + (i << 8) + i % 256), 32}, Origin::command));
    EXPECT_EQ(look("10.0.0.0"), kNone);
  }
}

TEST_P(Lists, BucketsOfIpv6PrefixesGrow) {
  const auto host = [](unsigned i) {
    Ip6 a = *parse_ip6("2001:db8::");
    a.b[13] = static_cast<uint8_t>(i >> 16), a.b[14] = static_cast<uint8_t>(i >> 8), a.b[15] = static_cast<uint8_t>(i);
    return a;
  };
  for (unsigned i = 0; i < 5000; i++) ASSERT_TRUE(lists().add({{host(i), 128}, kBlock}, Origin::command));
  for (unsigned i = 0; i < 5000; i++) ASSERT_EQ(look(host(i)), kBlock) << i;
  for (unsigned i = 0; i < 5000; i += 2) ASSERT_TRUE(lists().remove({host(i), 128}, Origin::command));
  for (unsigned i = 0; i < 5000; i++) ASSERT_EQ(look(host(i)), i % 2 ? kBlock : kNone) << i;
}

TEST_P(Lists, ErrorsChangeNothing) {
  ASSERT_TRUE(block("198.18.0.0/24"));
  const auto unchanged = [&] { return lists().size() == 1 && look("198.18.0.1") == kBlock && look("198.19.0.1") == kNone; };
  EXPECT_FALSE(lists().add({prefix("198.19.0.0/24"), kNone}, Origin::command));
  EXPECT_FALSE(lists().add({{ip("198.19.0.0"), 33}, kBlock}, Origin::command));
  EXPECT_FALSE(lists().add({Prefix{}, kBlock}, Origin::command));
  EXPECT_FALSE(lists().remove(Prefix{}, Origin::command));
  EXPECT_FALSE(lists().remove({ip("198.19.0.0"), 33}, Origin::command));
  EXPECT_FALSE(lists().replace(Origin::command, {{prefix("198.19.0.0/24"), kBlock}, {Prefix{}, kBlock}}));
  EXPECT_TRUE(unchanged());

  for (uint8_t len = 40; len < 40 + SLUICE_MAX_LENGTHS6; len++)
    ASSERT_TRUE(lists().add({{ip("2001:db8::"), len}, kBlock}, Origin::file));
  const Status s = block("2001:db8::/100");
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().find("33 lengths"), std::string::npos) << s.error();
  EXPECT_TRUE(block("2001:db8:1::/48")) << "a length that is in use is no new one";
  EXPECT_EQ(look("2001:db8:1::7"), kBlock);
  ASSERT_TRUE(lists().remove(prefix("2001:db8::/71"), Origin::file));
  EXPECT_TRUE(block("2001:db8::/100"));
  EXPECT_EQ(lists().find(ip("2001:db8::7"))->entry.prefix.len, 100);
}

TEST(Full, ListRefusesOneMoreAndStaysAsItWas) {
  auto shed = make_shed(false);
  PrefixList& lists = shed->lists();
  std::vector<ListEntry> all(PrefixList::kMost + 1);
  for (uint32_t i = 0; i < all.size(); i++) all[i] = {{Ip4::from_host(i), 32}, kBlock};
  Status s = lists.replace(Origin::file, all);
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().find("at most 2000000 prefixes"), std::string::npos) << s.error();
  EXPECT_EQ(lists.size(), 0u);
  all.pop_back();
  ASSERT_TRUE(lists.replace(Origin::file, all));
  EXPECT_FALSE(lists.add({prefix("198.18.0.0/24"), kBlock}, Origin::command));
  EXPECT_EQ(look(shed->environment(), ip("198.18.0.1")), kNone);
  EXPECT_TRUE(lists.add({{Ip4::from_host(5), 32}, kAllow}, Origin::file)) << "in the place of one that is there";
  EXPECT_EQ(look(shed->environment(), Ip4::from_host(5)), kAllow);
}

TEST_P(Lists, AreWalkedInOrderOfAddressPageByPage) {
  Draw draw(3);
  Model model;
  for (int i = 0; i < 3000; i++) {
    const ListEntry e = draw.entry();
    const Origin o = draw.origin();
    ASSERT_TRUE(lists().add(e, o));
    model.add(e, o);
  }
  std::vector<PrefixList::View> seen;
  while (seen.size() < lists().size()) {
    const size_t before = seen.size();
    lists().visit(before, 100, [&](const PrefixList::View& v) { seen.push_back(v); });
    ASSERT_GT(seen.size(), before);
  }
  ASSERT_EQ(seen.size(), model.size());
  const auto key = [](const PrefixList::View& v) {
    return std::tuple(v.entry.prefix.addr.family, v.entry.prefix.addr.b, v.entry.prefix.len, v.from);
  };
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); }));
  for (const auto& v : seen) EXPECT_EQ(model.all().at(v.entry.prefix).at(v.from).first, v.entry.action);
  lists().visit(seen.size(), 5, [](const auto&) { FAIL() << "behind the last"; });
}

TEST_P(Lists, WhatHardwareMayDropHoldsNoAllowedAddress) {
  for (const char* p : {"198.18.0.0/16", "198.18.7.0/24", "203.0.113.0/24", "192.0.2.0/24", "2001:db8::/32", "10.1.2.3/32"})
    ASSERT_TRUE(block(p));
  ASSERT_TRUE(allow("203.0.113.9/32"));
  ASSERT_TRUE(block("203.0.113.128/25"));
  ASSERT_TRUE(allow("0.0.0.0/0"));
  ASSERT_TRUE(allow("192.0.2.0/24", Origin::command));
  const auto all = lists().blocked(100);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0], prefix("198.18.0.0/16"));
  EXPECT_EQ(all[1], prefix("203.0.113.128/25"));
  EXPECT_EQ(all[2], prefix("10.1.2.3/32"));
  EXPECT_EQ(all[3], prefix("2001:db8::/32"));
  EXPECT_EQ(lists().blocked(2).size(), 2u);
  ASSERT_TRUE(lists().remove(prefix("198.18.0.0/16"), Origin::command));
  EXPECT_EQ(lists().blocked(2), (std::vector{prefix("198.18.7.0/24"), prefix("203.0.113.128/25")}));
  ASSERT_TRUE(allow("198.18.7.3/32"));
  EXPECT_EQ(lists().blocked(1), std::vector{prefix("203.0.113.128/25")});
  EXPECT_TRUE(lists().blocked(0).empty());
}

TEST_P(Lists, ABoxWithoutListsPaysNothing) {
  const size_t before = lists().memory_bytes();
  EXPECT_LT(before, 1u << 20);
  EXPECT_EQ(shed_->environment().slots4, nullptr);
  EXPECT_EQ(shed_->environment().policy->checks & SLUICE_CHECK_LISTS, 0u);
  ASSERT_TRUE(block("2001:db8::/32"));
  EXPECT_EQ(shed_->environment().slots4, nullptr) << "nor for the family that it has none of";
  EXPECT_NE(shed_->environment().policy->checks & SLUICE_CHECK_LISTS, 0u);
  ASSERT_TRUE(lists().remove(prefix("2001:db8::/32"), Origin::command));
  EXPECT_EQ(shed_->environment().policy->checks & SLUICE_CHECK_LISTS, 0u);
}

}  // namespace
}  // namespace sluice::shed
