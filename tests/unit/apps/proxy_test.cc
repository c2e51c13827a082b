// The proxy: backends, splicing, ends and resets of both sides.
#include <gtest/gtest.h>

#include <random>

#include "apps/proxy.h"
#include "tests/unit/apps/fake_api.h"

namespace sluice::apps {
namespace {

using test::Conn;
using test::endpoint;
using test::Endpoint;
using test::FakeApi;
using test::Failure;

constexpr uint16_t kPort = 8000;

ServiceConfig config(unsigned backends = 3) {
  ServiceConfig c;
  c.name = "front";
  c.kind = ServiceKind::proxy;
  c.listen = {endpoint(0, kPort)};
  c.connections = 32;
  for (unsigned i = 0; i < backends; i++) c.proxy.backends.push_back(endpoint(static_cast<uint8_t>(100 + i), 80));
  c.proxy.check.kind = CheckKind::none;
  return c;
}

struct Harness {
  explicit Harness(const ServiceConfig& c = config(), EventLog* log = nullptr)
      : proxy(std::make_unique<Proxy>(c, 4, log)) {
    proxy->attach(&health);
    api.add(health);
    api.add(*proxy);
  }
  ~Harness() {
    proxy->drain(api, api.now());
    api.advance(FakeApi::kSecond);
    api.expect_clean();
    EXPECT_TRUE(proxy->finished());
    for (const auto& b : proxy->backends()) EXPECT_EQ(b->active(), 0u);
  }
  Conn client() {
    const Conn c = api.accept(kPort);
    api.run();
    return c;
  }
  // The attempt that is under way; there is to be one.
  Conn attempt() {
    const auto c = api.connecting();
    EXPECT_EQ(c.size(), 1u);
    return c.empty() ? Conn{} : c[0];
  }
  std::pair<Conn, Conn> session() {
    const Conn c = client(), s = attempt();
    api.connected(s);
    api.run();
    return {c, s};
  }
  // Everything is read on both sides until nothing moves.
  void flow(Conn c, Conn s, size_t step = SIZE_MAX) {
    for (int i = 0; i < 100000; i++) {
      api.run();
      if (api.at(c).queue.empty() && api.at(s).queue.empty()) return;
      api.acknowledge(c, step);
      api.acknowledge(s, step);
    }
    FAIL() << "it flows for ever";
  }

  FakeApi api;
  Health health;
  std::unique_ptr<Proxy> proxy;
};

std::string text(size_t n, char from = 'a') {
  std::string s(n, ' ');
  for (size_t i = 0; i < n; i++) s[i] = static_cast<char>(from + i * 11 % 23);
  return s;
}

TEST(Proxy, CarriesBothDirectionsAndBothEnds) {
  Harness h;
  const auto [c, s] = h.session();
  h.api.deliver(c, text(20000), 700);
  h.api.deliver(s, text(30000, 'A'), 1100);
  h.flow(c, s);
  EXPECT_EQ(h.api.received(s), text(20000));
  EXPECT_EQ(h.api.received(c), text(30000, 'A'));
  EXPECT_FALSE(h.api.shut(s));
  h.api.fin(c);  // half-close: the other direction goes on
  h.flow(c, s);
  EXPECT_TRUE(h.api.shut(s));
  EXPECT_FALSE(h.api.shut(c));
  h.api.deliver(s, "late answer");
  h.api.fin(s);
  h.flow(c, s);
  EXPECT_TRUE(h.api.received(c).ends_with("late answer"));
  EXPECT_TRUE(h.api.shut(c));
  ASSERT_TRUE(h.api.settle(c));
  h.api.run();
  EXPECT_EQ(h.proxy->counters()->connections(), 1u);
  ASSERT_TRUE(h.api.settle(s));
  h.api.run();
  EXPECT_EQ(h.proxy->counters()->connections(), 0u);
  EXPECT_EQ(h.proxy->counters()->bytes_in.get(), 20000u);
  EXPECT_EQ(h.proxy->counters()->bytes_out.get(), 30011u);
}

TEST(Proxy, BackPressureGoesThroughBothWays) {
  for (size_t step : {size_t{100}, size_t{999}, size_t{5000}}) {
    Harness h;
    h.api.send_buffer = 4000;
    const auto [c, s] = h.session();
    const std::string up = text(100000), down = text(80000, 'A');
    h.api.deliver(c, up, 1400);
    h.api.deliver(s, down, 900);
    h.api.fin(c);
    h.api.fin(s);
    for (int i = 0; i < 20; i++) {
      h.api.run();
      EXPECT_LE(h.api.at(s).queued, 4000u);
      EXPECT_LE(h.api.at(c).with_app, 64u * 1400) << "more is taken than a batch";
      h.api.acknowledge(s, step);
    }
    EXPECT_EQ(h.api.at(c).with_app > 0, true);
    h.flow(c, s, step);
    ASSERT_TRUE(h.api.received(s) == up);
    ASSERT_TRUE(h.api.received(c) == down);
    EXPECT_TRUE(h.api.settle(c) && h.api.settle(s));
    h.api.run();
    EXPECT_EQ(h.proxy->counters()->connections(), 0u);
  }
}

TEST(Proxy, TheWindowOpensOnlyWhenTheOtherSideHasIt) {
  Harness h;
  const auto [c, s] = h.session();
  h.api.deliver(c, text(1000));
  h.api.run();
  EXPECT_EQ(h.api.at(c).with_app, 1000u);
  h.api.acknowledge(s, 400);
  h.api.run();
  EXPECT_EQ(h.api.at(c).with_app, 600u);
}

TEST(Proxy, WhatComesBeforeTheBackendAnswersWaits) {
  Harness h;
  const Conn c = h.client();
  h.api.deliver(c, "early ", 2);
  h.api.fin(c);
  h.api.run();
  const Conn s = h.attempt();
  h.api.connected(s);
  h.flow(c, s);
  EXPECT_EQ(h.api.received(s), "early ");
  EXPECT_TRUE(h.api.shut(s));
}

TEST(Proxy, BackendsTakeTurns) {
  Harness h;
  std::map<uint8_t, int> count;
  for (int i = 0; i < 9; i++) {
    const auto [c, s] = h.session();
    count[h.api.at(s).remote.address.bytes[3]]++;
  }
  EXPECT_EQ(count, (std::map<uint8_t, int>{{100, 3}, {101, 3}, {102, 3}}));
}

TEST(Proxy, OrTheOneWithTheFewestConnectionsIsTaken) {
  ServiceConfig c = config();
  c.proxy.balance = Balance::least_connections;
  Harness h(c);
  std::vector<std::pair<Conn, Conn>> s;
  for (int i = 0; i < 9; i++) s.push_back(h.session());
  // All but one session of backend 101 end.
  int kept = 0;
  for (const auto& [client, server] : s) {
    if (h.api.at(server).remote != endpoint(101, 80) || kept++ == 0) continue;
    h.api.fail(client);
  }
  h.api.run();
  for (int i = 0; i < 2; i++) EXPECT_EQ(h.api.at(h.session().second).remote, endpoint(101, 80));
}

TEST(Proxy, ABackendThatRefusesOrIsSilentIsPassedOver) {
  Harness h;
  const Conn c = h.client();
  h.api.deliver(c, "hello");
  Conn a = h.attempt();
  h.api.fail(a, Failure::refused);
  h.api.run();
  Conn b = h.attempt();
  EXPECT_NE(h.api.at(a).remote, h.api.at(b).remote);
  h.api.advance(4 * FakeApi::kSecond);  // connect_timeout: 3 s
  EXPECT_TRUE(h.api.aborted(b));
  Conn d = h.attempt();
  h.api.connected(d);
  h.flow(c, d);
  EXPECT_EQ(h.api.received(d), "hello");
  EXPECT_EQ(h.proxy->backends()[0]->failures.get() + h.proxy->backends()[1]->failures.get(), 2u);
}

TEST(Proxy, WithoutABackendTheClientIsResetOrClosed) {
  for (const AllDown how : {AllDown::reset, AllDown::close}) {
    ServiceConfig k = config(2);
    k.proxy.all_down = how;
    k.log = true;
    EventLog log;
    Harness h(k, &log);
    const Conn c = h.client();
    for (int i = 0; i < 2; i++) {
      h.api.fail(h.attempt(), Failure::refused);
      h.api.run();
    }
    EXPECT_FALSE(h.api.open(c));
    EXPECT_EQ(h.api.aborted(c), how == AllDown::reset);
    EXPECT_EQ(h.proxy->counters()->unserved.get(), 1u);
    std::array<LogRecord, 4> r;
    ASSERT_EQ(log.drain(r), 1u);
    EXPECT_EQ(r[0].kind, LogRecord::Kind::refused);
    EXPECT_EQ(r[0].attempts, 2);
  }
}

TEST(Proxy, NoConnectionToBeHadIsAFailedAttempt) {
  Harness h;
  h.api.refuse_connects = 1;
  const Conn c = h.client();
  const Conn s = h.attempt();
  EXPECT_EQ(h.api.at(s).remote, endpoint(101, 80));
  h.api.fail(c);
  h.api.run();
  EXPECT_TRUE(h.api.aborted(s));
  h.api.refuse_connects = 3;
  const Conn d = h.client();
  EXPECT_TRUE(h.api.aborted(d));
}

TEST(Proxy, AttemptsAreLimited) {
  ServiceConfig k = config(10);
  k.proxy.attempts = 2;
  Harness h(k);
  const Conn c = h.client();
  for (int i = 0; i < 2; i++) {
    h.api.fail(h.attempt(), Failure::timed_out);
    h.api.run();
  }
  EXPECT_TRUE(h.api.aborted(c));
}

TEST(Proxy, AResetOnOneSideIsAResetOnTheOther) {
  Harness h;
  {
    const auto [c, s] = h.session();
    h.api.fail(c);
    h.api.run();
    EXPECT_TRUE(h.api.aborted(s));
  }
  {
    const auto [c, s] = h.session();
    h.api.fail(s);
    h.api.run();
    EXPECT_TRUE(h.api.aborted(c));
  }
  EXPECT_EQ(h.proxy->counters()->connections(), 0u);
}

TEST(Proxy, AResetAtEveryMomentLeavesNothingBehind) {
  for (const bool of_client : {true, false}) {
    Harness h;
    h.api.send_buffer = 1500;
    for (unsigned moment = 0; moment < 16; moment++) {
      const Conn c = h.client();
      const Conn s = h.attempt();
      for (unsigned step = 0; step < 16; step++) {
        if (step == moment) h.api.fail(of_client ? c : s);
        if (step == 3 && h.api.open(s)) h.api.connected(s);
        if (step % 2) h.api.deliver(c, text(900), 300);
        if (step % 3 && step > 3) h.api.deliver(s, text(1700), 300);
        if (step % 4 == 1) h.api.acknowledge(c, 400);
        if (step % 4 == 2) h.api.acknowledge(s, 400);
        if (step == 10) h.api.fin(c);
        if (step % 3 == 2) h.api.run();
      }
      h.api.run();
      for (Conn left : h.api.connecting()) h.api.fail(left, Failure::refused);
      h.api.run();
      for (Conn left : h.api.connecting()) h.api.fail(left, Failure::refused);
      h.api.run();
    }
    EXPECT_EQ(h.proxy->counters()->connections(), 0u);
  }
}

TEST(Proxy, AnIdleSessionIsClosedOnBothSides) {
  ServiceConfig k = config();
  k.proxy.idle_timeout = Duration::seconds(30);
  Harness h(k);
  const auto [c, s] = h.session();
  for (int i = 0; i < 5; i++) {
    h.api.deliver(i % 2 ? c : s, "x");
    h.flow(c, s);
    h.api.advance(20 * FakeApi::kSecond);
  }
  EXPECT_TRUE(h.api.open(c));
  h.api.advance(11 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.shut(c) && h.api.shut(s));
  EXPECT_FALSE(h.api.aborted(c));
  EXPECT_EQ(h.proxy->counters()->timeouts.get(), 1u);
  EXPECT_EQ(h.proxy->counters()->connections(), 0u);
}

TEST(Proxy, TheProxyHeaderComesFirstAndIsNotCounted) {
  ServiceConfig k = config();
  k.proxy.proxy_protocol = true;
  Harness h(k);
  const Conn c = h.client();
  h.api.deliver(c, "hello");
  h.api.run();
  const Conn s = h.attempt();
  h.api.connected(s);
  h.flow(c, s, 5);
  std::string expected("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16);
  expected += std::string("\xc6\x12\0\x09\xc6\x12\0\0\x9c\x40\x1f\x40", 12);  // 198.18.0.9:40000 to 198.18.0.0:8000
  EXPECT_EQ(h.api.received(s), expected + "hello");
  EXPECT_EQ(h.api.at(c).with_app, 0u);
  EXPECT_EQ(h.proxy->backends()[0]->bytes_out.get(), 5u);
}

TEST(Proxy, TheProxyHeaderOfIPv6) {
  app::Peer p;
  p.remote.address.family = p.local.address.family = 6;
  p.remote.address.bytes[15] = 1;
  p.local.address.bytes[15] = 2;
  p.remote.port = 0x1234;
  p.local.port = 80;
  uint8_t b[kProxyHeader];
  ASSERT_EQ(write_proxy_header(b, p), 52u);
  EXPECT_EQ(b[13], 0x21);
  EXPECT_EQ(b[15], 36);
  EXPECT_EQ(b[16 + 15], 1);
  EXPECT_EQ(b[32 + 15], 2);
  EXPECT_EQ(b[48], 0x12);
  EXPECT_EQ(b[51], 80);
}

TEST(Proxy, WithoutABufferForTheHeaderTheSessionIsGivenUp) {
  ServiceConfig k = config();
  k.proxy.proxy_protocol = true;
  Harness h(k);
  h.api.refuse_buffers = 1;
  const auto [c, s] = h.session();
  EXPECT_TRUE(h.api.aborted(c) && h.api.aborted(s));
  EXPECT_EQ(h.proxy->counters()->overloads.get(), 1u);
}

TEST(Proxy, ASharedPoolThatIsShortIsTriedAgain) {
  Harness h;
  const auto [c, s] = h.session();
  h.api.refuse_sends = 5;
  h.api.deliver(c, "hello");
  h.api.deliver(s, "there");
  h.api.advance(FakeApi::kSecond);
  h.flow(c, s);
  EXPECT_EQ(h.api.received(s), "hello");
  EXPECT_EQ(h.api.received(c), "there");
}

TEST(Proxy, TheLogTellsASessionsStory) {
  ServiceConfig k = config();
  k.log = true;
  EventLog log;
  Harness h(k, &log);
  const auto [c, s] = h.session();
  h.api.deliver(c, "12345");
  h.api.deliver(s, "123");
  h.flow(c, s);
  h.api.advance(2 * FakeApi::kSecond);
  h.api.fail(s);
  h.api.run();
  std::array<LogRecord, 4> r;
  ASSERT_EQ(log.drain(r), 1u);
  EXPECT_EQ(r[0].kind, LogRecord::Kind::session);
  EXPECT_EQ(r[0].failure, Failure::reset);
  EXPECT_EQ(r[0].service, 4);
  EXPECT_EQ(r[0].bytes_in, 5u);
  EXPECT_EQ(r[0].bytes_out, 3u);
  EXPECT_EQ(r[0].duration, 2 * FakeApi::kSecond);
  EXPECT_EQ(r[0].client, endpoint(9, 40000));
  EXPECT_EQ(r[0].backend, endpoint(100, 80));
}

TEST(Proxy, DrainingLetsSessionsFinishUpToALimit) {
  Harness h;
  const auto [c, s] = h.session();
  const auto [c2, s2] = h.session();
  h.proxy->drain(h.api, h.api.now() + 10 * FakeApi::kSecond);
  h.api.advance(5 * FakeApi::kSecond);
  EXPECT_EQ(h.api.listeners(), 0u);
  h.api.deliver(c, "bye");
  h.api.fin(c);
  h.api.fin(s);
  h.flow(c, s);
  EXPECT_EQ(h.api.received(s), "bye");
  EXPECT_TRUE(h.api.settle(c) && h.api.settle(s));
  h.api.run();
  EXPECT_FALSE(h.proxy->finished());
  h.api.advance(6 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.aborted(c2) && h.api.aborted(s2));
  EXPECT_TRUE(h.proxy->finished());
}

TEST(ProxyRandom, BytesArriveWholeAndInOrder) {
  for (unsigned seed = 1; seed <= 100; seed++) {
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
    ServiceConfig k = config();
    k.proxy.proxy_protocol = seed % 2;
    Harness h(k);
    h.api.send_buffer = static_cast<uint32_t>(1500 + below(10000));
    const Conn c = h.client();
    const std::string up = text(below(60000)), down = text(below(60000), 'A');
    if (below(2)) h.api.deliver(c, up.substr(0, up.size() / 3), 1 + below(1400));
    else h.api.deliver(c, up.substr(0, up.size() / 3));
    h.api.run();
    const Conn s = h.attempt();
    h.api.connected(s);
    h.api.run();
    h.api.deliver(c, up.substr(up.size() / 3), 1 + below(1400));
    h.api.deliver(s, down, 1 + below(1400));
    h.api.fin(c);
    h.api.fin(s);
    for (int i = 0; i < 200; i++) {
      if (below(2)) h.api.acknowledge(c, below(4000));
      if (below(2)) h.api.acknowledge(s, below(4000));
      if (below(8) == 0) h.api.refuse_sends = static_cast<unsigned>(below(3));
      if (below(4) == 0) h.api.advance(static_cast<int64_t>(below(30)) * FakeApi::kMs);
      h.api.run();
    }
    for (int i = 0; i < 200; i++) {
      h.api.advance(25 * FakeApi::kMs);
      h.api.acknowledge(c);
      h.api.acknowledge(s);
    }
    ASSERT_TRUE(h.api.received(c) == down) << "seed " << seed;
    ASSERT_TRUE(h.api.received(s).substr(seed % 2 ? 28 : 0) == up) << "seed " << seed;
    ASSERT_TRUE(h.api.settle(c) && h.api.settle(s)) << "seed " << seed;
    h.api.run();
    ASSERT_EQ(h.proxy->counters()->connections(), 0u);
  }
}

}  // namespace
}  // namespace sluice::apps
