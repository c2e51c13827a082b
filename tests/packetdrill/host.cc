#include "packetdrill/host.h"

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "packet/meta.h"

namespace sluice::drill {
namespace {

constexpr unsigned kBuffers = 2047;
constexpr uint16_t kDataRoom = 16 * 1024;  // scripts inject segments far larger than a link's MTU

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "sluice: %s\n", what);
  std::exit(EXIT_FAILURE);
}

rte_mempool* start_eal() {
  static const char* args[] = {"sluice",   "--no-huge",      "--no-shconf",   "-m",       "128",
                               "--no-pci", "--no-telemetry", "--log-level=4", "--lcores", "0@0"};
  std::vector<char*> argv;
  for (const char* a : args) argv.push_back(const_cast<char*>(a));
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) die("EAL does not start; give it 128 MiB");
  rte_mempool* pool = rte_pktmbuf_pool_create("drill", kBuffers, 0, kMbufPrivate, kDataRoom, 0);
  if (!pool) die("no memory for packets; give the process 128 MiB");
  return pool;
}

}  // namespace

Host::Host() : pool_(start_eal()) { buffers_.emplace(pool_, kBuffers); }

Host::~Host() = default;

tcp::Stack& Host::stack() {
  if (!stack_) {
    settings_ = Settings::read();
    stack_ = std::make_unique<tcp::Stack>(settings_.config, tcp::Secrets{.table = {{1, 2, 3, 4}}, .isn = {5, 6},
                                          .timestamp = {7, 8}, .cookie = {9, 10}, .seed = 11}, *buffers_, *this);
  }
  return *stack_;
}

// --- the network

bool Host::send(const tcp::OutSegment& s) {
  uint32_t from = 0;
  do {
    const uint32_t n = std::min<uint32_t>(s.length - from, s.mss);
    out_.push_back({now_.ns / 1000, build(s, from, n), s.tuple, s.seq + from, n, s.mss, false});
    from += n;
  } while (from < s.length);
  return true;
}

// Where PSH stands is the sender's choice (RFC 9293 3.9.1.2), and the scripts were written for Linux's: the last
// segment of a write has it, which is the library's way too, and so has the last one of each group of segments that
// are handed down as one. This sets the latter in what one flush has sent.
void Host::mark_groups() {
  uint32_t in_group = 0;
  for (size_t i = 0; i < out_.size(); i++) {
    Outgoing& p = out_[i];
    if (p.marked) continue;
    p.marked = true;
    Socket* s = p.length ? stream_of(p.tuple) : nullptr;
    const auto info = s ? stack().info(now_, s->conn) : std::nullopt;
    const bool follows = in_group > 0 && out_[i - 1].tuple == p.tuple && out_[i - 1].seq + out_[i - 1].length == p.seq;
    const tcp::Seq end = p.seq + p.length;
    if (!info || p.seq < s->sent_up_to) {
      in_group = 0;
      const bool whole = i > 0 && out_[i - 1].tuple == p.tuple && out_[i - 1].seq + out_[i - 1].length == p.seq;
      if (s && whole && s->pushed.count(end.v)) set_psh(p.packet, true);
      continue;
    }
    if (s->push_withheld) set_psh(p.packet, false);
    s->sent_up_to = end;
    stamp_sent(*s, end);
    if (!follows) in_group = 0;
    const bool ends = ++in_group == group_size(*info, p.mss);
    const bool last = i + 1 == out_.size() || out_[i + 1].tuple != p.tuple || out_[i + 1].seq != end;
    if (in_group > 1 && (ends || last)) {
      set_psh(p.packet, true);
      s->pushed.insert(end.v);
    }
    if (ends) in_group = 0;
  }
}

// Linux's: what is sent in a millisecond at the pacing rate, at least tcp_min_tso_segs, at most half of the window.
uint32_t Host::group_size(const tcp::Info& i, uint32_t mss) const {
  const uint64_t srtt_us = std::max<int64_t>(i.srtt.ns / 1000, 1);
  const uint64_t percent = i.ssthresh == UINT32_MAX || i.cwnd < i.ssthresh / 2 ? 200 : 120;
  const uint64_t rate = uint64_t{i.cwnd} * percent * 10'000 / srtt_us;  // bytes a second
  const uint64_t paced = std::max<uint64_t>(rate / 1024 / mss, settings_.least_group);
  return static_cast<uint32_t>(std::clamp<uint64_t>(i.cwnd / mss / 2, 1, paced));
}

uint16_t Host::mtu_of(const Socket& s) const {
  const uint16_t headers = s.v6 ? 60 : 40;
  if (s.max_segment) return static_cast<uint16_t>(s.max_segment + headers);
  if (settings_.advertised_mss) return static_cast<uint16_t>(settings_.advertised_mss + headers);
  return settings_.mtu;
}

void Host::packet_in(wire::ConstBytes packet) {
  Lock lock(mutex_);
  const Parsed p = parse(packet);
  if (p.icmp) stack().icmp(now_, *p.icmp);
  if (p.segment) {
    tcp::InSegment s = *p.segment;
    s.mtu = settings_.mtu;
    for (const auto& [fd, socket] : sockets_)
      if (socket->kind == Socket::Kind::listener && socket->port == s.tuple.local_port) s.mtu = mtu_of(*socket);
    // As from a link: the payload stands behind headers, in a buffer that holds nothing else.
    if (!(s.m = rte_pktmbuf_alloc(pool_))) die("the script holds more packets than there are buffers");
    char* data = rte_pktmbuf_append(s.m, static_cast<uint16_t>(packet.size()));
    if (!data) die("the script's packet is larger than a buffer");
    std::memcpy(data, packet.data(), packet.size());
    s.offset = static_cast<uint16_t>(p.payload.data() - packet.data());
    if (stack().receive(now_, s).by != tcp::Taken::By::library) rte_pktmbuf_free(s.m);
  }
  settle(lock);
}

std::optional<Packet> Host::packet_out(int64_t& usec) {
  Lock lock(mutex_);
  const Instant limit = now_ + Duration::seconds(3600);
  while (out_.empty()) {
    const Instant due = next_due();
    if (due > limit) return {};
    advance(lock, due);
  }
  usec = out_.front().usec;
  Packet p = std::move(out_.front().packet);
  out_.pop_front();
  return p;
}

// --- time

int64_t Host::gettimeofday_usec() {
  Lock lock(mutex_);
  if (handed_to_ == std::this_thread::get_id()) {
    handed_to_ = {};
    changed_.notify_all();
  } else {
    advance(lock, now_ + Duration::micros(1));
  }
  return now_.ns / 1000;
}

void Host::sleep_usec(int64_t n) {
  Lock lock(mutex_);
  advance(lock, now_ + Duration::micros(n));
}

Instant Host::next_due() const {
  Instant due = stack_ ? stack_->next_deadline() : Instant::never();
  for (const auto& [fd, s] : sockets_) due = std::min(due, s->uncork_at);
  for (const Waiter* w : waiters_)
    if (!w->done) due = std::min(due, w->deadline);
  return due;
}

void Host::run_due() {
  if (stack_ && stack_->next_deadline() <= now_) stack_->tick(now_);
  for (const auto& [fd, s] : sockets_)
    if (s->uncork_at <= now_) {
      s->push_withheld = false;
      uncork(*s, true);
    }
}

void Host::advance(Lock& lock, Instant to) {
  unsigned rounds = 0;
  Instant last = now_;
  for (;;) {
    wake_waiters(lock);
    const Instant due = std::max(now_, std::min(next_due(), to));
    meter(due - now_);
    now_ = due;
    if (next_due() > now_) return;
    run_due();
    settle(lock);
    rounds = now_ == last ? rounds + 1 : 0;
    last = now_;
    if (rounds > 1000) die("a timer is due again and again at the same moment");
  }
}

void Host::wake_waiters(Lock& lock) {
  if (std::this_thread::get_id() != script_) return;
  for (size_t i = 0; i < waiters_.size(); i++) {
    Waiter* w = waiters_[i];
    if (w->done || (w->deadline > now_ && !(*w->ready)())) continue;
    w->done = true;
    handed_to_ = w->thread;
    changed_.notify_all();
    changed_.wait(lock, [&] { return handed_to_ == std::thread::id{}; });
    i = static_cast<size_t>(-1);  // the list has changed
  }
}

bool Host::wait(Lock& lock, const Ready& ready, Instant deadline) {
  if (ready()) return true;
  if (deadline <= now_) return false;
  if (std::this_thread::get_id() == script_) {
    while (!ready()) {
      const Instant due = std::min(next_due(), deadline);
      if (due == Instant::never() || now_ >= deadline) return false;
      advance(lock, due);
    }
    return true;
  }
  Waiter w{&ready, deadline, std::this_thread::get_id()};
  waiters_.push_back(&w);
  if (handed_to_ == w.thread) handed_to_ = {};
  changed_.notify_all();
  changed_.wait(lock, [&] { return w.done; });
  std::erase(waiters_, &w);
  return ready();
}

void Host::settle(Lock& lock) {
  if (stack_) {
    stack_->flush(now_);
    mark_groups();
    while (stack_->has_events()) {
      collect_events();
      stack_->flush(now_);
      mark_groups();
    }
    next_records();
  }
  wake_waiters(lock);
}

// A record may begin when the one before has been sent.
void Host::next_records() {
  for (const auto& [fd, s] : sockets_)
    while (s->at_record_end && !s->corked.empty() && unsent(*s) == 0) {
      const size_t before = s->corked.size();
      uncork(*s, true);
      stack_->flush(now_);
      mark_groups();
      if (s->corked.size() == before) break;
    }
}

// A state holds from one moment to the next; what is limited now was limited for the whole of `d`.
void Host::meter(Duration d) {
  if (d.ns <= 0) return;
  for (const auto& [fd, s] : sockets_) {
    if (s->conn.none()) continue;
    const std::optional<tcp::Info> i = stack().info(now_, s->conn);
    if (!i || i->state < tcp::State::established) continue;
    const uint32_t flight = static_cast<uint32_t>(i->snd_nxt - i->snd_una);
    const uint32_t unsent_bytes = i->send_queue > flight ? i->send_queue - flight : 0;
    if (i->send_queue > 0) s->busy = s->busy + d;
    if (unsent_bytes > 0 && flight < i->cwnd && i->snd_wnd < flight + std::min<uint32_t>(unsent_bytes, i->mss))
      s->window_limited = s->window_limited + d;
    else if (s->sending && unsent_bytes < i->mss && flight + i->mss <= i->cwnd)
      s->buffer_limited = s->buffer_limited + d;
  }
}

// --- events

void Host::collect_events() {
  std::array<tcp::Event, 64> batch;
  for (unsigned n; (n = stack_->events(batch)) > 0;)
    for (unsigned i = 0; i < n; i++) handle(batch[i]);
}

namespace {

int errno_of(tcp::Failure f) {
  switch (f) {
    case tcp::Failure::none: return 0;
    case tcp::Failure::refused: return ECONNREFUSED;
    case tcp::Failure::reset: return ECONNRESET;
    case tcp::Failure::timed_out: return ETIMEDOUT;
    case tcp::Failure::unreachable: return EHOSTUNREACH;
    case tcp::Failure::aborted: return ECONNABORTED;
  }
  return EIO;
}

}  // namespace

void Host::began(Socket& s) {
  s.last_data = now_;
  if (const auto i = stack().info(now_, s.conn)) s.sent_up_to = s.pushed_at = i->iss + 1;
}

void Host::handle(const tcp::Event& e) {
  if (e.kind == tcp::EventKind::accepted) {
    auto s = std::make_unique<Socket>();
    s->kind = Socket::Kind::stream;
    s->conn = e.conn;
    s->connected = true;
    for (const auto& [fd, l] : sockets_)
      if (l->kind == Socket::Kind::listener && l->listener == e.listener) {
        s->v6 = l->v6;
        s->max_segment = l->max_segment;
        s->nodelay = l->nodelay;
        s->send_buffer = l->send_buffer;
        s->unsent_low_water = l->unsent_low_water;
        l->accepted.push_back(s.get());
        l->news = true;
      }
    began(*s);
    unaccepted_.push_back(std::move(s));
    return;
  }
  Socket* s = stream_of(e.conn);
  if (!s) {
    if (e.m) buffers_->free(e.m);
    return;
  }
  switch (e.kind) {
    case tcp::EventKind::accepted: break;
    case tcp::EventKind::connected:
      s->connecting = false;
      s->connected = true;
      began(*s);
      break;
    case tcp::EventKind::data:
      s->received.push_back({e.m, e.offset, e.length});
      s->received_bytes += e.length;
      s->largest_received = std::max(s->largest_received, e.length);
      s->last_data = now_;
      break;
    case tcp::EventKind::sent:
      stamp_acked(*s);
      if (!s->cork) uncork(*s, true);
      if (!s->out_of_room || !writable(*s)) return;
      s->out_of_room = false;
      break;
    case tcp::EventKind::peer_closed: s->peer_closed = true; break;
    case tcp::EventKind::closed: s->conn = {}; break;
    case tcp::EventKind::failed:
      s->conn = {};
      s->connecting = false;
      s->error = errno_of(e.failure);
      break;
  }
  s->news = true;
}

}  // namespace sluice::drill
