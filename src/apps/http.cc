#include "apps/http.h"

#include <cstdio>
#include <utility>

namespace sluice::apps {

using app::Event;
using app::Kind;
using app::Outcome;

namespace {

constexpr Duration kRetry = Duration::millis(20);  // a send that was refused for want of a shared pool

int64_t after(int64_t t, Duration d) { return d.ns > 0 ? t + d.ns : INT64_MAX; }

}  // namespace

Http::Http(const ServiceConfig& c, uint16_t number, EventLog* log, std::shared_ptr<const HttpContent> content,
           std::shared_ptr<HttpPages> pages)
    : PooledService(c, number, log), content_(std::move(content)), pages_(std::move(pages)),
      limits_{c.http.head_most, c.http.body_most}, requests_(c.connections), waiting_(c.connections + 1024) {}

// --- events

void Http::accepted(app::Api& api, uint32_t i, const Event&) {
  pool_[i].progress = api.now();
  rearm(api, i);
}

void Http::event(app::Api& api, uint32_t i, const Event& e) {
  HttpConnection& c = pool_[i];
  switch (e.kind) {
    case Kind::data:
      counters_->bytes_in.add(e.length);
      data(api, i, e);
      break;
    case Kind::sent:
      counters_->bytes_out.add(e.length);
      c.in_flight -= e.length;
      c.progress = api.now();
      more(api, i);
      break;
    case Kind::peer_closed:
      c.eof = true;
      more(api, i);
      break;
    case Kind::failed: counters_->failures.add(1); [[fallthrough]];
    default: return forget(api, i);
  }
  if (pool_[i].conn == e.conn) rearm(api, i);
}

void Http::data(app::Api& api, uint32_t i, const Event& e) {
  HttpConnection& c = pool_[i];
  if (c.asked) {  // RFC 9293 3.6.1 SHLD-3: nobody will read it
    api.free_buffer(e.buffer);
    return abort(api, i);
  }
  size_t used = e.length;
  if (!c.ending) {
    c.progress = api.now();
    used = c.reply.length() > 0 || !c.input.empty() ? 0 : consume(api, i, {e.bytes, e.length});
    if (c.ending) used = e.length;
  }
  if (used == e.length) {
    api.done(c.conn, e.buffer, e.length);
    return;
  }
  Event rest = e;
  rest.bytes += used;
  rest.length -= static_cast<uint32_t>(used);
  if (!c.input.push(waiting_, rest)) {
    counters_->overloads.add(1);
    api.free_buffer(e.buffer);
    return abort(api, i);
  }
  if (used > 0) api.done(c.conn, nullptr, static_cast<uint32_t>(used));
  if (!c.paused) api.pause(c.conn);
  c.paused = true;
}

// Goes on with what waits: the answer under way, then input that came meanwhile, then the end.
void Http::more(app::Api& api, uint32_t i) {
  HttpConnection& c = pool_[i];
  if (c.ending) return;
  if (c.reply.length() > 0) {
    if (!send(api, c, c.reply)) return;
    if (c.reply.last) return end(api, i, c.reply.asked);
  }
  while (!c.input.empty()) {
    Waiting& w = waiting_[c.input.first];
    const size_t used = consume(api, i, {w.bytes, w.length});
    if (c.ending) return;
    w.bytes += used;
    w.length -= static_cast<uint32_t>(used);
    const bool all = w.length == 0;
    if (used > 0) api.done(c.conn, all ? w.buffer : nullptr, static_cast<uint32_t>(used));
    if (all) c.input.pop(waiting_);
    if (c.reply.length() > 0 || !all) return;
  }
  if (c.paused) api.resume(c.conn);
  c.paused = false;
  if (c.eof || (draining() && c.request == kNone)) end(api, i);
}

// --- requests

Http::Reading Http::reading(app::Api& api, const HttpConnection& c, Bytes bytes) {
  gathered_.n = 0;
  gathered_.bytes = 0;
  gathered_.room = api.send_room(c.conn);
  second_ = api.wall_clock() / 1'000'000'000;
  return {bytes, gathered_};
}

// Reads requests until the bytes end or an answer has to wait. Returns how many bytes were read.
size_t Http::consume(app::Api& api, uint32_t i, Bytes bytes) {
  HttpConnection& c = pool_[i];
  Reading r = reading(api, c, bytes);
  while (!r.stop && r.at < bytes.size()) {
    HttpMemo::Entry* known =
        c.request == kNone && !draining() ? memo_.find(bytes.subspan(r.at), c.memo) : nullptr;
    if (!known) {
      one_request(api, i, r);
      continue;
    }
    if (config_.log) log(api, c, known->response->status, known->target());
    r.at += known->length;
    gather(api, i, r, again(*known));
  }
  flush(api, i, r);
  return r.at;
}

void Http::one_request(app::Api& api, uint32_t i, Reading& r) {
  HttpConnection& c = pool_[i];
  const size_t start = r.at;
  const bool goes_on = c.request != kNone;
  HttpRequest& q = goes_on ? requests_[c.request] : request_;
  if (!goes_on) q.reset();
  size_t used = 0;
  const HttpRequest::Step step = q.read(r.bytes.subspan(start), limits_, used);
  r.at += used;
  if (step == HttpRequest::Step::more) {
    if (goes_on) return;
    c.request = requests_.take();  // as many as there are connections
    requests_[c.request] = q;
    c.request_began = api.now();
    return;
  }
  if (step == HttpRequest::Step::complete) {
    answer(api, i, r, q, goes_on ? Bytes{} : r.bytes.subspan(start, used));
  } else {
    counters_->bad_requests.add(1);
    if (config_.log) log(api, c, q.status(), q.target());
    gather(api, i, r, bad(q.status(), q.head()));
  }
  if (goes_on) drop_request(c);
}

// `whole`: the request's bytes, where it began and ended in one buffer.
void Http::answer(app::Api& api, uint32_t i, Reading& r, HttpRequest& q, Bytes whole) {
  const Response* fixed = nullptr;
  HttpReply reply = choose(q, fixed);
  reply.asked = reply.last && !q.keep_alive();
  if (fixed && !reply.last && !whole.empty() && !q.has_body()) memo_.remember(whole, *fixed, q.head());
  if (config_.log) log(api, pool_[i], reply.status, q.target());
  gather(api, i, r, reply);
}

HttpReply Http::choose(HttpRequest& q, const Response*& fixed) {
  const bool last = !q.keep_alive() || draining();
  const auto of = [&](const Response& r) {
    fixed = &r;
    return reply_of(r, q.head(), last);
  };
  if (q.options()) return of(content_->plain(204));
  if (!q.get() && !q.head()) return of(content_->plain(405));
  HttpRequest::PathRoom room;
  const std::string_view path = q.path(room);
  if (path.empty()) {
    counters_->bad_requests.add(1);
    return bad(400, q.head());
  }
  if (config_.http.metrics && path == "/metrics") return page(q, pages_->metrics, last);
  if (config_.http.healthz && path == "/healthz") return page(q, pages_->healthz, last);
  const Resource* found = content_->find(path);
  if (!found) return of(content_->plain(404));
  const HttpConditions conditions = q.conditions();
  if (conditions.none() || found->etag.empty()) return of(found->ok);
  const HttpValidators v = found->validators();
  switch (failed_precondition(conditions, v, second_)) {
    case 304: return of(found->not_modified);
    case 412: return of(content_->plain(412));
    default: break;
  }
  const HttpRange range = q.get() ? select_range(conditions, v, second_) : HttpRange{};
  if (range.kind == HttpRange::Kind::unsatisfiable) return of(found->unsatisfiable);
  if (range.kind == HttpRange::Kind::whole) return of(found->ok);
  return part(found->ok, range, last);
}

// Of a page no version has a name: conditions have nothing to hold on to (RFC 9110 13.2.1).
HttpReply Http::page(HttpRequest& q, HttpPage& p, bool last) {
  HttpPage::Version* v = p.acquire();
  HttpReply reply = v ? reply_of(v->response(), q.head(), last, v) : reply_of(content_->plain(503), q.head(), last);
  if (v) v->release();
  return reply;
}

// From where its parts lie: the service's own memory, or `keeper`'s.
HttpReply Http::reply_of(const Response& r, bool head_only, bool last, Counted* keeper) {
  HttpLeads::Version& v = leads_.at(second_);
  const auto& lead = v.lead(r.line, last);
  if (!keeper) keeper = &held_;
  v.add();
  keeper->add();
  return {.piece = {{{reinterpret_cast<const uint8_t*>(lead.text.data()), lead.n, &v},
                     {r.at(0), r.fields + (head_only ? 0 : r.body), keeper}}},
          .status = r.status,
          .last = last};
}

// One part (RFC 9110 15.3.7.1), or the whole where no block is left.
HttpReply Http::part(const Response& r, const HttpRange& range, bool last) {
  const unsigned line = http_status_line(206);
  const auto& lead = leads_.at(second_).lead(line, last);
  std::array<char, 160> own;
  const auto own_n = static_cast<size_t>(
      std::snprintf(own.data(), own.size(), "Content-Length: %lu\r\nContent-Range: bytes %lu-%lu/%u\r\n", range.length,
                    range.first, range.first + range.length - 1, r.body));
  const size_t fields = r.fields - r.length_field;
  HttpBlocks::Block* b = lead.n + own_n + fields <= HttpBlocks::kRoom ? blocks_.take() : nullptr;
  if (!b) return reply_of(r, false, last);
  b->append(lead.text.data(), lead.n);
  b->append(own.data(), own_n);
  b->append(r.at(r.length_field), fields);
  held_.add();
  return {.piece = {{{b->bytes.data(), b->n, b}, {r.at(r.fields + range.first), static_cast<uint32_t>(range.length), &held_}}},
          .status = 206,
          .last = last};
}

// A remembered answer.
HttpReply Http::again(HttpMemo::Entry& e) {
  const Response& r = *e.response;
  if (e.second != second_) {
    HttpMemo::drop_block(e);
    e.second = second_;
    const auto& lead = leads_.at(second_).lead(r.line, false);
    const uint32_t n = r.fields + (e.head_only ? 0 : r.body);
    if (lead.n + n <= HttpBlocks::kRoom) e.block = blocks_.take();
    if (e.block) {
      e.block->append(lead.text.data(), lead.n);
      e.block->append(r.at(0), n);
    }
  }
  if (!e.block) return reply_of(r, e.head_only, false);
  e.block->add();
  return {.piece = {{{e.block->bytes.data(), e.block->n, e.block}, {}}}, .status = r.status};
}

// --- answers

void Http::gather(app::Api& api, uint32_t i, Reading& r, const HttpReply& reply) {
  HttpConnection& c = pool_[i];
  Gathered& g = r.out;
  if (g.n == Gathered::kMost || g.bytes + reply.length() > g.room) {
    flush(api, i, r);
    if (r.stop) return drop(reply);  // an earlier one waits: this request is read again
    g.room = api.send_room(c.conn);
  }
  if (reply.last) r.stop = true;
  if (reply.length() <= g.room) {
    g.bytes += reply.length();
    g.end[g.n] = r.at;
    g.reply[g.n++] = reply;
    return;
  }
  count(reply);
  c.reply = reply;
  if (!send(api, c, c.reply)) r.stop = true;
  else if (reply.last) end(api, i, reply.asked);
}

// Sends what was gathered. Where a shared pool is short, one by one; what cannot be sent waits as the answer under way,
// and the input is taken up again behind its request.
void Http::flush(app::Api& api, uint32_t i, Reading& r) {
  HttpConnection& c = pool_[i];
  Gathered& g = r.out;
  const unsigned gathered = std::exchange(g.n, 0);
  const uint64_t bytes = std::exchange(g.bytes, 0);
  if (gathered == 0) return;
  unsigned n = 0;
  for (unsigned k = 0; k < gathered; k++)
    for (const HttpPiece& p : g.reply[k].piece)
      if (p.n > 0) slices_[n++] = {p.bytes, p.n, nullptr, p.keeper};
  const HttpReply& final = g.reply[gathered - 1];
  if (api.send(c.conn, {slices_.data(), n}) == Outcome::ok) {  // the slices have the replies' counts
    c.in_flight += bytes;
    for (unsigned k = 0; k < gathered; k++) count(g.reply[k]);
    if (final.last) end(api, i, final.asked);
    return;
  }
  for (unsigned k = 0; k < gathered; k++) {
    count(g.reply[k]);
    c.reply = g.reply[k];
    if (send(api, c, c.reply)) continue;
    for (unsigned later = k + 1; later < gathered; later++) drop(g.reply[later]);
    r.at = g.end[k];
    r.stop = true;
    drop_request(c);
    return;
  }
  if (final.last) end(api, i, final.asked);
}

// As much of it as there is room for. true: all of it is sent.
bool Http::send(app::Api& api, HttpConnection& c, HttpReply& reply) {
  const uint32_t room = api.send_room(c.conn);
  uint32_t sent = 0;
  std::array<app::Slice, 2> slice;
  unsigned n = 0;
  HttpPiece* split = nullptr;
  for (HttpPiece& p : reply.piece) {
    const uint32_t take = split ? 0 : std::min(p.n, room - sent);
    if (take < p.n && !split) split = &p;
    if (take > 0) slice[n++] = {p.bytes, take, nullptr, p.keeper};
    sent += take;
  }
  if (n == 0) return reply.length() == 0;
  const bool cut = split && slice[n - 1].bytes == split->bytes;
  if (cut) split->keeper->add();  // for the slice; the rest keeps its own
  if (api.send(c.conn, {slice.data(), n}) != Outcome::ok) {
    if (cut) split->keeper->release();
    return false;
  }
  c.in_flight += sent;
  for (HttpPiece& p : reply.piece) {
    const uint32_t gone = std::min(p.n, sent);
    p.bytes += gone;
    p.n -= gone;
    sent -= gone;
  }
  return reply.length() == 0;
}

void Http::drop(const HttpReply& reply) {
  for (const HttpPiece& p : reply.piece)
    if (p.n > 0) p.keeper->release();
}

void Http::count(const HttpReply& r) {
  counters_->requests.add(1);
  counters_->responses[std::min(r.status / 100, 5)].add(1);
}

// --- the end of a connection

void Http::end(app::Api& api, uint32_t i, bool asked) {
  HttpConnection& c = pool_[i];
  if (c.ending) return;
  c.ending = true;
  c.asked = asked;
  c.progress = api.now();
  drop_request(c);
  api.shutdown(c.conn);
  while (!c.input.empty()) {
    const Waiting& w = waiting_[c.input.first];
    api.done(c.conn, w.buffer, w.length);
    c.input.pop(waiting_);
  }
  if (c.paused) api.resume(c.conn);
  c.paused = false;
}

void Http::drop_request(HttpConnection& c) {
  if (c.request != kNone) requests_.give(c.request);
  c.request = kNone;
}

void Http::released(app::Api& api, uint32_t i) {
  HttpConnection& c = pool_[i];
  drop(c.reply);
  c.reply = {};
  drop_request(c);
  c.input.free_all(api, waiting_);
}

void Http::drain_connection(app::Api& api, uint32_t i) {
  const HttpConnection& c = pool_[i];
  if (c.ending || c.reply.length() > 0 || c.request != kNone) return;  // its answer is the last
  end(api, i);
  rearm(api, i);
}

// --- time-outs

void Http::rearm(app::Api& api, uint32_t i) {
  const HttpConnection& c = pool_[i];
  const HttpOptions& o = config_.http;
  int64_t when = INT64_MAX;
  const bool sending = c.in_flight > 0 || c.reply.length() > 0;
  if (sending) when = after(c.progress, o.send_timeout);
  else if (c.ending) when = after(c.progress, kLinger);
  if (c.reply.length() > 0 && c.in_flight == 0) when = std::min(when, after(api.now(), kRetry));
  if (c.request != kNone) when = std::min(when, after(c.request_began, o.request_timeout));
  else if (!sending && !c.ending) when = after(c.progress, o.keepalive_timeout);
  timeouts_.set(i, when, api.now());
}

void Http::timeout(app::Api& api, uint32_t i) {
  HttpConnection& c = pool_[i];
  const HttpOptions& o = config_.http;
  const int64_t now = api.now();
  const bool sending = c.in_flight > 0 || c.reply.length() > 0;
  if (sending && now >= after(c.progress, o.send_timeout)) {
    counters_->timeouts.add(1);
    return abort(api, i);
  }
  if (!sending && c.ending) return close(api, i);
  if (c.request != kNone && now >= after(c.request_began, o.request_timeout)) {
    counters_->timeouts.add(1);
    if (c.reply.length() > 0) return abort(api, i);
    Reading r = reading(api, c, {});
    const bool head = requests_[c.request].head();
    drop_request(c);
    gather(api, i, r, bad(408, head));
    flush(api, i, r);
  } else if (!sending && c.request == kNone) {
    counters_->timeouts.add(1);
    end(api, i);
  } else {
    more(api, i);
  }
  if (!pool_[i].conn.none()) rearm(api, i);
}

// --- the log

void Http::log(app::Api& api, const HttpConnection& c, unsigned status, std::string_view target) {
  LogRecord* r = log_ ? log_->begin(api.now()) : nullptr;
  if (!r) return;
  r->kind = LogRecord::Kind::request;
  r->service = number_;
  r->status = static_cast<uint16_t>(status);
  app::Peer p;
  if (api.peer(c.conn, p)) {
    r->client = p.remote;
    r->local = p.local;
  }
  std::copy_n(target.begin(), std::min(target.size(), sizeof r->target), r->target);
  log_->commit();
}

}  // namespace sluice::apps
