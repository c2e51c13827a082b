#include "fuzz/tcp_world.h"

#include <algorithm>

namespace sluice::fuzz {
namespace {

using namespace tcp;

constexpr unsigned kIncoming = 512, kOwn = 256;
constexpr uint32_t kBuffer = 16 * 1024;

uint8_t f(Seq s) { return static_cast<uint8_t>(s.v * 2654435761u >> 24); }

PoisonedPool& incoming() {
  static PoisonedPool* p = [] {
    start_eal();
    return new PoisonedPool("poisoned", kIncoming);
  }();
  return *p;
}

rte_mempool* own() {
  static rte_mempool* p = [] {
    start_eal();
    return rte_pktmbuf_pool_create("own", kOwn, 0, kMbufPrivate, 2048, -1);
  }();
  return p;
}

Config config_of(Input& in) {
  Config c;
  c.limits = {.connections = 8, .half_open = 5, .cookie_mark = 3, .time_wait = 4, .out_of_order = 8, .chunks = 24,
              .records = 24, .challenge_acks_per_second = 50, .resets_per_second = 50};
  const uint8_t bits = in.u8();
  c.tuning.congestion = bits & 1 ? CongestionControl::newreno : CongestionControl::cubic;
  c.tuning.ecn_active = bits & 2;
  c.tuning.sack = !(bits & 4);
  c.tuning.timestamps = !(bits & 8);
  c.tuning.window_scaling = !(bits & 16);
  c.tuning.nagle = !(bits & 32);
  c.tuning.receive_buffer = bits & 64 ? 1024 : kBuffer;
  c.tuning.send_buffer = kBuffer;
  return c;
}

// Nothing, a little, more, or anything.
uint32_t off_by(Input& in) {
  switch (in.u8() & 7) {
    case 0: return static_cast<uint32_t>(static_cast<int8_t>(in.u8()));
    case 1: return static_cast<uint32_t>(static_cast<int16_t>(in.u16()));
    case 2: return in.u32();
    default: return 0;
  }
}

std::pair<uint32_t, uint32_t> key(ConnId id) { return {id.index, id.generation}; }

}  // namespace

unsigned TcpWorld::states_seen_ = 0;

TcpWorld::TcpWorld(Input in, bool misuse)
    : in_(in), misuse_(misuse), config_(config_of(in_)), buffers_(own(), 400) {
  incoming();
  stack_ = std::make_unique<Stack>(config_, Secrets{.table = {{1, 2, 3, 4}}, .isn = {5, 6}, .timestamp = {7, 8},
                                                    .cookie = {9, 10}, .seed = 11}, buffers_, *this);
  for (unsigned i = 0; i < kPeers; i++) {
    Tuple& t = peers_[i].tuple;
    const bool v6 = i >= 4;
    t.local = v6 ? *parse_ip("2001:db8::1") : *parse_ip("198.18.0.1");
    t.remote = v6 ? *parse_ip("2001:db8::2") : *parse_ip("198.18.0.2");
    t.local_port = i & 1 ? static_cast<uint16_t>(2000 + i) : 80;
    t.remote_port = static_cast<uint16_t>(5000 + i);
  }
  ListenerId id = kNoListener;
  check(stack_->listen({.address = {}, .port = 80}, id) == Outcome::ok);
  listeners_.push_back(id);
}

TcpWorld::~TcpWorld() {
  stack_.reset();
  check(buffers_.held() == held_.size());
  for (const Held& h : held_) buffers_.free(h.m);
  check(buffers_.held() == 0 && incoming().in_use() == 0 && rte_mempool_in_use_count(own()) == 0);
  for (const auto& k : sent_bytes_) check(k->released == k->used);
}

void TcpWorld::run() {
  for (unsigned n = 0; !in_.done() && n < 4000; n++) {
    step();
    invariants();
  }
  // Half of the runs end as they are: the destructor gives everything back.
  if (in_.u8() & 1 || misuse_) drain();
}

void TcpWorld::step() {
  const uint8_t op = in_.u8();
  if (misuse_ && op % 4 != 0) return command();
  switch (op % 16) {
    case 0: case 1: case 2: case 3: return segment();
    case 4: case 5: case 6: case 7: return orderly();
    case 8: return icmp();
    case 9: return time();
    case 10: return stack_->flush(now_);
    case 11: return take_events();
    case 12: return connect();
    default: return command();
  }
}

// --- the network

bool TcpWorld::send(const OutSegment& s) {
  check(s.options.size() % 4 == 0 && s.options.size() <= wire::kMaxTcpOptions);
  check(s.length == 0 || s.mss > 0);
  const bool syn = s.flags & wire::kTcpSyn;
  Seq at = s.seq + syn;
  uint32_t length = 0;
  for (const Slice& piece : s.payload) {
    for (uint32_t i = 0; i < piece.length; i++) check(piece.data[i] == f(at + i));
    at += piece.length;
    length += piece.length;
  }
  check(length == s.length);
  if (s.flags & wire::kTcpFin) at += 1;
  const wire::TcpOptions o = wire::parse_tcp_options(s.options);
  check(!o.malformed);
  for (Peer& p : peers_) {
    if (!(p.tuple == s.tuple)) continue;
    if (s.flags & wire::kTcpAck) p.expects = s.ack;
    if (syn || p.sent < at || s.flags & wire::kTcpRst) p.sent = at;
    if (o.has_timestamps) p.ts = o.ts_val;
  }
  return (++sends_ & 63) != 0;  // now and then there is no buffer
}

// Payload that is f of its place, in a buffer that ends with it (or is the stack's to go on in).
void TcpWorld::fill(InSegment& s, Peer&, unsigned length) {
  uint8_t bytes[1500];
  const Seq at = s.seq + (s.has(wire::kTcpSyn) ? 1u : 0u);
  for (unsigned i = 0; i < length; i++) bytes[i] = f(at + i);
  s.length = static_cast<uint16_t>(length);
  s.offset = PoisonedPool::kOffset;
  s.m = incoming().make({bytes, length}, in_.flag());
}

void TcpWorld::deliver(const Peer&, InSegment s, std::span<const uint8_t> raw_options) {
  if (!raw_options.empty()) {
    const std::unique_ptr<uint8_t[]> exact(new uint8_t[raw_options.size()]);
    std::ranges::copy(raw_options, exact.get());
    s.options = wire::parse_tcp_options({exact.get(), raw_options.size()});
  }
  if (!s.m && s.length) return;  // the pool is empty, as a port's may be
  const Taken t = stack_->receive(now_, s);
  check(t.by != Taken::By::nobody || t.reason != DropReason::count_);
  if (t.by != Taken::By::library && s.m) rte_pktmbuf_free(s.m);
}

// Any segment, near what is expected.
void TcpWorld::segment() {
  Peer& p = peers_[in_.u8() % kPeers];
  InSegment s;
  s.tuple = p.tuple;
  s.flags = in_.u8();
  s.seq = p.expects + off_by(in_);
  s.ack = p.sent + off_by(in_);
  s.window = in_.u16();
  s.urgent = s.has(wire::kTcpUrg) ? in_.u16() : 0;
  const uint8_t how = in_.u8();
  s.ecn = static_cast<Ecn>(how & 3);
  if (how & 4) s.mtu = static_cast<uint16_t>(576 + in_.u8());
  const unsigned length = how & 8 ? in_.u16() % 1460 : how & 16 ? in_.u8() : 0;
  if (length || how & 32) fill(s, p, length);
  if (how & 64) {
    s.options.has_timestamps = true;
    s.options.ts_val = static_cast<uint32_t>(now_.ns / 1'000'000) + off_by(in_);
    s.options.ts_ecr = p.ts + off_by(in_);
    s.options.sack_blocks = static_cast<uint8_t>(in_.u8() % (wire::kMaxSackBlocks + 1));
    for (unsigned i = 0; i < s.options.sack_blocks; i++) {
      const uint32_t left = (p.sent - in_.u16()).v;
      s.options.sack[i] = {left, left + in_.u16()};
    }
  }
  deliver(p, s, how & 128 ? in_.bytes(in_.u8() % (wire::kMaxTcpOptions + 1)) : std::span<const uint8_t>());
}

// What a well-behaved peer would send next: without these, few connections would live long.
void TcpWorld::orderly() {
  Peer& p = peers_[in_.u8() % kPeers];
  InSegment s;
  s.tuple = p.tuple;
  s.seq = p.expects;
  s.ack = p.sent;
  s.window = 2000;
  s.flags = wire::kTcpAck;
  s.options.has_timestamps = config_.tuning.timestamps;
  s.options.ts_val = static_cast<uint32_t>(now_.ns / 1'000'000);
  s.options.ts_ecr = p.ts;
  switch (in_.u8() % 8) {
    case 0:
      s.flags = wire::kTcpSyn;
      s.seq = {in_.u32()};
      s.options.has_mss = s.options.sack_permitted = s.options.has_window_scale = true;
      s.options.mss = 1000;
      s.options.window_scale = 2;
      break;
    case 1:
      s.flags = wire::kTcpSyn | wire::kTcpAck;
      s.options.has_mss = true;
      s.options.mss = 900;
      break;
    case 2: s.flags |= wire::kTcpFin; break;
    case 3:
    case 4: fill(s, p, 1 + in_.u8()); break;
    case 5: fill(s, p, 1000); break;
    default: break;
  }
  deliver(p, s, {});
  if (in_.flag()) stack_->flush(now_);
}

void TcpWorld::icmp() {
  const Peer& p = peers_[in_.u8() % kPeers];
  IcmpError e;
  e.kind = static_cast<IcmpError::Kind>(in_.u8() % 3);
  e.tuple = p.tuple;
  e.seq = p.sent + off_by(in_);
  e.mtu = in_.flag() ? in_.u16() : 0;
  stack_->icmp(now_, e);
}

void TcpWorld::time() {
  static constexpr int64_t kSteps[] = {1, 1'000, 40'000, 200'000, 1'000'000, 10'000'000, 75'000'000, 1'000'000'000};
  const uint8_t how = in_.u8();
  const Instant to = now_ + Duration::micros(kSteps[how & 7] * (1 + in_.u8() % 8));
  // Timers at their moments, or all of them late.
  for (unsigned i = 0; how & 8 && i < 500 && stack_->next_deadline() <= to; i++) {
    now_ = std::max(now_, stack_->next_deadline());
    stack_->tick(now_);
  }
  now_ = to;
  for (unsigned i = 0; stack_->next_deadline() <= now_; i++) {
    check(i < 10'000);
    stack_->tick(now_, how & 16 ? 1 : 256);
  }
}

// --- the application

void TcpWorld::take_events() {
  std::array<Event, 5> batch;
  for (unsigned n; (n = stack_->events(batch)) > 0;) {
    check(n <= batch.size());
    for (unsigned i = 0; i < n; i++) {
      const Event& e = batch[i];
      Connection& c = open_[key(e.conn)];
      if (e.kind == EventKind::accepted || e.kind == EventKind::connected) {
        if (e.kind == EventKind::accepted) handles_.push_back(e.conn);
        if (const auto info = stack_->info(now_, e.conn)) {
          c.next = info->irs + 1;
          c.started = true;
          if (e.kind == EventKind::accepted) c.queued = info->iss + 1;
        }
      }
      if (e.kind == EventKind::data) take_data(e);
      if (e.kind == EventKind::peer_closed) {
        check(!c.peer_closed);
        c.peer_closed = true;
      }
      if (e.kind == EventKind::closed || e.kind == EventKind::failed) {
        check((e.kind == EventKind::failed) == (e.failure != Failure::none));
        forget(e.conn);
      }
    }
  }
  check(!stack_->has_events());
}

void TcpWorld::take_data(const Event& e) {
  Connection& c = open_[key(e.conn)];
  check(e.length > 0 && !c.peer_closed);
  const uint8_t* p = rte_pktmbuf_mtod_offset(e.m, const uint8_t*, e.offset);
  for (unsigned i = 0; c.started && i < e.length; i++) check(p[i] == f(c.next + i));
  c.next += e.length;
  c.unused += e.length;
  held_.push_back({e.m, e.conn, e.length});
}

void TcpWorld::forget(ConnId id) {
  open_.erase(key(id));
  check(stack_->set_user(id, 0) == Outcome::stale);
}

ConnId TcpWorld::some_handle() {
  const uint8_t which = in_.u8();
  if (misuse_ && which >= 240) return {in_.u32(), in_.u32()};
  if (misuse_ && which >= 224) return {in_.u8() % 8u, in_.u8() % 8u};
  if (handles_.empty()) return {};
  if (handles_.size() > 16) handles_.pop_front();
  return handles_[which % handles_.size()];
}

void TcpWorld::connect() {
  const Peer& p = peers_[in_.u8() % kPeers];
  ConnectOptions o;
  o.tuple = p.tuple;
  const uint8_t how = in_.u8();
  if (how & 1) o.tuple.local_port = 0;
  if (how & 2) o.keepalive = true;
  if (how & 4) o.mtu = static_cast<uint16_t>(576 + in_.u8() * 4);
  if (how & 8) o.user_timeout = Duration::millis(in_.u16());
  if (misuse_ && how & 16) o.tuple.remote_port = 0;
  if (misuse_ && how & 32) o.tuple.remote = {};
  ConnId id;
  const Outcome said = stack_->connect(now_, o, id);
  if (said != Outcome::ok) return;
  handles_.push_back(id);
  stack_->flush(now_);  // the SYN takes its number when it is sent
  Connection& c = open_[key(id)];
  if (const auto info = stack_->info(now_, id)) c.queued = info->iss + 1;
}

void TcpWorld::listen() {
  const uint8_t how = in_.u8();
  if (how & 1 && !listeners_.empty()) {
    const ListenerId id = listeners_.front();
    listeners_.pop_front();
    check(stack_->unlisten(id) == Outcome::ok);
    if (how & 2) check(stack_->unlisten(id) != Outcome::ok);
    return;
  }
  if (how & 4) {
    const ListenerId id = in_.u16();
    if (std::ranges::find(listeners_, id) == listeners_.end()) check(stack_->unlisten(id) != Outcome::ok);
    return;
  }
  ListenOptions o;
  o.port = static_cast<uint16_t>(how & 8 ? 80 : in_.u8() % 4);
  if (how & 16) o.address = peers_[0].tuple.local;
  if (how & 32) o.backlog = in_.u8() % 4;
  ListenerId id = kNoListener;
  if (stack_->listen(o, id) == Outcome::ok) listeners_.push_back(id);
}

void TcpWorld::app_send(ConnId id) {
  const auto c = open_.find(key(id));
  auto bytes = std::make_unique<KeptBytes>();
  const unsigned pieces = 1 + in_.u8() % 3;
  const Seq from = c != open_.end() ? c->second.queued : Seq{};
  std::array<Slice, 3> slices;
  uint32_t total = 0;
  for (unsigned i = 0; i < pieces; i++) {
    const uint32_t n = in_.flag() ? in_.u16() % 2700 : misuse_ ? in_.u8() : 1u + in_.u8();
    for (uint32_t k = 0; k < n; k++) bytes->bytes[total + k] = f(from + (total + k));
    slices[i] = {bytes->bytes.data() + total, n, nullptr, bytes.get()};
    total += n;
  }
  // The last piece in a mbuf of ours instead.
  if (Slice& last = slices[pieces - 1]; in_.flag() && last.length <= 1900) {
    if (rte_mbuf* m = buffers_.make()) {
      uint8_t* to = rte_pktmbuf_mtod(m, uint8_t*);
      std::copy_n(last.data, last.length, to);
      last = {to, last.length, m, nullptr};
    }
  }
  const uint32_t room = stack_->send_room(id);
  const Outcome said = stack_->send(now_, id, {slices.data(), pieces});
  if (c == open_.end()) check(said == Outcome::stale && room == 0);
  if (said == Outcome::ok) {
    check(total <= room);
    if (c != open_.end()) c->second.queued += total;
    for (unsigned i = 0; i < pieces; i++) bytes->used += slices[i].keeper != nullptr;
    sent_bytes_.push_back(std::move(bytes));
  } else {
    check(bytes->released == 0);
    for (unsigned i = 0; i < pieces; i++)
      if (slices[i].m) buffers_.free(slices[i].m);
  }
}

void TcpWorld::receive_done(ConnId id) {
  const auto c = open_.find(key(id));
  if (c == open_.end()) {
    check(stack_->receive_done(now_, id, in_.u8()) == Outcome::stale);
    return;
  }
  uint32_t& unused = c->second.unused;
  // More than was handed out: nothing happens.
  if (misuse_ && in_.flag()) check(stack_->receive_done(now_, id, unused + 1 + in_.u16()) != Outcome::ok);
  const uint32_t n = in_.flag() ? unused : std::min<uint32_t>(unused, in_.u16());
  const Outcome said = stack_->receive_done(now_, id, n);
  if (said == Outcome::ok) unused -= n;
}

void TcpWorld::command() {
  const ConnId id = some_handle();
  // A guess may meet a connection that the application has not been told of yet.
  if (!open_.count(key(id)) && stack_->set_user(id, 0) == Outcome::ok) return;
  const bool known = open_.count(key(id)) > 0;
  Outcome said = known ? Outcome::ok : Outcome::stale;
  bool over = false;
  switch (in_.u8() % 16) {
    case 0: case 1: case 2: return app_send(id);
    case 3: case 4: return receive_done(id);
    case 5:
      said = stack_->shutdown(now_, id);
      if (misuse_) stack_->shutdown(now_, id);
      break;
    case 6:
      said = stack_->close(now_, id);
      over = true;
      break;
    case 7:
      said = stack_->abort(now_, id);
      over = true;
      break;
    case 8: said = stack_->pause(id); break;
    case 9: said = stack_->resume(now_, id); break;
    case 10: said = stack_->set_nagle(id, in_.flag()); break;
    case 11: said = stack_->set_keepalive(now_, id, in_.flag()); break;
    case 12: said = stack_->set_user_timeout(id, Duration::millis(in_.u16())); break;
    case 13: return listen();
    case 14: return misuse_ ? connect() : take_events();
    default:
      if (held_.empty()) return;
      buffers_.free(held_.front().m);
      held_.pop_front();
      return;
  }
  if (!known) check(said == Outcome::stale);
  if (over && said == Outcome::ok) {
    forget(id);
    // Used after the end: stale, whatever it is.
    if (misuse_) check(stack_->close(now_, id) == Outcome::stale && stack_->abort(now_, id) == Outcome::stale);
  }
}

// --- what must hold

void TcpWorld::invariants() {
  const Stack::Sizes z = stack_->sizes();
  const Limits& l = config_.limits;
  check(z.connections <= l.connections && z.half_open <= l.half_open && z.time_wait <= l.time_wait);
  check(z.chunks <= l.chunks && z.records <= l.records && z.listeners == listeners_.size());
  check(buffers_.held() == incoming().in_use() + rte_mempool_in_use_count(own()));
  for (const auto& [k, c] : open_) {
    const auto i = stack_->info(now_, {k.first, k.second});
    if (!i || i->state == State::closed) continue;
    check(i->with_application == c.unused || stack_->has_events());
    check(i->send_queue <= kBuffer && i->in_flight <= i->send_queue + 2);
    if (i->state >= State::established) check(i->mss > 0 && i->cwnd > 0);
  }
  stack_->list(now_, 0, l.connections, nullptr,
               [](void*, const Info& i) { states_seen_ |= 1u << static_cast<unsigned>(i.state); });
  while (!sent_bytes_.empty() && sent_bytes_.front()->released == sent_bytes_.front()->used) sent_bytes_.pop_front();
}

void TcpWorld::drain() {
  stack_->flush(now_);
  take_events();
  while (!open_.empty()) {
    const ConnId id{open_.begin()->first.first, open_.begin()->first.second};
    check(stack_->close(now_, id) == Outcome::ok);
    open_.erase(open_.begin());
  }
  for (const ListenerId id : listeners_) check(stack_->unlisten(id) == Outcome::ok);
  listeners_.clear();
  stack_->flush(now_);
  const Instant end = now_ + Duration::seconds(4000);
  for (unsigned n = 0; stack_->next_deadline() <= end; n++) {
    check(n < 100'000);
    now_ = std::max(now_, stack_->next_deadline());
    stack_->tick(now_);
  }
  const Stack::Sizes z = stack_->sizes();
  check(z.connections == 0 && z.half_open == 0 && z.time_wait == 0);
  check(z.chunks == 0 && z.records == 0 && z.listeners == 0);
  check(buffers_.held() == held_.size() && !stack_->has_events());
}

}  // namespace sluice::fuzz
