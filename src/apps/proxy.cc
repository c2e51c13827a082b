#include "apps/proxy.h"

#include <algorithm>
#include <cstring>

namespace sluice::apps {

using app::Event;
using app::Failure;
using app::Kind;
using app::Outcome;

namespace {

constexpr Duration kRetry = Duration::millis(20);  // a send that was refused for want of a shared pool

}  // namespace

uint32_t write_proxy_header(uint8_t* to, const app::Peer& client) {
  static constexpr uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
  const bool v4 = client.remote.address.family == 4;
  const uint32_t address = v4 ? 4 : 16, length = 2 * address + 4;
  std::copy(std::begin(signature), std::end(signature), to);
  to[12] = 0x21;              // version 2, PROXY
  to[13] = v4 ? 0x11 : 0x21;  // TCP over IPv4 or IPv6
  to[14] = 0;
  to[15] = static_cast<uint8_t>(length);
  uint8_t* p = to + 16;
  p = std::copy_n(client.remote.address.bytes, address, p);
  p = std::copy_n(client.local.address.bytes, address, p);
  for (const uint16_t port : {client.remote.port, client.local.port}) {
    *p++ = static_cast<uint8_t>(port >> 8);
    *p++ = static_cast<uint8_t>(port);
  }
  return 16 + length;
}

Proxy::Proxy(const ServiceConfig& c, uint16_t number, EventLog* log)
    : PooledService(c, number, log), waiting_(2 * c.connections + 1024) {
  targets_.reserve(c.proxy.backends.size());
  for (const app::Endpoint& at : c.proxy.backends) {
    backends_.push_back(std::make_shared<BackendCounters>(at));
    targets_.emplace_back(*backends_.back(), config_.proxy.check, static_cast<Health::Observer*>(this),
                          static_cast<uint32_t>(targets_.size()));
  }
}

void Proxy::start(app::Api& api) {
  Service::start(api);
  if (!health_) return;
  for (Health::Target& t : targets_) health_->subscribe(api, t);
}

void Proxy::drain_begins(app::Api& api) {
  if (!health_) return;
  for (Health::Target& t : targets_) health_->unsubscribe(api, t);
}

// Sessions with a backend that is down go on as long as it lets them.
void Proxy::health_changed(int64_t now, uint32_t backend, bool up) {
  LogRecord* r = log_ ? log_->begin(now) : nullptr;
  if (!r) return;
  r->kind = up ? LogRecord::Kind::backend_up : LogRecord::Kind::backend_down;
  r->service = number_;
  r->backend = config_.proxy.backends[backend];
  log_->commit();
}

// --- events

void Proxy::events(app::Api& api, std::span<const Event> batch) {
  for (const Event& e : batch) {
    if (e.kind == Kind::accepted) {
      accept(api, e);
      continue;
    }
    const auto i = static_cast<uint32_t>(e.user);
    const bool known = i < pool_.touched() && !pool_[i].conn.none();
    if (known && pool_[i].conn == e.conn) event(api, i, e);
    else if (known && pool_[i].server == e.conn) server_event(api, i, e);
    else if (e.buffer) api.free_buffer(e.buffer);
  }
}

void Proxy::accepted(app::Api& api, uint32_t i, const Event&) {
  ProxySession& s = pool_[i];
  s.began = s.progress = api.now();
  api.peer(s.conn, s.peer);
  connect(api, i);
}

void Proxy::event(app::Api& api, uint32_t i, const Event& e) {
  ProxySession& s = pool_[i];
  s.progress = api.now();
  switch (e.kind) {
    case Kind::data:
      s.bytes_in += e.length;
      counters_->bytes_in.add(e.length);
      if (!splice_data(api, waiting_, s.up, s.conn, s.server, !s.connecting, e)) return lost(api, i);
      break;
    case Kind::sent:
      s.bytes_out += e.length;
      counters_->bytes_out.add(e.length);
      splice_sent(api, s.down, s.server, e.length);
      splice_more(api, waiting_, s.down, s.server, s.conn);
      break;
    case Kind::peer_closed:
      s.up.eof = true;
      if (!s.connecting) splice_more(api, waiting_, s.up, s.conn, s.server);
      break;
    case Kind::closed:
      s.client_ended = true;
      return both(api, i);
    case Kind::failed:
      counters_->failures.add(1);
      s.client_ended = true;
      return finish(api, i, e.failure);
    default: return;
  }
  rearm(api, i);
}

void Proxy::server_event(app::Api& api, uint32_t i, const Event& e) {
  ProxySession& s = pool_[i];
  BackendCounters& b = *backends_[s.backend];
  s.progress = api.now();
  switch (e.kind) {
    case Kind::connected: return connected(api, i);
    case Kind::data:
      b.bytes_in.add(e.length);
      if (!splice_data(api, waiting_, s.down, s.server, s.conn, true, e)) return lost(api, i);
      break;
    case Kind::sent:
      b.bytes_out.add(splice_sent(api, s.up, s.conn, e.length));
      splice_more(api, waiting_, s.up, s.conn, s.server);
      break;
    case Kind::peer_closed:
      s.down.eof = true;
      splice_more(api, waiting_, s.down, s.server, s.conn);
      break;
    case Kind::closed:
      server_over(s);
      return both(api, i);
    case Kind::failed:
      server_over(s);
      if (s.connecting) return attempt_failed(api, i);
      b.failures.add(1);
      return finish(api, i, e.failure);
    default: return;
  }
  rearm(api, i);
}

// --- to a backend

uint32_t Proxy::choose(uint64_t tried) {
  const auto n = static_cast<uint32_t>(backends_.size());
  uint32_t best = kNone;
  for (uint32_t k = 0; k < n; k++) {
    const uint32_t b = (turn_ + k) % n;
    if (tried >> b & 1 || !targets_[b].up()) continue;
    if (best == kNone || backends_[b]->active() < backends_[best]->active()) best = b;
    if (config_.proxy.balance == Balance::round_robin) break;
  }
  if (best != kNone) turn_ = best + 1;
  return best;
}

void Proxy::connect(app::Api& api, uint32_t i) {
  ProxySession& s = pool_[i];
  const app::Options o{
      .receive_buffer = config_.receive_buffer, .send_buffer = config_.send_buffer, .nagle = false};
  while (s.attempts < config_.proxy.attempts) {
    const uint32_t b = choose(s.tried);
    if (b == kNone) break;
    s.tried |= uint64_t{1} << b;
    s.attempts++;
    if (api.connect(config_.proxy.backends[b], {}, o, i | kServerSide, s.server) != Outcome::ok) {
      backends_[b]->failures.add(1);
      continue;
    }
    s.backend = static_cast<uint16_t>(b);
    s.connecting = true;
    s.server_ended = false;
    backends_[b]->connections.add(1);
    return arm(api, i, config_.proxy.connect_timeout);
  }
  counters_->unserved.add(1);
  log(api, s, LogRecord::Kind::refused, Failure::none);
  if (config_.proxy.all_down == AllDown::reset) abort(api, i);
  else close(api, i);
}

void Proxy::attempt_failed(app::Api& api, uint32_t i) {
  ProxySession& s = pool_[i];
  backends_[s.backend]->failures.add(1);
  s.server = {};
  s.connecting = false;
  connect(api, i);
}

void Proxy::connected(app::Api& api, uint32_t i) {
  ProxySession& s = pool_[i];
  if (config_.proxy.proxy_protocol && !send_header(api, s)) return lost(api, i);
  s.connecting = false;
  splice_more(api, waiting_, s.up, s.conn, s.server);
  rearm(api, i);
}

bool Proxy::send_header(app::Api& api, ProxySession& s) {
  uint8_t* bytes = nullptr;
  uint32_t room = 0;
  app::Buffer* b = api.make_buffer(bytes, room);
  if (!b) return false;
  if (room >= kProxyHeader) {
    s.up.prefix = write_proxy_header(bytes, s.peer);
    const app::Slice slice{bytes, s.up.prefix, b, nullptr};
    if (api.send(s.server, {&slice, 1}) == Outcome::ok) {
      s.up.in_flight += s.up.prefix;
      return true;
    }
  }
  api.free_buffer(b);
  return false;
}

void Proxy::server_over(ProxySession& s) {
  s.server_ended = true;
  backends_[s.backend]->ended.add(1);
}

// --- the end of a session

void Proxy::both(app::Api& api, uint32_t i) {
  const ProxySession& s = pool_[i];
  if (s.client_ended && s.server_ended) finish(api, i, Failure::none);
}

// Out of buffers or items.
void Proxy::lost(app::Api& api, uint32_t i) {
  counters_->overloads.add(1);
  finish(api, i, Failure::aborted);
}

// What is still open is reset.
void Proxy::finish(app::Api& api, uint32_t i, Failure f) {
  ProxySession& s = pool_[i];
  log(api, s, LogRecord::Kind::session, f);
  if (s.client_ended) forget(api, i);
  else abort(api, i);
}

void Proxy::released(app::Api& api, uint32_t i) {
  ProxySession& s = pool_[i];
  s.up.waiting.free_all(api, waiting_);
  s.down.waiting.free_all(api, waiting_);
  if (s.server_ended) return;
  api.abort(s.server);
  server_over(s);
}

// --- time-outs

void Proxy::rearm(app::Api& api, uint32_t i) {
  const ProxySession& s = pool_[i];
  if (s.connecting) return;  // the attempt's time-out stands
  const int64_t idle = config_.proxy.idle_timeout.ns;
  int64_t when = idle > 0 ? s.progress + idle : INT64_MAX;
  if (s.up.stuck() || s.down.stuck()) when = std::min(when, api.now() + kRetry.ns);
  timeouts_.set(i, when, api.now());
}

void Proxy::timeout(app::Api& api, uint32_t i) {
  ProxySession& s = pool_[i];
  if (s.connecting) {
    api.abort(s.server);
    server_over(s);
    return attempt_failed(api, i);
  }
  const int64_t idle = config_.proxy.idle_timeout.ns;
  if (idle > 0 && api.now() - s.progress >= idle) {
    counters_->timeouts.add(1);
    log(api, s, LogRecord::Kind::session, Failure::timed_out);
    if (!s.server_ended) {
      api.close(s.server);
      server_over(s);
    }
    return close(api, i);
  }
  splice_more(api, waiting_, s.up, s.conn, s.server);
  splice_more(api, waiting_, s.down, s.server, s.conn);
  rearm(api, i);
}

// --- the log

void Proxy::log(app::Api& api, const ProxySession& s, LogRecord::Kind kind, Failure f) {
  LogRecord* r = config_.log && log_ ? log_->begin(api.now()) : nullptr;
  if (!r) return;
  r->kind = kind;
  r->failure = f;
  r->service = number_;
  r->attempts = s.attempts;
  r->duration = api.now() - s.began;
  r->client = s.peer.remote;
  r->local = s.peer.local;
  if (s.attempts > 0) r->backend = config_.proxy.backends[s.backend];
  r->bytes_in = s.bytes_in;
  r->bytes_out = s.bytes_out;
  log_->commit();
}

}  // namespace sluice::apps
