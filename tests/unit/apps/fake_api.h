// The engine's side of app.h in memory, in virtual time, for testing applications: connections whose peer is the
// test. It holds the application to the contract: what is sent stays unchanged until acknowledged, no more is done()
// than was handed out, every buffer and every keeper's slice comes back once, no handle is used after its end but to
// be told so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sluice/app.h"

namespace sluice::test {

using app::Buffer;
using app::Conn;
using app::Endpoint;
using app::Event;
using app::Failure;
using app::Kind;
using app::Outcome;

inline Endpoint endpoint(uint8_t last, uint16_t port) {
  Endpoint e;
  e.address = {{198, 18, 0, last}, 4};
  e.port = port;
  return e;
}

class FakeApi final : public app::Api {
 public:
  static constexpr int64_t kMs = 1'000'000, kSecond = 1000 * kMs;

  // --- the test's side

  void add(app::App& a) {
    apps_.push_back(&a);
    current_ = apps_.size() - 1;
    a.start(*this);
  }
  // Runs until nothing is left to be told.
  void run() {
    for (int rounds = 0; round(); rounds++) {
      ASSERT_LT(rounds, 100000) << "it never comes to rest";
    }
  }
  // Moves the clock, calling tick() at each deadline on the way.
  void advance(int64_t ns) {
    const int64_t end = now_ + ns;
    run();
    for (int i = 0;; i++) {
      ASSERT_LT(i, 1000000) << "a deadline does not move on";
      size_t who = 0;
      for (size_t k = 1; k < apps_.size(); k++)
        if (apps_[k]->deadline() < apps_[who]->deadline()) who = k;
      const int64_t d = apps_[who]->deadline();
      if (d > end) break;
      now_ = std::max(now_, d);
      current_ = who;
      apps_[who]->tick(*this);
      run();
    }
    now_ = end;
  }
  // A peer connects to `port`. none(): nobody listens.
  Conn accept(uint16_t port, const Endpoint& from = endpoint(9, 40000)) {
    for (const auto& [l, at] : listeners_) {
      if (at.endpoint.port != port) continue;
      const Conn c = create(at.app, at.user, at.endpoint, from);
      Fake& f = *find(c);
      f.established = true;
      queue(f, {.kind = Kind::accepted, .listener = l, .conn = c});
      return c;
    }
    return {};
  }
  // The peer sends, in pieces of `piece` bytes.
  void deliver(Conn c, std::string_view bytes, size_t piece = 1460) {
    Fake* f = find(c);
    if (!f) return;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      auto b = std::make_unique<std::vector<uint8_t>>(
          bytes.begin() + static_cast<std::ptrdiff_t>(at),
          bytes.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece, bytes.size())));
      Event e{.kind = Kind::data, .conn = c};
      e.bytes = b->data();
      e.length = static_cast<uint32_t>(b->size());
      e.buffer = own(std::move(b));
      queue(*f, e);
    }
  }
  void fin(Conn c) { event(c, {.kind = Kind::peer_closed, .conn = c}); }
  // The peer acknowledges up to n bytes of what was sent.
  void acknowledge(Conn c, size_t n = SIZE_MAX) {
    if (Fake* f = find(c)) acknowledge(*f, n);
  }
  void connected(Conn c) {
    find(c)->established = true;
    event(c, {.kind = Kind::connected, .conn = c});
  }
  // The connection ends: events, and then the handle is stale.
  void fail(Conn c, Failure why = Failure::reset) { event(c, {.kind = Kind::failed, .failure = why, .conn = c}); }
  void closed(Conn c) { event(c, {.kind = Kind::closed, .conn = c}); }
  // Both sides have ended properly where they have: tells closed.
  bool settle(Conn c) {
    Fake* f = find(c);
    if (!f || !f->peer_fin || !f->shut || !f->queue.empty()) return false;
    closed(c);
    return true;
  }

  struct Fake {
    Conn conn;
    size_t app = 0;
    uint64_t user = 0;
    Endpoint local, remote;
    bool established = false, paused = false, shut = false, peer_fin = false, orphan = false, aborted = false;
    uint64_t with_app = 0;             // bytes handed out and not done
    struct Piece {
      app::Slice slice;
      std::string copy;
      uint32_t acked = 0;
    };
    std::deque<Piece> queue;           // sent and not acknowledged
    uint64_t queued = 0;
    std::string received;              // what the peer has got
    std::deque<Event> events;
  };
  // As long as the test runs, also after its end.
  const Fake& at(Conn c) const { return *all_.at(c.index); }
  const std::string& received(Conn c) const { return at(c).received; }
  bool open(Conn c) const { return find(c) != nullptr; }
  bool aborted(Conn c) const { return at(c).aborted; }
  bool shut(Conn c) const { return at(c).shut || at(c).orphan; }  // a FIN follows what is queued
  std::vector<Conn> connecting() const {
    std::vector<Conn> r;
    for (const auto& f : all_)
      if (!f->established && find(f->conn)) r.push_back(f->conn);
    return r;
  }
  std::vector<Conn> opened_to(const Endpoint& e) const {
    std::vector<Conn> r;
    for (const auto& f : all_)
      if (f->remote == e) r.push_back(f->conn);
    return r;
  }
  size_t buffers() const { return buffers_.size(); }
  size_t kept() const { return kept_; }        // slices whose keeper was not told yet
  size_t listeners() const { return listeners_.size(); }
  // What is left of orphans and others is acknowledged or thrown away; then nothing may be held.
  void expect_clean() {
    for (auto& f : all_) drop_queue(*f);
    EXPECT_EQ(buffers(), 0u) << "buffers that were not given back";
    EXPECT_EQ(kept(), 0u);
  }

  uint32_t send_buffer = 65536;
  int64_t wall_offset = 4'000'000'000 * kSecond - 1000 * kSecond;  // it begins in the year 2096
  unsigned refuse_sends = 0;                   // the next sends are full, whatever the room
  unsigned refuse_connects = 0;
  unsigned refuse_buffers = 0;
  bool refuse_listens = false;
  size_t batch = 64;
  unsigned sends = 0;                          // send() calls that were ok

  // --- app::Api

  int64_t now() const override { return now_; }
  int64_t wall_clock() const override { return now_ + wall_offset; }
  Outcome listen(const Endpoint& at, const app::Options&, uint64_t user, app::Listener& out) override {
    if (refuse_listens) return Outcome::no_memory;
    for (const auto& [l, o] : listeners_)
      if (o.endpoint == at) return Outcome::in_use;
    out = next_listener_++;
    listeners_[out] = {at, current_, user};
    return Outcome::ok;
  }
  Outcome unlisten(app::Listener l) override { return listeners_.erase(l) ? Outcome::ok : Outcome::stale; }
  Outcome connect(const Endpoint& to, const Endpoint&, const app::Options&, uint64_t user, Conn& out) override {
    if (refuse_connects > 0) return refuse_connects--, Outcome::no_memory;
    out = create(current_, user, endpoint(1, 50000), to);
    return Outcome::ok;
  }
  Outcome send(Conn c, std::span<const app::Slice> slices) override {
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    if (f->shut || !f->established) return Outcome::wrong_state;
    uint64_t n = 0;
    for (const app::Slice& s : slices) n += s.length;
    EXPECT_GT(n, 0u);
    if (refuse_sends > 0) return refuse_sends--, Outcome::full;
    if (f->queued + n > send_buffer) return Outcome::full;
    for (const app::Slice& s : slices) {
      EXPECT_GT(s.length, 0u);
      EXPECT_TRUE(!s.buffer || buffers_.contains(s.buffer)) << "a buffer that is not the application's";
      if (s.keeper) kept_++;
      f->queue.push_back({s, std::string(reinterpret_cast<const char*>(s.bytes), s.length)});
    }
    f->queued += n;
    sends++;
    return Outcome::ok;
  }
  uint32_t send_room(Conn c) const override {
    const Fake* f = find(c);
    return f && !f->shut && f->established ? static_cast<uint32_t>(send_buffer - f->queued) : 0;
  }
  Outcome done(Conn c, Buffer* buffer, uint32_t length) override {
    if (buffer) free_buffer(buffer);
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    EXPECT_LE(length, f->with_app) << "more than was handed out";
    if (length > f->with_app) return Outcome::wrong_state;
    f->with_app -= length;
    return Outcome::ok;
  }
  void pause(Conn c) override {
    if (Fake* f = find(c)) f->paused = true;
  }
  void resume(Conn c) override {
    if (Fake* f = find(c)) f->paused = false;
  }
  Outcome shutdown(Conn c) override {
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    if (f->shut) return Outcome::wrong_state;
    f->shut = true;
    return Outcome::ok;
  }
  Outcome close(Conn c) override {
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    f->orphan = true;
    forget(*f);
    return Outcome::ok;
  }
  Outcome abort(Conn c) override {
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    f->aborted = true;
    forget(*f);
    drop_queue(*f);
    return Outcome::ok;
  }
  Outcome set_user(Conn c, uint64_t user) override {
    Fake* f = find(c);
    if (!f) return Outcome::stale;
    f->user = user;
    return Outcome::ok;
  }
  bool peer(Conn c, app::Peer& out) const override {
    const Fake* f = find(c);
    if (f) out = {f->local, f->remote};
    return f != nullptr;
  }
  Buffer* make_buffer(uint8_t*& bytes, uint32_t& room) override {
    if (refuse_buffers > 0) return refuse_buffers--, nullptr;
    auto b = std::make_unique<std::vector<uint8_t>>(2048);
    bytes = b->data();
    room = static_cast<uint32_t>(b->size());
    return own(std::move(b));
  }
  void free_buffer(Buffer* b) override { EXPECT_EQ(buffers_.erase(b), 1u) << "a buffer freed twice"; }

 private:
  struct Listening {
    Endpoint endpoint;
    size_t app;
    uint64_t user;
  };

  const Fake* find(Conn c) const {
    return c.index < all_.size() && all_[c.index]->conn == c && !gone_[c.index] ? all_[c.index].get() : nullptr;
  }
  Fake* find(Conn c) { return const_cast<Fake*>(std::as_const(*this).find(c)); }
  Conn create(size_t app, uint64_t user, const Endpoint& local, const Endpoint& remote) {
    auto f = std::make_unique<Fake>();
    f->conn = {static_cast<uint32_t>(all_.size()), 1};
    f->app = app;
    f->user = user;
    f->local = local;
    f->remote = remote;
    all_.push_back(std::move(f));
    gone_.push_back(false);
    return all_.back()->conn;
  }
  Buffer* own(std::unique_ptr<std::vector<uint8_t>> b) {
    auto* p = reinterpret_cast<Buffer*>(b.get());
    buffers_[p] = std::move(b);
    return p;
  }
  void event(Conn c, const Event& e) {
    if (Fake* f = find(c)) queue(*f, e);
  }
  void queue(Fake& f, const Event& e) { f.events.push_back(e); }
  void acknowledge(Fake& f, size_t n) {
    uint64_t total = 0;
    while (n > 0 && !f.queue.empty()) {
      Fake::Piece& p = f.queue.front();
      const auto take = static_cast<uint32_t>(std::min<size_t>(n, p.slice.length - p.acked));
      EXPECT_EQ(std::memcmp(p.slice.bytes, p.copy.data(), p.copy.size()), 0) << "bytes changed while being sent";
      f.received.append(p.copy, p.acked, take);
      p.acked += take;
      n -= take;
      total += take;
      if (p.acked < p.slice.length) break;
      drop(p);
      f.queue.pop_front();
    }
    f.queued -= total;
    if (total > 0 && find(f.conn))
      queue(f, {.kind = Kind::sent, .conn = f.conn, .length = static_cast<uint32_t>(total)});
  }
  void drop(const Fake::Piece& p) {
    if (p.slice.buffer) free_buffer(p.slice.buffer);
    if (!p.slice.keeper) return;
    kept_--;
    p.slice.keeper->release();
  }
  void drop_queue(Fake& f) {
    while (!f.queue.empty()) {
      drop(f.queue.front());
      f.queue.pop_front();
    }
    f.queued = 0;
  }
  // No event is collected any more.
  void forget(Fake& f) {
    gone_[f.conn.index] = true;
    for (const Event& e : f.events)
      if (e.buffer) free_buffer(e.buffer);
    f.events.clear();
  }
  bool round() {
    std::vector<std::vector<Event>> batches(apps_.size());
    std::vector<Conn> ended;
    size_t n = 0;
    for (auto& f : all_) {
      while (n < batch && !f->events.empty() && !gone_[f->conn.index]) {
        Event e = f->events.front();
        if (e.kind == Kind::data && f->paused) {
          // Behind data that is held back only acknowledgments and failures are told.
          const auto other = std::find_if(f->events.begin(), f->events.end(), [](const Event& x) {
            return x.kind == Kind::sent || x.kind == Kind::failed;
          });
          if (other == f->events.end()) break;
          e = *other;
          f->events.erase(other);
        } else {
          f->events.pop_front();
        }
        e.user = f->user;
        if (e.kind == Kind::data) f->with_app += e.length;
        if (e.kind == Kind::peer_closed) f->peer_fin = true;
        batches[f->app].push_back(e);
        n++;
        if (e.kind == Kind::closed || e.kind == Kind::failed) {
          gone_[f->conn.index] = true;
          for (const Event& left : f->events)
            if (left.buffer) free_buffer(left.buffer);
          f->events.clear();
          drop_queue(*f);
        }
        if (e.kind == Kind::accepted) break;
      }
    }
    for (size_t a = 0; a < apps_.size(); a++) {
      if (batches[a].empty()) continue;
      current_ = a;
      apps_[a]->events(*this, batches[a]);
    }
    return n > 0;
  }

  int64_t now_ = 1000 * kSecond;
  std::vector<app::App*> apps_;
  size_t current_ = 0;
  std::map<app::Listener, Listening> listeners_;
  app::Listener next_listener_ = 1;
  std::vector<std::unique_ptr<Fake>> all_;
  std::vector<bool> gone_;
  std::map<Buffer*, std::unique_ptr<std::vector<uint8_t>>> buffers_;
  size_t kept_ = 0;
};

}  // namespace sluice::test
