#include "wire/ip6_ext.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/frames.h"

namespace sluice::wire {
namespace {

using namespace sluice::test;
using Act = Ip6ExtVerdict::Act;

struct Exact {  // bytes that end where the packet does
  explicit Exact(const Octets& o) : p(new uint8_t[o.size()]), n(o.size()) {
    std::copy(o.begin(), o.end(), p.get());
  }
  ConstBytes bytes() const { return {p.get(), n}; }
  std::unique_ptr<uint8_t[]> p;
  size_t n;
};

// "type@offset+length …", then how and where it ends.
std::string chain(uint8_t next, const Octets& payload) {
  const Exact packet(ip6({.next = next}, payload));
  Ip6Chain c(packet.bytes());
  std::string s;
  unsigned end = 40;
  for (Ip6ExtHeader h; c.next(h);) {
    s += std::to_string(h.type) + "@" + std::to_string(h.offset) + "+" + std::to_string(h.length) + " ";
    EXPECT_EQ(h.offset, end);
    EXPECT_GE(h.length, 8u);
    EXPECT_EQ(packet.bytes()[h.named_at], h.type);
    end = h.offset + h.length;
  }
  EXPECT_EQ(c.offset(), end);
  EXPECT_LE(c.offset(), packet.n);
  EXPECT_EQ(packet.bytes()[c.named_at()], c.proto());
  static const char* const ends[] = {"upper", "later", "cut", "many"};
  return s + ends[static_cast<int>(c.end())] + " " + std::to_string(c.proto());
}

TEST(Ip6Chain, Table) {
  const Octets u = udp(1, 2);
  EXPECT_EQ(chain(17, u), "upper 17");
  EXPECT_EQ(chain(17, {}), "upper 17");
  EXPECT_EQ(chain(59, pattern(8)), "upper 59");
  EXPECT_EQ(chain(50, pattern(8)), "upper 50");
  EXPECT_EQ(chain(0, ext(17, {}) + u), "0@40+8 upper 17");
  EXPECT_EQ(chain(0, ext(43, zeros(8)) + ext(60, zeros(20)) + ext(6, {}) + u),
            "0@40+16 43@56+24 60@80+8 upper 6");
  EXPECT_EQ(chain(51, Octets{17, 1} + zeros(10) + u), "51@40+12 upper 17");
  EXPECT_EQ(chain(44, frag6(17, 0, false) + u), "44@40+8 upper 17");
  EXPECT_EQ(chain(44, frag6(60, 0, true) + ext(17, {}) + u), "44@40+8 60@48+8 upper 17");
  EXPECT_EQ(chain(44, frag6(60, 8, true) + ext(17, {}) + u), "44@40+8 later 60");
  EXPECT_EQ(chain(44, frag6(44, 0, false) + frag6(17, 0, false) + u), "44@40+8 many 44");
  EXPECT_EQ(chain(0, {}), "cut 0");
  EXPECT_EQ(chain(0, {17}), "cut 0");
  EXPECT_EQ(chain(0, {17, 0, 1, 4, 0, 0, 0}), "cut 0");
  EXPECT_EQ(chain(0, Octets{17, 1} + zeros(13)), "cut 0");
  EXPECT_EQ(chain(0, Octets{17, 255} + zeros(100)), "cut 0");
  EXPECT_EQ(chain(44, {17, 0, 0, 0, 0, 0, 0}), "cut 44");
  EXPECT_EQ(chain(51, Octets{17, 4} + zeros(21)), "cut 51");
}

TEST(Ip6Chain, IsBounded) {
  Octets c;
  for (int i = 0; i < 100; ++i) c = c + ext(60, {});
  const std::string s = chain(60, c);
  EXPECT_EQ(std::count(s.begin(), s.end(), '@'), kMaxIp6Chain);
  EXPECT_NE(s.find("many 60"), std::string::npos);
}

struct Want {
  Act act;
  unsigned code = 0, pointer = 0;
};
constexpr Want kPass{Act::pass}, kSilent{Act::drop};

void expect_verdict(const Ip6ExtVerdict& v, const Want& w, const char* what) {
  EXPECT_EQ(v.act, w.act) << what;
  EXPECT_EQ(v.code, w.code) << what;
  EXPECT_EQ(v.pointer, w.pointer) << what;
}

TEST(HopByHop, Options) {
  struct {
    const char* what;
    Octets options;
    Want want;
  } table[] = {
      {"padding alone", {}, kPass},
      {"pad1", zeros(6), kPass},
      {"router alert", {5, 2, 0, 0}, kPass},
      {"router alert, of length 3", {5, 3, 0, 0, 0}, {Act::problem, 0, 43}},
      {"unknown, skip", {0x1e, 4, 1, 2, 3, 4}, kPass},
      {"unknown, skip, may change", {0x3e, 0}, kPass},
      {"unknown, drop", {0x5e, 4, 1, 2, 3, 4}, kSilent},
      {"unknown, problem", {0x9e, 4, 1, 2, 3, 4}, {Act::problem, 2, 42}},
      {"unknown, problem unless group", {0xde, 4, 1, 2, 3, 4}, {Act::problem, 2, 42}},
      {"behind padding", {1, 1, 0, 0, 0x9e, 0}, {Act::problem, 2, 46}},
      {"the first of two decides", {0x5e, 0, 0x9e, 0}, kSilent},
      {"longer than the header", {0x1e, 5, 1, 2, 3, 4}, {Act::problem, 0, 43}},
      {"pad longer than the header", {1, 5, 0, 0, 0, 0}, {Act::problem, 0, 43}},
      {"no length octet", {1, 3, 0, 0, 0, 0x1e}, {Act::problem, 0, 47}},
      {"padding not zero", {1, 4, 0, 0, 7, 0}, kSilent},
      {"8 bytes of padding", {0x1e, 0, 1, 6, 0, 0, 0, 0, 0, 0, 0x1e, 2, 0, 0}, kSilent},
      {"7 bytes of padding", {0x1e, 0, 0, 1, 4, 0, 0, 0, 0, 0x1e, 3, 0, 0, 0}, kPass},
      {"8 options",
       {0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 1, 4, 0, 0, 0, 0},
       kPass},
      {"9 options",
       {0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 1, 2, 0, 0},
       kSilent},
  };
  for (const auto& t : table)
    expect_verdict(check_hop_by_hop(Exact(ip6({.next = 0}, ext(17, t.options) + udp(1, 2))).bytes()), t.want,
                   t.what);
}

TEST(HopByHop, Groups) {
  const auto at_group = [](const Octets& o) {
    return check_hop_by_hop(Exact(ip6({.dst = "ff05::7", .next = 0}, ext(17, o))).bytes());
  };
  expect_verdict(at_group({0x9e, 0}), {Act::problem, 2, 42}, "10: also about groups");
  expect_verdict(at_group({0xde, 0}), kSilent, "11: not about groups");
}

TEST(HopByHop, CutShort) {
  const Octets whole = ext(17, {5, 2, 0, 0});
  for (size_t n = 1; n < whole.size(); ++n)
    expect_verdict(
        check_hop_by_hop(Exact(ip6({.next = 0}, Octets(whole.begin(), whole.begin() + n))).bytes()),
        {Act::problem, 0, 41}, "cut");
}

// RFC 2675 section 3.
TEST(HopByHop, Jumbograms) {
  const auto jumbo = [](uint32_t length, int payload_length) {
    const Octets o = Octets{0xc2, 4} + words({length >> 16, length & 0xffff});
    return check_hop_by_hop(
        Exact(ip6({.next = 0, .payload_length = payload_length}, ext(17, o) + udp(1, 2))).bytes());
  };
  expect_verdict(jumbo(70000, -1), {Act::problem, 0, 42}, "with a payload length");
  expect_verdict(jumbo(65535, 0), {Act::problem, 0, 44}, "not above 65535");
  expect_verdict(jumbo(0, 0), {Act::problem, 0, 44}, "zero");
  expect_verdict(jumbo(65536, 0), kSilent, "more than the frame holds");
  const Exact short_option(ip6({.next = 0, .payload_length = 0}, ext(17, {0xc2, 3, 0, 1, 0}) + udp(1, 2)));
  expect_verdict(check_hop_by_hop(short_option.bytes()), {Act::problem, 0, 43}, "3 bytes");
  const Exact without(ip6({.next = 0, .payload_length = 0}, ext(17, {}) + udp(1, 2)));
  expect_verdict(check_hop_by_hop(without.bytes()), {Act::problem, 0, 4}, "no length at all");
  expect_verdict(check_hop_by_hop(Exact(ip6({.next = 0}, {})).bytes()), {Act::problem, 0, 4},
                 "nothing at all");
}

TEST(Destination, Headers) {
  const Octets u = udp(1, 2);
  const auto routing = [](uint8_t type, uint8_t left) { return ext(17, Octets{type, left} + zeros(20)); };
  struct {
    const char* what;
    uint8_t next;
    Octets payload;
    Want want;
  } table[] = {
      {"none", 17, u, kPass},
      {"hop by hop first", 0, ext(17, {}) + u, kPass},
      {"hop by hop second", 60, ext(0, {}) + ext(17, {}) + u, {Act::problem, 1, 40}},
      {"hop by hop twice", 0, ext(0, {}) + ext(17, {}) + u, {Act::problem, 1, 40}},
      {"routing type 0, none left", 43, routing(0, 0) + u, kPass},
      {"routing type 0, one left", 43, routing(0, 1) + u, {Act::problem, 0, 42}},
      {"routing type 4, 255 left", 43, routing(4, 255) + u, {Act::problem, 0, 42}},
      {"routing behind options", 60, ext(43, {}) + routing(0, 1) + u, {Act::problem, 0, 50}},
      {"unknown option, skip", 60, ext(17, {0x1e, 0}) + u, kPass},
      {"unknown option, drop", 60, ext(17, {0x5e, 0}) + u, kSilent},
      {"unknown option, problem", 60, ext(17, {0xc9, 2, 0, 0}) + u, {Act::problem, 2, 42}},
      {"unknown option behind an atomic fragment",
       44,
       frag6(60, 0, false) + ext(17, {0x9e, 0}) + u,
       {Act::problem, 2, 50}},
      {"first fragment: what is behind waits", 44, frag6(60, 0, true) + ext(17, {0x9e, 0}) + u, kPass},
      {"later fragment", 44, frag6(60, 8, true) + ext(17, {0x9e, 0}) + u, kPass},
      {"options in front of a fragment",
       60,
       ext(44, {0x9e, 0}) + frag6(17, 8, true) + u,
       {Act::problem, 2, 42}},
      {"authentication", 51, Octets{17, 4} + zeros(22) + u, {Act::problem, 1, 6}},
      {"cut in the second header", 60, ext(60, {}) + Octets{17, 1, 0, 0}, {Act::problem, 0, 49}},
      {"cut in front of it", 60, ext(60, {}), {Act::problem, 0, 40}},
      {"excessive padding", 60, ext(17, zeros(14)) + u, kSilent},
  };
  for (const auto& t : table)
    expect_verdict(check_destination_headers(Exact(ip6({.next = t.next}, t.payload)).bytes()), t.want,
                   t.what);
  Octets many;
  for (int i = 0; i < 20; ++i) many = many + ext(60, {});
  expect_verdict(check_destination_headers(Exact(ip6({.next = 60}, many)).bytes()), kSilent, "too many");
}

TEST(Ip6Ext, RandomBytesEndAndStayInside) {
  std::mt19937 rnd(5);
  const uint8_t types[] = {0, 43, 44, 51, 60, 60, 17, 59};
  for (int i = 0; i < 200'000; ++i) {
    Octets o(rnd() % 80);
    for (uint8_t& b : o) b = static_cast<uint8_t>(rnd() % 3 ? types[rnd() % 8] % 9 : rnd());
    for (size_t k = 0; k < o.size(); k += 8) o[k] = types[rnd() % 8];
    const Exact p(ip6({.next = types[rnd() % 8], .payload_length = rnd() % 8 ? -1 : 0}, o));
    for (const Ip6ExtVerdict& v : {check_hop_by_hop(p.bytes()), check_destination_headers(p.bytes())}) {
      if (v.act == Act::problem) {
        EXPECT_LT(v.pointer, p.n + 2);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::wire
