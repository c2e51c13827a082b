// The shed section: what a sound file becomes, each mistake at its place, and the files of prefixes that it names.
#include <algorithm>
#include <filesystem>

#include "support.h"

namespace sluice::config {
namespace {

Model sound(const std::string& text) {
  const Loaded l = load_text(kPorts + text, "t");
  EXPECT_EQ(all(l), "");
  return l.model;
}

Prefix prefix(const char* s) { return *parse_prefix(s); }

TEST(Shed, DefaultsShedByLoadAlone) {
  const Shed s = sound("").shed;
  EXPECT_EQ(s, Shed());
  EXPECT_TRUE(s.governor && s.syn_cookies && !s.syn_always && !s.malformed && !s.tcp_flags);
  EXPECT_EQ(s.syn, (ShedRate{10000, 10000}));
  EXPECT_EQ(s.classes_rate[0], (ShedRate{20000, 2000}));
  EXPECT_EQ(s.source.per_second, 0u);
  EXPECT_EQ(s.destination.length6, 128);
}

TEST(Shed, Lists) {
  const Shed s = sound(
      "shed:\n"
      "  {block: [203.0.113.0/24, 198.51.100.7, \"2001:db8:bad::/48\", {file: x.txt}], allow: [203.0.113.80/28],\n"
      "   bogons: martian}\n").shed;
  ASSERT_EQ(s.block.items.size(), 4u);
  EXPECT_EQ(s.block.items[0].prefix, prefix("203.0.113.0/24"));
  EXPECT_EQ(s.block.items[1].prefix, prefix("198.51.100.7/32"));
  EXPECT_EQ(s.block.items[2].prefix, prefix("2001:db8:bad::/48"));
  EXPECT_EQ(s.block.items[3].file, "x.txt");
  EXPECT_EQ(s.allow.items[0].prefix, prefix("203.0.113.80/28"));
  EXPECT_EQ(s.bogons, Shed::Bogons::martian);
}

TEST(Shed, WhatPacketsAre) {
  const Shed s = sound(
      "shed: {governor: no, malformed: yes, tcp-flags: yes, block-protocols: [gre, 99, icmp4],\n"
      "       block-ports: [tcp/23, udp/6000-6063], amplification: [53, 11211], icmp: {rate: 1.5k, burst: 20, size: 1280}}\n").shed;
  EXPECT_FALSE(s.governor);
  EXPECT_TRUE(s.malformed && s.tcp_flags);
  EXPECT_EQ(s.block_protocols, (std::vector<uint8_t>{47, 99, 1}));
  EXPECT_EQ(s.block_ports, (std::vector<ShedPorts>{{6, {23, 23}}, {17, {6000, 6063}}}));
  EXPECT_EQ(s.amplification, (std::vector<uint16_t>{53, 11211}));
  EXPECT_EQ(s.icmp, (ShedRate{1500, 20}));
  EXPECT_EQ(s.icmp_size, 1280u);
}

TEST(Shed, AmplificationYesIsTheKnownOnes) {
  const auto ports = sound("shed: {amplification: yes}\n").shed.amplification;
  for (int p : {19, 161, 389, 1900, 11211}) EXPECT_NE(std::find(ports.begin(), ports.end(), p), ports.end()) << p;
  for (int p : {53, 123}) EXPECT_EQ(std::find(ports.begin(), ports.end(), p), ports.end()) << "the filter decides about these";
  EXPECT_TRUE(sound("shed: {amplification: yes}\n").shed.amplification_known);
  EXPECT_FALSE(sound("shed: {amplification: [53]}\n").shed.amplification_known);
  EXPECT_TRUE(sound("shed: {amplification: no}\n").shed.amplification.empty());
}

TEST(Shed, Rates) {
  const Shed s = sound(
      "shed:\n"
      "  rates: {source: {rate: 50k, burst: 2k, prefix4: 24, prefix6: 56}, destination: 1M, control: off,\n"
      "          established: {rate: 2M}, new: 10000, rest: {rate: 200k, burst: 1}}\n"
      "  syn: {rate: 500, always: yes, cookies: no}\n").shed;
  EXPECT_EQ(s.source, (ShedPrefixRate{{50000, 2000}, 24, 56}));
  EXPECT_EQ(s.destination, (ShedPrefixRate{{1000000, 0}, 32, 128}));
  EXPECT_EQ(s.classes_rate[0], ShedRate());
  EXPECT_EQ(s.classes_rate[1], (ShedRate{2000000, 0}));
  EXPECT_EQ(s.classes_rate[2], (ShedRate{10000, 0}));
  EXPECT_EQ(s.classes_rate[3], (ShedRate{200000, 1}));
  EXPECT_EQ(s.syn, (ShedRate{500, 500}));
  EXPECT_TRUE(s.syn_always && !s.syn_cookies);
  EXPECT_EQ(sound("shed: {syn: off}\n").shed.syn.per_second, 0u);
  EXPECT_EQ(sound("shed: {syn: {always: yes}}\n").shed.syn, (ShedRate{10000, 10000}));
  EXPECT_EQ(sound("shed: {rates: {control: {rate: 5k}}}\n").shed.classes_rate[0], (ShedRate{5000, 0}));
}

TEST(Shed, Classes) {
  const Shed s = sound(
      "shed:\n"
      "  classes:\n"
      "  - {class: established, prefixes: [192.0.2.53, \"2001:db8::/32\"], protocol: [tcp, udp], ports: [53, 853-900]}\n"
      "  - {class: control, protocol: icmp}\n"
      "  - {class: new, dscp: [ef, 0]}\n"
      "  - {class: rest}\n").shed;
  ASSERT_EQ(s.classes.size(), 4u);
  EXPECT_EQ(s.classes[0].cls, ShedClass::established);
  EXPECT_EQ(s.classes[0].prefixes.size(), 2u);
  EXPECT_EQ(s.classes[0].protocols, (std::vector<uint8_t>{6, 17}));
  EXPECT_EQ(s.classes[0].ports, (std::vector<PortSpan>{{53, 53}, {853, 900}}));
  EXPECT_EQ(s.classes[1].protocols, (std::vector<uint8_t>{1, 58}));
  EXPECT_EQ(s.classes[2].dscp, uint64_t{1} << 46 | 1);
  EXPECT_EQ(s.classes[3].cls, ShedClass::rest);
}

TEST(Shed, BogonsOfOwnSubnetsMayBeAllowed) {
  sound("shed: {bogons: full, allow: [192.0.2.0/24, 198.51.100.0/24, \"2001:db8::/32\"]}\n");
}

TEST(Shed, DispatcherOfAPort) {
  const Loaded l = load_text(kPorts, "t", {{"ports.lan.dispatcher", "yes"}});
  EXPECT_EQ(all(l), "");
  EXPECT_TRUE(l.model.ports[0].dispatcher && !l.model.ports[1].dispatcher);
}

struct Case {
  const char* text;  // with ^ where the mistake is, inside of shed: {…}
  const char* path;
  const char* says;
};

const Case kCases[] = {
    {"^governer: yes", "shed.governer", "did you mean 'governor'?"},
    {"governor: ^maybe", "shed.governor", "yes or no"},
    {"block: ^203.0.113.0/24", "shed.block", "a list of prefixes"},
    {"block: [^203.0.113.0/33]", "shed.block[0]", "a prefix such as"},
    {"block: [^203.0.113.7/24]", "shed.block[0]", "did you mean '203.0.113.0/24', or the single address '203.0.113.7'"},
    {"block: [203.0.113.0/24, ^203.0.113.0/24]", "shed.block[1]", "is already shed.block[0]"},
    {"block: [{file: x, ^flie: x}]", "shed.block[0].flie", "did you mean 'file'?"},
    {"block: [^{}]", "shed.block[0]", "'file' is missing"},
    {"block: [{file: ^\"\"}]", "shed.block[0].file", "the name of a file"},
    {"block: [{file: a}, {file: ^a}]", "shed.block[1].file", "is named twice"},
    {"block: [^[]]", "shed.block[0]", "{file: PATH}"},
    {"block: [203.0.113.0/24], allow: [203.0.113.80/28, ^203.0.113.0/24]", "shed.allow[1]", "is blocked, too (shed.block[0])"},
    {"bogons: ^yes", "shed.bogons", "no, martian or full"},
    {"bogons: ^full", "shed.bogons", "the hosts of '192.0.2.0/24' on port 'lan'"},
    {"malformed: ^drop", "shed.malformed", "yes or no"},
    {"tcp-flags: ^1", "shed.tcp-flags", "yes or no"},
    {"block-protocols: [^grre]", "shed.block-protocols[0]", "did you mean 'gre'?"},
    {"block-protocols: ^[]", "shed.block-protocols", "found an empty list"},
    {"block-protocols: ^icmp6", "shed.block-protocols", "neighbor discovery"},
    {"block-ports: ^udp/19", "shed.block-ports", "a list of ports such as udp/1900"},
    {"block-ports: [^1900]", "shed.block-ports[0]", "did you mean 'tcp/1900' or 'udp/1900'?"},
    {"block-ports: [^upd/1900]", "shed.block-ports[0]", "did you mean 'udp'?"},
    {"block-ports: [^udp/70000]", "shed.block-ports[0]", "0 to 65535"},
    {"block-ports: [^tcp/90-80]", "shed.block-ports[0]", "runs backwards"},
    {"amplification: ^dns", "shed.amplification", "expected yes, no or a list of UDP ports"},
    {"amplification: [53, ^0]", "shed.amplification[1]", "from 1 to 65535"},
    {"amplification: ^{}", "shed.amplification", "yes, no or a list of UDP ports"},
    {"icmp: ^{}", "shed.icmp", "rate, size or both"},
    {"icmp: {size: 1k}", "shed.icmp.size", "from 64 to 65535"},
    {"icmp: {rate: ^0}", "shed.icmp.rate", "from 1 to 10M"},
    {"icmp: {size: 100, burst: ^5}", "shed.icmp.burst", "needs a 'rate'"},
    {"rates: {^soruce: 10k}", "shed.rates.soruce", "did you mean 'source'?"},
    {"rates: {source: ^fast}", "shed.rates.source", "such as 500, 10k or 2M"},
    {"rates: {source: ^10K}", "shed.rates.source", "did you mean 'k'?"},
    {"rates: {source: ^0}", "shed.rates.source", "from 1 to 10M"},
    {"rates: {source: ^-5}", "shed.rates.source", "from 1 to 10M"},
    {"rates: {source: ^1.5}", "shed.rates.source", "from 1 to 10M"},
    {"rates: {source: ^11M}", "shed.rates.source", "from 1 to 10M"},
    {"rates: {source: ^99999999999999999999999M}", "shed.rates.source", "from 1 to 10M"},
    {"rates: {source: ^[10k]}", "shed.rates.source", "a map such as {rate: 10k"},
    {"rates: {source: ^{burst: 5}}", "shed.rates.source", "'rate' is missing"},
    {"rates: {source: {rate: 10k, burst: ^0}}", "shed.rates.source.burst", "from 1 to 10M"},
    {"rates: {source: {rate: 10k, prefix4: ^33}}", "shed.rates.source.prefix4", "from 1 to 32"},
    {"rates: {destination: {rate: 10k, prefix6: ^0}}", "shed.rates.destination.prefix6", "from 1 to 128"},
    {"rates: {rest: {rate: 10k, ^prefix4: 8}}", "shed.rates.rest.prefix4", "a rate has rate, burst"},
    {"syn: ^1k", "shed.syn", "{rate: 1k, cookies: yes}, or off"},
    {"syn: {rate: ^0}", "shed.syn.rate", "from 1 to 10M"},
    {"syn: {burst: ^0}", "shed.syn.burst", "from 1 to 10M"},
    {"syn: {^allways: yes}", "shed.syn.allways", "did you mean 'always'?"},
    {"syn: {cookies: ^off-on}", "shed.syn.cookies", "yes or no"},
    {"classes: ^{}", "shed.classes", "a list of classes"},
    {"classes: [^{protocol: udp}]", "shed.classes[0]", "'class' is missing"},
    {"classes: [{class: ^knew}]", "shed.classes[0].class", "did you mean 'new'?"},
    {"classes: [{class: new, ^prefix: 192.0.2.0/24}]", "shed.classes[0].prefix", "did you mean 'prefixes'?"},
    {"classes: [{class: new, prefixes: ^192.0.2.1/24}]", "shed.classes[0].prefixes", "did you mean '192.0.2.0/24'"},
    {"classes: [{class: new, ports: [80, ^x]}]", "shed.classes[0].ports[1]", "a port number or a range"},
    {"classes: [{class: new, protocol: icmp, ports: ^80}]", "shed.classes[0].ports", "need 'protocol: tcp'"},
    {"classes: [{class: new, dscp: ^64}]", "shed.classes[0].dscp", "from 0 to 63"},
    {"classes: [{class: new, dscp: ^af44}]", "shed.classes[0].dscp", "did you mean 'af4"},
    {"classes: [^{class: rest}, {class: new, protocol: tcp}]", "shed.classes[0]", "the classes behind it never match"},
    {"classes: [{class: new, ports: [1,2,3,4,5,6,7,8], protocol: [tcp, udp]}, ^{class: new, ports: [1,2,3,4,5,6,7], "
     "prefixes: [10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8, 14.0.0.0/8, 15.0.0.0/8, 16.0.0.0/8]}]",
     "shed.classes[1]", "are 65 rules"},
};

TEST(ShedMistakes, EachAtItsPlace) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    std::string text = kPorts + "shed: {" + c.text + "}\n";
    const size_t place = text.find('^');
    if (place != text.npos) text.erase(place, 1);
    const Loaded l = load_text(text, "f.yaml");
    ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
    const Mistake& m = l.mistakes[0];
    EXPECT_EQ(m.path, c.path);
    EXPECT_NE(m.message.find(c.says), std::string::npos) << all(l);
    if (place == text.npos) continue;
    EXPECT_EQ(m.line, kPortsLines + 1);
    EXPECT_EQ(m.column, place - text.rfind('\n', place)) << all(l);
  }
}

TEST(ShedMistakes, DispatcherNeedsAfXdp) {
  const Loaded l = load_text(kPorts, "t", {{"ports.lan", "{driver: dpdk, device: net_null0, addresses: [192.0.2.1/24], dispatcher: yes}"}});
  ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
  EXPECT_NE(l.mistakes[0].message.find("has no use for 'dispatcher'"), std::string::npos) << all(l);
}

// ---- files

class ShedFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = ::testing::TempDir() + "sluice_shed_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder + "/" + name) << text; }
  Loaded load(const std::string& shed) {
    write("f.yaml", kPorts + "shed: {" + shed + "}\n");
    return load_file(folder + "/f.yaml");
  }
  std::string folder;
};

TEST_F(ShedFiles, AreReadFromTheConfigurationsFolder) {
  write("b.txt", "# a feed\n10.0.0.0/8\n\n2001:db8:1::/48 ; SBL1\n");
  write("c.txt", "192.0.2.7");
  const Loaded l = load("block: [{file: b.txt}, 203.0.113.0/24, {file: c.txt}]");
  EXPECT_EQ(all(l), "");
  const ShedList& b = l.model.shed.block;
  EXPECT_EQ(b.items[0].file, folder + "/b.txt");
  EXPECT_EQ(b.from_files, (std::vector<Prefix>{prefix("10.0.0.0/8"), prefix("2001:db8:1::/48"), prefix("192.0.2.7/32")}));
  EXPECT_TRUE(l.model.shed.allow.from_files.empty());
}

TEST_F(ShedFiles, MistakesNameFileAndLine) {
  write("b.txt", "10.0.0.0/8\n  10.0.0.1/8 # x\nten\n10.0.0.0/8 11.0.0.0/8\n");
  const Loaded l = load("block: [{file: b.txt}]");
  ASSERT_EQ(l.mistakes.size(), 3u) << all(l);
  EXPECT_EQ(to_string(l.mistakes[0]), folder + "/b.txt:2:3: shed.block[0]: found '10.0.0.1/8', which has bits set behind its "
                                               "length; did you mean '10.0.0.0/8', or the single address '10.0.0.1'?");
  EXPECT_EQ(l.mistakes[1].line, 3u);
  EXPECT_EQ(l.mistakes[2].line, 4u);
  EXPECT_EQ(l.mistakes[2].column, 12u);
}

TEST_F(ShedFiles, ThatCannotBeRead) {
  const Loaded l = load("block: [{file: nothing.txt}], allow: [{file: .}]");
  ASSERT_EQ(l.mistakes.size(), 2u) << all(l);
  for (const Mistake& m : l.mistakes) EXPECT_NE(m.message.find("the file cannot be read"), std::string::npos) << all(l);
  EXPECT_EQ(l.mistakes[0].path, "shed.block[0].file");
  EXPECT_EQ(l.mistakes[0].line, kPortsLines + 1);
  EXPECT_NE(l.mistakes[1].message.find("a folder"), std::string::npos) << all(l);
}

TEST_F(ShedFiles, OnBothLists) {
  write("b.txt", "10.0.0.0/8\n203.0.113.0/24\n");
  write("a.txt", "10.0.0.0/8\n192.0.2.0/24\n");
  const Loaded l = load("block: [{file: b.txt}, 192.0.2.0/24], allow: [203.0.113.0/24, {file: a.txt}]");
  ASSERT_EQ(l.mistakes.size(), 3u) << all(l);
  EXPECT_NE(all(l).find("b.txt:1:1: shed.block[0]: the prefix '10.0.0.0/8' is on the other list, too (" + folder + "/a.txt:1)"),
            std::string::npos) << all(l);
  EXPECT_NE(all(l).find("b.txt:2:1: shed.block[0]: the prefix '203.0.113.0/24' is on the other list, too (shed.allow[0])"),
            std::string::npos) << all(l);
  EXPECT_NE(all(l).find("shed.block[1]: the prefix '192.0.2.0/24' is also in " + folder + "/a.txt:2"), std::string::npos) << all(l);
}

TEST(ShedBudget, PrefixesTakeMemory) {
  const uint64_t none = memory_budget(sound("")).total;
  const uint64_t some = memory_budget(sound("shed: {block: [203.0.113.0/24]}\n")).total;
  EXPECT_GT(some, none + (100u << 20));
}

}  // namespace
}  // namespace sluice::config
