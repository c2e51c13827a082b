// The XDP program and user space agree on whatever comes: every frame of the captures beside the repository
// ($SLUICE_PCAPS, or ../shared/pcaps), and frames mutated from seeds, under policies from nothing to everything.
#include <filesystem>
#include <iostream>
#include <random>

#include "bpf/twins.h"
#include "port/pcap_reader.h"

namespace sluice::test {
namespace {

constexpr uint32_t kLevels[] = {0, 100, 300, 600, 768};

class Agreement : public Twins {
 protected:
  void SetUp() override {
    Twins::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    shed_->set_services({{.addr = *parse_ip("198.18.2.10"), .port = 80}, {.addr = *parse_ip("2001:db8:2::10"), .port =
    80}}); for (const char* src : {"198.18.1.10", "2001:db8:1::10", "192.168.1.1"})
      for (uint16_t dport : {uint16_t{80}, uint16_t{5000}})
        shed_->hints().mark(*parse_ip(src), *parse_ip(src[0] == '2' ? "2001:db8:2::10" : "198.18.2.10"),
                            be16::from(40000).raw(), be16::from(dport).raw(), kTcp);
  }

  static shed::Policy everything() {
    shed::Policy p{.check_frames = true,
                   .tcp_flags = true,
                   .bogons = shed::Policy::Bogons::martian,
                   .block_protocols = {50, 132},
                   .block_ports = {{17, 5353, 5353}, {6, 135, 139}},
                   .amplifiers = {53, 123},
                   .icmp = {.per_second = 200},
                   .icmp_max = 900,
                   .source = {.per_second = 300, .burst = 30},
                   .destination = {.per_second = 500, .burst = 50},
                   .source_bits4 = 24,
                   .source_bits6 = 56,
                   .syn = {.per_second = 50, .burst = 5},
                   .syn_always = true,
                   .classes = {{.cls = SLUICE_CLASS_NEW, .prefix = parse_prefix("10.0.0.0/8"), .proto = kUdp},
                               {.cls = SLUICE_CLASS_ESTABLISHED, .proto = kTcp, .ports = shed::PortRange{6, 22, 25}},
                               {.cls = SLUICE_CLASS_REST, .prefix = parse_prefix("fe80::/10"), .dscp = 1}}};
    for (int i = 0; i < 50; i++)
      p.lists.push_back({parse_prefix("198.18.1." + std::to_string(i * 5) + "/32")->masked(),
                         i % 3 ? SLUICE_ACTION_BLOCK : SLUICE_ACTION_ALLOW});
    for (const char* prefix : {"172.16.0.0/12", "2001:470::/32", "2001:db8:1:7::/64", "fe80::1234:0:0:0/80",
    "8.8.8.0/29"})
      p.lists.push_back({parse_prefix(prefix)->masked(), SLUICE_ACTION_BLOCK});
    for (auto& r : p.class_rate) r = {.per_second = 400, .burst = 40};
    return p;
  }

  static shed::Policy rates() {
    shed::Policy p{.destination = {.per_second = 400, .burst = 10}};
    for (auto& r : p.class_rate) r = {.per_second = 300, .burst = 30};
    return p;
  }

  // What is asked for under each number: a policy, and a level.
  static constexpr unsigned kSettings = 4 * std::size(kLevels);
  void setting(unsigned n) {
    level(kLevels[n % std::size(kLevels)]);
    switch (n / std::size(kLevels)) {
      case 0: return set({});
      case 1: return set({.check_frames = true, .tcp_flags = true, .syn = {.per_second = 50, .burst = 5}});
      case 2: return set(everything());
      default: return set(rates());
    }
  }
  void frame(const Octets& f) {
    if (f.size() < 14 || f.size() > 3000) return;  // what a test run takes
    pass(Duration::micros(500));
    both(f);
  }
  void report() {
    std::cout << "seen:";
    no_other_count();
    same_rates();
    for (const auto& [o, n] : seen_) {
      std::cout << "  " << n << " ";
      std::cout << name_of(o);
    }
    std::cout << std::endl;
  }
};

TEST_F(Agreement, OnEveryCapture) {
  const char *given = std::getenv("SLUICE_PCAPS"), *root = std::getenv("SLUICE_SOURCE_ROOT");
  const std::filesystem::path folder = given ? given : std::string(root ? root : ".") + "/../shared/pcaps";
  if (!std::filesystem::is_directory(folder))
    GTEST_SKIP() << "no captures at " << folder << "; SLUICE_PCAPS may name a folder";
  std::vector<Octets> frames;
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder)) {
    if (!e.is_regular_file()) continue;
    auto reader = port::PcapReader::open(e.path());
    if (!reader.ok()) continue;
    port::PcapReader::Frame f;
    for (unsigned n = 0; n < 2000 && (*reader)->next(f) == port::PcapReader::Next::frame; n++)
      if (f.link_type == 1) frames.emplace_back(f.bytes.begin(), f.bytes.end());
  }
  std::cout << frames.size() << " frames\n";
  ASSERT_GT(frames.size(), 0u);
  for (unsigned s : {1u, 5u, 10u, 12u, 15u}) {
    setting(s);
    for (const Octets& f : frames) {
      frame(f);
      if (HasFatalFailure()) return;
    }
  }
  report();
}

std::vector<Octets> seeds() {
  const Octets syn_options{2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};
  std::vector<Octets> all{
      udp4(), udp6(), udp4(53, 4444), udp4(40000, 5353), tcp4(kSyn), tcp4(kAck), tcp6(kSyn), tcp6(kAck),
      tcp4(kFin | kUrg | kPsh), icmp4(8), icmp4(3, 60), icmp6(135, 255), icmp6(128), icmp6(2, 64, 1000),
      tcp4(kAck, 179, 5000), udp4(50000, 3784, {.ttl = 255}), v4({.proto = 112, .ttl = 255}, zeros(20)),
      v4({.proto = 50}, zeros(40)), eth(zeros(46), 0x0806), eth(zeros(46), 0x88cc),
      v4({.frag = 0x2000}, udp(1, 2, zeros(16))), v4({.frag = 3}, zeros(5)), v4({.proto = kTcp, .frag = 1}, zeros(20)),
      v4({.options = zeros(12, 1)}, udp(1, 2)), tagged(udp4(), {0x8100}), tagged(tcp6(kSyn), {0x88a8, 0x8100}),
      v6({.next = 0}, ext(60, {}) + ext(43, zeros(9)) + ext(kTcp, {}) + tcp(1, 80, kSyn)),
      v6({.next = 44}, frag6(kUdp, 0, true) + udp(1, 2, zeros(16))), v6({.next = 44}, frag6(kTcp, 8, false) +
      zeros(30)), v6({.next = 51}, Octets{kUdp, 1} + zeros(10) + udp(1, 2))};
  for (bool six : {false, true}) {  // SYNs that may be answered
    Octets p = six ? ip6({.next = kTcp}, tcp(40000, 80, kSyn, 77, 0, syn_options, 10))
                   : ip4({.src = "198.18.1.11", .proto = kTcp}, tcp(40000, 80, kSyn, 77, 0, syn_options, 10));
    seal_tcp(p, six ? 40 : 20);
    for (int i = 0; i < 4; i++) all.push_back(eth(p, six ? 0x86dd : 0x0800));
  }
  return all;
}

Octets mutated(Octets f, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t n = below(5); n > 0; n--) {
    const size_t at = random() % 3 ? below(std::min<size_t>(f.size(), 64)) : below(f.size());
    switch (below(6)) {
      case 0: f[at] = static_cast<uint8_t>(random()); break;
      case 1: f[at] ^= static_cast<uint8_t>(1u << below(8)); break;
      case 2: f[at] = random() % 2 ? 0 : 0xff; break;
      case 3: f.resize(std::max<size_t>(14, at)); break;
      case 4: f = f + Octets(below(80), static_cast<uint8_t>(random())); break;
      default: f[at] = std::initializer_list<uint8_t>{0, 6, 17, 43, 44, 51, 58, 60}.begin()[below(8)];
    }
  }
  return f;
}

TEST_F(Agreement, OnMutatedFrames) {
  const std::vector<Octets> from = seeds();
  for (unsigned s = 0; s < kSettings; s++) {
    std::mt19937_64 random(s);
    setting(s);
    for (unsigned i = 0; i < 4000; i++) {
      Octets f = mutated(from[random() % from.size()], random);
      if (random() % 2 && f.size() > 14 + 15) f[14 + 15] = static_cast<uint8_t>(random());  // IPv4: another source
      frame(f);
      if (HasFatalFailure()) FAIL() << "setting " << s << ", frame " << i;
    }
  }
  report();
  for (unsigned o = SLUICE_OUT_ANSWERED; o < SLUICE_OUTCOMES; o++)
    EXPECT_GT(seen_[static_cast<sluice_outcome>(o)], 0u) << "never seen: " << o;
  for (unsigned c = 0; c < SLUICE_CLASSES; c++) EXPECT_GT(seen_class_[static_cast<sluice_class>(c)], 100u) << c;
}

}  // namespace
}  // namespace sluice::test
