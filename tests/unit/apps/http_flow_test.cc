// HTTP: bytes that come and go in every way that they can.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/apps/http_fixture.h"

namespace sluice::apps {
namespace {

using test::Conn;
using test::FakeApi;
using test::responses;

// What any mixture of these must bring, whatever the splitting.
const std::string kPipeline =
    get("/") + "HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n" +
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" +
    "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n" + get("/") +
    "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

std::string answer_of(const std::string& request, size_t piece) {
  HttpHarness h;
  return h.api.received(h.ask(request, piece));
}

TEST(HttpFlow, APipelineSplitAtEachByteBringsTheSameAnswers) {
  const std::string whole = answer_of(kPipeline, kPipeline.size());
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\0'), 0);
  ASSERT_EQ(answer_of(kPipeline, 1), whole);
  HttpHarness h;
  for (size_t at = 1; at < kPipeline.size(); at++) {
    const Conn c = h.api.accept(80);
    h.api.deliver(c, kPipeline.substr(0, at));
    if (at % 2) h.api.run();
    h.api.deliver(c, kPipeline.substr(at));
    h.settle(c);
    ASSERT_EQ(h.api.received(c), whole) << "split at " << at;
    h.api.fail(c);
    h.api.run();
  }
}

// RFC 9112 9.6: it has said that it sends no more. RFC 9293 3.6.1 SHLD-3.
TEST(HttpFlow, WhatFollowsAWishToCloseIsRefused) {
  HttpHarness h;
  const Conn c = h.api.accept(80);
  h.api.deliver(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  h.api.run();
  EXPECT_TRUE(h.api.shut(c));
  h.api.deliver(c, get("/never"));
  h.api.run();
  EXPECT_TRUE(h.api.at(c).aborted);
}

TEST(HttpFlow, ThreePiecesOfEveryKind) {
  const std::string whole = answer_of(kPipeline, kPipeline.size());
  HttpHarness h;
  for (size_t a = 1; a < kPipeline.size(); a += 7) {
    for (size_t b = a + 1; b < kPipeline.size(); b += 11) {
      const Conn c = h.api.accept(80);
      h.api.deliver(c, kPipeline.substr(0, a));
      h.api.deliver(c, kPipeline.substr(a, b - a));
      h.api.deliver(c, kPipeline.substr(b));
      h.settle(c);
      ASSERT_EQ(h.api.received(c), whole) << a << " " << b;
      h.api.fail(c);
      h.api.run();
    }
  }
}

TEST(HttpFlow, AnAnswerLargerThanTheSendBufferGoesPieceByPiece) {
  Folder f;
  std::string large(300000, ' ');
  for (size_t i = 0; i < large.size(); i++) large[i] = static_cast<char>('a' + i * 31 % 26);
  f.write("large", large);
  f.write("small", "small");
  ServiceConfig c = http_config();
  c.http.files = f.path();
  HttpHarness h(c);
  h.api.send_buffer = 7000;
  const Conn conn = h.api.accept(80);
  h.api.deliver(conn, get("/small") + get("/large") + get("/small") + get("/large", "Connection: close\r\n"), 50);
  for (size_t k = 0; k < 10000 && !h.api.shut(conn); k++) {
    h.api.run();
    EXPECT_LE(h.api.at(conn).queued, 7000u);
    h.api.acknowledge(conn, 1 + k * 37 % 5000);
  }
  h.settle(conn);
  const auto all = responses(h.api.received(conn));
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].body, "small");
  EXPECT_EQ(all[1].body, large);
  EXPECT_EQ(all[2].body, "small");
  EXPECT_EQ(all[3].body, large);
  EXPECT_TRUE(h.api.shut(conn));
  EXPECT_EQ(h.api.at(conn).with_app, 0u);
}

TEST(HttpFlow, AReaderThatIsSlowIsNotReadFrom) {
  HttpHarness h;
  h.api.send_buffer = 400;
  const Conn c = h.api.accept(80);
  std::string many;
  for (int i = 0; i < 500; i++) many += get("/");
  h.api.deliver(c, many, 100);
  h.api.run();
  EXPECT_LE(h.api.at(c).with_app, 64u * 100);
  h.settle(c);
  EXPECT_EQ(responses(h.api.received(c)).size(), 500u);
}

TEST(HttpFlow, ASharedPoolThatIsShortLosesAndDoublesNothing) {
  const std::string whole = answer_of(kPipeline, kPipeline.size());
  for (unsigned refusals = 1; refusals < 12; refusals++) {
    for (size_t piece : {size_t{1}, size_t{13}, size_t{60}, kPipeline.size()}) {
      HttpHarness h;
      h.ask(get("/"));  // remembered
      const Conn c = h.api.accept(80);
      h.api.refuse_sends = refusals;
      h.api.deliver(c, kPipeline, piece);
      h.api.advance(FakeApi::kSecond);
      h.settle(c);
      ASSERT_EQ(h.api.received(c), whole) << refusals << " " << piece;
      // One for the last: what could not be sent at first was counted once.
      EXPECT_EQ(h.http->counters()->requests.get(), 1u + 6u);
    }
  }
}

TEST(HttpFlow, AResetAtEveryMomentLeavesNothingBehind) {
  ServiceConfig c = http_config();
  c.http.metrics = true;
  HttpHarness h(c);
  h.pages->metrics.publish(200, "text/plain", std::string(3000, 'm'));
  h.api.send_buffer = 500;
  const std::string stream = get("/") + get("/metrics") + get("/") + "GET /metrics HTTP/1.1\r\nHo";
  for (size_t moment = 0; moment < 60; moment++) {
    const Conn conn = h.api.accept(80);
    for (size_t step = 0; step < 60; step++) {
      if (step == moment) h.api.fail(conn);
      if (step * 20 < stream.size()) h.api.deliver(conn, stream.substr(step * 20, 20));
      h.api.acknowledge(conn, 100);
      h.api.run();
    }
    if (h.api.open(conn)) h.api.fail(conn);
    h.api.run();
  }
  EXPECT_EQ(h.http->counters()->connections(), 0u);
  // No version of the page is counted any more: each can be replaced.
  for (int i = 0; i < 20; i++) EXPECT_TRUE(h.pages->metrics.publish(200, "text/plain", "x"));
  std::vector<HttpPage::Version*> held;
  for (int i = 0; i < 8; i++) {
    EXPECT_TRUE(h.pages->metrics.publish(200, "text/plain", "y")) << i;
    held.push_back(h.pages->metrics.acquire());
  }
  for (auto* v : held) v->release();
}

// Versions of a page that were counted for answers which then had to wait are counted down again.
TEST(HttpFlow, ASharedPoolThatIsShortKeepsNoVersionOfAPage) {
  ServiceConfig c = http_config();
  c.http.metrics = true;
  for (unsigned refusals = 1; refusals < 6; refusals++) {
    HttpHarness h(c);
    h.pages->metrics.publish(200, "text/plain", "m\n");
    std::string many = get("/");
    for (int i = 0; i < 40; i++) many += get("/metrics");
    const Conn conn = h.api.accept(80);
    h.api.refuse_sends = refusals;
    h.api.deliver(conn, many, many.size());
    h.api.advance(FakeApi::kSecond);
    h.settle(conn);
    EXPECT_EQ(responses(h.api.received(conn)).size(), 41u);
    for (int i = 0; i < 8; i++) {
      ASSERT_TRUE(h.pages->metrics.publish(200, "text/plain", "n\n")) << i;
      ASSERT_NE(h.pages->metrics.acquire(), nullptr);
    }
  }
}

TEST(HttpFlow, ARequestThatDoesNotEndIsToldSo) {
  HttpHarness h;
  const Conn c = h.api.accept(80);
  for (int i = 0; i < 30; i++) {  // a byte a second
    h.api.deliver(c, std::string(1, "GET / HTTP/1.1\r\nHost: box\r\nX: ................"[i]));
    h.api.advance(FakeApi::kSecond);
  }
  h.settle(c);
  const auto all = responses(h.api.received(c));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].status, 408u);
  EXPECT_TRUE(h.api.shut(c));
  // It does not go away by itself either.
  h.api.advance(10 * FakeApi::kSecond);
  EXPECT_FALSE(h.api.open(c));
  EXPECT_EQ(h.http->counters()->connections(), 0u);
}

TEST(HttpFlow, AClientThatSaysNothingIsLeft) {
  HttpHarness h;
  const Conn silent = h.api.accept(80);
  const Conn used = h.ask(get("/"));
  h.api.advance(59 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.open(silent) && !h.api.shut(silent));
  h.api.advance(2 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.shut(silent));
  EXPECT_TRUE(h.api.shut(used));
  h.api.advance(6 * FakeApi::kSecond);
  EXPECT_FALSE(h.api.open(silent));
}

TEST(HttpFlow, AClientThatDoesNotReadIsReset) {
  HttpHarness h;
  h.api.send_buffer = 100;
  const Conn c = h.api.accept(80);
  h.api.deliver(c, get("/") + get("/"));
  h.api.advance(20 * FakeApi::kSecond);
  h.api.acknowledge(c, 1);  // progress
  h.api.advance(29 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.open(c));
  h.api.advance(2 * FakeApi::kSecond);
  EXPECT_TRUE(h.api.aborted(c));
  EXPECT_EQ(h.http->counters()->timeouts.get(), 1u);
}

TEST(HttpFlow, DrainingFinishesWhatIsUnderWay) {
  HttpHarness h;
  h.api.send_buffer = 60;
  const Conn idle = h.ask(get("/"));
  const Conn half = h.api.accept(80), reading = h.api.accept(80);
  h.api.deliver(half, "GET / HTTP/1.1\r\nHost");
  h.api.deliver(reading, get("/"));
  h.api.run();
  h.http->drain(h.api, h.api.now() + 20 * FakeApi::kSecond);
  h.api.advance(FakeApi::kMs);
  EXPECT_TRUE(h.api.shut(idle));
  EXPECT_FALSE(h.api.shut(half));
  EXPECT_FALSE(h.api.shut(reading));
  h.api.deliver(half, ": a\r\n\r\n");
  h.settle(half);
  h.settle(reading);
  EXPECT_TRUE(h.api.shut(reading));
  EXPECT_EQ(responses(h.api.received(reading)).size(), 1u);
  const auto all = responses(h.api.received(half));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0].close());
  EXPECT_TRUE(h.api.shut(half));
  for (Conn c : {idle, half, reading}) {
    h.api.fin(c);
    h.api.run();
    EXPECT_TRUE(h.api.settle(c));
  }
  h.api.run();
  EXPECT_TRUE(h.http->finished());
}

TEST(HttpFlow, MemoryThatIsBeingSentIsKeptBehindTheEnd) {
  HttpHarness h;
  const Conn c = h.api.accept(80);
  h.api.deliver(c, "GET / HTTP/1.0\r\n\r\n");
  h.api.run();
  h.http->drain(h.api, h.api.now() + FakeApi::kSecond);
  h.api.advance(6 * FakeApi::kSecond);
  EXPECT_EQ(h.http->counters()->connections(), 0u);
}

TEST(HttpFlow, AboveItsLimitConnectionsAreClosed) {
  HttpHarness h;
  std::vector<Conn> c;
  for (int i = 0; i < 70; i++) c.push_back(h.ask("GET / HTTP/1.1\r\n"));
  EXPECT_EQ(h.http->counters()->refused.get(), 6u);
}

// --- by chance, from seeds

struct Piece {
  std::string bytes;
  bool ok;
};

// A stream of requests of which it is known how many are answered.
class Chance {
 public:
  explicit Chance(unsigned seed) : random_(seed) {}
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  std::string request(unsigned& status) {
    status = 200;
    std::string fields = "Host: a\r\n";
    for (size_t k = below(4); k > 0; k--)
      fields += "X-" + std::to_string(below(100)) + ": " + std::string(below(300), 'v') + "\r\n";
    const std::string path = "/" + std::string(below(40), 'p');
    switch (below(6)) {
      case 0: {
        status = 405;
        const std::string body(below(3000), 'b');
        return "POST " + path + " HTTP/1.1\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body;
      }
      case 1: {
        status = 405;
        std::string s = "PUT " + path + " HTTP/1.1\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n";
        for (size_t k = below(5); k > 0; k--) {
          const std::string chunk(1 + below(500), 'c');
          char head[20];
          std::snprintf(head, sizeof head, "%zx\r\n", chunk.size());
          s += head + chunk + "\r\n";
        }
        return s + "0\r\n\r\n";
      }
      default: return "GET " + path + " HTTP/1.1\r\n" + fields + "\r\n";
    }
  }

 private:
  std::mt19937 random_;
};

TEST(HttpRandom, EveryRequestIsAnsweredOnceAndInOrder) {
  for (unsigned seed = 1; seed <= 300; seed++) {
    Chance r(seed);
    HttpHarness h;
    h.api.send_buffer = static_cast<uint32_t>(200 + r.below(5000));
    const Conn c = h.api.accept(80);
    std::string stream;
    std::vector<unsigned> expected;
    for (size_t k = 1 + r.below(30); k > 0; k--) {
      unsigned status = 0;
      stream += r.request(status);
      expected.push_back(status);
    }
    for (size_t at = 0; at < stream.size();) {
      const size_t n = 1 + r.below(r.below(2) ? 20 : 1500);
      h.api.deliver(c, stream.substr(at, n));
      at += n;
      if (r.below(3) == 0) h.api.run();
      if (r.below(2)) h.api.acknowledge(c, r.below(700));
      if (r.below(30) == 0) h.api.refuse_sends = static_cast<unsigned>(r.below(4));
    }
    for (int k = 0; k < 1000; k++) {
      h.api.advance(25 * FakeApi::kMs);
      h.api.acknowledge(c, 400);
    }
    const auto all = responses(h.api.received(c));
    ASSERT_EQ(all.size(), expected.size()) << "seed " << seed;
    for (size_t k = 0; k < all.size(); k++) ASSERT_EQ(all[k].status, expected[k]) << "seed " << seed << " answer " << k;
    ASSERT_EQ(h.api.at(c).with_app, 0u) << "seed " << seed;
  }
}

// Whatever comes, what goes out are whole responses, and the connection ends in time.
TEST(HttpRandom, BrokenStreamsDoNoHarm) {
  for (unsigned seed = 1; seed <= 500; seed++) {
    Chance r(seed + 100000);
    ServiceConfig config = http_config();
    config.http.head_most = 600;
    HttpHarness h(config);
    const Conn c = h.api.accept(80);
    std::string stream;
    for (size_t k = 1 + r.below(6); k > 0; k--) {
      unsigned status = 0;
      stream += r.request(status);
    }
    for (size_t k = r.below(8); k > 0; k--) {
      const size_t at = r.below(stream.size());
      switch (r.below(4)) {
        case 0: stream[at] = static_cast<char>(r.below(256)); break;
        case 1: stream.erase(at, 1 + r.below(5)); break;
        case 2: stream.insert(at, std::string(1 + r.below(3), static_cast<char>(r.below(256)))); break;
        default: stream.insert(at, "\r\n"); break;
      }
      if (stream.empty()) stream = "x";
    }
    bool failed = false;
    for (size_t at = 0; at < stream.size();) {
      const size_t n = 1 + r.below(400);
      h.api.deliver(c, stream.substr(at, n));
      at += n;
      h.api.run();
      h.api.acknowledge(c, r.below(2000));
      if (r.below(200) == 0) {
        h.api.fail(c);
        failed = true;
      }
    }
    if (r.below(2)) h.api.fin(c);
    for (int k = 0; k < 80; k++) {
      h.api.advance(FakeApi::kSecond);
      h.api.acknowledge(c);
    }
    if (failed) continue;
    for (const auto& one : responses(h.api.received(c)))
      ASSERT_NE(one.status, 0u) << "seed " << seed << "\n" << one.body;
    ASSERT_TRUE(!h.api.open(c) || h.api.shut(c)) << "seed " << seed << ": a connection that nothing ends";
  }
}

}  // namespace
}  // namespace sluice::apps
