#include "apps/health.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sluice::apps {

using app::Event;
using app::Kind;

namespace {

constexpr size_t kStatusLine = 12;        // "HTTP/1.1 200"
constexpr uint32_t kMostRead = 1u << 20;  // bytes of an answer; a longer one is reset

std::string host_of(const app::Endpoint& e) {
  char text[64];
  const uint8_t* b = e.address.bytes;
  if (e.address.family == 4) {
    std::snprintf(text, sizeof text, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], e.port);
    return text;
  }
  std::string s = "[";
  for (unsigned i = 0; i < 16; i += 2) {
    std::snprintf(text, sizeof text, "%s%x", i ? ":" : "", b[i] << 8 | b[i + 1]);
    s += text;
  }
  return s + "]:" + std::to_string(e.port);
}

// The status of "HTTP/1.x NNN", 0 where it is something else (RFC 9112 4).
unsigned status_of(const char (&line)[kStatusLine]) {
  if (std::memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ') return 0;
  unsigned status = 0;
  for (unsigned i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9') return 0;
    status = status * 10 + static_cast<unsigned>(line[i] - '0');
  }
  return status;
}

}  // namespace

Health::Target::Target(BackendCounters& counters, const CheckOptions& o, Observer* observer, uint32_t tag)
    : counters_(&counters), options_(o), observer_(observer), tag_(tag) {
  request_ = "GET " + o.path + " HTTP/1.1\r\nHost: " + (o.host.empty() ? host_of(counters.at) : o.host) +
             "\r\nUser-Agent: sluice-health\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

bool Health::subscribe(app::Api& api, Target& t) {
  if (t.options_.kind == CheckKind::none) return true;
  t.index_ = targets_.take();
  if (t.index_ == kNone) return false;
  targets_[t.index_] = &t;
  // The first checks are spread over an interval.
  const int64_t interval = std::max<int64_t>(t.options_.interval.ns, 1);
  timeouts_.set(t.index_, api.now() + Duration::millis(37 * int64_t{t.index_}).ns % interval, api.now());
  return true;
}

void Health::unsubscribe(app::Api& api, Target& t) {
  if (t.index_ == kNone) return;
  if (t.state_ != Target::State::idle) api.abort(t.conn_);
  timeouts_.clear(t.index_);
  targets_[t.index_] = nullptr;
  targets_.give(t.index_);
  t.index_ = kNone;
  t.state_ = Target::State::idle;
}

void Health::tick(app::Api& api) {
  timeouts_.run(api.now(), kTargets, [&](uint32_t i) {
    Target* t = targets_[i];
    if (!t) return;
    if (t->state_ == Target::State::idle) return begin(api, *t);
    if (t->state_ == Target::State::ending) return api.close(t->conn_), rest(api, *t);  // it keeps the connection open
    api.abort(t->conn_);
    finish(api, *t, false);
  });
}

void Health::begin(app::Api& api, Target& t) {
  t.began_ = api.now();
  t.got_ = 0;
  t.read_ = 0;
  t.counters_->checks.add(1);
  const app::Options o{.nagle = false};
  if (api.connect(t.counters_->at, {}, o, t.index_, t.conn_) != app::Outcome::ok) return finish(api, t, false);
  t.state_ = Target::State::connecting;
  timeouts_.set(t.index_, api.now() + t.options_.timeout.ns, api.now());
}

void Health::events(app::Api& api, std::span<const Event> batch) {
  for (const Event& e : batch) {
    Target* t = e.user < targets_.touched() ? targets_[static_cast<uint32_t>(e.user)] : nullptr;
    if (t && t->state_ != Target::State::idle && t->conn_ == e.conn) event(api, *t, e);
    else if (e.buffer) api.free_buffer(e.buffer);
  }
}

void Health::event(app::Api& api, Target& t, const Event& e) {
  switch (e.kind) {
    case Kind::connected:
      if (t.options_.kind == CheckKind::http) {
        t.state_ = Target::State::answer;
        if (ask(api, t)) return;
      }
      // A reset leaves nothing behind on either side.
      api.abort(t.conn_);
      return finish(api, t, t.options_.kind == CheckKind::tcp);
    case Kind::data: return answer(api, t, e);
    case Kind::accepted:
    case Kind::sent: return;
    case Kind::peer_closed: api.close(t.conn_); [[fallthrough]];
    case Kind::closed:
    case Kind::failed: return t.state_ == Target::State::ending ? rest(api, t) : finish(api, t, false);
  }
}

bool Health::ask(app::Api& api, Target& t) {
  uint8_t* bytes = nullptr;
  uint32_t room = 0;
  app::Buffer* b = api.make_buffer(bytes, room);
  if (!b) return false;
  if (room >= t.request_.size()) {
    std::memcpy(bytes, t.request_.data(), t.request_.size());
    const app::Slice s{bytes, static_cast<uint32_t>(t.request_.size()), b, nullptr};
    if (api.send(t.conn_, {&s, 1}) == app::Outcome::ok) return true;
  }
  api.free_buffer(b);
  return false;
}

void Health::answer(app::Api& api, Target& t, const Event& e) {
  const size_t n = std::min<size_t>(e.length, kStatusLine - t.got_);
  std::memcpy(t.line_ + t.got_, e.bytes, n);
  t.got_ = static_cast<uint8_t>(t.got_ + n);
  api.done(e.conn, e.buffer, e.length);
  t.read_ += e.length;
  const bool counts = t.state_ != Target::State::ending && t.got_ == kStatusLine;
  if (counts) t.state_ = Target::State::ending;
  if (t.read_ > kMostRead) {
    api.abort(t.conn_);
    rest(api, t);
  }
  if (!counts) return;
  const unsigned status = status_of(t.line_);
  judge(api, t, status >= t.options_.status_low && status <= t.options_.status_high);
}

void Health::judge(app::Api& api, Target& t, bool good) {
  if (!good) t.counters_->checks_failed.add(1);
  if (good != t.last_) t.run_ = 0;
  t.last_ = good;
  t.run_ = static_cast<uint8_t>(std::min(t.run_ + 1, 255));
  if (good == t.up() || t.run_ < (good ? t.options_.rise : t.options_.fall)) return;
  t.counters_->up.store(good, std::memory_order_relaxed);
  t.counters_->changed.store(api.now(), std::memory_order_relaxed);
  if (t.observer_) t.observer_->health_changed(api.now(), t.tag_, good);
}

void Health::rest(app::Api& api, Target& t) {
  t.state_ = Target::State::idle;
  timeouts_.set(t.index_, std::max(t.began_ + t.options_.interval.ns, api.now()), api.now());
}

}  // namespace sluice::apps
