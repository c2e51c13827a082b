// A box's life: start, new snapshots, upkeep, stop.
#include <algorithm>
#include <cstdio>

#include "engine/box_impl.h"
#include "engine/nap.h"

namespace sluice::engine {

namespace {

constexpr Duration kEnd = Duration::seconds(1), kDrain = Duration::millis(200);  // of stop()
constexpr Duration kStalled = Duration::seconds(1), kTestEvery = Duration::seconds(1);

using Level = port::Event::Level;

}  // namespace

// ---- start

Status Box::start() {
  Impl& b = *impl_;
  if (b.state != Impl::State::made) return Error{"the box was started before: make a new one"};
  if (!b.snapshot) return Error{"the box has no snapshot: publish one before it starts"};
  if (!b.tap_error.empty()) return Error{b.tap_error};
  b.set_wall_clocks();
  if (Status s = b.start_ports(); !s) return s;
  b.state = Impl::State::running;
  if (b.options.virtual_time) return {};
  if (Status s = b.start_lcores(); !s) {
    b.stop_all();
    return s;
  }
  return {};
}

Status Box::Impl::start_ports() {
  for (size_t i = 0; i < ports.size(); ++i)
    if (Status s = ports[i]->start(); !s) {
      while (i--) ports[i]->stop();
      return s;
    }
  return {};
}

Status Box::Impl::start_lcores() {
  for (size_t i = 0; i < lcores.size(); ++i) {
    const std::string name = i < workers.size() ? "sluice-w" + std::to_string(i)
                                                : "sluice-stack" + std::to_string(i - workers.size());
    if (Status s = lcores[i]->start(name); !s) return s;
  }
  return {};
}

// ---- a new snapshot

void Box::publish(std::shared_ptr<const path::Snapshot> s) {
  Impl& b = *impl_;
  if (b.state == Impl::State::stopped) return;
  b.sync_taps(*s);
  b.wiring->snapshot.store(s.get(), std::memory_order_seq_cst);
  std::shared_ptr<const path::Snapshot> old = std::exchange(b.snapshot, std::move(s));
  if (!b.threads()) return;
  const Qsbr::Token token = b.qsbr->start();
  b.wake_all();  // new addresses are announced now, not at the next timer
  if (!b.qsbr->wait(token, kStalled)) b.retired.push_back({token, std::move(old)});
}

void Box::Impl::release_retired() {
  while (!retired.empty() && (!threads() || qsbr->passed(retired.front().token))) retired.pop_front();
}

// TAP interfaces follow the snapshot: one for each port that hands traffic to the host.
void Box::Impl::sync_taps(const path::Snapshot& s) {
  if (options.virtual_time) return;
  tap_error.clear();
  for (uint16_t i = 0; i < ports.size(); ++i) {
    const auto& ifs = s.interfaces->port;
    const bool wanted = i < ifs.size() && ifs[i].configured && !ifs[i].exception.empty();
    if (wanted && !taps[i]) open_tap(i, ifs[i]);
    stacks[0]->set_tap(i, wanted ? taps[i].get() : nullptr);
    // An lcore that does not turn may still hold it: then it lives until the next snapshot.
    if (!wanted && taps[i] && (!threads() || all_turned(kStalled))) {
      taps[i]->stop();
      taps[i].reset();
    }
  }
}

void Box::Impl::open_tap(uint16_t port, const Interface& i) {
  auto tap = options.open_tap(i.name, i.mac, i.mtu, *pool);
  const Status started = tap ? (*tap)->start() : Status(Error{tap.error()});
  if (started) {
    taps[port] = std::move(*tap);
    return;
  }
  tap_error = "exception path of port " + i.name + ": " + started.error();
  events.push_back({Level::error, tap_error});
}

// ---- upkeep

std::vector<port::Event> Box::maintain() {
  Impl& b = *impl_;
  if (b.threads()) b.watch_lcores();
  if (b.state == Impl::State::running) b.upkeep_ports();
  b.set_wall_clocks();
  b.upkeep_shed();
  b.release_retired();
  return std::exchange(b.events, {});
}

// With virtual time, the lcores' clock is the wall's: a replay's is its capture's.
void Box::Impl::set_wall_clocks() {
  if (options.virtual_time || state == State::stopped) return;
  for (auto& s : stacks) s->set_wall_offset(Clock::get().wall_offset());
}

void Box::Impl::watch_lcores() {
  const Instant now = Clock::get().now();
  for (size_t i = 0; i < lcores.size(); ++i) {
    Lcore& l = *lcores[i];
    Watch& w = watch[i];
    const Duration age = now - l.last_turn();
    const std::string who = "CPU " + std::to_string(l.cpu()) + " (" + l.role() + ")";
    if (!w.stalled && age >= kStalled) {
      w.stalled = true;
      char seconds[32];
      std::snprintf(seconds, sizeof seconds, "%.1f", static_cast<double>(age.ns) / 1e9);
      events.push_back({Level::error, who + " has not turned for " + seconds +
                                          " s: something else keeps the CPU busy, or a port blocks; packets wait"});
    } else if (w.stalled && age < kStalled) {
      w.stalled = false;
      events.push_back({Level::info, who + " turns again"});
    }
    if (l.bell().asleep() && now - w.tested >= kTestEvery) {
      w.tested = now;
      l.bell().ring();
    }
  }
}

void Box::Impl::upkeep_ports() {
  // A port may have to wait for all lcores: not while one is known not to turn.
  if (std::any_of(watch.begin(), watch.end(), [](const Watch& w) { return w.stalled; })) return;
  const auto quiesce = [this] { this->quiesce(); };
  for (auto& p : ports) {
    auto news = p->maintain(quiesce);
    std::move(news.begin(), news.end(), std::back_inserter(events));
  }
  for (auto& t : taps)
    if (t) {
      auto news = t->maintain(quiesce);
      std::move(news.begin(), news.end(), std::back_inserter(events));
    }
}

void Box::Impl::quiesce() {
  while (threads() && !all_turned(kStalled)) {
  }
}

void Box::Impl::wake_all() {
  for (auto& l : lcores) l->bell().ring();
}

// Not QSBR, which lets sleepers be: a sleeper may hold a descriptor that its port is about to close.
bool Box::Impl::all_turned(Duration at_most) {
  std::vector<uint64_t> turns;
  for (const auto& l : lcores) turns.push_back(l->counters().turns.get());
  wake_all();
  return nap_until(
      [&] {
        for (size_t i = 0; i < lcores.size(); ++i)
          if (lcores[i]->started() && lcores[i]->counters().turns.get() == turns[i]) return false;
        return true;
      },
      at_most);
}

// ---- stop

void Box::stop() {
  if (impl_ && impl_->state == Impl::State::running) {
    if (impl_->threads()) {
      end_connections();
      nap_until([this] { return connections_ended(); }, kEnd);
    }
    impl_->drain();
    impl_->stop_all();
  }
}

void Box::end_connections() {
  for (auto& s : impl_->stacks) s->end_connections();
  impl_->wake_all();
}

bool Box::connections_ended() const {
  return std::all_of(impl_->stacks.begin(), impl_->stacks.end(), [](const auto& s) { return s->connections_ended(); });
}

// Takes nothing more from the ports, and gives what is on its way the time to leave.
void Box::Impl::drain() {
  if (options.virtual_time) return;
  for (auto& w : workers) w->receive_from_ports(false);
  const Instant end = Clock::get().now() + kDrain;
  do {
    if (!all_turned(end - Clock::get().now())) return;
  } while (wiring->queued() && Clock::get().now() < end);
}

void Box::Impl::stop_all() {
  for (auto& l : lcores) l->stop();
  state = State::stopped;
  for (auto& w : workers) w->reset_levels();
  empty_rings();
  for (auto& s : stacks) s->release();
  for (auto& t : taps)
    if (t) t->stop();
  for (auto& p : ports) p->stop();
  retired.clear();
  if (const unsigned lost = pool->in_use())
    events.push_back({Level::error, std::to_string(lost) + " packet buffers were not given back: this is a fault of sluice"});
}

void Box::Impl::empty_rings() {
  rte_mbuf* pkts[kMaxBurst];
  for (Handoff* ring : wiring->rings())
    while (const unsigned n = ring->receive(pkts, kMaxBurst))
      for (unsigned i = 0; i < n; ++i) stacks[0]->count_lost(pkts[i]);
}

}  // namespace sluice::engine
