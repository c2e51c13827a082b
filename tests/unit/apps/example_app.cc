// A complete application, as sluice/app.h describes them, and its tests: wc over TCP. A client sends as much as it
// likes and ends its side (`printf 'a\nb\n' | nc -N box 7777`); it is told how many lines and bytes that was, and the
// connection ends. For one that sends what it receives without a copy, and handles back-pressure, see
// src/apps/splice.h and echo.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "sluice/app.h"
#include "tests/unit/apps/fake_api.h"

namespace sluice::example {

class WordCount final : public app::App {
 public:
  static constexpr int64_t kIdle = 30'000'000'000;

  // All memory is taken here, on the control thread: `most` clients at a time.
  WordCount(uint16_t port, uint32_t most) : port_(port), client_(most) {
    for (uint32_t i = most; i > 0; i--) free_.push_back(i - 1);
  }

  void start(app::Api& api) override {
    app::Listener l;
    listening_ = api.listen({.port = port_}, {}, 0, l) == app::Outcome::ok;
  }

  void events(app::Api& api, std::span<const app::Event> batch) override {
    for (const app::Event& e : batch) {
      if (e.kind == app::Kind::accepted) {
        accepted(api, e);
        continue;
      }
      // The user word says which client; the handle, whether it is still this connection's. Where it was given up
      // earlier in this batch, all that is left to do is to give the buffer back.
      Client& c = client_[e.user];
      if (c.conn != e.conn) {
        if (e.buffer) api.free_buffer(e.buffer);
        continue;
      }
      switch (e.kind) {
        case app::Kind::data:
          c.bytes += e.length;
          for (uint32_t i = 0; i < e.length; i++) c.lines += e.bytes[i] == '\n';
          c.heard = api.now();
          api.done(e.conn, e.buffer, e.length);  // read, and the peer may send as much again
          break;
        case app::Kind::peer_closed: answer(api, c); break;
        case app::Kind::closed:
        case app::Kind::failed: forget(c); break;
        default: break;
      }
    }
  }

  // Whoever was silent for kIdle goes. One deadline for all: nobody waits longer than twice as long.
  void tick(app::Api& api) override {
    tick_ = api.now() + kIdle;
    for (Client& c : client_) {
      if (c.conn.none() || api.now() - c.heard < kIdle) continue;
      api.abort(c.conn);
      forget(c);
    }
  }
  int64_t deadline() const override { return clients() > 0 ? tick_ : INT64_MAX; }

  bool listening() const { return listening_; }
  size_t clients() const { return client_.size() - free_.size(); }

 private:
  struct Client {
    app::Conn conn;
    uint64_t lines = 0, bytes = 0;
    int64_t heard = 0;
  };

  void accepted(app::Api& api, const app::Event& e) {
    if (free_.empty()) {
      api.close(e.conn);  // no event comes for it any more
      return;
    }
    if (clients() == 0) tick_ = api.now() + kIdle;
    const uint32_t i = free_.back();
    free_.pop_back();
    client_[i] = {.conn = e.conn, .heard = api.now()};
    api.set_user(e.conn, i);
  }

  // The answer is written into a buffer of the stack's, which has it back once it is sent.
  void answer(app::Api& api, Client& c) {
    uint8_t* bytes = nullptr;
    uint32_t room = 0;
    app::Buffer* b = api.make_buffer(bytes, room);
    if (b) {
      const int n = std::snprintf(reinterpret_cast<char*>(bytes), room, "%llu %llu\n",
                                  static_cast<unsigned long long>(c.lines), static_cast<unsigned long long>(c.bytes));
      const app::Slice s{bytes, static_cast<uint32_t>(n), b, nullptr};
      if (api.send(c.conn, {&s, 1}) == app::Outcome::ok) {
        api.shutdown(c.conn);  // the end follows what was sent; `closed` comes when the peer has all of it
        return;
      }
      api.free_buffer(b);
    }
    api.abort(c.conn);
    forget(c);
  }

  void forget(Client& c) {
    c.conn = {};
    free_.push_back(static_cast<uint32_t>(&c - client_.data()));
  }

  uint16_t port_;
  std::vector<Client> client_;
  std::vector<uint32_t> free_;
  int64_t tick_ = 0;
  bool listening_ = false;
};

namespace {

using test::Conn;
using test::FakeApi;

TEST(Example, CountsAndAnswers) {
  FakeApi api;
  WordCount wc(7777, 10);
  api.add(wc);
  ASSERT_TRUE(wc.listening());
  const Conn c = api.accept(7777);
  api.deliver(c, "one\ntwo\nthree\n", 3);
  api.fin(c);
  api.run();
  EXPECT_TRUE(api.shut(c));
  EXPECT_EQ(api.at(c).with_app, 0u);
  api.acknowledge(c);
  EXPECT_EQ(api.received(c), "3 14\n");
  ASSERT_TRUE(api.settle(c));
  api.run();
  EXPECT_EQ(wc.clients(), 0u);
  api.expect_clean();
}

TEST(Example, BeyondItsLimitClientsAreRefused) {
  FakeApi api;
  WordCount wc(7777, 2);
  api.add(wc);
  Conn c[3];
  for (Conn& one : c) one = api.accept(7777);
  api.deliver(c[2], "x");
  api.run();
  EXPECT_TRUE(api.open(c[0]) && api.open(c[1]) && !api.open(c[2]));
  api.fail(c[0]);
  api.run();
  EXPECT_EQ(wc.clients(), 1u);
  api.abort(c[1]);
  api.expect_clean();
}

TEST(Example, ASilentClientGoes) {
  FakeApi api;
  WordCount wc(7777, 2);
  api.add(wc);
  const Conn c = api.accept(7777);
  api.advance(29 * FakeApi::kSecond);
  EXPECT_TRUE(api.open(c));
  api.advance(32 * FakeApi::kSecond);
  EXPECT_TRUE(api.aborted(c));
  EXPECT_EQ(wc.deadline(), INT64_MAX);
}

TEST(Example, WithoutABufferTheClientIsReset) {
  FakeApi api;
  WordCount wc(7777, 2);
  api.add(wc);
  api.refuse_buffers = 1;
  const Conn c = api.accept(7777);
  api.fin(c);
  api.run();
  EXPECT_TRUE(api.aborted(c));
  EXPECT_EQ(wc.clients(), 0u);
  api.expect_clean();
}

}  // namespace
}  // namespace sluice::example
