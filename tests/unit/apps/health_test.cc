// Health checks, and the proxy that goes by them.
#include <gtest/gtest.h>

#include "apps/health.h"
#include "apps/proxy.h"
#include "tests/unit/apps/fake_api.h"

namespace sluice::apps {
namespace {

using test::Conn;
using test::endpoint;
using test::FakeApi;
using test::Failure;

class HealthTest : public ::testing::Test, public Health::Observer {
 protected:
  HealthTest() {
    api_.add(health_);
    check_.interval = Duration::seconds(2);
    check_.timeout = Duration::seconds(1);
    check_.rise = 2;
    check_.fall = 3;
  }
  ~HealthTest() override {
    if (target_) health_.unsubscribe(api_, *target_);
    api_.run();
    api_.expect_clean();
    EXPECT_TRUE(api_.connecting().empty());
  }
  void subscribe() {
    target_ = std::make_unique<Health::Target>(counters_, check_, this, 77);
    ASSERT_TRUE(health_.subscribe(api_, *target_));
  }
  // The next check's connection.
  Conn next() {
    for (int i = 0; i < 300; i++) {
      const auto c = api_.connecting();
      if (!c.empty()) return c[0];
      api_.advance(10 * FakeApi::kMs);
    }
    ADD_FAILURE() << "no check is made";
    return {};
  }
  void tcp_check(bool good) {
    const Conn c = next();
    if (good) api_.connected(c);
    else api_.fail(c, Failure::refused);
    api_.run();
    EXPECT_FALSE(api_.open(c));
  }
  void http_check(const std::string& answer, size_t piece = 1000) {
    const Conn c = next();
    api_.connected(c);
    api_.run();
    api_.acknowledge(c);
    api_.deliver(c, answer, piece);
    api_.run();
    api_.fin(c);
    api_.run();
    request_ = api_.received(c);
    EXPECT_FALSE(api_.open(c));
  }
  void health_changed(int64_t, uint32_t tag, bool up) override {
    EXPECT_EQ(tag, 77u);
    changes_.push_back(up);
  }

  FakeApi api_;
  Health health_;
  CheckOptions check_;
  BackendCounters counters_{endpoint(5, 8080)};
  std::unique_ptr<Health::Target> target_;
  std::vector<bool> changes_;
  std::string request_;
};

TEST_F(HealthTest, ATargetFallsAndRisesBySoManyInARow) {
  subscribe();
  EXPECT_TRUE(target_->up());
  tcp_check(false);
  tcp_check(false);
  tcp_check(true);  // the row is broken
  tcp_check(false);
  tcp_check(false);
  EXPECT_TRUE(target_->up());
  tcp_check(false);
  EXPECT_FALSE(target_->up());
  tcp_check(true);
  tcp_check(false);
  tcp_check(true);
  EXPECT_FALSE(target_->up());
  tcp_check(true);
  EXPECT_TRUE(target_->up());
  EXPECT_EQ(changes_, (std::vector<bool>{false, true}));
  EXPECT_EQ(counters_.checks.get(), 10u);
  EXPECT_EQ(counters_.checks_failed.get(), 6u);
  EXPECT_GT(counters_.changed.load(), 0);
}

TEST_F(HealthTest, OneWhoDoesNotAnswerInTimeFails) {
  check_.fall = 1;
  subscribe();
  const Conn c = next();
  api_.advance(FakeApi::kSecond + 25 * FakeApi::kMs);
  EXPECT_TRUE(api_.aborted(c));
  EXPECT_FALSE(target_->up());
}

TEST_F(HealthTest, ChecksAreAnIntervalApartWhateverTheyTake) {
  subscribe();
  next();
  const int64_t first = api_.now();
  api_.advance(2 * FakeApi::kSecond);  // timed out within
  next();
  EXPECT_NEAR(static_cast<double>(api_.now() - first), 2e9, 5e7);
}

TEST_F(HealthTest, AnHttpAnswerCountsByItsStatus) {
  check_.kind = CheckKind::http;
  check_.path = "/up?x";
  check_.host = "api.example";
  check_.rise = check_.fall = 1;
  check_.status_low = 200;
  check_.status_high = 299;
  subscribe();
  http_check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
  EXPECT_TRUE(target_->up());
  EXPECT_TRUE(request_.starts_with("GET /up?x HTTP/1.1\r\nHost: api.example\r\n")) << request_;
  EXPECT_TRUE(request_.ends_with("Connection: close\r\n\r\n"));
  for (const char* bad : {"HTTP/1.1 500 No\r\n\r\n", "HTTP/1.1 302 Away\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
                          "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1 2", "", "HTTP/2.0 200 OK\r\n"}) {
    http_check(bad);
    EXPECT_FALSE(target_->up()) << bad;
    http_check("HTTP/1.0 204 None\r\n\r\n", 1);
    EXPECT_TRUE(target_->up());
  }
}

TEST_F(HealthTest, AnHttpCheckReadsTheAnswerToItsEndAndClosesInOrder) {
  check_.kind = CheckKind::http;
  check_.fall = 1;
  subscribe();
  const Conn c = next();
  api_.connected(c);
  api_.run();
  api_.acknowledge(c);
  api_.deliver(c, "HTTP/1.1 503 No\r\n");
  api_.run();
  EXPECT_FALSE(target_->up()) << "it counts at once";
  api_.deliver(c, "\r\n" + std::string(100'000, 'x'));
  api_.run();
  EXPECT_TRUE(api_.open(c)) << "there may be more";
  api_.fin(c);
  api_.run();
  EXPECT_FALSE(api_.open(c));
  EXPECT_TRUE(api_.shut(c));
  EXPECT_FALSE(api_.aborted(c));
  EXPECT_EQ(counters_.checks_failed.get(), 1u);
}

TEST_F(HealthTest, AnAnswerWithoutAnEndIsCutShort) {
  check_.kind = CheckKind::http;
  subscribe();
  const auto answered = [&](const std::string& more) {
    const Conn c = next();
    api_.connected(c);
    api_.run();
    api_.acknowledge(c);
    api_.deliver(c, "HTTP/1.1 200 OK\r\n\r\n" + more);
    api_.run();
    return c;
  };
  const Conn kept = answered("");  // a server that keeps the connection
  api_.advance(FakeApi::kSecond + 25 * FakeApi::kMs);
  EXPECT_TRUE(api_.shut(kept));
  EXPECT_FALSE(api_.aborted(kept));
  const Conn endless = answered(std::string(1 << 20, 'x'));
  EXPECT_TRUE(api_.aborted(endless));
  EXPECT_EQ(counters_.checks.get(), 2u);
  EXPECT_EQ(counters_.checks_failed.get(), 0u) << "the status was good";
}

TEST_F(HealthTest, TheHostIsTheAddressUnlessGiven) {
  check_.kind = CheckKind::http;
  subscribe();
  http_check("HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_NE(request_.find("\r\nHost: 198.18.0.5:8080\r\n"), std::string::npos) << request_;
}

TEST_F(HealthTest, WithoutABufferACheckFails) {
  check_.kind = CheckKind::http;
  check_.fall = 1;
  subscribe();
  api_.refuse_buffers = 1;
  const Conn c = next();
  api_.connected(c);
  api_.run();
  EXPECT_TRUE(api_.aborted(c));
  EXPECT_FALSE(target_->up());
}

TEST_F(HealthTest, AConnectionThatCannotBeMadeIsAFailedCheck) {
  check_.fall = 1;
  subscribe();
  api_.refuse_connects = 1;
  api_.advance(2 * FakeApi::kSecond);
  EXPECT_FALSE(target_->up());
}

TEST_F(HealthTest, NobodyIsCheckedBehindTheEndOfASubscription) {
  subscribe();
  const Conn c = next();
  health_.unsubscribe(api_, *target_);
  EXPECT_TRUE(api_.aborted(c));
  target_.reset();
  api_.advance(10 * FakeApi::kSecond);
  EXPECT_TRUE(api_.connecting().empty());
}

TEST_F(HealthTest, WhatIsNotToBeCheckedIsUp) {
  check_.kind = CheckKind::none;
  subscribe();
  api_.advance(10 * FakeApi::kSecond);
  EXPECT_EQ(counters_.checks.get(), 0u);
  EXPECT_TRUE(target_->up());
}

TEST(ProxyHealth, ABackendThatIsDownGetsNoSession) {
  ServiceConfig k;
  k.name = "front";
  k.kind = ServiceKind::proxy;
  k.listen = {endpoint(0, 8000)};
  k.connections = 16;
  k.proxy.backends = {endpoint(100, 80), endpoint(101, 80)};
  k.proxy.check = {.kind = CheckKind::tcp, .rise = 1, .fall = 1};
  FakeApi api;
  Health health;
  EventLog log;
  Proxy proxy(k, 4, &log);
  proxy.attach(&health);
  api.add(health);
  api.add(proxy);
  bool down[2] = {true, false};
  const auto checks = [&] {
    for (int i = 0; i < 100; i++) {
      api.advance(50 * FakeApi::kMs);
      for (Conn c : api.connecting()) {
        if (down[api.at(c).remote.address.bytes[3] - 100]) api.fail(c, Failure::refused);
        else api.connected(c);
      }
    }
    api.run();
  };
  checks();
  for (int i = 0; i < 4; i++) {
    const Conn c = api.accept(8000);
    api.run();
    ASSERT_EQ(api.connecting().size(), 1u);
    const Conn s = api.connecting()[0];
    EXPECT_EQ(api.at(s).remote, endpoint(101, 80));
    api.connected(s);
    api.run();
    api.fail(c);
    api.run();
  }
  down[1] = true;
  checks();
  const Conn refused = api.accept(8000);
  api.run();
  EXPECT_TRUE(api.aborted(refused));
  EXPECT_EQ(proxy.counters()->unserved.get(), 1u);
  down[0] = false;
  checks();
  const Conn c = api.accept(8000);
  api.run();
  ASSERT_EQ(api.connecting().size(), 1u);
  EXPECT_EQ(api.at(api.connecting()[0]).remote, endpoint(100, 80));
  api.fail(c);
  std::array<LogRecord, 8> r;
  ASSERT_EQ(log.drain(r), 3u);
  EXPECT_EQ(r[0].kind, LogRecord::Kind::backend_down);
  EXPECT_EQ(r[0].backend, endpoint(100, 80));
  EXPECT_EQ(r[2].kind, LogRecord::Kind::backend_up);
  proxy.drain(api, api.now());
  api.advance(FakeApi::kSecond);
  api.expect_clean();
  EXPECT_TRUE(proxy.finished());
}

}  // namespace
}  // namespace sluice::apps
