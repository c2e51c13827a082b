// HTTP: what is answered to what.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "apps/http_date.h"
#include "tests/unit/apps/http_fixture.h"

namespace sluice::apps {
namespace {

using test::Conn;
using test::FakeApi;
using test::HttpResponse;
using test::responses;

TEST(Http, AFixedBodyIsForEveryPath) {
  HttpHarness h;
  for (const char* path : {"/", "/a", "/a/b?c=d", "/%7e", "http://box/x", "http://box"}) {
    const HttpResponse r = h.get(get(path));
    EXPECT_EQ(r.status, 200u) << path;
    EXPECT_EQ(r.body, "hello\n");
    EXPECT_EQ(r.field.at("content-type"), "text/plain; charset=utf-8");
    EXPECT_EQ(r.field.at("connection"), "keep-alive");
  }
}

TEST(Http, HeadHasNoBodyAndItsLength) {
  HttpHarness h;
  const Conn c = h.ask("HEAD / HTTP/1.1\r\nHost: box\r\n\r\n");
  std::string_view s = h.api.received(c);
  const auto r = test::take_response(s, true);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->field.at("content-length"), "6");
  EXPECT_TRUE(s.empty());
}

TEST(Http, AConnectionIsKeptOrEndedAsTheClientSays) {
  struct {
    const char* request;
    bool kept;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: b\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: b\r\nConnection: keep-alive\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: b\r\nconnection: foo, CLOSE\r\n\r\n", false},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true},
  };
  for (const auto& k : cases) {
    HttpHarness h;
    for (int twice = 0; twice < 2; twice++) {  // parsed, and remembered
      const Conn c = h.ask(k.request);
      const auto all = responses(h.api.received(c));
      ASSERT_EQ(all.size(), 1u) << k.request;
      EXPECT_EQ(all[0].status, 200u) << k.request;
      EXPECT_EQ(all[0].body, "hello\n");
      EXPECT_EQ(all[0].close(), !k.kept) << k.request;
      EXPECT_EQ(h.api.shut(c), !k.kept) << k.request;
    }
  }
}

TEST(Http, WhatIsWrongIsToldAndEndsTheConnection) {
  ServiceConfig c = http_config();
  c.http.head_most = 4096;
  c.http.body_most = 1000;
  HttpHarness h(c);
  const std::string longish(2040, 'a');
  struct {
    std::string request;
    unsigned status;
  } cases[] = {
      {"GET /\r\n\r\n", 505},                                        // HTTP/0.9
      {"GET / HTTP/2.0\r\nHost: b\r\n\r\n", 505},
      {"GET / HTTP/0.9\r\nHost: b\r\n\r\n", 505},
      {"GET / HTPT/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},                               // no Host
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},                   // a blank before the colon
      {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},         // obsolete line folding
      {"GET / HTTP/1.1\r\nHost: a\r\nX\x01: y\r\n\r\n", 400},
      {"\x16\x03\x01\x02 TLS", 400},
      {"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417},
      {"GET /" + longish + "aaaaaaaaaa HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + longish + "\r\nY: " + longish + "\r\n\r\n", 431},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nIf-Match: " + longish + "\r\n\r\n", 431},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + longish, 413},
  };
  for (const auto& k : cases) {
    for (size_t piece : {size_t{100000}, size_t{1}}) {
      const Conn conn = h.ask(k.request + get("/behind"), piece);
      const auto all = responses(h.api.received(conn));
      ASSERT_EQ(all.size(), 1u) << k.request << "\n" << h.api.received(conn);
      EXPECT_EQ(all[0].status, k.status) << k.request;
      EXPECT_TRUE(all[0].close()) << k.request;
      EXPECT_TRUE(h.api.shut(conn)) << k.request;
      EXPECT_EQ(h.api.at(conn).with_app, 0u) << "input that is thrown away still closes the window";
      h.api.fail(conn);
    }
  }
  EXPECT_GE(h.http->counters()->bad_requests.get(), 50u);
}

TEST(Http, OtherMethodsAreRefusedAndTheirBodiesThrownAway) {
  HttpHarness h;
  const std::string bodies[] = {
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nGET / HTTP/1",
      "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n3\r\nabc\r\n0\r\nTrailer: "
      "x\r\n\r\n",
      "DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n",
      "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  for (const std::string& b : bodies) {
    const Conn c = h.ask(b + get("/behind"));
    const auto all = responses(h.api.received(c));
    ASSERT_EQ(all.size(), 2u) << b;
    EXPECT_EQ(all[0].status, 405u);
    EXPECT_EQ(all[0].field.at("allow"), "GET, HEAD, OPTIONS");
    EXPECT_FALSE(all[0].close());
    EXPECT_EQ(all[1].status, 200u);
  }
}

TEST(Http, OptionsSayWhatThereIs) {
  HttpHarness h;
  for (const char* target : {"*", "/any"}) {
    const HttpResponse r = h.get("OPTIONS " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(r.status, 204u);
    EXPECT_EQ(r.field.at("allow"), "GET, HEAD, OPTIONS");
    EXPECT_FALSE(r.field.contains("content-length")) << "RFC 9110 8.6: never in a 204";
  }
}

TEST(Http, NothingFollowsTheFieldsOfAnAnswerToHead) {
  HttpHarness h;
  for (const char* request : {"HEAD / HTTP/1.1\r\n\r\n", "HEAD /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
                              "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"}) {
    const std::string s = h.api.received(h.ask(request));
    EXPECT_TRUE(s.starts_with("HTTP/1.1 4")) << s;
    EXPECT_TRUE(s.ends_with("\r\n\r\n")) << s;
  }
}

TEST(Http, EveryAnswerHasTheDate) {
  HttpHarness h;
  h.api.wall_offset = (784111777 - 1000) * FakeApi::kSecond;  // it began 1000 seconds before
  const std::string all = get("/") + get("/") + get("/", "If-None-Match: *\r\n") + get("/", "Range: bytes=1-2\r\n") +
                          "PUT / HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nBREW\r\n\r\n";
  for (const char* date : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"}) {
    const auto r = responses(h.api.received(h.ask(all)));
    ASSERT_EQ(r.size(), 7u);
    const unsigned status[] = {200, 200, 304, 206, 405, 204, 501};
    for (size_t i = 0; i < r.size(); i++) {
      EXPECT_EQ(r[i].status, status[i]);
      EXPECT_EQ(r[i].field.at("date"), date) << r[i].status;
    }
    h.api.advance(FakeApi::kSecond);
  }
  h.api.wall_offset -= 3600 * FakeApi::kSecond;  // the system's clock is set back
  EXPECT_EQ(h.get(get("/")).field.at("date"), "Sun, 06 Nov 1994 07:49:39 GMT");
}

// What is sent stays as it is until it is acknowledged: FakeApi compares.
TEST(Http, AClientThatAcknowledgesNothingGetsTheDateOfItsRequest) {
  ServiceConfig c = http_config();
  c.http.send_timeout = {};
  c.http.keepalive_timeout = {};
  c.connections = 128;
  HttpHarness h(c);
  std::vector<std::pair<Conn, std::string>> stalled;
  for (int second = 0; second < 100; second++) {
    const Conn conn = h.api.accept(80);
    h.api.deliver(conn, get("/") + get("/missing/" + std::to_string(second), "If-Match: x\r\n"));
    h.api.run();
    stalled.push_back({conn, http_date(h.api.wall_clock() / FakeApi::kSecond)});
    h.api.advance(FakeApi::kSecond);
  }
  for (size_t i = 0; i < stalled.size(); i++) {
    h.settle(stalled[i].first);
    const auto all = responses(h.api.received(stalled[i].first));
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].body, "hello\n");
    EXPECT_TRUE(i >= 30 || all[0].field.at("date") == stalled[i].second) << i;
  }
  h.api.advance(FakeApi::kSecond);
  EXPECT_EQ(h.get(get("/later")).field.at("date"), http_date(h.api.wall_clock() / FakeApi::kSecond));
}

TEST(Http, AGetMayHaveABody) {
  HttpHarness h;
  const Conn c = h.ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345" + get("/"));
  EXPECT_EQ(responses(h.api.received(c)).size(), 2u);
}

TEST(Http, WhoWaitsToBeToldToGoOnIsAnsweredAtOnce) {
  HttpHarness h;
  const Conn c = h.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
  const auto all = responses(h.api.received(c));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].status, 405u);
  EXPECT_TRUE(all[0].close());
  // Without a body there is nothing to wait for.
  const HttpResponse r = h.get(get("/", "Expect: 100-continue\r\n"));
  EXPECT_EQ(r.status, 200u);
  EXPECT_FALSE(r.close());
}

TEST(Http, EmptyLinesBeforeARequestAreIgnored) {
  HttpHarness h;
  const Conn c = h.ask("\r\n\r\n" + get("/") + "\r\n" + get("/"));
  EXPECT_EQ(responses(h.api.received(c)).size(), 2u);
}

TEST(Http, AClientThatEndsItsSideGetsItsAnswersAndTheEnd) {
  HttpHarness h;
  const Conn c = h.api.accept(80);
  h.api.deliver(c, get("/") + get("/") + "GET /half");
  h.api.fin(c);
  h.settle(c);
  EXPECT_EQ(responses(h.api.received(c)).size(), 2u);
  EXPECT_TRUE(h.api.shut(c));
  ASSERT_TRUE(h.api.settle(c));
  h.api.run();
  EXPECT_EQ(h.http->counters()->connections(), 0u);
}

TEST(Http, PipelinedRequestsAreAnsweredInOneSend) {
  HttpHarness h;
  const Conn c = h.ask(get("/"));
  const unsigned before = h.api.sends;
  std::string ten;
  for (int i = 0; i < 10; i++) ten += get("/");
  h.api.deliver(c, ten);
  h.settle(c);
  EXPECT_EQ(h.api.sends, before + 1);
  EXPECT_EQ(responses(h.api.received(c)).size(), 11u);
}

TEST(Http, PagesShowWhatWasPublishedLast) {
  ServiceConfig c = http_config();
  c.http.body.reset();
  c.http.metrics = c.http.healthz = true;
  HttpHarness h(c);
  EXPECT_EQ(h.get(get("/metrics")).status, 503u);
  ASSERT_TRUE(h.pages->metrics.publish(200, "text/plain; version=0.0.4", "a 1\n"));
  ASSERT_TRUE(h.pages->healthz.publish(200, "text/plain", "ok\n"));
  EXPECT_EQ(h.get(get("/metrics")).body, "a 1\n");
  EXPECT_EQ(h.get(get("/metrics?x")).body, "a 1\n");
  ASSERT_TRUE(h.pages->metrics.publish(200, "text/plain; version=0.0.4", "a 2\n"));
  EXPECT_EQ(h.get(get("/metrics")).body, "a 2\n") << "a request that was remembered with an old answer";
  EXPECT_EQ(h.get("GET /metrics HTTP/1.0\r\n\r\n").body, "a 2\n");
  ASSERT_TRUE(h.pages->healthz.publish(503, "text/plain", "draining\n"));
  EXPECT_EQ(h.get(get("/healthz")).status, 503u);
  EXPECT_EQ(h.get(get("/other")).status, 404u);
}

TEST(Http, ThePagesAreOffUnlessSwitchedOn) {
  HttpHarness h;
  h.pages->metrics.publish(200, "text/plain", "secret\n");
  EXPECT_EQ(h.get(get("/metrics")).body, "hello\n");
}

TEST(Http, AVersionThatIsBeingSentStays) {
  ServiceConfig c = http_config();
  c.http.metrics = true;
  HttpHarness h(c);
  h.api.send_buffer = 1000;
  ASSERT_TRUE(h.pages->metrics.publish(200, "text/plain", std::string(5000, 'a')));
  const Conn conn = h.api.accept(80);
  h.api.deliver(conn, get("/metrics"));
  h.api.run();
  unsigned published = 0;
  for (int i = 0; i < 20; i++) published += h.pages->metrics.publish(200, "text/plain", std::string(5000, 'b'));
  EXPECT_EQ(published, 20u);  // the other versions take turns
  h.settle(conn);
  const auto all = responses(h.api.received(conn));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].body, std::string(5000, 'a'));
}

TEST(HttpPage, WithEveryVersionInUseTheCurrentOneStays) {
  HttpPage page;
  EXPECT_EQ(page.acquire(), nullptr);
  std::vector<HttpPage::Version*> held;
  unsigned published = 0;
  while (published < 100 && page.publish(200, "text/plain", std::to_string(published))) {
    published++;
    held.push_back(page.acquire());
  }
  EXPECT_EQ(published, 8u);
  EXPECT_EQ(page.acquire(), held.back());
  held.back()->release();
  held.front()->release();
  EXPECT_TRUE(page.publish(200, "text/plain", "again"));
  EXPECT_TRUE(std::string_view(held.front()->response().text).find("again") != std::string::npos);
}

TEST(HttpPage, AReaderNeverSeesAVersionThatIsBeingWritten) {
  HttpPage page;
  page.publish(200, "text/plain", std::string(2000, 'a'));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (unsigned i = 0; !stop; i++)
      page.publish(200, "text/plain", std::string(1 + i % 2000, static_cast<char>('a' + i % 26)));
  });
  unsigned torn = 0;
  for (int i = 0; i < 200000; i++) {
    HttpPage::Version* v = page.acquire();
    const Response& r = v->response();
    const std::string_view body(r.text.data() + r.fields, r.body);
    torn += r.body == 0 || body.front() != body.back();
    v->release();
  }
  stop = true;
  writer.join();
  EXPECT_EQ(torn, 0u);
}

TEST(Http, TheAccessLogSaysWhoAskedForWhat) {
  EventLog log;
  ServiceConfig c = http_config();
  c.log = true;
  HttpHarness h(c, &log);
  for (int twice = 0; twice < 2; twice++) h.get(get("/path"));
  h.get("BREW\r\n");
  std::array<LogRecord, 8> r;
  ASSERT_EQ(log.drain(r), 3u);
  EXPECT_EQ(r[0].kind, LogRecord::Kind::request);
  EXPECT_EQ(r[0].status, 200);
  EXPECT_EQ(r[0].client, test::endpoint(9, 40000));
  EXPECT_EQ(r[0].service, 1);
  EXPECT_TRUE(std::string_view(r[0].target).starts_with("/path"));
  EXPECT_TRUE(std::string_view(r[1].target).starts_with("/path")) << r[1].target;
  EXPECT_EQ(r[2].status, 501);
  h.get(get("/%61%2etxt?x=1"));
  ASSERT_EQ(log.drain(r), 1u);
  EXPECT_EQ(std::string_view(r[0].target), "/%61%2etxt?x=1") << "as it was asked for";
}

TEST(EventLog, IsLimitedInRateAndNeverWaits) {
  auto log = std::make_unique<EventLog>();
  const int64_t now = 5'000'000'000;
  unsigned n = 0;
  for (int i = 0; i < 5000; i++) {
    if (!log->begin(now)) continue;
    log->commit();
    n++;
  }
  EXPECT_EQ(n, EventLog::kBurst);
  EXPECT_EQ(log->suppressed.get(), 5000u - n);
  EXPECT_NE(log->begin(now + 1'000'000), nullptr);  // a record a millisecond
  log->commit();
  EXPECT_EQ(log->begin(now + 1'000'000), nullptr);
  for (int s = 1; s < 10; s++)
    for (unsigned i = 0; i < EventLog::kPerSecond; i++)
      if (log->begin(now + s * int64_t{1'000'000'000})) log->commit();
  std::vector<LogRecord> out(10000);
  EXPECT_EQ(log->drain(out), EventLog::kRecords);
}

}  // namespace
}  // namespace sluice::apps
