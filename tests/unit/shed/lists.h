// What the tests of the prefix lists share: a Shed in either kind of memory, and the verdict's own look-up.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "shed/shed.h"

namespace sluice::shed {

inline Prefix prefix(const char* text) {
  return *parse_prefix(text);
}
inline IpAddr ip(const char* text) {
  return *parse_ip(text);
}

// What a verdict that took `env` finds.
inline sluice_action look(const sluice_env& env, const IpAddr& a) {
  sluice_packet p{};
  std::memcpy(p.src, a.b.data(), sizeof p.src);
  p.family = a.family;
  return static_cast<sluice_action>(sluice_list_find(&env, &p));
}

inline Keys keys() {
  Keys k;
  uint64_t n = 0x9e3779b97f4a7c15;
  for (uint64_t* pair : {k.hint, k.table, k.list, k.cookie, k.timestamp})
    for (int i = 0; i < 2; i++) pair[i] = n *= 0xbf58476d1ce4e5b9;
  return k;
}

inline std::unique_ptr<Shed> make_shed(bool kernel) {
  auto s = Shed::create(keys(), kernel);
  EXPECT_TRUE(s.ok()) << s.error();
  return s ? std::move(s).value() : nullptr;
}

// In plain memory, and in BPF maps.
class InBothMemories : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() && geteuid() != 0) GTEST_SKIP() << "needs root to make BPF maps: SKIPPED, NOT TESTED";
    shed_ = make_shed(GetParam());
    ASSERT_TRUE(shed_);
  }
  PrefixList& lists() { return shed_->lists(); }
  sluice_action look(const char* a) { return shed::look(shed_->environment(), ip(a)); }
  sluice_action look(const IpAddr& a) { return shed::look(shed_->environment(), a); }
  Status block(const char* p, Origin o = Origin::command, Instant until = Instant::never()) {
    return lists().add({prefix(p), SLUICE_ACTION_BLOCK}, o, until);
  }
  Status allow(const char* p, Origin o = Origin::command, Instant until = Instant::never()) {
    return lists().add({prefix(p), SLUICE_ACTION_ALLOW}, o, until);
  }
  std::unique_ptr<Shed> shed_;
};

inline std::string memory_name(const ::testing::TestParamInfo<bool>& i) {
  return i.param ? "maps" : "plain";
}

}  // namespace sluice::shed
