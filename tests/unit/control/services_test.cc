// Services and TCP as the control socket shows and changes them: a whole box in virtual time, a peer of hand-made
// segments, verbs called by their lines.
#include "control/services.h"

#include "control/access_log.h"
#include "control/commands.h"
#include "control/metrics.h"
#include "control/snapshot_build.h"
#include "control/tcp_answers.h"
#include "sluice/control.h"
#include "tests/unit/eal_env.h"
#include "tests/unit/engine/box_fixture.h"
#include "tests/unit/engine/tcp_frames.h"

namespace sluice::control {
namespace {

using namespace sluice::test;

constexpr uint8_t kSyn = wire::kTcpSyn, kAck = wire::kTcpAck, kFin = wire::kTcpFin, kRst = wire::kTcpRst;

const std::string kText =
    "version: 1\n"
    "ports:\n"
    "  lan: {device: v0, driver: af_xdp, addresses: [198.18.1.1/24]}\n"
    "  wan: {device: v1, driver: af_xdp, addresses: [198.18.2.1/24]}\n"
    "neighbors: {static: [{port: lan, address: 198.18.1.10, mac: \"02:00:00:00:00:10\"}]}\n"
    "services:\n"
    "- {name: echo, echo: yes, port: 7}\n"
    "- {name: web, http: {body: hello, metrics: yes}, port: 80, access-log: yes}\n"
    "- {name: front, proxy: {backends: [198.18.2.10:80]}, port: 8080}\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

class ServicesTest : public BoxTest {
 protected:
  void SetUp() override {
    engine::BoxOptions o;
    o.virtual_time = true;
    o.worker_cpus = {0};
    make(o);
    config::Loaded loaded = config::load_text(kText, "t");
    ASSERT_TRUE(loaded.ok()) << config::to_string(loaded.mistakes[0]);
    auto snapshot = build_snapshot(loaded.model, port_facts(*box), box->snapshot().get(), 1);
    ASSERT_TRUE(snapshot) << snapshot.error();
    services = std::make_unique<ServiceControl>(*box);
    auto prepared = services->prepare(loaded.model);
    ASSERT_TRUE(prepared) << prepared.error();
    box->publish(*snapshot);
    services->commit(std::move(*prepared));
    running = std::make_unique<Running>(*box, *services, std::move(loaded), kText, "t", config::Overrides{});
    context.reset(new Context{*box, *running, rates, "test", *services});
    turn();
    introduce_hosts();
    while (!lan->take().empty()) {
    }
  }
  // The box until it rests, and the control loop's upkeep.
  void turn() {
    settle();
    services->maintain();
    settle();
    services->maintain();
  }
  json answer(const std::string& method, const json& params) {
    const json request = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}};
    return json::parse(answer_line(*context, verbs(), request.dump()).text);
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
  json service(const std::string& name) {
    for (const json& s : call("services"))
      if (s["name"] == name && !s["draining"].get<bool>()) return s;
    return nullptr;
  }

  std::optional<Segment> next() {
    for (Frame f = lan->take(); !f.empty(); f = lan->take())
      if (auto s = segment_of(f)) return s;
    return std::nullopt;
  }
  void feed(const Segment& s) {
    lan->feed(tcp_frame(kLanMac, kLanHostMac, s));
    turn();
  }
  Segment reply(const Segment& to, uint8_t flags, const std::string& data = "") {
    Segment s{.src = to.dst, .dst = to.src, .sport = to.dport, .dport = to.sport, .seq = to.ack, .flags = flags,
              .data = Frame(data.begin(), data.end())};
    s.ack = to.seq + static_cast<uint32_t>(to.data.size()) + to.has(kSyn) + to.has(kFin);
    return s;
  }
  // Opens a connection; the peer's last segment.
  Segment open(uint16_t port, uint16_t to = 7) {
    feed({.src = kLanHost, .dst = kLanBox, .sport = port, .dport = to, .seq = 1000, .flags = kSyn});
    const auto syn_ack = next();
    EXPECT_TRUE(syn_ack && syn_ack->has(kSyn)) << "no SYN-ACK";
    const Segment ack = syn_ack ? reply(*syn_ack, kAck) : Segment{};
    feed(ack);
    return ack;
  }

  std::unique_ptr<ServiceControl> services;  // outlives the box, which TearDown() stops
  std::unique_ptr<Running> running;
  Rates rates;
  std::unique_ptr<Context> context;
};

TEST(TcpNames, ThereAndBack) {
  const ConnName n{2, {17, 3}};
  EXPECT_EQ(to_string(n), "2.17.3");
  EXPECT_EQ(parse_conn_name("2.17.3"), n);
  for (const char* bad : {"", "1", "1.2", "1.2.", ".1.2", "1.2.3.4", "a.1.2", "-1.2.3", "1.2.99999999999"})
    EXPECT_FALSE(parse_conn_name(bad)) << bad;
  for (const char* good : {"192.0.2.1:80", "[2001:db8::1]:65535"}) {
    const auto a = parse_address_port(good);
    ASSERT_TRUE(a) << good;
    EXPECT_EQ(to_string(*a), good);
  }
  for (const char* bad : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:70000", "2001:db8::1:80", "[192.0.2.1]:80", "host:80", ":80"})
    EXPECT_FALSE(parse_address_port(bad)) << bad;
}

TEST_F(ServicesTest, AConnectionIsListedFilteredAndShown) {
  EXPECT_TRUE(call("tcp.list")["connections"].empty());
  open(40001);
  open(40002);
  open(40003, 80);
  const json all = call("tcp.list");
  ASSERT_EQ(all["connections"].size(), 3u) << all;
  EXPECT_TRUE(all["cursor"].is_null());
  EXPECT_EQ(all["stacks"][0]["connections"], 3);
  const json& one = all["connections"][0];
  EXPECT_EQ(one["state"], "ESTABLISHED");
  EXPECT_EQ(one["local"], "198.18.1.1:7");
  EXPECT_EQ(one["remote"], "198.18.1.10:40001");
  EXPECT_EQ(one["service"], "echo");

  const auto rows = [&](const json& params) { return call("tcp.list", params)["connections"].size(); };
  EXPECT_EQ(rows({{"service", "web"}}), 1u);
  EXPECT_EQ(rows({{"service", "front"}}), 0u);
  EXPECT_EQ(rows({{"port", 40002}}), 1u);
  EXPECT_EQ(rows({{"state", "established"}}), 3u);
  EXPECT_EQ(rows({{"state", "TIME_WAIT"}}), 0u);
  EXPECT_EQ(rows({{"remote", "198.18.1.0/24"}, {"local", "198.18.1.1"}}), 3u);
  EXPECT_EQ(rows({{"remote", "192.0.2.0/24"}}), 0u);

  const json full = call("tcp.show", {{"id", one["id"]}});
  EXPECT_EQ(full["remote"], one["remote"]);
  EXPECT_EQ(full["send"]["snd_una"], full["send"]["snd_nxt"]);
  EXPECT_EQ(full["receive"]["rcv_nxt"], 1001);
  EXPECT_EQ(full["congestion"]["control"], "cubic");
  EXPECT_EQ(call("tcp.show", {{"remote", "198.18.1.10:40001"}})["id"], one["id"]);
}

TEST_F(ServicesTest, TheCursorGoesOnWhereTheLimitEnded) {
  for (uint16_t p = 1; p <= 5; p++) open(p);
  std::vector<std::string> seen;
  json cursor = 0;
  for (int calls = 0; !cursor.is_null(); calls++) {
    ASSERT_LT(calls, 5);
    const json part = call("tcp.list", {{"limit", 2}, {"cursor", cursor}});
    EXPECT_LE(part["connections"].size(), 2u);
    for (const json& c : part["connections"]) seen.push_back(c["remote"]);
    cursor = part["cursor"];
  }
  ASSERT_EQ(seen.size(), 5u);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST_F(ServicesTest, WhatIsWrongIsSaid) {
  EXPECT_NE(error("tcp.list", {{"state", "open"}}).find("states are SYN-SENT"), std::string::npos);
  EXPECT_NE(error("tcp.list", {{"service", "wbe"}}).find("services are echo, web, front"), std::string::npos);
  EXPECT_NE(error("tcp.list", {{"remote", "x"}}).find("no address and no prefix"), std::string::npos);
  EXPECT_NE(error("tcp.show", json::object()).find("either id, or remote"), std::string::npos);
  EXPECT_NE(error("tcp.show", {{"id", "x"}}).find("is no connection"), std::string::npos);
  EXPECT_NE(error("tcp.show", {{"id", "9.1.1"}}).find("is no connection"), std::string::npos);
  EXPECT_NE(error("tcp.show", {{"id", "0.1.1"}}).find("is gone"), std::string::npos);
  EXPECT_NE(error("tcp.abort", {{"remote", "192.0.2.1"}}).find("no ADDRESS:PORT"), std::string::npos);
  EXPECT_NE(error("tcp.abort", {{"remote", "192.0.2.1:1"}}).find("tcp.abort: no connection with"), std::string::npos);
  EXPECT_NE(error("tcp.close", {{"idd", "0.1.1"}}).find("unknown"), std::string::npos);
}

TEST_F(ServicesTest, SeveralConnectionsOfOnePeerPortNeedAnId) {
  open(40001, 7);
  open(40001, 80);
  EXPECT_NE(error("tcp.show", {{"remote", "198.18.1.10:40001"}}).find("several connections"), std::string::npos);
}

TEST_F(ServicesTest, AbortResetsAndTheServiceHearsOfIt) {
  open(40001);
  EXPECT_EQ(service("echo")["connections"], 1);
  call("tcp.abort", {{"remote", "198.18.1.10:40001"}});
  turn();
  const auto rst = next();
  ASSERT_TRUE(rst);
  EXPECT_TRUE(rst->has(kRst));
  EXPECT_EQ(service("echo")["connections"], 0);
  EXPECT_TRUE(call("tcp.list")["connections"].empty());
}

TEST_F(ServicesTest, CloseEndsOurSideAlone) {
  open(40001);
  call("tcp.close", {{"remote", "198.18.1.10:40001"}});
  turn();
  const auto fin = next();
  ASSERT_TRUE(fin);
  EXPECT_TRUE(fin->has(kFin));
  EXPECT_NE(error("tcp.close", {{"remote", "198.18.1.10:40001"}}).find("closing already"), std::string::npos);
  feed(reply(*fin, kAck));
  EXPECT_EQ(call("tcp.list")["connections"][0]["state"], "FIN-WAIT-2");
  feed(reply(*fin, kAck | kFin));
  EXPECT_EQ(service("echo")["connections"], 0);
}

TEST_F(ServicesTest, Counters) {
  open(40001);
  const auto count = [](const json& list, const std::string& name) {
    for (const json& c : list)
      if (c["name"] == name) return c["value"].get<int64_t>();
    return int64_t{-1};
  };
  const json all = call("tcp.counters"), some = call("tcp.counters", {{"nonzero", true}});
  EXPECT_EQ(count(all, "passive_opens"), 1);
  EXPECT_EQ(count(all, "user_timeouts"), 0);
  EXPECT_EQ(count(some, "passive_opens"), 1);
  EXPECT_EQ(count(some, "user_timeouts"), -1);
  for (const json& c : all) EXPECT_FALSE(c["text"].get<std::string>().empty());
}

TEST_F(ServicesTest, ServicesAreShown) {
  const Segment last = open(40001, 80);
  Segment get = last;
  const std::string text = "GET /x\" HTTP/1.1\r\nHost: a\r\n\r\n";
  get.flags = kAck | wire::kTcpPsh;
  get.data.assign(text.begin(), text.end());
  feed(get);
  const json web = service("web"), front = service("front");
  EXPECT_EQ(web["kind"], "http");
  EXPECT_EQ(web["listen"], json({"any:80"}));
  EXPECT_EQ(web["requests"], 1);
  EXPECT_EQ(web["connections"], 1);
  EXPECT_EQ(web["bytes_in"], text.size());
  ASSERT_EQ(front["backends"].size(), 1u);
  EXPECT_EQ(front["backends"][0]["address"], "198.18.2.10:80");
  EXPECT_EQ(front["backends"][0]["up"], true);

  const std::string metrics = metrics_text(*context);
  EXPECT_NE(metrics.find("sluice_service_requests_total{service=\"web\"} 1\n"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("sluice_tcp_passive_opens_total 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("sluice_backend_up{service=\"front\",backend=\"198.18.2.10:80\"} 1\n"), std::string::npos);
  EXPECT_TRUE(metrics_wanted(running->model()));
}

TEST_F(ServicesTest, AChangeTouchesOnlyWhatItNames) {
  const Segment last = open(40001);
  open(40002, 80);
  const uint16_t before = services->set().views()[0].number;
  const json r = call("config.apply", {{"text", replaced(kText, "body: hello", "body: bye")}});
  EXPECT_NE(r["summary"].get<std::string>().find("services"), std::string::npos);
  turn();
  EXPECT_EQ(services->set().views()[0].number, before) << "echo was replaced, though nothing of it changed";
  EXPECT_EQ(service("echo")["connections"], 1);
  Segment data = last;
  data.flags = kAck | wire::kTcpPsh;
  data.data = {'x'};
  feed(data);
  std::optional<Segment> back;
  while (auto s = next())
    if (s->dport == 40001 && !s->data.empty()) back = s;
  ASSERT_TRUE(back);
  EXPECT_EQ(back->data, Frame{'x'});
}

TEST_F(ServicesTest, AFailedChangeChangesNothing) {
  open(40001);
  const auto numbers = [&] {
    std::vector<uint16_t> n;
    for (const auto& v : services->set().views()) n.push_back(v.number);
    return n;
  };
  const auto before = numbers();
  const std::pair<std::string, std::string> changes[] = {{"echo: yes", "ehco: yes"}, {"port: 80,", "port: 7,"},
                                                         {"body: hello", "files: /nonexistent"},
                                                         {"services:", "tcp: {sack: no}\nservices:"}};
  for (const auto& [from, to] : changes)
    EXPECT_FALSE(error("config.apply", {{"text", replaced(kText, from, to)}}).empty());
  EXPECT_NE(error("config.apply", {{"text", replaced(kText, "services:", "tcp: {sack: no}\nservices:")}}).find("tcp.sack"),
            std::string::npos);
  turn();
  EXPECT_EQ(numbers(), before);
  EXPECT_EQ(service("echo")["connections"], 1);
  EXPECT_NE(call("config.apply", {{"text", kText}})["summary"], json("new: services"));
  EXPECT_EQ(numbers(), before);
}

TEST_F(ServicesTest, ARemovedServiceStopsListening) {
  call("config.apply", {{"text", replaced(kText, "- {name: echo, echo: yes, port: 7}\n", "")}});
  turn();
  EXPECT_TRUE(service("echo").is_null());
  feed({.src = kLanHost, .dst = kLanBox, .sport = 40001, .dport = 7, .seq = 1000, .flags = kSyn});
  const auto answer = next();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->has(kRst));
}

TEST_F(ServicesTest, AccessRecordsHaveAListOfTheirOwn) {
  Segment get = open(40001, 80);
  const std::string text = "GET /\x01\"\xff HTTP/1.1\r\nHost: a\r\n\r\n";
  get.flags = kAck | wire::kTcpPsh;
  get.data.assign(text.begin(), text.end());
  feed(get);
  for (const std::string& line : services->access_log()) context->log_access(line);
  EXPECT_TRUE(call("events").empty());
  const json access = call("events", {{"access", true}});
  ASSERT_EQ(access.size(), 1u) << access;
  EXPECT_EQ(access[0]["text"].get<std::string>().find("web: 198.18.1.10:40001 \""), 0u) << access;
}

TEST(AccessLog, AClientsBytesCannotMoveATerminal) {
  apps::LogRecord r;
  r.kind = apps::LogRecord::Kind::request;
  r.status = 200;
  const std::string target = "/a\x1b[2J\n\"\\b";
  std::copy(target.begin(), target.end(), r.target);
  const std::string s = sentence(r, "web");
  EXPECT_NE(s.find("\"/a\\x1b[2J\\x0a\\x22\\x5cb\" 200"), std::string::npos) << s;
}

}  // namespace
}  // namespace sluice::control
