#include "tests/sim/world.h"

#include <algorithm>

namespace sluice::sim {

using tcp::Info;
using tcp::State;

namespace {
constexpr size_t kLogged = 1000, kShown = 50;  // packets of all connections; of the one that failed
constexpr uint16_t kPort = 7000, kFirstClient = 10000;
}  // namespace

World::World(const Scene& s)
    : setup_(s), links_{{s.link[0], s.seed * 2 + 1}, {s.link[1], s.seed * 2 + 2}}, random_(s.seed * 2 + 3) {
  for (unsigned h = 0; h < 2; h++)
    hosts_[h] = std::make_unique<Host>(pool().mempool(), s.config[h], s.seed * 2 + h, s.buffers,
                                       [this, h](Packet&& p) { left(h, std::move(p)); });
  for (auto& h : hosts_) h->refuse_when([this] { return random_.chance(setup_.refuse); });
  tcp::ListenOptions o;
  o.port = kPort;
  o.user = UINT64_MAX;
  tcp::ListenerId id;
  if (hosts_[1]->stack().listen(o, id) != tcp::Outcome::ok) fail("listen is refused");
  for (unsigned i = 0; i < setup_.pairs.size(); i++) start_pair(i);
}

World::~World() {
  for (auto& e : endpoints_) e->drop_held();
  for (auto& h : hosts_) h.reset();
}

tcp::Tuple World::tuple_of(unsigned pair) const {
  tcp::Tuple t{*parse_ip(setup_.ipv6 ? "2001:db8::a" : "198.51.100.1"),
               *parse_ip(setup_.ipv6 ? "2001:db8::b" : "198.51.100.2"),
               static_cast<uint16_t>(kFirstClient + pair), kPort};
  if (setup_.pairs[pair].both_open) t.remote_port = 7001;  // where nobody listens
  return t;
}

void World::start_pair(unsigned i) {
  const Pair& p = setup_.pairs[i];
  for (unsigned side = 0; side < 2; side++) {
    endpoints_.push_back(
        std::make_unique<Endpoint>(*hosts_[side], p.plan[side], 2 * i + side, 2 * i + 1 - side));
    undone_++;
    if (side == 0 || p.both_open) wakes_.push({(start_ + p.plan[side].start).ns, 2 * i + side});
  }
}

void World::open(unsigned e) {
  unsigned side = e & 1;
  tcp::ConnectOptions o;
  o.tuple = side ? reversed(tuple_of(e / 2)) : tuple_of(e / 2);
  o.user = e;
  o.mtu = setup_.mtu;
  o.path = {3, 1};
  o.keepalive = setup_.pairs[e / 2].plan[side].keepalive;
  tcp::ConnId id;
  if (tcp::Outcome r = hosts_[side]->stack().connect(now_, o, id); r != tcp::Outcome::ok)
    return fail(std::string("connect is refused: ") + tcp::to_string(r));
  endpoints_[e]->opened(now_, id);
}

Tap& World::tap(unsigned host, const Packet& p, bool sent) {
  uint16_t local = sent ? p.tuple.local_port : p.tuple.remote_port,
           remote = sent ? p.tuple.remote_port : p.tuple.local_port;
  return taps_.try_emplace(uint64_t{host} << 32 | uint64_t{local} << 16 | remote, Tap(setup_.mtu))
      .first->second;
}

void World::left(unsigned host, Packet&& p) {
  if (p.has(wire::kTcpSyn)) iss_[host][client_port(p)] = p.seq;
  if (auto wrong = tap(host, p, true).sent(p))
    fail_at(client_port(p), "host " + std::string(1, static_cast<char>('A' + host)) + " " + *wrong);
  Link::Sent s = links_[host].send(now_, p);
  for (Arrival& a : s.arrivals) air_.push({a.at, order_++, 1 - host, std::move(a.packet), a.forged, {}});
  if (s.too_big) {
    tcp::IcmpError e{tcp::IcmpError::Kind::too_big, p.tuple, p.seq, links_[host].model().mtu};
    air_.push({now_ + links_[host].model().delay, order_++, host, {}, false, e});
  }
  seen_.push_back({now_, host, std::move(p), s.fate});
  if (seen_.size() > kLogged) seen_.pop_front();
}

uint16_t World::client_port(const Packet& p) const {
  return std::max(p.tuple.local_port, p.tuple.remote_port);
}

void World::fail_at(uint16_t port, const std::string& what) {
  if (wrong_.empty()) culprit_ = port;
  fail(what);
}

void World::take_arrivals() {
  while (!air_.empty() && air_.top().at <= now_) {
    Waiting w = air_.top();
    air_.pop();
    if (w.icmp) {
      hosts_[w.to]->stack().icmp(now_, *w.icmp);
      continue;
    }
    if (w.forged)
      tap(w.to, w.packet, false).forged(w.packet);
    else
      tap(w.to, w.packet, false).arrived(w.packet);
    hosts_[w.to]->deliver(now_, w.packet, setup_.mtu);
  }
}

void World::act(unsigned e) {
  Endpoint& end = *endpoints_[e];
  bool was_done = end.done();
  if (end.conn().none() && ((e & 1) == 0 || setup_.pairs[e / 2].both_open)) open(e);
  end.act(now_);
  if (end.wake() != Instant::never()) wakes_.push({std::max(end.wake(), now_).ns, e});
  if (!end.wrong().empty())
    fail_at(tuple_of(e / 2).local_port,
            "connection " + std::to_string(e / 2) + ", host " + "AB"[e & 1] + ": " + end.wrong());
  undone_ -= !was_done && end.done();
}

void World::take_events(unsigned host) {
  tcp::Event events[16];
  std::vector<unsigned> touched;
  // One at a time where connections are accepted: with the last event a connection is gone, and its tuple
  // with it.
  size_t most = host == 1 || setup_.pairs[0].both_open ? 1 : std::size(events);
  while (unsigned n = hosts_[host]->stack().events({events, most})) {
    for (unsigned i = 0; i < n; i++) {
      tcp::Event& e = events[i];
      if (e.kind == tcp::EventKind::accepted) {
        auto info = hosts_[host]->stack().info(now_, e.conn);
        if (!info) {
          fail("an accepted connection is not there");
          continue;
        }
        e.user = 2u * (info->tuple.remote_port - kFirstClient) + host;
        hosts_[host]->stack().set_user(e.conn, e.user);
        if (e.user < endpoints_.size()) endpoints_[e.user]->opened(now_, e.conn);
      }
      // Events already in hand when the user was set carry the listener's.
      if (e.user == UINT64_MAX)
        for (unsigned k = host; k < endpoints_.size(); k += 2)
          if (endpoints_[k]->conn() == e.conn) e.user = k;
      if (e.user >= endpoints_.size()) {
        fail("an event of no connection");
        if (e.m) hosts_[host]->buffers().free(e.m);
        continue;
      }
      bool was_done = endpoints_[e.user]->done();
      endpoints_[e.user]->on(now_, e);
      undone_ -= !was_done && endpoints_[e.user]->done();
      touched.push_back(static_cast<unsigned>(e.user));
    }
  }
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (unsigned e : touched) act(e);
}

// Commands make packets and events, events make commands.
void World::settle() {
  for (unsigned round = 0; round < 100; round++) {
    bool more = false;
    for (unsigned h = 0; h < 2; h++) {
      hosts_[h]->stack().flush(now_);
      if (hosts_[h]->stack().has_events()) take_events(h), more = true;
    }
    if (!more) return;
  }
  fail("events without end at one moment");
}

Instant World::next() const {
  Instant t = std::min(hosts_[0]->stack().next_deadline(), hosts_[1]->stack().next_deadline());
  if (!air_.empty()) t = std::min(t, air_.top().at);
  if (!wakes_.empty()) t = std::min(t, Instant{wakes_.top().first});
  return t;
}

bool World::step(Instant until) {
  Instant t = next();
  if (t > until || t == Instant::never()) return false;
  still_ = t <= now_ ? still_ + 1 : 0;
  if (still_ > 10000) return fail("time stands still: a deadline stays in the past"), false;
  now_ = std::max(now_, t);
  events_++;
  take_arrivals();
  for (auto& h : hosts_)
    if (h->stack().next_deadline() <= now_) h->stack().tick(now_);
  for (unsigned at_once = 0; !wakes_.empty() && wakes_.top().first <= now_.ns && at_once < 1000; at_once++) {
    unsigned e = wakes_.top().second;
    wakes_.pop();
    act(e);
  }
  settle();
  check();
  return wrong_.empty();
}

void World::check_row(unsigned host, const Info& i) {
  std::string who = std::string("host ") + "AB"[host] + ", port " + std::to_string(i.tuple.local_port) + ": ";
  auto must = [&](bool holds, const std::string& what) {
    if (!holds) fail_at(std::max(i.tuple.local_port, i.tuple.remote_port), who + what);
  };
  must(i.snd_una <= i.snd_nxt, "snd_una is beyond snd_nxt");
  must(i.in_flight <= static_cast<uint32_t>(i.snd_nxt - i.snd_una),
       "more in flight than was sent and not acknowledged");
  must(i.sacked <= static_cast<uint32_t>(i.snd_nxt - i.snd_una), "more sacked than sent");
  if (i.state >= State::established && i.state != State::time_wait) {
    // In recovery it follows what is in flight (RFC 6937 3.1), which may be less than a segment.
    bool reduced = std::string_view(i.phase) == "recovery" || std::string_view(i.phase) == "cwr";
    must(i.mss > 0 && (reduced ? i.cwnd > 0 : i.cwnd >= i.mss),
         "the congestion window is below a segment: " + std::to_string(i.cwnd));
    must(i.cwnd < 1u << 30, "an absurd congestion window: " + std::to_string(i.cwnd));
    must(i.mss <= setup_.mtu - 40, "a segment larger than the MTU");
  }
  bool work =
      i.snd_una != i.snd_nxt || i.send_queue || i.state == State::time_wait || i.state == State::syn_received;
  must(!work || !i.timer.empty(), std::string("there is work and no timer, in ") + tcp::to_string(i.state));
  uint32_t buffer = setup_.config[host].tuning.receive_buffer;
  uint32_t slack = 2u * setup_.mtu + tcp::kBufferCharge;  // what was in flight when a buffer's charge changed
  must(i.receive_queue + i.out_of_order + i.with_application <= buffer + slack,
       "more received bytes than the buffer has");
  must(i.receive_buffers <= 64 + 2 * buffer / tcp::kBufferCharge,
       "small segments pin " + std::to_string(i.receive_buffers) + " mbufs");
}

void World::check() {
  uint64_t every = setup_.check_all ? 1 : 512;
  if (events_ % every != 0 || !wrong_.empty()) return;
  for (unsigned h = 0; h < 2; h++) {
    tcp::Stack& stack = hosts_[h]->stack();
    struct Rows {
      World* world;
      unsigned host;
      uint32_t queued = 0;
    } rows{this, h};
    for (uint32_t cursor = 0;;) {
      cursor = stack.list(now_, cursor, 256, &rows, [](void* to, const Info& i) {
        auto* r = static_cast<Rows*>(to);
        r->queued += i.receive_buffers;
        r->world->check_row(r->host, i);
      });
      if (!cursor) break;
    }
    if (hosts_[h]->buffers().held() > setup_.buffers) fail("more mbufs are kept than may be");
    if (!stack.has_events() && stack.sizes().chunks == 0 && rows.queued == 0) {
      uint32_t ours = 0;
      for (size_t e = h; e < endpoints_.size(); e += 2) ours += endpoints_[e]->held_mbufs();
      if (hosts_[h]->buffers().held() != ours)
        fail("nothing is queued, the applications hold " + std::to_string(ours) +
             " mbufs, and Buffers::held() is " + std::to_string(hosts_[h]->buffers().held()));
    }
  }
}

bool World::finished() const {
  if (!air_.empty() || hosts_[0]->stack().sizes().connections || hosts_[1]->stack().sizes().connections)
    return false;
  if (undone_ == 0) return true;
  // Where the opener aborts early, the other side may never hear of the connection.
  return std::all_of(endpoints_.begin(), endpoints_.end(),
                     [](const auto& e) { return e->done() || (e->plan().may_fail && e->conn().none()); });
}

void World::check_end() {
  for (auto& e : endpoints_) {
    e->drop_held();
    if (e->keepers_out()) fail(std::to_string(e->keepers_out()) + " keepers were not released");
  }
  for (unsigned h = 0; h < 2; h++) {
    tcp::Stack::Sizes z = hosts_[h]->stack().sizes();
    std::string who = std::string("host ") + "AB"[h] + " in the end: ";
    if (z.connections || z.half_open || z.time_wait) fail(who + "connections are left");
    if (z.chunks) fail(who + std::to_string(z.chunks) + " chunks are left");
    if (z.records) fail(who + std::to_string(z.records) + " records are left");
    if (hosts_[h]->buffers().held())
      fail(who + std::to_string(hosts_[h]->buffers().held()) + " mbufs are kept");
    if (hosts_[h]->stack().next_deadline() != Instant::never()) fail(who + "a timer is armed");
    const tcp::Counters& c = hosts_[h]->counters();
    if (c.spurious_timeouts > c.timeouts) fail(who + "more spurious timeouts than timeouts");
    if (c.tail_loss_repaired > c.tail_loss_probes) fail(who + "more repaired by probes than probes");
  }
  if (pool().in_use()) fail(std::to_string(pool().in_use()) + " mbufs did not come back to the pool");
}

std::optional<std::string> World::run() {
  while (wrong_.empty() && !finished() && now_ - start_ < setup_.limit && step()) {
  }
  if (wrong_.empty() && !finished())
    fail(now_ - start_ >= setup_.limit ? "not finished in time" : "deadlock: nobody has anything more to do");
  if (wrong_.empty()) check_end();
  if (wrong_.empty()) return std::nullopt;
  return wrong_ + "\n" + story();
}

void World::fail(const std::string& what) {
  if (wrong_.empty())
    wrong_ = what + " (at " + std::to_string(static_cast<double>((now_ - start_).ns) / 1e9) + " s)";
}

std::string World::story() const {
  std::string s;
  for (size_t e = 0; e < endpoints_.size(); e++)
    if (culprit_ ? tuple_of(static_cast<unsigned>(e / 2)).local_port == culprit_ : !endpoints_[e]->done())
      s += "  " + std::string(1, "AB"[e & 1]) + std::to_string(e / 2) + ": " + endpoints_[e]->progress() +
           "\n";
  std::vector<const Seen*> shown;
  for (const Seen& p : seen_)
    if (!culprit_ || client_port(p.packet) == culprit_) shown.push_back(&p);
  for (size_t k = shown.size() > kShown ? shown.size() - kShown : 0; k < shown.size(); k++) {
    const Seen& p = *shown[k];
    uint16_t port = client_port(p.packet);
    auto base = [&](unsigned host) { return iss_[host].contains(port) ? iss_[host].at(port) : tcp::Seq{}; };
    char time[32];
    snprintf(time, sizeof time, "%.6f", static_cast<double>((p.at - start_).ns) / 1e9);
    s += std::string("  ") + time + (p.host ? " B>A " : " A>B ") + std::to_string(port) + " " +
         to_text(p.packet, base(p.host), base(1 - p.host)) + (*p.fate ? std::string("  # ") + p.fate : "") +
         "\n";
  }
  return s;
}

}  // namespace sluice::sim
