// The public face: commands and views. What happens to segments is in input.cc and the files that it names.
#include "tcp/stack.h"

#include "tcp/machine.h"
#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp {

Stack::Stack(const Config& c, const Secrets& s, Buffers& buffers, Sink& sink)
    : impl_(std::make_unique<Impl>(c, s, buffers, sink)) {
  impl_->start();
}

Stack::~Stack() = default;

// ---- from the network

Taken Stack::receive(Instant now, const InSegment& s) {
  impl_->core.now = now;
  return impl_->receive(s);
}

void Stack::icmp(Instant now, const IcmpError& e) {
  impl_->core.now = now;
  impl_->icmp(e);
}

void Stack::flush(Instant now) {
  impl_->core.now = now;
  impl_->flush();
}

void Stack::tick(Instant now, unsigned budget) {
  impl_->core.now = now;
  impl_->core.timers.expire(now, budget, [this](uint32_t id) { impl_->timer(id); });
  impl_->flush();
}

Instant Stack::next_deadline() const { return impl_->core.timers.next_deadline(); }

// ---- to the application

bool Stack::has_events() const { return impl_->has_events(); }
unsigned Stack::events(std::span<Event> out) { return impl_->events(out); }

// ---- commands

Outcome Stack::listen(const ListenOptions& o, ListenerId& id) { return impl_->listen(o, id); }
Outcome Stack::unlisten(ListenerId id) { return impl_->unlisten(id); }

Outcome Stack::connect(Instant now, const ConnectOptions& o, ConnId& id) {
  impl_->core.now = now;
  return impl_->connect(o, id);
}

Outcome Stack::send(Instant now, ConnId id, std::span<const Slice> slices) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  if (c->fin_queued || (c->state != State::established && c->state != State::close_wait &&
                        c->state != State::syn_sent && c->state != State::syn_received))
    return Outcome::wrong_state;
  for (const Slice& s : slices)
    if (!s.data || s.length == 0) return Outcome::invalid;
  impl_->core.now = now;
  const Outcome o = enqueue(impl_->core, *c, slices.data(), static_cast<unsigned>(slices.size()));
  if (o == Outcome::ok) impl_->core.mark(*c);
  return o;
}

uint32_t Stack::send_room(ConnId id) const {
  const Tcb* c = static_cast<const Impl&>(*impl_).find(id);
  return c && !c->fin_queued ? tcp::send_room(*c) : 0;
}

Outcome Stack::receive_done(Instant now, ConnId id, uint32_t bytes) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  Receiving& rx = c->rx;
  if (bytes > rx.given_bytes) return Outcome::wrong_state;
  impl_->core.now = now;
  // In proportion: which buffers the bytes lay in is the application's business.
  const uint32_t charge = bytes == rx.given_bytes
                              ? rx.given_charge
                              : static_cast<uint32_t>(uint64_t{rx.given_charge} * bytes / rx.given_bytes);
  rx.given_bytes -= bytes;
  rx.given_charge -= charge;
  rx.charge -= charge;
  impl_->open_window(*c);
  return Outcome::ok;
}

Outcome Stack::pause(ConnId id) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  c->rx.paused = true;
  return Outcome::ok;
}

Outcome Stack::resume(Instant now, ConnId id) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  impl_->core.now = now;
  c->rx.paused = false;
  impl_->tell(*c, 0);
  return Outcome::ok;
}

// RFC 9293 3.10.4, CLOSE.
Outcome Stack::shutdown(Instant now, ConnId id) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  if (c->fin_queued || c->state == State::closed || c->state == State::time_wait) return Outcome::wrong_state;
  impl_->core.now = now;
  impl_->queue_close(*c);
  return Outcome::ok;
}

Outcome Stack::close(Instant now, ConnId id) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  impl_->core.now = now;
  if (c->state == State::syn_sent) {
    impl_->core.count.aborts++;
    c->orphan = true;
    impl_->end(*c, Failure::none);
    return Outcome::ok;
  }
  // RFC 9293 3.6.1 SHLD-3, RFC 2525 2.17: bytes that nobody will read were not received.
  const bool unread = c->rx.queue_head != nullptr;
  if (unread && c->synchronized() && c->state != State::time_wait) {
    impl_->core.count.after_close++;
    send_reset(impl_->core, *c);
    c->orphan = true;
    impl_->end(*c, Failure::none);
    return Outcome::ok;
  }
  if (!c->fin_queued && c->state != State::closed && c->state != State::time_wait) impl_->queue_close(*c);
  impl_->leave(*c);
  return Outcome::ok;
}

Outcome Stack::abort(Instant now, ConnId id) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  impl_->core.now = now;
  if (c->state == State::closed || c->state == State::time_wait) {
    impl_->leave(*c);
    return Outcome::ok;
  }
  impl_->core.count.aborts++;
  if (c->state != State::syn_sent) send_reset(impl_->core, *c);
  c->orphan = true;
  impl_->end(*c, Failure::none);
  return Outcome::ok;
}

Outcome Stack::reset(Instant now, ConnId id) {
  Core& core = impl_->core;
  if (id.index >= core.tcbs.touched()) return Outcome::stale;
  Tcb& c = core.tcbs.at(id.index);
  if (c.generation == 0 || c.generation != id.generation) return Outcome::stale;
  if (c.state == State::closed) return Outcome::wrong_state;
  core.now = now;
  core.count.aborts++;
  if (c.state != State::syn_sent && c.state != State::time_wait) send_reset(core, c);
  impl_->end(c, Failure::aborted);
  return Outcome::ok;
}

void Stack::unlisten_all() {
  for (uint32_t id = 0; id < kMaxListeners; id++) impl_->unlisten(static_cast<ListenerId>(id));
}

uint32_t Stack::reset_some(Instant now, uint32_t cursor, unsigned slots) {
  const auto& tcbs = impl_->core.tcbs;
  for (uint32_t i = cursor; i < tcbs.touched(); i++) {
    if (slots-- == 0) return i;
    const Tcb& c = tcbs.at(i);
    if (c.generation != 0 && c.state != State::time_wait) reset(now, {i, c.generation});
  }
  return 0;
}

Outcome Stack::set_user(ConnId id, uint64_t user) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  c->user = user;
  return Outcome::ok;
}

Outcome Stack::set_nagle(ConnId id, bool on) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  c->tx.nagle = on;
  if (!on) impl_->core.mark(*c);
  return Outcome::ok;
}

Outcome Stack::set_keepalive(Instant now, ConnId id, bool on) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  impl_->core.now = now;
  c->keepalive = on;
  c->keepalive_sent = 0;
  impl_->arm_keepalive(*c);
  return Outcome::ok;
}

Outcome Stack::set_user_timeout(ConnId id, Duration d) {
  Tcb* c = impl_->find(id);
  if (!c) return Outcome::stale;
  if (d < Duration{}) return Outcome::invalid;
  c->user_timeout = d;
  return Outcome::ok;
}

// ---- views

namespace {

const char* life_name(State s) {
  switch (s) {
    case State::time_wait: return "time-wait";
    case State::fin_wait_2: return "fin-wait-2";
    default: return "keepalive";
  }
}

void fill_timer(const Core& core, const Tcb& c, Instant now, Info& out) {
  const uint32_t base = core.index_of(c) * kTimers;
  const std::string_view name[kTimers] = {"retransmit", "delayed ack", life_name(c.state)};
  Instant first = Instant::never();
  for (uint32_t t = 0; t < kTimers; t++) {
    if (!core.timers.armed(base + t) || core.timers.deadline(base + t) >= first) continue;
    first = core.timers.deadline(base + t);
    out.timer = name[t];
    out.timer_in = first - now;
  }
}

Info info_of(const Core& core, const Tcb& c, Instant now) {
  const SenderView s = sender_view(core, c);
  const Seq edge = later(c.rx.advertised, c.rcv_nxt);
  Info i{.id = {core.index_of(c), c.generation},
         .tuple = c.tuple,
         .state = c.state,
         .listener = c.listener,
         .passive = c.passive,
         .orphan = c.orphan,
         .sack = c.sack_ok,
         .timestamps = c.ts_ok,
         .ecn = c.ecn_ok,
         .paused = c.rx.paused,
         .peer_fin = c.rx.fin_taken,
         .snd_wind_shift = c.snd_wind_shift,
         .rcv_wind_shift = c.rcv_wind_shift,
         .snd_mss = c.snd_mss,
         .mss = s.mss,
         .path_mtu = s.path_mtu,
         .iss = c.iss,
         .irs = c.irs,
         .snd_una = c.snd_una,
         .snd_nxt = c.snd_nxt,
         .rcv_nxt = c.rcv_nxt,
         .snd_wnd = c.snd_wnd,
         .rcv_wnd = static_cast<uint32_t>(edge - c.rcv_nxt),
         .cwnd = c.cc.cwnd(),
         .ssthresh = c.cc.ssthresh(),
         .congestion = c.cc.name(),
         .phase = s.phase,
         .srtt = c.rtt.srtt(),
         .rttvar = c.rtt.var(),
         .rto = c.rtt.rto(),
         .rtt_min = c.rtt.min(),
         .in_flight = s.in_flight,
         .lost = s.lost,
         .sacked = s.sacked,
         .retransmissions = s.retransmissions,
         .send_queue = s.queued,
         .receive_queue = c.rx.queue_bytes,
         .out_of_order = c.rx.ahead_bytes,
         .with_application = c.rx.given_bytes,
         .receive_buffers = uint32_t{c.rx.queue_buffers} + c.rx.ahead_buffers,
         .age = now - c.opened,
         .idle = now - c.last_received};
  fill_timer(core, c, now, i);
  return i;
}

}  // namespace

std::optional<Info> Stack::info(Instant now, ConnId id) const {
  const Core& core = impl_->core;
  if (id.index >= core.tcbs.touched()) return std::nullopt;
  const Tcb& c = core.tcbs.at(id.index);
  if (c.generation == 0 || c.generation != id.generation) return std::nullopt;
  return info_of(core, c, now);
}

uint32_t Stack::list(Instant now, uint32_t cursor, unsigned most, void* to, void (*row)(void*, const Info&)) const {
  const Core& core = impl_->core;
  for (uint32_t i = cursor; i < core.tcbs.touched(); i++) {
    if (core.tcbs.at(i).generation == 0) continue;
    if (most-- == 0) return i;
    row(to, info_of(core, core.tcbs.at(i), now));
  }
  return 0;
}

uint32_t Stack::list_open(uint32_t cursor, unsigned slots, void* to, void (*row)(void*, const Tuple&)) const {
  const auto& tcbs = impl_->core.tcbs;
  for (uint32_t i = cursor; i < tcbs.touched(); i++) {
    if (slots-- == 0) return i;
    if (tcbs.at(i).generation != 0 && tcbs.at(i).synchronized()) row(to, tcbs.at(i).tuple);
  }
  return 0;
}

const Counters& Stack::counters() const { return impl_->core.count; }

Stack::Sizes Stack::sizes() const {
  const Core& core = impl_->core;
  return {.connections = core.tcbs.used(),
          .half_open = impl_->half_open().size,
          .time_wait = impl_->time_wait().size,
          .listeners = impl_->listeners(),
          .chunks = core.chunks.used(),
          .records = core.records.used(),
          .cookies = impl_->cookies(),
          .memory_touched = size_t{core.tcbs.touched()} * (sizeof(Tcb) + kTimers * 24 + 8) +
                            size_t{core.chunks.touched()} * sizeof(Chunk) + size_t{core.records.touched()} * sizeof(Record)};
}

}  // namespace sluice::tcp
