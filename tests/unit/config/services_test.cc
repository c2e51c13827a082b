// Services and the tcp section: what a sound file becomes, and each mistake at its place.
#include <algorithm>
#include <filesystem>

#include "support.h"

namespace sluice::config {
namespace {

Model sound(const std::string& text, const Overrides& set = {}) {
  const Loaded l = load_text(kPorts + text, "t", set);
  EXPECT_EQ(all(l), "");
  return l.model;
}

TEST(Services, DefaultsAreThoseOfTheStack) {
  const Model m = sound("");
  EXPECT_TRUE(m.services.empty());
  EXPECT_FALSE(m.tcp.newreno);
  EXPECT_EQ(m.tcp.ecn, Tcp::Ecn::accept);
  EXPECT_EQ(m.tcp.connections, 65536u);
  EXPECT_EQ(m.tcp.give_up, Duration::seconds(924));
}

TEST(Services, TheSimpleOnes) {
  const Model m = sound(
      "services:\n"
      "- {name: e, echo: yes, port: 7}\n"
      "- {name: d, discard: {idle-timeout: 5m, udp: yes}, port: 9, address: 192.0.2.1, max-connections: 10}\n"
      "- {name: c, chargen: yes, port: 19, address: [192.0.2.1, \"2001:db8:2::1\"], access-log: yes,\n"
      "   receive-buffer: 64 KiB, send-buffer: 1 MiB}\n");
  ASSERT_EQ(m.services.size(), 3u);
  EXPECT_EQ(m.services[0].kind, ServiceKind::echo);
  EXPECT_EQ(m.services[0].port, 7);
  EXPECT_TRUE(m.services[0].addresses.empty());
  EXPECT_EQ(m.services[1].kind, ServiceKind::discard);
  EXPECT_EQ(m.services[1].addresses, std::vector<IpAddr>{*parse_ip("192.0.2.1")});
  EXPECT_EQ(m.services[1].max_connections, 10u);
  EXPECT_EQ(m.services[2].kind, ServiceKind::chargen);
  EXPECT_EQ(m.services[2].addresses.size(), 2u);
  EXPECT_EQ(m.services[2].receive_buffer, 65536u);
  EXPECT_EQ(m.services[2].send_buffer, 1u << 20);
  EXPECT_TRUE(m.services[2].access_log);
  EXPECT_EQ(m.services[1].simple.idle_timeout, Duration::seconds(300));
  EXPECT_TRUE(m.services[1].simple.udp);
  EXPECT_FALSE(m.services[0].simple.udp);
  EXPECT_EQ(m.services[0].max_connections, 16384u);
}

TEST(Services, Http) {
  const Model m = sound(
      "services:\n"
      "- name: w\n"
      "  port: 80\n"
      "  http: {files: /srv/www, max-files: 1 GiB, metrics: yes, healthz: yes, max-head: 4 KiB, max-body: 2 MiB,\n"
      "         keep-alive-timeout: 7s, request-timeout: 3s, send-timeout: 4s}\n"
      "- {name: b, port: 81, http: {body: \"a\\n\", content-type: text/html}}\n"
      "- {name: empty, port: 82, http: {body: \"\"}}\n");
  const HttpService& w = m.services[0].http;
  EXPECT_EQ(m.services[0].kind, ServiceKind::http);
  EXPECT_EQ(w.files, "/srv/www");
  EXPECT_EQ(w.max_files, 1u << 30);
  EXPECT_TRUE(w.metrics && w.healthz);
  EXPECT_EQ(w.max_head, 4096u);
  EXPECT_EQ(w.max_body, 2u << 20);
  EXPECT_EQ(w.keep_alive_timeout, Duration::seconds(7));
  EXPECT_EQ(w.send_timeout, Duration::seconds(4));
  EXPECT_EQ(w.request_timeout, Duration::seconds(3));
  EXPECT_FALSE(w.body.has_value());
  EXPECT_EQ(m.services[1].http.body, "a\n");
  EXPECT_EQ(m.services[1].http.content_type, "text/html");
  EXPECT_EQ(m.services[2].http.body, "");
}

TEST(Services, Proxy) {
  const Model m = sound(
      "services:\n"
      "- name: p\n"
      "  port: 80\n"
      "  proxy:\n"
      "    backends: [192.0.2.10:8080, \"[2001:db8:2::10]:81\", {address: 192.0.2.11, port: 82}]\n"
      "    balance: least-connections\n"
      "    health: {http: /ok, host: a.example, interval: 5s, timeout: 2s, rise: 1, fall: 4, expect: 200-204}\n"
      "    proxy-protocol: v2\n"
      "    connect-timeout: 1s\n"
      "    idle-timeout: 1m\n"
      "    attempts: 5\n"
      "    without-backend: close\n"
      "- {name: q, port: 81, proxy: {backends: [192.0.2.10:81], health: {tcp: yes}}}\n"
      "- {name: r, port: 82, proxy: {backends: [192.0.2.10:82], health: {http: /, expect: 204}}}\n");
  const ProxyService& p = m.services[0].proxy;
  EXPECT_EQ(m.services[0].kind, ServiceKind::proxy);
  ASSERT_EQ(p.backends.size(), 3u);
  EXPECT_EQ(p.backends[0], (Backend{*parse_ip("192.0.2.10"), 8080}));
  EXPECT_EQ(p.backends[1], (Backend{*parse_ip("2001:db8:2::10"), 81}));
  EXPECT_EQ(p.backends[2], (Backend{*parse_ip("192.0.2.11"), 82}));
  EXPECT_TRUE(p.least_connections && p.send_proxy_v2);
  EXPECT_EQ(p.health.kind, HealthCheck::Kind::http);
  EXPECT_EQ(p.health.path, "/ok");
  EXPECT_EQ(p.health.host, "a.example");
  EXPECT_EQ(p.attempts, 5u);
  EXPECT_FALSE(p.reset_without_backend);
  EXPECT_EQ(p.health.interval, Duration::seconds(5));
  EXPECT_EQ(p.health.timeout, Duration::seconds(2));
  EXPECT_EQ(p.health.rise, 1u);
  EXPECT_EQ(p.health.fall, 4u);
  EXPECT_EQ(p.health.expect_low, 200);
  EXPECT_EQ(p.health.expect_high, 204);
  EXPECT_EQ(p.connect_timeout, Duration::seconds(1));
  EXPECT_EQ(p.idle_timeout, Duration::seconds(60));
  EXPECT_EQ(m.services[1].proxy.health.kind, HealthCheck::Kind::tcp);
  EXPECT_FALSE(m.services[1].proxy.least_connections || m.services[1].proxy.send_proxy_v2);
  EXPECT_EQ(m.services[2].proxy.health.expect_low, 204);
  EXPECT_EQ(m.services[2].proxy.health.expect_high, 204);
}

TEST(Services, ShareAPortOnlyAsOneOfAllAddressesAndOneOfSingleOnes) {
  sound(
      "services:\n"
      "- {name: all, echo: yes, port: 7}\n"
      "- {name: one, discard: yes, port: 7, address: 192.0.2.1}\n"
      "- {name: two, discard: yes, port: 7, address: 198.51.100.1}\n");
}

TEST(Services, TcpKeys) {
  const Tcp t =
      sound(
          "tcp:\n"
          "  {congestion-control: newreno, ecn: request, sack: no, timestamps: no, window-scaling: no, nagle: no,\n"
          "   initial-window: 3, hop-limit: 9, receive-buffer: 60 KiB, send-buffer: 2 MiB, rto: {initial: 2s,\n"
          "   min: 100ms, max: 30s}, syn-retries: 2, syn-ack-retries: 3, give-up: 100s, delayed-ack: 20ms,\n"
          "   time-wait: 10s, fin-wait-2: 11s, keepalive: {idle: 60s, interval: 5s, probes: 4},\n"
          "   mtu-probe-floor: 1280, limits: {connections: 1000, half-open: 100, cookie-mark: 10, time-wait: 500,\n"
          "   out-of-order: 64, chunks: 2048, records: 4096, challenge-acks-per-second: 7, resets-per-second: 8}}\n")
          .tcp;
  EXPECT_TRUE(t.newreno);
  EXPECT_EQ(t.ecn, Tcp::Ecn::request);
  EXPECT_FALSE(t.sack || t.timestamps || t.window_scaling || t.nagle);
  EXPECT_EQ(t.initial_window, 3u);
  EXPECT_EQ(t.hop_limit, 9u);
  EXPECT_EQ(t.receive_buffer, 60u * 1024);
  EXPECT_EQ(t.send_buffer, 2u << 20);
  EXPECT_EQ(t.rto_initial, Duration::seconds(2));
  EXPECT_EQ(t.rto_min, Duration::millis(100));
  EXPECT_EQ(t.rto_max, Duration::seconds(30));
  EXPECT_EQ(t.syn_retries, 2u);
  EXPECT_EQ(t.syn_ack_retries, 3u);
  EXPECT_EQ(t.give_up, Duration::seconds(100));
  EXPECT_EQ(t.delayed_ack, Duration::millis(20));
  EXPECT_EQ(t.time_wait, Duration::seconds(10));
  EXPECT_EQ(t.fin_wait_2, Duration::seconds(11));
  EXPECT_EQ(t.keepalive_idle, Duration::seconds(60));
  EXPECT_EQ(t.keepalive_interval, Duration::seconds(5));
  EXPECT_EQ(t.keepalive_probes, 4u);
  EXPECT_EQ(t.mtu_probe_floor, 1280u);
  EXPECT_EQ(t.connections, 1000u);
  EXPECT_EQ(t.half_open, 100u);
  EXPECT_EQ(t.cookie_mark, 10u);
  EXPECT_EQ(t.time_waits, 500u);
  EXPECT_EQ(t.out_of_order, 64u);
  EXPECT_EQ(t.chunks, 2048u);
  EXPECT_EQ(t.records, 4096u);
  EXPECT_EQ(t.challenge_acks_per_second, 7u);
  EXPECT_EQ(t.resets_per_second, 8u);
}

TEST(Services, SeveralStackEngines) {
  EXPECT_EQ(sound("system: {stack: [1, 2]}\n").system.stacks, (std::vector<unsigned>{1, 2}));
}

TEST(Services, OverridesReachThem) {
  const Model m = sound("services: [{name: e, echo: yes, port: 7}]\n",
                        {{"services[0].port", "4007"},
                         {"services[1]", "{name: w, http: {body: x}, port: 80}"},
                         {"tcp.limits.connections", "40000"}});
  EXPECT_EQ(m.services[0].port, 4007);
  EXPECT_EQ(m.services[1].name, "w");
  EXPECT_EQ(m.tcp.connections, 40000u);
}

struct Case {
  const char* text;  // with ^ where the mistake is, behind kPorts
  const char* path;
  const char* says;
};

// The list items of `services`; a second line of them may stand before the one that is wrong.
const Case kServiceCases[] = {
    {"^{echo: yes, port: 7}", "services[0]", "'name' is missing"},
    {"^{name: e, echo: yes}", "services[0]", "'port' is missing"},
    {"^{name: e, port: 7}", "services[0]", "echo, discard, chargen, http or proxy"},
    {"{name: e, ehco: yes, port: 7}", "services[0].ehco", "did you mean 'echo'?"},
    {"{name: ^7, echo: yes, port: 7}", "services[0].name", "a letter first"},
    {"{name: e, echo: ^no, port: 7}", "services[0].echo", "expected yes"},
    {"{name: e, echo: ^[], port: 7}", "services[0].echo", "yes, or a map"},
    {"{name: e, echo: ^maybe, port: 7}", "services[0].echo", "yes or no"},
    {"{name: e, echo: {upd: yes}, port: 7}", "services[0].echo.upd", "did you mean 'udp'?"},
    {"{name: e, echo: {idle-timeout: ^0s}, port: 7}", "services[0].echo.idle-timeout", "from 1s"},
    {"{name: e, echo: yes, discard: ^yes, port: 7}", "services[0].discard", "is echo already"},
    {"{name: e, echo: yes, port: ^0}", "services[0].port", "from 1 to 65535"},
    {"{name: e, echo: yes, port: ^70000}", "services[0].port", "from 1 to 65535"},
    {"{name: e, echo: yes, port: 7, address: ^192.0.2.9}", "services[0].address", "its ports have 192.0.2.1, 2001:db8:1::1"},
    {"{name: e, echo: yes, port: 7, address: [192.0.2.1, ^192.0.2.9]}", "services[0].address[1]", "not an address of the box"},
    {"{name: e, echo: yes, port: 7, address: [192.0.2.1, ^192.0.2.1]}", "services[0].address[1]", "given twice"},
    {"{name: e, echo: yes, port: 7, address: ^192.0.2.1/24}", "services[0].address", "without a length"},
    {"{name: e, echo: yes, port: 7, max-connections: ^many}", "services[0].max-connections", "a number from 1"},
    {"{name: e, echo: yes, port: 7, send-buffer: ^1}", "services[0].send-buffer", "with its unit"},
    {"{name: e, echo: yes, port: 7, access-log: ^file}", "services[0].access-log", "yes or no"},
    {"{name: e, echo: yes, port: 7}, {name: ^e, echo: yes, port: 8}", "services[1].name", "taken by services[0]"},
    {"{name: e, echo: yes, port: 7}, {name: f, echo: yes, port: ^7}", "services[1].port", "'e' listens on that port of all"},
    {"{name: e, echo: yes, port: 7, address: 192.0.2.1}, {name: f, echo: yes, port: ^7, address: 192.0.2.1}",
     "services[1].port", "'e' listens on 192.0.2.1:7 already"},
    {"{name: w, port: 80, http: ^{}}", "services[0].http", "body, files, metrics or healthz"},
    {"{name: w, port: 80, http: ^yes}", "services[0].http", "expected a map"},
    {"{name: w, port: 80, http: {bdoy: x}}", "services[0].http.bdoy", "did you mean 'body'?"},
    {"{name: w, port: 80, http: {metrics: ^/metrics}}", "services[0].http.metrics", "yes or no"},
    {"{name: w, port: 80, http: {body: x, content-type: ^\"a\\r\\nb\"}}", "services[0].http.content-type", "media type"},
    {"{name: w, port: 80, http: {files: /x, max-files: ^1}}", "services[0].http.max-files", "with its unit"},
    {"{name: w, port: 80, http: {body: x, max-head: ^2 MiB}}", "services[0].http.max-head", "to 1 MiB"},
    {"{name: w, port: 80, http: {body: x, keep-alive-timeout: ^5}}", "services[0].http.keep-alive-timeout", "did you mean '5s'?"},
    {"{name: w, port: 80, http: {body: x, request-timeout: ^1h}}", "services[0].http.request-timeout", "10m"},
    {"{name: p, port: 80, proxy: ^{balance: round-robin}}", "services[0].proxy", "'backends' is missing"},
    {"{name: p, port: 80, proxy: {backends: ^[]}}", "services[0].proxy.backends", "found an empty list"},
    {"{name: p, port: 80, proxy: {backends: [^192.0.2.10]}}", "services[0].proxy.backends[0]", "192.0.2.10:80"},
    {"{name: p, port: 80, proxy: {backends: [^\"192.0.2.10:0\"]}}", "services[0].proxy.backends[0]", "a backend such as"},
    {"{name: p, port: 80, proxy: {backends: [^\"2001:db8:2::10:80\"]}}", "services[0].proxy.backends[0]", "[2001:db8::10]:80"},
    {"{name: p, port: 80, proxy: {backends: [^\"www.example.net:80\"]}}", "services[0].proxy.backends[0]", "a backend such as"},
    {"{name: p, port: 80, proxy: {backends: [{address: 192.0.2.10, port: ^0}]}}",
     "services[0].proxy.backends[0].port", "from 1 to 65535"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], attempts: ^0}}", "services[0].proxy.attempts", "from 1 to 64"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], without-backend: ^drop}}",
     "services[0].proxy.without-backend", "reset or close"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80, ^192.0.2.10:80]}}", "services[0].proxy.backends[1]", "given twice"},
    {"{name: p, port: 80, proxy: {backends: [^203.0.113.1:80]}}", "services[0].proxy.backends[0]", "no route leads there"},
    {"{name: p, port: 80, proxy: {backends: [^\"[fe80::1]:80\"]}}", "services[0].proxy.backends[0]", "link-local"},
    {"{name: p, port: 80, proxy: {backends: [^192.0.2.1:80]}}", "services[0].proxy.backends[0]", "is the box itself"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], balance: ^random}}", "services[0].proxy.balance", "round-robin"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], proxy-protocol: ^v1}}", "services[0].proxy.proxy-protocol", "off or v2"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], connect-timeout: ^0s}}", "services[0].proxy.connect-timeout", "10ms"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], idle-timeout: ^0s}}", "services[0].proxy.idle-timeout", "1s"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: ^{}}}", "services[0].proxy.health", "tcp: yes, or http: PATH"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: ^no}}}", "services[0].proxy.health.tcp", "expected yes"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: yes, http: ^/}}}", "services[0].proxy.health.http", "tcp or http"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {http: ^healthz}}}", "services[0].proxy.health.http", "a path such as"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {http: ^\"/a b\"}}}", "services[0].proxy.health.http", "a path such as"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: yes, expect: ^200}}}", "services[0].proxy.health.expect", "no use for"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {http: /, host: ^a/b}}}", "services[0].proxy.health.host", "the name of a host"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {http: /, expect: ^99}}}", "services[0].proxy.health.expect", "100 to 599"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: yes, timeout: ^3s}}}", "services[0].proxy.health.timeout", "at most the interval"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: yes, rise: ^0}}}", "services[0].proxy.health.rise", "from 1 to 100"},
    {"{name: p, port: 80, proxy: {backends: [192.0.2.10:80], health: {tcp: yes, intervall: 1s}}}", "services[0].proxy.health.intervall", "did you mean 'interval'?"},
};

const Case kTcpCases[] = {
    {"congestion-contrl: cubic", "tcp.congestion-contrl", "did you mean 'congestion-control'?"},
    {"congestion-control: ^bbr", "tcp.congestion-control", "cubic or newreno"},
    {"ecn: ^yes", "tcp.ecn", "off, accept or request"},
    {"sack: ^2", "tcp.sack", "yes or no"},
    {"initial-window: ^0", "tcp.initial-window", "from 1 to 64"},
    {"hop-limit: ^256", "tcp.hop-limit", "from 1 to 255"},
    {"receive-buffer: ^1 KiB", "tcp.receive-buffer", "from 4 KiB"},
    {"window-scaling: ^no", "tcp.window-scaling", "at most 64 KiB"},
    {"rto: {min: ^2s}", "tcp.rto.min", "rto.initial is 1s"},
    {"rto: {initial: 10s, max: ^5s}", "tcp.rto.max", "expected at least"},
    {"syn-retries: ^21", "tcp.syn-retries", "from 0 to 20"},
    {"give-up: ^10", "tcp.give-up", "did you mean '10s'?"},
    {"delayed-ack: ^500ms", "tcp.delayed-ack", "499ms"},
    {"delayed-ack: ^300ms", "tcp.delayed-ack", "longer than rto.min"},
    {"time-wait: ^1h", "tcp.time-wait", "4m"},
    {"keepalive: {probes: ^0}", "tcp.keepalive.probes", "from 1 to 127"},
    {"keepalive: ^yes", "tcp.keepalive", "expected a map"},
    {"mtu-probe-floor: ^500", "tcp.mtu-probe-floor", "from 576"},
    {"limits: {half-open: ^70000}", "tcp.limits.half-open", "limits.connections is 65536"},
    {"limits: {cookie-mark: ^5000}", "tcp.limits.cookie-mark", "limits.half-open is 4096"},
    {"limits: {time-wait: ^70000}", "tcp.limits.time-wait", "expected at most that"},
    {"limits: {packets: ^20000}", "tcp.limits.packets", "system.packets is 16384"},
    {"limits: {connections: ^8}", "tcp.limits.connections", "from 16"},
    {"limits: {backlog: 5}", "tcp.limits.backlog", "tcp.limits has connections"},
};

void expect_mistake(const std::string& before, const Case& c, const std::string& after) {
  SCOPED_TRACE(c.text);
  std::string text = before + c.text + after;
  size_t place = text.find('^');
  if (place != text.npos) text.erase(place, 1);
  const Loaded l = load_text(text, "f.yaml");
  ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
  const Mistake& m = l.mistakes[0];
  EXPECT_EQ(m.path, c.path);
  EXPECT_NE(m.message.find(c.says), std::string::npos) << all(l);
  if (place == text.npos) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(place), '\n');
  EXPECT_EQ(m.line, line) << all(l);
  EXPECT_EQ(m.column, place - text.rfind('\n', place)) << all(l);
}

TEST(ServiceMistakes, EachAtItsPlace) {
  for (const Case& c : kServiceCases) expect_mistake(kPorts + "services: [", c, "]\n");
  for (const Case& c : kTcpCases) expect_mistake(kPorts + "tcp: {", c, "}\n");
}

TEST(ServiceMistakes, CpusOfStackEngines) {
  expect_mistake(kPorts + "system: ", {"{stack: [1, ^1]}", "system.stack[1]", "named twice"}, "\n");
  expect_mistake(kPorts + "system: ", {"{stack: ^[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}",
                                       "system.stack", "at most 16"}, "\n");
}

TEST(ServiceMistakes, TooManyOfThem) {
  std::string services = "services:\n", backends;
  for (int i = 0; i < 65; i++) {
    services += "- {name: s" + std::to_string(i) + ", echo: yes, port: " + std::to_string(1000 + i) + "}\n";
    backends += (i ? ", " : "") + std::string("192.0.2.10:") + std::to_string(1000 + i);
  }
  EXPECT_NE(all(load_text(kPorts + services, "f")).find("services: found 65 services, expected at most 64"), std::string::npos);
  EXPECT_NE(all(load_text(kPorts + "services: [{name: p, port: 80, proxy: {backends: [" + backends + "]}}]\n", "f"))
                .find("found 65 backends, expected at most 64"),
            std::string::npos);
}

TEST(ServiceMistakes, FoldersAreLookedForFromTheFolderOfTheFile) {
  const std::string dir = ::testing::TempDir() + "sluice_services";
  std::filesystem::create_directories(dir + "/www");
  std::ofstream(dir + "/plain") << "x";
  const auto load = [&](const std::string& files) {
    std::ofstream(dir + "/c.yaml") << kPorts << "services: [{name: w, port: 80, http: {files: " << files << "}}]\n";
    return load_file(dir + "/c.yaml");
  };
  const Loaded good = load("www");
  EXPECT_EQ(all(good), "");
  EXPECT_EQ(good.model.services[0].http.files, dir + "/www");
  const Loaded missing = load("wwww");
  ASSERT_EQ(missing.mistakes.size(), 1u);
  EXPECT_EQ(missing.mistakes[0].path, "services[0].http.files");
  EXPECT_EQ(missing.mistakes[0].line, kPortsLines + 1);
  EXPECT_NE(missing.mistakes[0].message.find("/wwww' does not exist"), std::string::npos) << all(missing);
  EXPECT_NE(all(load("plain")).find("is a file"), std::string::npos);
}

}  // namespace
}  // namespace sluice::config
