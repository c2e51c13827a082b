#include "apps/small.h"

#include <array>

namespace sluice::apps {

using app::Event;
using app::Kind;

namespace {

// Soon enough for a person; a send that was refused for want of a shared pool has no event of its own to wait for.
constexpr Duration kRetry = Duration::millis(20);

constexpr uint32_t kLine = 74, kLines = 95, kPeriod = kLine * kLines;
constexpr uint32_t kPeriods = 9;  // slices may begin anywhere in the first one

constexpr auto kPattern = [] {
  std::array<uint8_t, kPeriod * kPeriods> p{};
  for (uint32_t line = 0; line < kLines * kPeriods; line++) {
    for (uint32_t c = 0; c < kLine - 2; c++) p[line * kLine + c] = static_cast<uint8_t>(' ' + (line + c) % 95);
    p[line * kLine + kLine - 2] = '\r';
    p[line * kLine + kLine - 1] = '\n';
  }
  return p;
}();

}  // namespace

void Small::progress(app::Api& api, uint32_t i) {
  pool_[i].progress = api.now();
  arm(api, i, config_.idle_timeout);
}

bool Small::idle(app::Api& api, uint32_t i) {
  const int64_t limit = config_.idle_timeout.ns;
  if (limit > 0 && api.now() - pool_[i].progress >= limit) return true;
  timeouts_.set(i, limit > 0 ? pool_[i].progress + limit : INT64_MAX, api.now());
  return false;
}

// --- echo

Echo::Echo(const ServiceConfig& c, uint16_t number, EventLog* log)
    : Small(c, number, log), waiting_(c.connections + 1024) {}

void Echo::accepted(app::Api& api, uint32_t i, const Event&) { progress(api, i); }

void Echo::event(app::Api& api, uint32_t i, const Event& e) {
  SmallConnection& c = pool_[i];
  switch (e.kind) {
    case Kind::data:
      counters_->bytes_in.add(e.length);
      progress(api, i);
      if (splice_data(api, waiting_, c.echo, c.conn, c.conn, true, e)) return retry(api, i);
      counters_->overloads.add(1);
      return abort(api, i);
    case Kind::sent:
      counters_->bytes_out.add(e.length);
      progress(api, i);
      splice_sent(api, c.echo, c.conn, e.length);
      return more(api, i);
    case Kind::peer_closed:
      c.peer_done = true;
      return more(api, i);
    case Kind::failed: counters_->failures.add(1); [[fallthrough]];
    default: return forget(api, i);
  }
}

void Echo::more(app::Api& api, uint32_t i) {
  SmallConnection& c = pool_[i];
  if (c.peer_done && c.echo.in_flight == 0 && c.echo.waiting.empty()) c.echo.eof = true;
  splice_more(api, waiting_, c.echo, c.conn, c.conn);
  retry(api, i);
}

void Echo::retry(app::Api& api, uint32_t i) {
  if (pool_[i].echo.stuck()) arm(api, i, kRetry);
}

void Echo::timeout(app::Api& api, uint32_t i) {
  if (idle(api, i)) {
    counters_->timeouts.add(1);
    return abort(api, i);
  }
  more(api, i);
}

void Echo::drain_connection(app::Api& api, uint32_t i) {
  SmallConnection& c = pool_[i];
  c.echo.eof = true;
  splice_more(api, waiting_, c.echo, c.conn, c.conn);
}

void Echo::released(app::Api& api, uint32_t i) { pool_[i].echo.waiting.free_all(api, waiting_); }

// --- discard

void Discard::accepted(app::Api& api, uint32_t i, const Event&) { progress(api, i); }

void Discard::event(app::Api& api, uint32_t i, const Event& e) {
  switch (e.kind) {
    case Kind::data:
      counters_->bytes_in.add(e.length);
      api.done(e.conn, e.buffer, e.length);
      return progress(api, i);
    case Kind::sent: return;
    case Kind::peer_closed:
      if (!pool_[i].shut) api.shutdown(e.conn);
      pool_[i].shut = true;
      return;
    case Kind::failed: counters_->failures.add(1); [[fallthrough]];
    default: return forget(api, i);
  }
}

void Discard::timeout(app::Api& api, uint32_t i) {
  counters_->timeouts.add(1);
  abort(api, i);
}

void Discard::drain_connection(app::Api& api, uint32_t i) { close(api, i); }

// --- chargen

void Chargen::accepted(app::Api& api, uint32_t i, const Event&) {
  progress(api, i);
  fill(api, i);
}

// Small pieces are not worth a segment: there will be more room.
void Chargen::fill(app::Api& api, uint32_t i) {
  SmallConnection& c = pool_[i];
  constexpr uint32_t kWorthwhile = 1460;
  for (uint32_t room = api.send_room(c.conn); !c.shut && room >= kWorthwhile;) {
    const uint32_t n = std::min<uint32_t>(room, static_cast<uint32_t>(kPattern.size()) - c.at);
    const app::Slice s{kPattern.data() + c.at, n, nullptr, nullptr};
    if (api.send(c.conn, {&s, 1}) != app::Outcome::ok) return arm(api, i, kRetry);
    c.at = (c.at + n) % kPeriod;
    room -= n;
  }
}

void Chargen::end(app::Api& api, uint32_t i) {
  if (!pool_[i].shut) api.shutdown(pool_[i].conn);
  pool_[i].shut = true;
}

void Chargen::event(app::Api& api, uint32_t i, const Event& e) {
  switch (e.kind) {
    case Kind::data:
      counters_->bytes_in.add(e.length);
      api.done(e.conn, e.buffer, e.length);
      return;
    case Kind::sent:
      counters_->bytes_out.add(e.length);
      progress(api, i);
      return fill(api, i);
    case Kind::peer_closed: return end(api, i);
    case Kind::failed: counters_->failures.add(1); [[fallthrough]];
    default: return forget(api, i);
  }
}

void Chargen::timeout(app::Api& api, uint32_t i) {
  if (!idle(api, i)) return fill(api, i);
  counters_->timeouts.add(1);
  abort(api, i);
}

void Chargen::drain_connection(app::Api& api, uint32_t i) { end(api, i); }

}  // namespace sluice::apps
