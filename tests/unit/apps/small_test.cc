// echo, discard, chargen.
#include <gtest/gtest.h>

#include "apps/small.h"
#include "tests/unit/apps/fake_api.h"

namespace sluice::apps {
namespace {

using test::Conn;
using test::FakeApi;
using test::Kind;

ServiceConfig config(ServiceKind kind, uint16_t port) {
  ServiceConfig c;
  c.name = to_string(kind);
  c.kind = kind;
  c.listen = {test::endpoint(0, port)};
  c.connections = 16;
  c.idle_timeout = Duration::seconds(60);
  return c;
}

std::string text(size_t n) {
  std::string s(n, ' ');
  for (size_t i = 0; i < n; i++) s[i] = static_cast<char>('a' + i * 7 % 26);
  return s;
}

class EchoTest : public ::testing::Test {
 protected:
  EchoTest() : echo_(config(ServiceKind::echo, 7), 1, nullptr) { api_.add(echo_); }
  ~EchoTest() override {
    echo_.drain(api_, api_.now());
    api_.advance(FakeApi::kSecond);
    api_.expect_clean();
    EXPECT_TRUE(echo_.finished());
  }
  FakeApi api_;
  Echo echo_;
};

TEST_F(EchoTest, SendsBackWhatItGetsAndEndsBehindIt) {
  const Conn c = api_.accept(7);
  const std::string s = text(10000);
  api_.deliver(c, s, 999);
  api_.fin(c);
  api_.run();
  EXPECT_FALSE(api_.shut(c));  // not before the peer has all of it
  api_.acknowledge(c);
  api_.run();
  EXPECT_TRUE(api_.shut(c));
  EXPECT_EQ(api_.received(c), s);
  EXPECT_EQ(api_.at(c).with_app, 0u);
  ASSERT_TRUE(api_.settle(c));
  api_.run();
  EXPECT_EQ(echo_.counters()->connections(), 0u);
  EXPECT_EQ(echo_.counters()->bytes_in.get(), s.size());
  EXPECT_EQ(echo_.counters()->bytes_out.get(), s.size());
}

TEST_F(EchoTest, AReaderThatIsSlowSlowsItsOwnWriting) {
  api_.send_buffer = 3000;
  const Conn c = api_.accept(7);
  const std::string s = text(50000);
  api_.deliver(c, s, 1000);
  api_.fin(c);
  api_.run();
  EXPECT_FALSE(api_.shut(c));
  EXPECT_LE(api_.at(c).queued, 3000u);
  for (int i = 0; i < 2000 && !api_.shut(c); i++) {
    api_.acknowledge(c, 700);
    api_.run();
    EXPECT_LE(api_.at(c).with_app, 64 * 1000u) << "more is taken than a batch";
  }
  api_.acknowledge(c);
  api_.run();
  EXPECT_EQ(api_.received(c), s);
  EXPECT_EQ(api_.at(c).with_app, 0u);
}

TEST_F(EchoTest, ASharedPoolThatIsShortIsTriedAgain) {
  const Conn c = api_.accept(7);
  api_.refuse_sends = 3;
  api_.deliver(c, "hello");
  api_.run();
  EXPECT_TRUE(api_.at(c).queue.empty());
  api_.advance(FakeApi::kSecond);
  api_.acknowledge(c);
  api_.run();
  EXPECT_EQ(api_.received(c), "hello");
}

TEST_F(EchoTest, AResetAtEveryMomentLeavesNothingBehind) {
  api_.send_buffer = 2000;
  for (unsigned moment = 0; moment < 12; moment++) {
    const Conn c = api_.accept(7);
    for (unsigned step = 0; step < 12; step++) {
      if (step == moment) api_.fail(c);
      if (step % 2) api_.acknowledge(c, 500);
      else api_.deliver(c, text(1500), 400);
      if (step % 3 == 2) api_.run();
    }
    api_.run();
  }
  EXPECT_EQ(echo_.counters()->connections(), 0u);
  EXPECT_EQ(echo_.counters()->failures.get(), 12u);
}

TEST_F(EchoTest, AnIdleConnectionIsEndedAndABusyOneIsNot) {
  const Conn idle = api_.accept(7), busy = api_.accept(7);
  for (int i = 0; i < 10; i++) {
    api_.deliver(busy, "x");
    api_.advance(10 * FakeApi::kSecond);
    api_.acknowledge(busy);
  }
  EXPECT_TRUE(api_.aborted(idle));
  EXPECT_TRUE(api_.open(busy));
  EXPECT_EQ(echo_.counters()->timeouts.get(), 1u);
}

TEST_F(EchoTest, AboveItsLimitConnectionsAreClosedAndCounted) {
  std::vector<Conn> c;
  for (int i = 0; i < 20; i++) c.push_back(api_.accept(7));
  api_.run();
  EXPECT_EQ(echo_.counters()->refused.get(), 4u);
  EXPECT_EQ(echo_.counters()->connections(), 16u);
  api_.fail(c[3]);
  api_.run();
  const Conn again = api_.accept(7);
  api_.run();
  EXPECT_TRUE(api_.open(again));
}

TEST_F(EchoTest, BuffersOfAConnectionThatWasGivenUpInTheSameBatchComeBack) {
  const Conn c = api_.accept(7);
  api_.run();
  api_.refuse_sends = 1000000;
  for (int i = 0; i < 2000; i++) api_.deliver(c, "y", 1);
  api_.batch = 2000;  // more than there is room to wait: the connection is given up in the middle
  api_.run();
  EXPECT_TRUE(api_.aborted(c));
  EXPECT_EQ(echo_.counters()->overloads.get(), 1u);
  api_.refuse_sends = 0;
}

TEST_F(EchoTest, DrainingEndsConnectionsBehindWhatTheyHaveSent) {
  const Conn c = api_.accept(7);
  api_.deliver(c, "last words");
  api_.run();
  echo_.drain(api_, api_.now() + 5 * FakeApi::kSecond);
  api_.advance(FakeApi::kMs);
  EXPECT_EQ(api_.listeners(), 0u);
  EXPECT_TRUE(api_.shut(c));
  EXPECT_FALSE(echo_.finished());
  api_.advance(6 * FakeApi::kSecond);
  EXPECT_TRUE(api_.aborted(c));
  EXPECT_TRUE(echo_.finished());
}

TEST(Discard, TakesAllAndSaysNothing) {
  FakeApi api;
  Discard d(config(ServiceKind::discard, 9), 1, nullptr);
  api.add(d);
  const Conn c = api.accept(9);
  api.deliver(c, text(100000));
  api.fin(c);
  api.run();
  EXPECT_EQ(d.counters()->bytes_in.get(), 100000u);
  EXPECT_EQ(api.at(c).with_app, 0u);
  EXPECT_TRUE(api.at(c).queue.empty());
  ASSERT_TRUE(api.settle(c));
  api.run();
  EXPECT_EQ(d.counters()->connections(), 0u);
  api.expect_clean();
}

TEST(Discard, AnIdleConnectionIsEnded) {
  FakeApi api;
  Discard d(config(ServiceKind::discard, 9), 1, nullptr);
  api.add(d);
  const Conn c = api.accept(9);
  api.advance(59 * FakeApi::kSecond);
  EXPECT_TRUE(api.open(c));
  api.advance(2 * FakeApi::kSecond);
  EXPECT_TRUE(api.aborted(c));
}

// RFC 864's example pattern: 72 characters a line, each line one further on in the 95 printable ones.
std::string expected_chargen(size_t n) {
  std::string s;
  for (unsigned line = 0; s.size() < n; line++) {
    for (unsigned k = 0; k < 72; k++) s += static_cast<char>(' ' + (line + k) % 95);
    s += "\r\n";
  }
  return s.substr(0, n);
}

TEST(Chargen, SendsThePatternForAsLongAsItIsRead) {
  FakeApi api;
  api.send_buffer = 20000;
  Chargen g(config(ServiceKind::chargen, 19), 1, nullptr);
  api.add(g);
  const Conn c = api.accept(19);
  api.run();
  for (int i = 0; i < 500; i++) {
    api.acknowledge(c, 3 + static_cast<size_t>(i) * 13 % 1997);
    if (i % 10 == 0) api.deliver(c, "ignored");
    api.run();
  }
  EXPECT_GT(api.received(c).size(), 400000u);
  EXPECT_EQ(api.received(c), expected_chargen(api.received(c).size()));
  EXPECT_EQ(api.at(c).with_app, 0u);
  api.fin(c);
  api.run();
  EXPECT_TRUE(api.shut(c));
  const size_t before = api.received(c).size() + api.at(c).queued;
  api.acknowledge(c);
  api.run();
  EXPECT_EQ(api.received(c).size(), before) << "generated on after the end";
  ASSERT_TRUE(api.settle(c));
  api.run();
  EXPECT_EQ(g.counters()->connections(), 0u);
  api.expect_clean();
}

TEST(Chargen, AReaderThatStopsIsEnded) {
  FakeApi api;
  Chargen g(config(ServiceKind::chargen, 19), 1, nullptr);
  api.add(g);
  const Conn c = api.accept(19);
  api.advance(61 * FakeApi::kSecond);
  EXPECT_TRUE(api.aborted(c));
  api.expect_clean();
}

TEST(Chargen, GoesOnAfterASharedPoolWasShort) {
  FakeApi api;
  Chargen g(config(ServiceKind::chargen, 19), 1, nullptr);
  api.add(g);
  api.refuse_sends = 2;
  const Conn c = api.accept(19);
  api.run();
  EXPECT_TRUE(api.at(c).queue.empty());
  api.advance(FakeApi::kSecond);
  EXPECT_FALSE(api.at(c).queue.empty());
  api.abort(c);
}

TEST(Service, AnAddressThatCannotBeListenedOnIsCounted) {
  FakeApi api;
  api.refuse_listens = true;
  Discard d(config(ServiceKind::discard, 9), 1, nullptr);
  api.add(d);
  EXPECT_EQ(d.counters()->listen_failures.get(), 1u);
}

}  // namespace
}  // namespace sluice::apps
