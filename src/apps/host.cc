#include "apps/host.h"

#include <algorithm>

#include "packet/buf.h"

namespace sluice::apps {

using app::Outcome;

namespace {

constexpr Outcome translate(tcp::Outcome o) { return static_cast<Outcome>(o); }
static_assert(translate(tcp::Outcome::ok) == Outcome::ok && translate(tcp::Outcome::stale) == Outcome::stale &&
              translate(tcp::Outcome::wrong_state) == Outcome::wrong_state &&
              translate(tcp::Outcome::full) == Outcome::full && translate(tcp::Outcome::in_use) == Outcome::in_use &&
              translate(tcp::Outcome::invalid) == Outcome::invalid &&
              translate(tcp::Outcome::no_memory) == Outcome::no_memory);

constexpr app::Failure translate(tcp::Failure f) { return static_cast<app::Failure>(f); }
static_assert(translate(tcp::Failure::none) == app::Failure::none &&
              translate(tcp::Failure::refused) == app::Failure::refused &&
              translate(tcp::Failure::reset) == app::Failure::reset &&
              translate(tcp::Failure::timed_out) == app::Failure::timed_out &&
              translate(tcp::Failure::unreachable) == app::Failure::unreachable &&
              translate(tcp::Failure::aborted) == app::Failure::aborted);

constexpr app::Kind translate(tcp::EventKind k) { return static_cast<app::Kind>(k); }
static_assert(translate(tcp::EventKind::accepted) == app::Kind::accepted &&
              translate(tcp::EventKind::connected) == app::Kind::connected &&
              translate(tcp::EventKind::data) == app::Kind::data &&
              translate(tcp::EventKind::sent) == app::Kind::sent &&
              translate(tcp::EventKind::peer_closed) == app::Kind::peer_closed &&
              translate(tcp::EventKind::closed) == app::Kind::closed &&
              translate(tcp::EventKind::failed) == app::Kind::failed);

tcp::ConnId id(app::Conn c) { return {c.index, c.generation}; }
app::Conn handle(tcp::ConnId c) { return {c.index, c.generation}; }

app::Buffer* opaque(rte_mbuf* m) { return reinterpret_cast<app::Buffer*>(m); }
rte_mbuf* mbuf(app::Buffer* b) { return reinterpret_cast<rte_mbuf*>(b); }

IpAddr address(const app::Address& a) {
  IpAddr r;
  std::copy(std::begin(a.bytes), std::end(a.bytes), r.b.begin());
  r.family = a.family;
  return r;
}
app::Endpoint endpoint(const IpAddr& a, uint16_t port) {
  app::Endpoint r;
  std::copy(a.b.begin(), a.b.end(), std::begin(r.address.bytes));
  r.address.family = a.family;
  r.port = port;
  return r;
}

}  // namespace

Host::Host(stack::TcpHost& tcp, uint32_t slices)
    : tcp_(tcp), stack_(tcp.stack()), buffers_(tcp.buffers()), guards_(slices) {
  add(kHealthSlot, &health_, nullptr);
}

void Host::end() {
  for (unsigned i = 0; i < slots_; i++) {
    current_ = i;
    if (slot_[i].service) slot_[i].service->abandon(*this);
    slot_[i] = {};
  }
}

// --- turns

unsigned Host::turn(Instant now) {
  now_ = now;
  unsigned handled = 0;
  for (unsigned round = 0; round < kRounds && stack_.has_events(); round++) {
    const unsigned n = collect(first_, later_);
    if (n == 0) break;
    handled += n;
    deliver(first_);
    for (unsigned i = 0; i < later_.n; i++) {
      const app::Event& e = later_.event[i];
      const uint64_t user = accepted(id(e.conn))->user;
      later_.event[i].user = user & kUserMask;
      later_.slot[i] = static_cast<uint16_t>(user >> 48);
    }
    deliver(later_);
    accepted_n_ = 0;
    accepted_mask_ = 0;
  }
  if (handled) stale_deadline_ = true;
  if (has_update()) take_update();
  if (now_.ns >= deadline_ || stale_deadline_) run_timers();
  if (draining_) retire();
  return handled;
}

Instant Host::next_deadline() const {
  if (stack_.has_events() || has_update()) return now_;
  return {deadline_};
}

unsigned Host::collect(Batch& first, Batch& later) {
  const unsigned n = stack_.events(in_);
  first.n = later.n = 0;
  for (unsigned i = 0; i < n; i++) {
    const tcp::Event& e = in_[i];
    const bool held_back = accepted(e.conn) != nullptr;
    if (e.kind == tcp::EventKind::accepted) {
      accepted_[accepted_n_++] = {e.conn, e.user};
      accepted_mask_ |= uint64_t{1} << (e.conn.index % 64);
    }
    Batch& b = held_back ? later : first;
    b.event[b.n] = translate(e);
    b.slot[b.n++] = static_cast<uint16_t>(e.user >> 48);
  }
  return n;
}

Host::Accepted* Host::accepted(tcp::ConnId c) {
  if (!(accepted_mask_ >> (c.index % 64) & 1)) return nullptr;
  for (unsigned i = 0; i < accepted_n_; i++)
    if (accepted_[i].conn == c) return &accepted_[i];
  return nullptr;
}

app::Event Host::translate(const tcp::Event& e) const {
  app::Event r;
  r.kind = sluice::apps::translate(e.kind);
  r.failure = sluice::apps::translate(e.failure);
  r.listener = e.listener;
  r.conn = handle(e.conn);
  r.user = e.user & kUserMask;
  if (e.m) {
    r.buffer = opaque(e.m);
    r.bytes = bytes_of(e.m).data() + e.offset;
    r.length = e.length;
  } else {
    r.length = e.bytes;
  }
  return r;
}

// One service at a time, in the order of each connection's events.
void Host::deliver(Batch& b) {
  for (unsigned from = 0; from < b.n;) {
    const uint16_t slot = b.slot[from];
    unsigned n = 0, rest = from;
    for (unsigned i = from; i < b.n; i++) {
      if (b.slot[i] == slot) {
        share_[n++] = b.event[i];
      } else {
        b.slot[rest] = b.slot[i];
        b.event[rest++] = b.event[i];
      }
    }
    b.n = rest;
    current_ = slot;
    if (slot < kSlots && slot_[slot].app) {
      slot_[slot].app->events(*this, {share_.data(), n});
    } else {  // of a service that has gone: it has closed all, this was collected before
      for (unsigned i = 0; i < n; i++)
        if (share_[i].buffer) free_buffer(share_[i].buffer);
    }
  }
}

void Host::run_timers() {
  deadline_ = INT64_MAX;
  for (unsigned s = 0; s < slots_; s++) {
    app::App* a = slot_[s].app;
    if (!a) continue;
    current_ = s;
    if (a->deadline() <= now_.ns) a->tick(*this);
    deadline_ = std::min(deadline_, a->deadline());
  }
  stale_deadline_ = false;
}

// --- services come and go

bool Host::submit(Update* u) {
  Update* none = nullptr;
  return incoming_.compare_exchange_strong(none, u, std::memory_order_release, std::memory_order_relaxed);
}

void Host::add(unsigned slot, app::App* a, Service* s) {
  slot_[slot] = {a, s};
  slots_ = std::max(slots_, slot + 1);
  current_ = slot;
  if (s) s->attach(&health_);
  a->start(*this);
}

unsigned Host::free_slot() const {
  unsigned slot = 0;
  while (slot < kSlots && slot_[slot].app) slot++;
  return slot;
}

bool Host::install(app::App& a) {
  const unsigned slot = free_slot();
  if (slot == kSlots) return false;
  add(slot, &a, nullptr);
  stale_deadline_ = true;
  return true;
}

void Host::take_update() {
  if (!update_) {
    update_ = incoming_.load(std::memory_order_acquire);
    update_started_ = 0;
    for (Service* s : update_->stop) {
      for (unsigned i = 0; i < slots_; i++) {
        if (slot_[i].service != s) continue;
        current_ = i;
        s->drain(*this, now_.ns + update_->drain_ns);
        draining_++;
      }
    }
  }
  stale_deadline_ = true;
  for (; update_started_ < update_->start.size(); update_started_++) {
    const unsigned slot = free_slot();
    if (slot == kSlots) return;  // goes on when one is finished
    Service* s = update_->start[update_started_];
    add(slot, s, s);
  }
  Update* u = update_;
  update_ = nullptr;
  incoming_.store(nullptr, std::memory_order_relaxed);
  u->done.store(true, std::memory_order_release);
}

void Host::end_services(Instant now) {
  now_ = now;
  ending_ = true;
  for (unsigned i = 0; i < slots_; i++) {
    Service* s = slot_[i].service;
    if (!s || s->draining()) continue;
    current_ = i;
    s->drain(*this, Instant::never().ns - 1);
    draining_++;
  }
  stale_deadline_ = true;
}

void Host::retire() {
  for (unsigned i = 0; i < slots_; i++) {
    Service* s = slot_[i].service;
    if (!s || !s->finished()) continue;
    slot_[i] = {};
    draining_--;
    s->leave();
  }
  stale_deadline_ = true;
}

// --- commands

Outcome Host::listen(const app::Endpoint& at, const app::Options& o, uint64_t user, app::Listener& out) {
  return sluice::apps::translate(stack_.listen({.address = address(at.address),
                                                .port = at.port,
                                                .user = word(current_, user),
                                                .receive_buffer = o.receive_buffer,
                                                .send_buffer = o.send_buffer,
                                                .nagle = o.nagle,
                                                .keepalive = o.keepalive,
                                                .user_timeout = Duration::nanos(o.user_timeout_ns)},
                                               out));
}

Outcome Host::unlisten(app::Listener l) { return sluice::apps::translate(stack_.unlisten(l)); }

Outcome Host::connect(const app::Endpoint& to, const app::Endpoint& from, const app::Options& o, uint64_t user,
                      app::Conn& out) {
  if (ending_) return Outcome::no_memory;
  tcp::ConnId c;
  const tcp::Outcome r = tcp_.connect(now_,
                                      {.tuple = {.local = address(from.address),
                                                 .remote = address(to.address),
                                                 .local_port = from.port,
                                                 .remote_port = to.port},
                                       .user = word(current_, user),
                                       .receive_buffer = o.receive_buffer,
                                       .send_buffer = o.send_buffer,
                                       .nagle = o.nagle,
                                       .keepalive = o.keepalive,
                                       .user_timeout = Duration::nanos(o.user_timeout_ns)},
                                      c);
  out = handle(c);
  return sluice::apps::translate(r);
}

bool Host::slice(const app::Slice& from, tcp::Slice& to) {
  to = {from.bytes, from.length, mbuf(from.buffer), nullptr};
  if (!from.keeper) return true;
  const uint32_t i = guards_.take();
  if (i == tcp::kNone) return false;
  Guard& g = guards_.at(i);
  g.host = this;
  g.keeper = from.keeper;
  to.keeper = &g;
  return true;
}

Outcome Host::send(app::Conn c, std::span<const app::Slice> slices) {
  if (slices.size() > kMostSlices) return Outcome::invalid;
  auto& out = slices_;
  size_t n = 0;
  while (n < slices.size() && slice(slices[n], out[n])) n++;
  const Outcome r =
      n < slices.size() ? Outcome::full : sluice::apps::translate(stack_.send(now_, id(c), {out.data(), n}));
  if (r == Outcome::ok) return r;
  for (size_t i = 0; i < n; i++)
    if (out[i].keeper) guards_.give(guards_.index_of(*static_cast<Guard*>(out[i].keeper)));
  return r;
}

uint32_t Host::send_room(app::Conn c) const { return stack_.send_room(id(c)); }

Outcome Host::done(app::Conn c, app::Buffer* buffer, uint32_t length) {
  if (buffer) free_buffer(buffer);
  return sluice::apps::translate(stack_.receive_done(now_, id(c), length));
}

void Host::pause(app::Conn c) { stack_.pause(id(c)); }
void Host::resume(app::Conn c) { stack_.resume(now_, id(c)); }
Outcome Host::shutdown(app::Conn c) { return sluice::apps::translate(stack_.shutdown(now_, id(c))); }
Outcome Host::close(app::Conn c) { return sluice::apps::translate(stack_.close(now_, id(c))); }
Outcome Host::abort(app::Conn c) { return sluice::apps::translate(stack_.abort(now_, id(c))); }

Outcome Host::set_user(app::Conn c, uint64_t user) {
  const uint64_t w = word(current_, user);
  if (Accepted* a = accepted(id(c))) a->user = w;
  return sluice::apps::translate(stack_.set_user(id(c), w));
}

bool Host::peer(app::Conn c, app::Peer& out) const {
  const auto info = stack_.info(now_, id(c));
  if (!info) return false;
  out = {endpoint(info->tuple.local, info->tuple.local_port), endpoint(info->tuple.remote, info->tuple.remote_port)};
  return true;
}

app::Buffer* Host::make_buffer(uint8_t*& bytes, uint32_t& room) {
  rte_mbuf* m = buffers_.make();
  if (!m) return nullptr;
  bytes = rte_pktmbuf_mtod(m, uint8_t*);
  room = rte_pktmbuf_tailroom(m);
  return opaque(m);
}

void Host::free_buffer(app::Buffer* b) { buffers_.free(mbuf(b)); }

}  // namespace sluice::apps
