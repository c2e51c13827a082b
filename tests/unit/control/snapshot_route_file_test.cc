#include <gtest/gtest.h>

#include <fstream>

#include "control/route_file.h"

namespace sluice::control {
namespace {

using Kind = RouteTarget::Kind;

RouteFile good(std::string_view text) {
  auto f = parse_route_text(text, "r.txt");
  EXPECT_TRUE(f.ok()) << f.error();
  return f ? *f : RouteFile{};
}
std::string bad(std::string_view text) {
  auto f = parse_route_text(text, "r.txt");
  EXPECT_FALSE(f.ok()) << text;
  return f ? "" : f.error();
}

TEST(RouteFile, EveryForm) {
  RouteFile f = good(
      "# a comment\n"
      "\n"
      "10.0.0.0/8 192.0.2.1\n"
      "  10.1.0.0/16\t192.0.2.1,192.0.2.2   # two\r\n"
      "10.2.0.0/16 blackhole\n"
      "2001:db8::/32 unreachable#\n"
      "0.0.0.0/0 192.0.2.1\n"
      "::/0 2001:db8:1::1");
  ASSERT_EQ(f.routes.size(), 6u);
  EXPECT_EQ(to_string(f.routes[0].prefix), "10.0.0.0/8");
  EXPECT_EQ(f.routes[0].line, 3u);
  EXPECT_EQ(f.routes[5].line, 8u);
  EXPECT_EQ(f.routes[0].target, f.routes[4].target) << "the same text is the same target";
  EXPECT_EQ(f.targets.size(), 5u);
  const RouteTarget& two = f.targets[f.routes[1].target];
  ASSERT_EQ(two.via.size(), 2u);
  EXPECT_EQ(to_string(two.via[0]), "192.0.2.1");
  EXPECT_EQ(to_string(two.via[1]), "192.0.2.2");
  EXPECT_EQ(f.targets[f.routes[2].target].kind, Kind::blackhole);
  EXPECT_EQ(f.targets[f.routes[3].target].kind, Kind::unreachable);
}

TEST(RouteFile, NothingIsNoRoute) {
  EXPECT_TRUE(good("").routes.empty());
  EXPECT_TRUE(good("\n\n # x\n   \n").routes.empty());
}

TEST(RouteFile, EachMistakeHasItsPlaceAndReason) {
  struct Case {
    const char *text, *place, *reason;
  };
  for (const Case& c : {
           Case{"10.0.0.0/8", "r.txt:1:11:", "nothing behind the prefix"},
           Case{"\n 10.0.0.0 192.0.2.1", "r.txt:2:10:", "did you mean 10.0.0.0/32"},
           Case{"10.0.0.0/33 192.0.2.1", "r.txt:1:10:", "0 to 32"},
           Case{"10.0.0.0/08 192.0.2.1", "r.txt:1:10:", "'08'"},
           Case{"10.0.0.0/ 192.0.2.1", "r.txt:1:10:", "0 to 32"},
           Case{"10.0.0.0/-1 192.0.2.1", "r.txt:1:10:", "'-1'"},
           Case{"2001:db8::/129 ::1", "r.txt:1:12:", "0 to 128"},
           Case{"10.0.0.1/8 192.0.2.1", "r.txt:1:1:", "did you mean 10.0.0.0/8?"},
           Case{"0.0.0.1/0 192.0.2.1", "r.txt:1:1:", "did you mean 0.0.0.0/0?"},
           Case{"2001:db8::1/64 2001:db8:1::1", "r.txt:1:1:", "did you mean 2001:db8::/64?"},
           Case{"10.0.0/8 192.0.2.1", "r.txt:1:1:", "expected a prefix"},
           Case{"10.0.0.0.0/8 192.0.2.1", "r.txt:1:1:", "expected a prefix"},
           Case{"10.0.0.256/8 192.0.2.1", "r.txt:1:1:", "expected a prefix"},
           Case{"010.0.0.0/8 192.0.2.1", "r.txt:1:1:", "expected a prefix"},
           Case{"2001:db8:::/32 ::1", "r.txt:1:1:", "expected a prefix"},
           Case{"default 192.0.2.1", "r.txt:1:1:", "expected a prefix"},
           Case{"10.0.0.0/8 gw", "r.txt:1:12:", "'gw'"},
           Case{"10.0.0.0/8 192.0.2.1,", "r.txt:1:22:", "expected the address"},
           Case{"10.0.0.0/8 192.0.2.1,,192.0.2.2", "r.txt:1:22:", "expected the address"},
           Case{"10.0.0.0/8 192.0.2.1,192.0.2.1", "r.txt:1:22:", "given twice"},
           Case{"10.0.0.0/8 192.0.2.1 192.0.2.2", "r.txt:1:22:", "separated by commas"},
           Case{"10.0.0.0/8 2001:db8::1", "r.txt:1:12:", "different families"},
           Case{"2001:db8::/32 192.0.2.1", "r.txt:1:15:", "different families"},
           Case{"10.0.0.0/8 192.0.2.1,2001:db8::1", "r.txt:1:22:", "both families"},
           Case{"10.0.0.0/8 Blackhole", "r.txt:1:12:", "'Blackhole'"},
           Case{"224.0.0.0/4 192.0.2.1", "r.txt:1:1:", "multicast"},
           Case{"239.1.0.0/16 192.0.2.1", "r.txt:1:1:", "multicast"},
           Case{"127.0.0.0/8 192.0.2.1", "r.txt:1:1:", "loopback"},
           Case{"fe80::/10 2001:db8::1", "r.txt:1:1:", "link-local"},
           Case{"ff02::/16 2001:db8::1", "r.txt:1:1:", "multicast"},
       }) {
    std::string e = bad(c.text);
    EXPECT_EQ(e.find(c.place), 0u) << c.text << " → " << e;
    EXPECT_NE(e.find(c.reason), std::string::npos) << c.text << " → " << e;
  }
}

TEST(RouteFile, ControlCharactersAndBytesDoNotReachTheMessage) {
  std::string e = bad(std::string_view("\x1b[2J\0\xff/8 x", 9));
  for (char c : e) EXPECT_TRUE(c >= ' ' && c < 0x7f) << e;
}

TEST(RouteFile, TwentyMistakesAreEnough) {
  std::string text;
  for (int i = 0; i < 1000; i++) text += "nonsense\n";
  std::string e = bad(text);
  EXPECT_NE(e.find("r.txt:20:1:"), std::string::npos);
  EXPECT_EQ(e.find("r.txt:21:"), std::string::npos);
  EXPECT_NE(e.find("stopped after 20"), std::string::npos);
}

TEST(RouteFile, TooManyNextHops) {
  std::string line = "10.0.0.0/8 ";
  for (int i = 1; i <= 17; i++) line += (i > 1 ? "," : "") + ("192.0.2." + std::to_string(i));
  EXPECT_NE(bad(line).find("more than 16 next hops"), std::string::npos);
}

TEST(RouteFile, WhatCannotBeReadSaysWhy) {
  auto none = read_route_file("/nonexistent/routes");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().find("/nonexistent/routes: No such file"), std::string::npos) << none.error();
  EXPECT_FALSE(read_route_file("/").ok());
  EXPECT_FALSE(read_route_file("/dev/zero").ok());
}

TEST(RouteFile, ReadsAFile) {
  std::string path = ::testing::TempDir() + "sluice_route_file_test.txt";
  std::ofstream(path) << "10.0.0.0/8 192.0.2.1\n";
  auto f = read_route_file(path);
  std::remove(path.c_str());
  ASSERT_TRUE(f.ok()) << f.error();
  EXPECT_EQ(f->routes.size(), 1u);
  EXPECT_EQ(f->name, path);
}

}  // namespace
}  // namespace sluice::control
