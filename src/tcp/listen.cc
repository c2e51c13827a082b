// LISTEN and CLOSED, SYN cookies, and the two ways to a new connection.
//
// Theory of operation
//
// A SYN makes a block in SYN-RECEIVED, until limits.cookie_mark of them are there. From then on SYNs are answered with
// cookies, and no state is kept, until half of them are gone: a flood costs a SYN-ACK each, and no memory. Connections
// that complete meanwhile come back in the ACK's numbers (cookie.h).
#include <algorithm>

#include "tcp/cookie.h"
#include "tcp/isn.h"
#include "tcp/machine.h"
#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp {

using wire::kTcpAck;
using wire::kTcpCwr;
using wire::kTcpEce;
using wire::kTcpFin;
using wire::kTcpRst;
using wire::kTcpSyn;

namespace {

constexpr Taken kHandled{Taken::By::caller};
Taken refused(DropReason r) { return {Taken::By::nobody, r}; }

constexpr uint8_t kMaxShift = 14;  // RFC 7323 2.3
constexpr uint16_t kEphemeralFirst = 32768, kEphemeralCount = 28232;
constexpr unsigned kPortTries = 2048;
constexpr uint32_t kIssStep = 128 * 1024;

uint8_t shift_for(uint32_t buffer) {
  uint8_t s = 0;
  while (s < kMaxShift && uint64_t{UINT16_MAX} << s < buffer) s++;
  return s;
}

uint16_t announced_mss(const Tuple& t, uint16_t mtu) {
  const uint16_t headers = t.local.family == 4 ? 40 : 60;
  return mtu > headers + 64 ? static_cast<uint16_t>(mtu - headers) : 64;
}

}  // namespace

// ---- listeners

ListenerId Machine::find_listener(const IpAddr& a, uint16_t port) const {
  ListenerId any = kNoListener;
  for (ListenerId i = by_port_[port % 256]; i != kNoListener; i = listener_[i].next) {
    const ListenOptions& o = listener_[i].options;
    if (o.port != port) continue;
    if (o.address == a) return i;
    if (o.address.none()) any = i;
  }
  return any;
}

bool Machine::address_in_use(const IpAddr& a, uint16_t port) const {
  for (ListenerId i = by_port_[port % 256]; i != kNoListener; i = listener_[i].next)
    if (listener_[i].options.port == port && listener_[i].options.address == a) return true;
  return false;
}

Outcome Machine::listen(const ListenOptions& o, ListenerId& id) {
  if (o.port == 0) return Outcome::invalid;
  if (address_in_use(o.address, o.port)) return Outcome::in_use;
  // One that has connections left cannot be used again yet: they refer to it.
  for (ListenerId i = 0; i < kMaxListeners; i++) {
    Listener& l = listener_[i];
    if (l.used || l.connections) continue;
    l = {.options = o, .connections = 0, .next = by_port_[o.port % 256], .used = true};
    by_port_[o.port % 256] = id = i;
    listeners_used_++;
    return Outcome::ok;
  }
  return Outcome::no_memory;
}

Outcome Machine::unlisten(ListenerId id) {
  if (id >= kMaxListeners || !listener_[id].used) return Outcome::stale;
  ListenerId* link = &by_port_[listener_[id].options.port % 256];
  while (*link != id) link = &listener_[*link].next;
  *link = listener_[id].next;
  listener_[id].used = false;
  listeners_used_--;
  for (uint32_t i = half_open_.head; i != kNone;) {
    Tcb& c = core.tcbs.at(i);
    i = c.list_next;
    if (c.listener == id) end(c, Failure::none);
  }
  return Outcome::ok;
}

// ---- CLOSED (3.10.7.1)

Taken Machine::at_closed(const InSegment& s) {
  const uint32_t rate = core.config.limits.resets_per_second;
  if (!s.has(kTcpRst) && core.resets.take(core.now, rate, rate)) {
    if (s.has(kTcpAck)) send_stateless(core, s.tuple, s.path, kTcpRst, s.ack, Seq{}, 0, {});
    else send_stateless(core, s.tuple, s.path, kTcpRst | kTcpAck, Seq{}, s.seq + s.seg_len(), 0, {});
  }
  return refused(DropReason::tcp_closed);
}

// ---- LISTEN (3.10.7.2)

Taken Machine::at_listener(ListenerId id, const InSegment& s) {
  // First, check for a RST; second, for an ACK.
  if (s.has(kTcpRst)) return kHandled;
  if (s.has(kTcpAck)) {
    if (!s.has(kTcpSyn)) {
      const Taken t = from_cookie(id, s);
      if (t.by != Taken::By::nobody) return t;
    }
    const Taken closed = at_closed(s);
    return closed.by == Taken::By::nobody ? kHandled : closed;
  }
  // Third, check for a SYN. With FIN it is nobody's honest segment; fourth, anything else is dropped.
  if (!s.has(kTcpSyn) || s.has(kTcpFin)) return kHandled;

  if (full(listener_[id])) return refused(DropReason::tcp_connections_full);
  if (cookies_wanted()) return send_cookie(listener_[id], s);
  Tcb* made = make_passive(id, s);
  if (!made) return refused(DropReason::tcp_connections_full);
  Tcb& c = *made;
  c.irs = s.seq;
  c.rcv_nxt = c.rx.advertised = c.rx.last_ack_sent = s.seq + 1;
  c.iss = initial_sequence(core.secrets, core.now, c.tuple);
  if (iss_floor_ && c.iss <= *iss_floor_) c.iss = *iss_floor_ + kIssStep;
  c.ts_offset = timestamp_offset(core.secrets, c.tuple);
  const Tuning& t = core.config.tuning;
  c.ws_ok = t.window_scaling;
  c.sack_ok = t.sack;
  c.ts_ok = t.timestamps;
  c.ecn_ok = t.ecn;
  negotiate(c, s.options, (s.flags & (kTcpEce | kTcpCwr)) == (kTcpEce | kTcpCwr));
  c.state = State::syn_received;
  add(half_open_, c);
  // Text that comes with the SYN is not taken: the peer sends it again (TFO is left out).
  send_syn(core, c);
  return kHandled;
}

// The listener has as many connections as it may have.
bool Machine::full(const Listener& l) {
  if (!l.options.backlog || l.connections < l.options.backlog) return false;
  core.count.listen_drops++;
  return true;
}

// A connection of the listener's, with what it asks for. Null: there is no block.
Tcb* Machine::make_passive(ListenerId id, const InSegment& s) {
  Tcb* made = make(s.tuple, core.table.hash(s.tuple));
  if (!made) {
    core.count.listen_drops++;
    core.count.connections_full++;
    return nullptr;
  }
  Tcb& c = *made;
  Listener& l = listener_[id];
  const ListenOptions& o = l.options;
  c.passive = true;
  c.listener = id;
  l.connections++;
  c.path = s.path;
  c.mtu = s.mtu;
  c.user = o.user;
  take_options(c, o.receive_buffer, o.send_buffer, o.nagle, o.keepalive, o.user_timeout);
  return made;
}

// What both sides want: on entry ws_ok … say what this side offers.
void Machine::negotiate(Tcb& c, const wire::TcpOptions& o, bool peer_asks_ecn) {
  c.snd_mss = o.has_mss && o.mss ? o.mss : c.tuple.local.family == 4 ? 536 : 1220;  // RFC 9293 3.7.1 MUST-15
  c.ws_ok = c.ws_ok && o.has_window_scale;
  c.sack_ok = c.sack_ok && o.sack_permitted;
  c.ts_ok = c.ts_ok && o.has_timestamps;
  c.ecn_ok = c.ecn_ok && peer_asks_ecn;
  c.snd_wind_shift = c.ws_ok ? (o.window_scale > kMaxShift ? kMaxShift : o.window_scale) : 0;
  if (!c.ws_ok) c.rcv_wind_shift = 0;
  if (c.ts_ok) {
    c.rx.ts_recent = o.ts_val;
    c.rx.ts_recent_at = core.now;
  }
}

void Machine::take_options(Tcb& c, uint32_t receive_buffer, uint32_t send_buffer, bool nagle, bool keepalive,
                           Duration timeout) {
  const Tuning& t = core.config.tuning;
  c.rx.receive_buffer = receive_buffer ? receive_buffer : t.receive_buffer;
  c.tx.send_buffer = send_buffer ? send_buffer : t.send_buffer;
  c.tx.nagle = nagle && t.nagle;
  c.keepalive = keepalive;
  c.user_timeout = timeout;
  c.rcv_wind_shift = t.window_scaling ? shift_for(c.rx.receive_buffer) : 0;
}

void Machine::established(Tcb& c) {
  if (c.state == State::syn_received) remove(half_open_, c);
  c.state = State::established;
  (c.passive ? core.count.passive_opens : core.count.active_opens)++;
  if (c.keepalive) arm_keepalive(c);
  tell(c, c.passive ? kTellAccepted : kTellConnected);
  core.sink.opened(c.tuple);
  if (c.fin_queued) {  // closed before it was open
    c.state = State::fin_wait_1;
    core.mark(c);
  }
}

// ---- cookies

// However large the limits: half-open connections must not take the blocks of those that come in by cookie.
uint32_t Machine::cookie_mark() const {
  const Limits& l = core.config.limits;
  return std::min({l.cookie_mark, l.half_open, l.connections / 2});
}

bool Machine::cookies_wanted() {
  const uint32_t mark = cookie_mark();
  if (half_open_.size >= mark) cookies_ = true;
  else if (half_open_.size <= mark / 2) cookies_ = false;
  return cookies_;
}

Taken Machine::send_cookie(const Listener& l, const InSegment& s) {
  const Tuning& t = core.config.tuning;
  const uint32_t buffer = l.options.receive_buffer ? l.options.receive_buffer : t.receive_buffer;
  const wire::TcpOptions& in = s.options;
  CookieOffer offer;
  offer.mss = in.has_mss && in.mss ? in.mss : 536;
  offer.timestamps = t.timestamps && in.has_timestamps;
  offer.window_scaling = offer.timestamps && t.window_scaling && in.has_window_scale;
  offer.window_scale = in.window_scale > kMaxShift ? kMaxShift : in.window_scale;
  offer.sack = offer.timestamps && t.sack && in.sack_permitted;
  offer.ecn = offer.timestamps && t.ecn && (s.flags & (kTcpEce | kTcpCwr)) == (kTcpEce | kTcpCwr);
  const uint32_t ts_now = timestamp(core.now, timestamp_offset(core.secrets, s.tuple));
  const Cookie k = make_cookie(core.secrets, core.now, s.tuple, s.seq, offer, ts_now);
  wire::TcpOptions out;
  out.has_mss = true;
  out.mss = announced_mss(s.tuple, s.mtu);
  if (offer.timestamps) {
    out.has_timestamps = true;
    out.ts_val = k.ts_val;
    out.ts_ecr = in.ts_val;
  }
  if (offer.window_scaling) {
    out.has_window_scale = true;
    out.window_scale = shift_for(buffer);
  }
  out.sack_permitted = offer.sack;
  const auto window = static_cast<uint16_t>(buffer < UINT16_MAX ? buffer : UINT16_MAX);
  const auto flags = static_cast<uint8_t>(kTcpSyn | kTcpAck | (offer.ecn ? kTcpEce : 0));
  core.count.cookies_sent++;
  send_stateless(core, s.tuple, s.path, flags, k.iss, s.seq + 1, window, out);
  return kHandled;
}

// nobody: it is no cookie.
Taken Machine::from_cookie(ListenerId id, const InSegment& s) {
  const Taken no{Taken::By::nobody, DropReason::tcp_closed};
  const Seq irs = s.seq - 1, iss = s.ack - 1;
  CookieOffer o;
  const uint32_t* ecr = s.options.has_timestamps ? &s.options.ts_ecr : nullptr;
  if (!check_cookie(core.secrets, core.now, s.tuple, irs, iss, ecr, o)) {
    core.count.cookies_failed++;
    return no;
  }
  // No room: silence, since the peer will send again, and there may be room by then.
  Tcb* made = full(listener_[id]) ? nullptr : make_passive(id, s);
  if (!made) return kHandled;
  Tcb& c = *made;
  core.count.cookies_received++;
  c.irs = irs;
  c.rcv_nxt = c.rx.last_ack_sent = s.seq;
  const uint32_t buffer = c.rx.receive_buffer;
  c.rx.advertised = c.rcv_nxt + (buffer < UINT16_MAX ? buffer : UINT16_MAX);  // as the SYN-ACK said
  c.iss = iss;
  c.snd_una = c.snd_nxt = iss + 1;
  c.ts_offset = timestamp_offset(core.secrets, c.tuple);
  c.snd_mss = o.mss;
  c.ws_ok = o.window_scaling;
  c.snd_wind_shift = o.window_scaling ? o.window_scale : 0;
  if (!c.ws_ok) c.rcv_wind_shift = 0;
  c.sack_ok = o.sack;
  c.ts_ok = o.timestamps;
  c.ecn_ok = o.ecn;
  if (c.ts_ok) {
    c.rx.ts_recent = s.options.ts_val;
    c.rx.ts_recent_at = core.now;
  }
  c.state = State::syn_received;
  add(half_open_, c);
  start_from_cookie(core, c, s);
  established(c);
  return in_other_states(c, s);
}

// ---- active OPEN

namespace {

// RFC 9293 3.9.2.3 MUST-46: a connection has a host at its other end.
bool is_host(const IpAddr& a) {
  if (a.family == 6) return !a.v6().multicast() && !a.v6().unspecified();
  const uint32_t v4 = a.v4().host();
  return !a.v4().multicast() && v4 != 0 && v4 != UINT32_MAX;
}

}  // namespace

// RFC 6056 3.3.3: from a place that depends on the peer, by turns.
bool Machine::pick_port(const ConnectOptions& o, Tuple& t) {
  t.local_port = 0;
  const uint64_t start = core.table.hash(t);
  for (unsigned k = 0; k < kPortTries; k++) {
    t.local_port = static_cast<uint16_t>(kEphemeralFirst + (start + ephemeral_++) % kEphemeralCount);
    if (o.fits && !o.fits(o.fits_data, t)) continue;
    if (core.table.find(t, core.table.hash(t)) == kNone && find_listener(t.local, t.local_port) == kNoListener) return true;
  }
  return false;
}

Outcome Machine::connect(const ConnectOptions& o, ConnId& id) {
  Tuple t = o.tuple;
  if (t.remote_port == 0 || t.local.none() || t.local.family != t.remote.family || !is_host(t.remote)) return Outcome::invalid;
  if (t.local_port == 0 && !pick_port(o, t)) return Outcome::in_use;
  const uint64_t hash = core.table.hash(t);
  if (core.table.find(t, hash) != kNone) return Outcome::in_use;
  Tcb* made = make(t, hash);
  if (!made) return Outcome::no_memory;
  Tcb& c = *made;
  c.path = o.path;
  c.mtu = o.mtu;
  c.user = o.user;
  take_options(c, o.receive_buffer, o.send_buffer, o.nagle, o.keepalive, o.user_timeout);
  const Tuning& tune = core.config.tuning;
  c.ws_ok = tune.window_scaling;
  c.sack_ok = tune.sack;
  c.ts_ok = tune.timestamps;
  c.ecn_ok = tune.ecn && tune.ecn_active;
  c.iss = initial_sequence(core.secrets, core.now, t);
  c.ts_offset = timestamp_offset(core.secrets, t);
  c.state = State::syn_sent;
  send_syn(core, c);
  id = id_of(c);
  return Outcome::ok;
}

}  // namespace sluice::tcp
