// Early drop as the control socket shows and changes it: a whole box in virtual time, whose worker runs the verdict itself,
// verbs called by their lines.
#include "control/shed.h"

#include <cmath>
#include <map>
#include <thread>

#include "control/commands.h"
#include "control/early.h"
#include "control/metrics.h"
#include "control/snapshot_build.h"
#include "control/span.h"
#include "port/wrapper.h"
#include "sluice/control.h"
#include "tests/unit/eal_env.h"
#include "tests/unit/engine/box_fixture.h"

namespace sluice::control {
namespace {

using namespace sluice::test;
using shed::Origin;

// ---- what needs no box

TEST(Spans, SoundOnes) {
  const std::pair<const char*, int64_t> cases[] = {{"1s", 1},        {"10m", 600},     {"1h30m", 5400}, {"7d", 604800},
                                                   {"2w1d", 1296000}, {"3650d", 315360000}, {"90s", 90}};
  for (const auto& [text, seconds] : cases) {
    auto s = parse_span(text);
    ASSERT_TRUE(s) << text << ": " << s.error();
    EXPECT_EQ(s->ns, seconds * 1'000'000'000) << text;
  }
}

TEST(Spans, AbsurdOnesAreErrorsThatSayWhatIsRight) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected a time such as 10m"},
      {"0s", "no time at all"},
      {"0h0m", "no time at all"},
      {"-5m", "is no time; expected"},
      {"10", "has no unit; did you mean '10s' or '10m'?"},
      {"10m5", "has no unit"},
      {"m", "is no time"},
      {"ten minutes", "is no time"},
      {"1.5h", "is no time"},
      {"10min", "is no time"},
      {"10m1h", "the larger first"},
      {"5m5m", "the larger first"},
      {"10 m", "is no time"},
      {"3651d", "ten years"},
      {"521w4d", "ten years"},
      {"9223372036854775807s", "ten years"},
      {"99999999999999999999s", "ten years"},
      {"10000000000000w", "ten years"},
  };
  for (const auto& [text, says] : cases) {
    auto s = parse_span(text);
    ASSERT_FALSE(s) << text;
    EXPECT_NE(s.error().find(says), std::string::npos) << text << ": " << s.error();
  }
}

TEST(Levels, InWords) {
  EXPECT_EQ(level_text(0), "nothing");
  EXPECT_EQ(level_text(1), "nothing but by rates");
  EXPECT_EQ(level_text(128), "50% of the rest");
  EXPECT_EQ(level_text(256), "the rest");
  EXPECT_EQ(level_text(384), "the rest, 50% of new flows");
  EXPECT_EQ(level_text(512), "the rest, new flows");
  EXPECT_EQ(level_text(640), "the rest, new flows, 50% of established flows");
  EXPECT_EQ(level_text(768), "the rest, new flows, 99% of established flows");
}

TEST(Levels, EveryOutcomeAndClassHasAName) {
  for (unsigned o = 0; o < SLUICE_OUTCOMES; o++) EXPECT_STRNE(outcome_name(static_cast<sluice_outcome>(o)), "");
  for (unsigned c = 0; c < SLUICE_CLASSES; c++) EXPECT_STRNE(class_name(static_cast<sluice_class>(c)), "");
  EXPECT_STREQ(outcome_name(SLUICE_OUT_ANSWERED), "answered");
  EXPECT_STREQ(outcome_name(SLUICE_DROP_overload), "overload");
  EXPECT_TRUE(is_drop(SLUICE_DROP_malformed) && !is_drop(SLUICE_OUT_ANSWERED));
}

EarlyRow row() {
  EarlyRow r;
  r.seen = 1000, r.dropped = 600, r.answered = 50, r.kernel = 10, r.handed_up = r.handed_up_before = 340;
  r.received = 300, r.missed_in_socket = 30, r.waiting = 10;
  return r;
}

TEST(EarlyLaw, ClosesDownToTheSocket) {
  EXPECT_TRUE(row().closed());
  EXPECT_EQ(row().under_way(), 0);
}

TEST(EarlyLaw, WhatIsMissingOrTooManyOpensIt) {
  EarlyRow r = row();
  r.seen++;
  EXPECT_FALSE(r.closed()) << "seen, and nothing became of it";
  r = row();
  r.received++;
  EXPECT_FALSE(r.closed()) << "received, and never handed up";
  r = row();
  r.received -= 65;
  EXPECT_FALSE(r.closed()) << "handed up, and lost";
  r.queues = 2;
  EXPECT_TRUE(r.closed()) << "on its way in two queues";
}

TEST(EarlyLaw, WhileTheProgramGoesOnTheBooksAreBetweenItsReadings) {
  EarlyRow r = row();
  r.handed_up += 500, r.seen += 500;
  EXPECT_TRUE(r.closed());
  r.received += 501;
  EXPECT_FALSE(r.closed());
  r.received -= 501 + 65;
  EXPECT_FALSE(r.closed());
}

TEST(EarlyLaw, OfAPortWithFaultsTheProgramsOwnPartAlone) {
  EarlyRow r = row();
  r.faulty = true;
  r.received += 500;
  EXPECT_TRUE(r.closed()) << "what arrives says nothing";
  r.seen++;
  EXPECT_FALSE(r.closed());
}

class Counted : public port::Wrapper {
 public:
  Counted() : Wrapper(nullptr) { info_.name = "net", info_.rx_queues = 2; }
  const port::Info& info() const override { return info_; }
  port::Stats stats() const override { return now; }
  port::Occupancy rx_waiting(unsigned q) override { return {10 + q, 64}; }
  port::Stats now;

 private:
  port::Info info_;
};

TEST(EarlyLaw, ARowHasWhatThePortCounts) {
  Counted port;
  port::Stats before;
  before.handed_up = 300;
  port.now.early_seen = 1, port.now.early_dropped = 2, port.now.answered = 3, port.now.kernel_passed = 4;
  port.now.handed_up = 340, port.now.missed_in_socket = 6, port.now.missed = 7;
  EarlyRow r = early_row(port, before, 8);
  EXPECT_EQ(r.port, "net");
  EXPECT_EQ(r.queues, 2u);
  EXPECT_EQ((std::vector{r.seen, r.dropped, r.answered, r.kernel, r.handed_up_before, r.handed_up, r.received, r.missed_in_socket,
                         r.waiting, r.missed_by_device}),
            (std::vector<uint64_t>{1, 2, 3, 4, 300, 340, 8, 6, 21, 7}));
  EXPECT_FALSE(r.faulty);
  port.now.extended = {{"fault_lost_in", 1}};
  EXPECT_TRUE(early_row(port, before, 8).faulty);
}

// ---- translation

const std::string kText =
    "version: 1\n"
    "ports:\n"
    "  lan: {device: v0, driver: af_xdp, addresses: [198.18.1.1/24, \"2001:db8:1::1/64\"]}\n"
    "  wan: {device: v1, driver: af_xdp, addresses: [198.18.2.1/24]}\n"
    "neighbors: {static: [{port: lan, address: 198.18.1.10, mac: \"02:00:00:00:00:10\"},\n"
    "                     {port: wan, address: 198.18.2.10, mac: \"02:00:00:00:00:20\"}]}\n";

config::Model model(const std::string& more) {
  const config::Loaded l = config::load_text(kText + more, "t");
  EXPECT_TRUE(l.ok()) << (l.ok() ? "" : config::to_string(l.mistakes[0]));
  return l.model;
}

TEST(ShedPolicy, DefaultsAreThoseOfTheRoom) { EXPECT_EQ(shed_policy(model("")), shed::Policy()); }

TEST(ShedPolicy, EveryKeyArrives) {
  const shed::Policy p = shed_policy(model(
      "shed:\n"
      "  {governor: no, block: [203.0.113.0/24], allow: [203.0.113.80/28], bogons: martian, malformed: yes, tcp-flags: yes,\n"
      "   block-protocols: [gre], block-ports: [tcp/23, udp/6000-6063], amplification: [53], icmp: {rate: 5, burst: 6, size: 700},\n"
      "   rates: {source: {rate: 1k, burst: 7, prefix4: 24, prefix6: 48}, destination: {rate: 2k, burst: 8, prefix4: 25, prefix6: 56},\n"
      "           control: {rate: 1, burst: 2}, established: {rate: 3, burst: 4}, new: {rate: 5, burst: 6}, rest: {rate: 7, burst: 8}},\n"
      "   syn: {rate: 9, burst: 10, always: yes, cookies: no}}\n"));
  EXPECT_TRUE(!p.governor && p.check_frames && p.tcp_flags && p.syn_always && !p.syn_cookies);
  EXPECT_EQ(p.bogons, shed::Policy::Bogons::martian);
  EXPECT_EQ(p.lists, (std::vector<shed::ListEntry>{{*parse_prefix("203.0.113.0/24"), SLUICE_ACTION_BLOCK},
                                                   {*parse_prefix("203.0.113.80/28"), SLUICE_ACTION_ALLOW}}));
  EXPECT_EQ(p.block_protocols, std::vector<uint8_t>{47});
  EXPECT_EQ(p.block_ports, (std::vector<shed::PortRange>{{6, 23, 23}, {17, 6000, 6063}}));
  EXPECT_EQ(p.amplifiers, std::vector<uint16_t>{53});
  EXPECT_EQ(p.icmp, (shed::Rate{5, 6}));
  EXPECT_EQ(p.icmp_max, 700u);
  EXPECT_EQ(p.source, (shed::Rate{1000, 7}));
  EXPECT_EQ(p.destination, (shed::Rate{2000, 8}));
  EXPECT_EQ(p.source_bits4, 24);
  EXPECT_EQ(p.source_bits6, 48);
  EXPECT_EQ(p.destination_bits4, 25);
  EXPECT_EQ(p.destination_bits6, 56);
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_CONTROL], (shed::Rate{1, 2}));
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_ESTABLISHED], (shed::Rate{3, 4}));
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_NEW], (shed::Rate{5, 6}));
  EXPECT_EQ(p.class_rate[SLUICE_CLASS_REST], (shed::Rate{7, 8}));
  EXPECT_EQ(p.syn, (shed::Rate{9, 10}));
}

// An answer from 53 or 123 that was asked for is known by its question; where questions may go another way, it is not.
TEST(Amplifiers, DnsAndNtpAreAmongThemWhereTheFilterKeepsUdpSessions) {
  const auto has = [](const std::string& text, uint16_t port) {
    const auto ports = shed_policy(model(text)).amplifiers;
    return std::find(ports.begin(), ports.end(), port) != ports.end();
  };
  const std::string yes = "shed: {amplification: yes}\n", list = "shed: {amplification: [11211]}\n";
  const auto filter = [](const std::string& rule) { return "filter: {rules: [" + rule + "]}\n"; };
  const std::pair<std::string, bool> cases[] = {
      {"", false},
      {filter("{name: a, action: permit}"), true},
      {filter("{name: a, action: permit, protocol: udp}"), true},
      {filter("{name: a, action: permit, protocol: tcp}"), false},
      {filter("{name: a, action: permit, stateful: no}"), false},
      {filter("{name: a, action: deny}"), false},
  };
  for (const auto& [text, with] : cases)
    for (const uint16_t port : {uint16_t{53}, uint16_t{123}}) {
      EXPECT_EQ(has(yes + text, port), with) << text;
      EXPECT_FALSE(has(list + text, port)) << text;
      EXPECT_TRUE(has(list + text, 11211));
    }
}

TEST(ShedPolicy, ClassesAreMultipliedOut) {
  const auto rules = shed_policy(model(
      "shed: {classes: [{class: new, prefixes: [10.0.0.0/8, \"2001:db8::/32\"], protocol: [tcp, udp], ports: [53, 80-90], dscp: ef},\n"
      "                 {class: control}]}\n")).classes;
  ASSERT_EQ(rules.size(), 9u);
  EXPECT_EQ(rules[0], (shed::ClassRule{SLUICE_CLASS_NEW, *parse_prefix("10.0.0.0/8"), 6, shed::PortRange{0, 53, 53}, uint64_t{1} << 46}));
  EXPECT_EQ(rules[7].prefix, *parse_prefix("2001:db8::/32"));
  EXPECT_EQ(rules[7].ports, (shed::PortRange{0, 80, 90}));
  EXPECT_EQ(rules[8], (shed::ClassRule{SLUICE_CLASS_CONTROL, {}, 0, {}, UINT64_MAX}));
}

TEST(ShedServices, AreThoseOfTheBoxesOwnAddressesAlone) {
  const config::Model m = model(
      "services:\n"
      "- {name: all, echo: yes, port: 7}\n"
      "- {name: one, http: {body: x}, port: 80, address: 198.18.2.1, receive-buffer: 60 KiB}\n"
      "tcp: {hop-limit: 9, sack: no, ecn: off}\n");
  const auto s = shed_services(m, {{{}, 1500, false, 0, false}, {{}, 9000, false, 0, false}});
  ASSERT_EQ(s.size(), 4u);
  EXPECT_EQ(s[0].addr, *parse_ip("198.18.1.1"));
  EXPECT_EQ(s[0].mss, 1460);
  EXPECT_EQ(s[0].window_scale, 3) << "of 256 KiB";
  EXPECT_EQ(s[0].hop_limit, 9);
  EXPECT_TRUE(!s[0].sack && !s[0].ecn && s[0].timestamps && s[0].scale);
  EXPECT_EQ(s[1].addr, *parse_ip("2001:db8:1::1"));
  EXPECT_EQ(s[1].mss, 1440);
  EXPECT_EQ(s[2].mss, 8960);
  EXPECT_EQ(s[3].addr, *parse_ip("198.18.2.1"));
  EXPECT_EQ(s[3].port, 80);
  EXPECT_EQ(s[3].window_scale, 0);
}

// ---- the box

class ShedTest : public BoxTest {
 protected:
  void SetUp() override {
    engine::BoxOptions o;
    o.virtual_time = true;
    o.worker_cpus = {0};
    make(o);
    config::Loaded loaded = config::load_text(kText, "t");
    ASSERT_TRUE(loaded.ok()) << config::to_string(loaded.mistakes[0]);
    services = std::make_unique<ServiceControl>(*box);
    auto snapshot = build_snapshot(loaded.model, port_facts(*box), box->snapshot().get(), 1);
    ASSERT_TRUE(snapshot) << snapshot.error();
    box->publish(*snapshot);
    running = std::make_unique<Running>(*box, *services, std::move(loaded), kText, "t", config::Overrides{});
    context.reset(new Context{*box, *running, rates, "test", *services});
    settle();
    introduce_hosts();
    while (!wan->take().empty()) {
    }
  }
  Reply ask(const std::string& method, const json& params) {
    const json request = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}};
    return answer_line(*context, verbs(), request.dump());
  }
  // Waits for an answer that comes later, as the control loop does.
  static json awaited(Reply r) {
    while (r.later)
      if (auto text = r.later()) {
        r = *text;
      } else {
        std::this_thread::yield();
      }
    return json::parse(r.text);
  }
  json answer(const std::string& method, const json& params) { return awaited(ask(method, params)); }
  void level(const json& params) {
    call("shed.level", params);
    settle();  // workers see it in their next turn
  }
  json call(const std::string& method, const json& params = json::object()) {
    const json r = answer(method, params);
    EXPECT_TRUE(r.contains("result")) << r;
    return r.contains("result") ? r["result"] : json();
  }
  std::string error(const std::string& method, const json& params) {
    const json r = answer(method, params);
    EXPECT_TRUE(r.contains("error")) << r;
    return r.contains("error") ? r["error"].dump() : "";
  }
  // Does a datagram from this source come out on the other side?
  bool passes(const char* source) {
    lan->feed(udp(kLanMac, kLanHostMac, ip(source), 4000, kWanHost, 5000));
    settle();
    bool came = false;
    for (Frame f = wan->take(); !f.empty(); f = wan->take()) came |= udp_of(f) != nullptr;
    return came;
  }
  uint64_t dropped(const std::string& reason) {
    for (const json& d : call("drops"))
      if (d["reason"] == reason) return d["packets"];
    return 0;
  }
  std::vector<std::string> listed(const json& params = json::object(), const std::string& list = "block") {
    std::vector<std::string> all;
    const json r = call(list + ".list", params);
    for (const json& e : r["entries"]) all.push_back(e["prefix"]);
    return all;
  }

  std::unique_ptr<ServiceControl> services;
  std::unique_ptr<Running> running;
  Rates rates;
  std::unique_ptr<Context> context;
};

using Names = std::vector<std::string>;

TEST_F(ShedTest, ABlockedSourceIsDroppedAtOnceAndAccountedFor) {
  EXPECT_TRUE(passes("203.0.113.7"));
  const json r = call("block.add", {{"prefix", "203.0.113.0/24"}});
  EXPECT_TRUE(r["ends_in_seconds"].is_null() && r["instead_of"].is_null());
  EXPECT_FALSE(passes("203.0.113.7"));
  EXPECT_TRUE(passes("203.0.114.7"));
  EXPECT_EQ(dropped("shed_block"), 1u);
  EXPECT_TRUE(call("audit")["closed"]) << call("audit");
  call("block.remove", {{"prefix", "203.0.113.0/24"}});
  EXPECT_TRUE(passes("203.0.113.7"));
}

TEST_F(ShedTest, ABlockEndsByItself) {
  EXPECT_EQ(call("block.add", {{"prefix", "203.0.113.7"}, {"for", "1m30s"}})["ends_in_seconds"], 90.0);
  EXPECT_FALSE(passes("203.0.113.7"));
  now = now + Duration::seconds(80);
  settle();
  box->maintain();
  EXPECT_FALSE(passes("203.0.113.7"));
  now = now + Duration::seconds(11);
  settle();
  box->maintain();
  EXPECT_TRUE(passes("203.0.113.7"));
  EXPECT_TRUE(listed().empty());
}

TEST_F(ShedTest, TheLongestPrefixDecidesAndOneActionTakesTheOthersPlace) {
  call("block.add", {{"prefix", "203.0.113.0/24"}});
  call("allow.add", {{"prefix", "203.0.113.80/28"}});
  EXPECT_TRUE(passes("203.0.113.81"));
  EXPECT_FALSE(passes("203.0.113.1"));
  const json f = call("block.find", {{"address", "203.0.113.81"}})["decides"];
  EXPECT_EQ(f["action"], "allow");
  EXPECT_EQ(f["prefix"], "203.0.113.80/28");
  EXPECT_EQ(f["from"], "command");
  EXPECT_TRUE(call("allow.find", {{"address", "8.8.8.8"}})["decides"].is_null());
  EXPECT_EQ(call("block.add", {{"prefix", "203.0.113.80/28"}})["instead_of"]["action"], "allow");
  EXPECT_FALSE(passes("203.0.113.81"));
  EXPECT_TRUE(listed(json::object(), "allow").empty());
}

TEST_F(ShedTest, WhatIsGivenLastForAPrefixReplacesWhatWasGivenBefore) {
  call("config.apply", {{"text", kText + "shed: {allow: [198.51.100.0/24]}\n"}});
  const json file = call("block.add", {{"prefix", "198.51.100.0/24"}})["instead_of"];
  EXPECT_EQ(file["action"], "allow");
  EXPECT_EQ(file["from"], "configuration");
  call("block.add", {{"prefix", "203.0.113.7"}, {"for", "1m"}});
  now = now + Duration::seconds(2);
  settle();
  const json before = call("allow.add", {{"prefix", "203.0.113.7"}, {"for", "3s"}})["instead_of"];
  EXPECT_EQ(before["from"], "command");
  EXPECT_NEAR(before["ends_in_seconds"].get<double>(), 58, 1);
  now = now + Duration::seconds(4);
  settle();
  box->maintain();
  EXPECT_EQ(listed(), Names{"198.51.100.0/24"}) << "the block came back";
  EXPECT_TRUE(listed({{"prefix", "203.0.113.0/24"}}, "allow").empty());
}

TEST_F(ShedTest, TheListHasPagesAndSections) {
  for (const char* p : {"10.2.0.0/16", "10.1.0.0/16", "2001:db8::/32", "10.0.0.0/8", "192.0.2.1"}) call("block.add", {{"prefix", p}});
  call("allow.add", {{"prefix", "10.1.2.0/24"}});
  EXPECT_EQ(listed(), (Names{"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "192.0.2.1/32", "2001:db8::/32"}));
  EXPECT_EQ(listed({{"prefix", "10.1.0.0/16"}}), Names{"10.1.0.0/16"});
  EXPECT_EQ(listed({{"prefix", "10.0.0.0/8"}}), (Names{"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"}));
  EXPECT_EQ(listed({{"prefix", "2001::/16"}}), Names{"2001:db8::/32"});
}

TEST_F(ShedTest, PagesLoseNothingWhileTheListChanges) {
  for (int i = 0; i < 7; i++) call("block.add", {{"prefix", "10.0.0." + std::to_string(i)}});
  json page = call("block.list", {{"limit", 3}});
  EXPECT_EQ(page["total"], 7);
  EXPECT_EQ(page["cursor"], "10.0.0.2/32");
  call("block.remove", {{"prefix", "10.0.0.2"}});
  call("block.add", {{"prefix", "9.0.0.0/8"}});
  page = call("block.list", {{"limit", 3}, {"cursor", page["cursor"]}});
  EXPECT_EQ(page["entries"][0]["prefix"], "10.0.0.3/32");
  page = call("block.list", {{"limit", 3}, {"cursor", page["cursor"]}});
  EXPECT_EQ(page["entries"].size(), 1u);
  EXPECT_TRUE(page["cursor"].is_null());
}

TEST_F(ShedTest, ManyAtOneMoment) {
  call("block.add", {{"prefix", "203.0.113.0/24"}, {"for", "10m"}});
  call("allow.add", {{"prefix", "203.0.113.80/28"}, {"for", "20m"}});
  const json r = call("block.load", {{"text", "198.51.100.0/24\n# x\n2001:db8:bad::/48\n203.0.113.128/25\n"}, {"for", "5m"}});
  EXPECT_EQ(r["loaded"], 3);
  EXPECT_EQ(r["by_command"], 4);
  EXPECT_FALSE(passes("198.51.100.7"));
  EXPECT_FALSE(passes("203.0.113.1"));
  EXPECT_TRUE(passes("203.0.113.81"));
  std::map<std::string, double> ends;
  for (const char* list : {"block", "allow"}) {
    const json all = call(std::string(list) + ".list");
    for (const json& e : all["entries"]) ends[e["prefix"]] = std::round(e["ends_in_seconds"].get<double>());
  }
  EXPECT_EQ(ends, (std::map<std::string, double>{{"198.51.100.0/24", 300}, {"2001:db8:bad::/48", 300}, {"203.0.113.128/25", 300},
                                                 {"203.0.113.0/24", 600}, {"203.0.113.80/28", 1200}})) << "each keeps its own end";
  EXPECT_EQ(call("block.load", {{"text", "192.0.2.1"}, {"replace", true}})["by_command"], 1);
  EXPECT_EQ(listed(), Names{"192.0.2.1/32"});
  EXPECT_EQ(listed(json::object(), "allow"), Names{"203.0.113.80/28"});
  EXPECT_EQ(call("block.clear")["removed"], 1);
  EXPECT_EQ(call("block.clear")["removed"], 0);
  EXPECT_EQ(listed(json::object(), "allow"), Names{"203.0.113.80/28"});
}

TEST_F(ShedTest, AListInPieces) {
  const json first = call("block.load", {{"text", "198.51.100.0/24\n203.0."}, {"more", true}});
  EXPECT_EQ(first["prefixes"], 1);
  EXPECT_TRUE(listed().empty()) << "in force before its end";
  EXPECT_NE(error("block.load", {{"text", "10.0.0.0/8"}}).find("another list is being loaded"), std::string::npos);
  EXPECT_NE(error("allow.load", {{"text", ""}, {"load", first["load"]}}).find("there is no such load"), std::string::npos);
  EXPECT_EQ(call("block.load", {{"text", "113.0/24"}, {"load", first["load"]}})["loaded"], 2);
  EXPECT_EQ(listed(), (Names{"198.51.100.0/24", "203.0.113.0/24"}));
  EXPECT_NE(error("block.load", {{"text", ""}, {"load", first["load"]}}).find("there is no such load"), std::string::npos);
}

std::string many_prefixes(unsigned n) {
  std::string text;
  for (unsigned i = 0; i < n; i++) text += to_string(Ip4::from_host(0x0a000000 + i * 7)) + "\n";
  return text;
}

TEST_F(ShedTest, OthersAreServedWhileALargeListIsBuilt) {
  call("block.add", {{"prefix", "192.0.2.0/24"}});
  Reply load = ask("block.load", {{"text", many_prefixes(30'000)}});
  ASSERT_TRUE(load.later) << load.text;
  // Nobody has asked for the load's answer yet, so it is not in force, however fast the thread was.
  EXPECT_EQ(call("version")["version"], "test");
  EXPECT_EQ(call("block.list")["total"], 1);
  EXPECT_TRUE(passes("10.0.0.7"));
  EXPECT_FALSE(passes("192.0.2.1"));
  call("block.add", {{"prefix", "198.51.100.0/24"}});
  call("block.add", {{"prefix", "2001:db8::/32"}});
  call("block.remove", {{"prefix", "192.0.2.0/24"}});
  EXPECT_FALSE(passes("198.51.100.1")) << "a change in between counts at once";
  EXPECT_TRUE(passes("192.0.2.1"));
  const json r = awaited(load)["result"];
  EXPECT_EQ(r["loaded"], 30'000);
  EXPECT_EQ(r["by_command"], 30'002);
  EXPECT_FALSE(passes("10.0.0.7"));
  EXPECT_FALSE(passes("198.51.100.1")) << "and is not lost";
  EXPECT_TRUE(passes("192.0.2.1"));
  EXPECT_EQ(call("block.find", {{"address", "2001:db8::1"}})["decides"]["action"], "block");
}

TEST_F(ShedTest, ASecondLargeListIsRefusedMeanwhile) {
  Reply load = ask("block.load", {{"text", many_prefixes(30'000)}});
  ASSERT_TRUE(load.later);
  const json r = answer("allow.load", {{"text", "192.0.2.1"}});
  EXPECT_EQ(r["error"]["code"], kBusy);
  EXPECT_NE(r.dump().find("another list is being loaded; try again in a moment"), std::string::npos) << r;
  EXPECT_EQ(awaited(load)["result"]["loaded"], 30'000);
  EXPECT_EQ(call("allow.load", {{"text", "192.0.2.1"}})["loaded"], 1);
}

TEST_F(ShedTest, WhoAskedMayBeGone) {
  {
    Reply load = ask("block.load", {{"text", many_prefixes(30'000)}});
    ASSERT_TRUE(load.later);
  }
  while (call("block.list")["total"] == 0) {
    box->maintain();
    std::this_thread::yield();
  }
  EXPECT_FALSE(passes("10.0.0.7"));
  Reply clear = ask("block.clear", json::object());
  EXPECT_EQ(awaited(clear)["result"]["removed"], 30'000);
  EXPECT_TRUE(passes("10.0.0.7"));
}

TEST_F(ShedTest, AnAbandonedListGivesWay) {
  const json first = call("block.load", {{"text", "198.51.100.0/24\n"}, {"more", true}});
  now = now + Duration::seconds(11);
  settle();
  EXPECT_EQ(call("block.load", {{"text", "10.0.0.0/8"}})["loaded"], 1);
  EXPECT_NE(error("block.load", {{"text", ""}, {"load", first["load"]}}).find("there is no such load"), std::string::npos);
  EXPECT_EQ(listed(), Names{"10.0.0.0/8"});
}

TEST_F(ShedTest, AMistakeInAListChangesNothing) {
  call("block.add", {{"prefix", "192.0.2.1"}});
  const json first = call("block.load", {{"text", "198.51.100.0/24\n"}, {"more", true}, {"name", "feed.txt"}});
  const json r = answer("block.load", {{"text", "\nnonsense\n10.0.0.1/8"}, {"load", first["load"]}, {"name", "feed.txt"}});
  EXPECT_EQ(r["error"]["code"], kConfigError);
  const json& errors = r["error"]["data"]["errors"];
  ASSERT_EQ(errors.size(), 2u) << r;
  EXPECT_EQ(errors[0]["file"], "feed.txt");
  EXPECT_EQ(errors[0]["line"], 3);
  EXPECT_EQ(errors[1]["line"], 4);
  EXPECT_NE(errors[1]["message"].get<std::string>().find("did you mean '10.0.0.0/8'"), std::string::npos);
  EXPECT_NE(error("block.load", {{"text", "# nothing\n"}, {"replace", true}}).find("has no prefixes; block.clear removes all"), std::string::npos);
  EXPECT_EQ(listed(), Names{"192.0.2.1/32"});
}

TEST_F(ShedTest, WhatIsWrongIsSaid) {
  const struct {
    const char* method;
    json params;
    const char* says;
  } cases[] = {
      {"block.add", json::object(), "'prefix': missing"},
      {"block.add", {{"prefix", "203.0.113.0/33"}}, "no address and no prefix"},
      {"block.add", {{"prefix", "203.0.113.1/24"}}, "did you mean '203.0.113.0/24', or the single address '203.0.113.1'?"},
      {"block.add", {{"prefix", "203.0.113.0/24"}, {"for", "10"}}, "has no unit"},
      {"block.add", {{"prefix", "203.0.113.0/24"}, {"for", "0s"}}, "no time at all"},
      {"block.add", {{"prefix", "203.0.113.0/24"}, {"for", ""}}, "expected a time such as"},
      {"block.add", {{"prefix", "203.0.113.0/24"}, {"fro", "1m"}}, "unknown; known are for, prefix"},
      {"block.remove", {{"prefix", "203.0.113.0/24"}}, "203.0.113.0/24 is not blocked by command"},
      {"allow.remove", {{"prefix", "192.0.2.0/24"}}, "but blocked: block.remove ends that"},
      {"block.remove", {{"prefix", "192.0.2.128/25"}}, "what decides about 192.0.2.128 is block 192.0.2.0/24 (command)"},
      {"block.list", {{"limit", 0}}, "from 1 to 10000"},
      {"block.list", {{"cursor", "x"}}, "what the page before answered"},
      {"block.find", {{"address", "192.0.2.0/24"}}, "no IPv4 or IPv6 address"},
      {"block.load", json::object(), "'text': missing"},
      {"shed.status", {{"port", "wna"}}, "ports are lan, wan"},
      {"shed.level", json::object(), "expected auto, off, rest"},
      {"shed.level", {{"level", "769"}}, "a number from 0 to 768"},
      {"shed.level", {{"level", -1}}, "a number from 0 to 768"},
      {"shed.level", {{"level", true}}, "a word or a whole number"},
      {"shed.level", {{"level", "rset"}}, "found 'rset'"},
      {"shed.level", {{"level", "rest"}, {"port", "wna"}}, "ports are lan, wan"},
  };
  call("block.add", {{"prefix", "192.0.2.0/24"}});
  for (const auto& c : cases) EXPECT_NE(error(c.method, c.params).find(c.says), std::string::npos) << c.says << error(c.method, c.params);
  EXPECT_EQ(listed(), Names{"192.0.2.0/24"});
}

TEST_F(ShedTest, AChangeOfTheFileIsLiveAndLeavesCommandsAlone) {
  call("block.add", {{"prefix", "192.0.2.0/24"}});
  const json r = call("config.apply", {{"text", kText + "shed: {block: [203.0.113.0/24], block-ports: [udp/5000]}\n"}});
  EXPECT_NE(r["summary"].get<std::string>().find("block and allow lists, shed"), std::string::npos) << r;
  EXPECT_EQ(listed(), (Names{"192.0.2.0/24", "203.0.113.0/24"}));
  EXPECT_FALSE(passes("203.0.114.7"));
  EXPECT_EQ(dropped("shed_port"), 1u);
  EXPECT_NE(error("block.remove", {{"prefix", "203.0.113.0/24"}}).find("take it out of shed.block"), std::string::npos);
  EXPECT_EQ(call("config.apply", {{"text", kText + "shed: {block: [203.0.113.0/24]}\n"}})["summary"], "new: shed");
  EXPECT_TRUE(passes("203.0.114.7"));
  call("config.apply", {{"text", kText}});
  EXPECT_EQ(listed(), Names{"192.0.2.0/24"});
  EXPECT_TRUE(passes("203.0.113.7"));
}

TEST_F(ShedTest, AChangeThatEarlyDropRefusesChangesNothing) {
  std::string lengths;
  for (int len = 16; len < 16 + 33; len++) lengths += (lengths.empty() ? "\"2000::/" : ", \"2000::/") + std::to_string(len) + "\"";
  const uint64_t snapshot = box->snapshot()->id;
  const std::string e = error("config.apply", {{"text", kText + "routes: [{to: 10.0.0.0/8, blackhole: yes}]\nshed: {tcp-flags: yes, block: [" +
                                                            lengths + "]}\n"}});
  EXPECT_NE(e.find("lengths"), std::string::npos) << e;
  EXPECT_EQ(box->snapshot()->id, snapshot);
  EXPECT_EQ(box->shed().policy(), shed::Policy());
  EXPECT_EQ(running->model().shed, config::Shed());
  EXPECT_TRUE(listed().empty());
}

TEST_F(ShedTest, TheLevelByHandShedsTheRestAndSaysSo) {
  EXPECT_EQ(call("shed.level", {{"level", "rest"}})["level"], 256);
  settle();
  EXPECT_FALSE(passes("203.0.113.7"));
  EXPECT_EQ(dropped("shed_overload"), 1u);
  json q = call("shed.status")["ports"][0]["queues"][0];
  EXPECT_EQ(q["level"], 256);
  EXPECT_EQ(q["by"], "hand");
  EXPECT_EQ(q["sheds"], "the rest");
  EXPECT_NE(call("events").back()["text"].get<std::string>().find("by hand on all ports"), std::string::npos);
  level({{"level", "auto"}});
  EXPECT_EQ(call("status")["recent_warnings"].back(), "shed level by load on all ports, by hand no longer");
  EXPECT_TRUE(passes("203.0.113.7"));
  EXPECT_EQ(call("shed.status")["ports"][0]["queues"][0]["by"], "load");
  level({{"level", 256}, {"port", "wan"}});
  EXPECT_TRUE(passes("203.0.113.7"));
  EXPECT_EQ(call("shed.status")["ports"][1]["queues"][0]["level"], 256);
}

TEST_F(ShedTest, EveryLevelThatIsNamedIsTaken) {
  for (const auto& [word, level] : {std::pair{"auto", json("auto")}, {"off", json(0)}, {"rest", json(256)}, {"new", json(512)},
                                    {"established", json(768)}, {"max", json(768)}, {"768", json(768)}}) {
    EXPECT_NE(std::string(kShedLevels).find(word), std::string::npos) << word;
    EXPECT_EQ(call("shed.level", {{"level", word}})["level"], level);
  }
  EXPECT_NE(call("methods").dump().find(kShedLevels), std::string::npos);
}

TEST_F(ShedTest, StatusAndMetrics) {
  call("config.apply", {{"text", kText + "shed: {bogons: martian, allow: [192.0.2.0/24]}\n"}});
  call("block.add", {{"prefix", "203.0.113.0/24"}});
  passes("203.0.113.7");
  const json s = call("shed.status");
  EXPECT_EQ(s["block"], (json{{"by_command", 1}, {"by_configuration", 0}}));
  EXPECT_EQ(s["allow"], (json{{"by_command", 0}, {"by_configuration", 1}}));
  EXPECT_GT(s["bogons"], 0);
  EXPECT_EQ(s["governor"], true);
  EXPECT_EQ(s["hints"]["false_seen"], 0);
  const json one = call("shed.status", {{"port", "wan"}})["ports"];
  EXPECT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["port"], "wan");
  const json& port = s["ports"][0];
  EXPECT_EQ(port["verdict"], "worker");
  EXPECT_TRUE(port["law"].is_null());
  bool seen = false;
  for (const json& f : port["frames"]) seen |= f["outcome"] == "block" && f["frames"] == 1;
  EXPECT_TRUE(seen) << port;
  const std::string m = metrics_text(*context);
  EXPECT_NE(m.find("sluice_early_frames_total{port=\"lan\",outcome=\"block\","), std::string::npos) << m;
  EXPECT_NE(m.find("sluice_shed_level{port=\"lan\",queue=\"0\"} 0\n"), std::string::npos);
  EXPECT_NE(m.find("sluice_shed_prefixes{list=\"block\",from=\"command\"} 1\n"), std::string::npos);
  EXPECT_NE(m.find("sluice_drops_total{port=\"lan\",reason=\"shed_block\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
