// What the control side reads of a box, and the turn of a box with virtual time.
#include "engine/box.h"

#include <algorithm>

#include "engine/box_impl.h"

namespace sluice::engine {

// Workers first, in order, then the stack: always the same order, so that a replay gives the same bytes.
unsigned Box::turn(Instant now) {
  Impl& b = *impl_;
  if (b.state != Impl::State::running || !b.options.virtual_time) return 0;
  b.virtual_now = now;
  unsigned handled = 0;
  for (auto& w : b.workers) handled += w->poll(now, kQuota);
  return handled + b.stack->poll(now, kQuota);
}

Instant Box::next_deadline() const {
  if (impl_->state != Impl::State::running) return Instant::never();
  Instant first = impl_->stack->next_deadline();
  for (const auto& p : impl_->ports) first = std::min(first, p->next_event());
  return first;
}

bool Box::run_on_worker(unsigned w, const std::function<void(path::Pipeline&)>& f) {
  if (w >= impl_->workers.size()) return false;
  path::Pipeline& p = impl_->workers[w]->pipeline();
  return impl_->lcores[w]->execute([&] { f(p); }, Duration::seconds(1));
}

// Each lcore, inside its action, waits for the next one's: the innermost finds all of them standing.
bool Box::at_rest(const std::function<void()>& f) {
  const auto& lcores = impl_->lcores;
  const std::function<bool(size_t)> hold = [&](size_t i) {
    if (i == lcores.size()) return f(), true;
    bool held = false;
    return lcores[i]->execute([&] { held = hold(i + 1); }, Duration::seconds(1)) && held;
  };
  return hold(0);
}

Instant Box::now() const { return impl_->options.virtual_time ? impl_->virtual_now : Clock::get().now(); }

std::shared_ptr<const path::Snapshot> Box::snapshot() const { return impl_->snapshot; }
bool Box::running() const { return impl_->state == Impl::State::running; }
unsigned Box::workers() const { return static_cast<unsigned>(impl_->workers.size()); }
const std::vector<std::unique_ptr<port::Port>>& Box::ports() const { return impl_->ports; }
const Account& Box::worker_account(unsigned w) const { return impl_->workers[w]->account(); }
const Account& Box::stack_account() const { return impl_->stack->account(); }
PacketPool& Box::pool() { return *impl_->pool; }
NeighborTable& Box::neighbors() { return *impl_->neighbors; }
unsigned Box::queued() const { return impl_->wiring->queued() + impl_->stack->held(); }
unsigned Box::held_by_taps() const {
  unsigned n = 0;
  for (const auto& t : impl_->taps) n += t ? t->stats().held : 0;
  return n;
}
stack::HostStack::Stats Box::stack_stats() const { return impl_->stack->stats(); }

std::vector<LcoreView> Box::lcores() const {
  const Instant now = Clock::get().now();
  std::vector<LcoreView> views;
  for (const auto& l : impl_->lcores) {
    const Lcore::Counters& c = l->counters();
    const WakeTimes::Percentiles wake = l->wake_times().percentiles();
    views.push_back({.cpu = l->cpu(),
                     .role = l->role(),
                     .turns = c.turns.get(),
                     .busy_turns = c.busy_turns.get(),
                     .sleeps = c.sleeps.get(),
                     .wakeups = c.wakeups.get(),
                     .packets = c.packets.get(),
                     .busy_share = l->busy_share(),
                     .wake_p50_ns = wake.p50,
                     .wake_p99_ns = wake.p99,
                     .last_turn_age_ns = l->started() ? (now - l->last_turn()).ns : 0,
                     .tid = l->tid()});
  }
  return views;
}

}  // namespace sluice::engine
