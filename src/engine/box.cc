// What the control side reads of a box, and the turn of a box with virtual time.
#include "engine/box.h"

#include <algorithm>

#include "engine/box_impl.h"

namespace sluice::engine {

// Workers first, in order, then the stack engines: always the same order, so that a replay gives the same bytes.
unsigned Box::turn(Instant now) {
  Impl& b = *impl_;
  if (b.state != Impl::State::running || !b.options.virtual_time) return 0;
  b.virtual_now = now;
  unsigned handled = 0;
  for (auto& w : b.workers) handled += w->poll(now, kQuota);
  for (auto& s : b.stacks) handled += s->poll(now, kQuota);
  return handled;
}

Instant Box::next_deadline() const {
  if (impl_->state != Impl::State::running) return Instant::never();
  Instant first = Instant::never();
  for (const auto& s : impl_->stacks) first = std::min(first, s->next_deadline());
  for (const auto& w : impl_->workers) first = std::min(first, w->shed_deadline());
  for (const auto& p : impl_->ports) first = std::min(first, p->next_event());
  return first;
}

bool Box::run_on_worker(unsigned w, const std::function<void(path::Pipeline&)>& f) {
  if (w >= impl_->workers.size()) return false;
  path::Pipeline& p = impl_->workers[w]->pipeline();
  return impl_->lcores[w]->execute([&] { f(p); }, Duration::seconds(1));
}

bool Box::run_on_stack(unsigned e, const std::function<void(stack::HostStack&, apps::Host&)>& f) {
  if (e >= impl_->stacks.size() || impl_->state == Impl::State::stopped) return false;
  StackEngine& s = *impl_->stacks[e];
  return impl_->lcores[impl_->stack_lcore[e]]->execute([&] { s.execute(f); }, Duration::seconds(1));
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

Instant Box::now() const { return impl_->now(); }

std::shared_ptr<const path::Snapshot> Box::snapshot() const { return impl_->snapshot; }
bool Box::running() const { return impl_->state == Impl::State::running; }
unsigned Box::workers() const { return static_cast<unsigned>(impl_->workers.size()); }
const std::vector<std::unique_ptr<port::Port>>& Box::ports() const { return impl_->ports; }
const Account& Box::worker_account(unsigned w) const { return impl_->workers[w]->account(); }
unsigned Box::stacks() const { return static_cast<unsigned>(impl_->stacks.size()); }
const Account& Box::stack_account(unsigned e) const { return impl_->stacks[e]->account(); }
PacketPool& Box::pool() { return *impl_->pool; }
NeighborTable& Box::neighbors() { return *impl_->neighbors; }
unsigned Box::chained() const { return impl_->wiring->chained(); }
unsigned Box::queued() const {
  unsigned n = impl_->wiring->queued();
  for (const auto& s : impl_->stacks) n += s->held();
  return n;
}
unsigned Box::held_by_tcp() const {
  unsigned n = 0;
  for (const auto& s : impl_->stacks) n += s->held_by_tcp();
  return n;
}
unsigned Box::held_by_taps() const {
  unsigned n = 0;
  for (const auto& t : impl_->taps) n += t ? t->stats().held : 0;
  return n;
}
stack::HostStack::Stats Box::stack_stats() const {
  stack::HostStack::Stats all{};
  for (const auto& e : impl_->stacks) {
    const stack::HostStack::Stats s = e->stats();
    all.echo_requests += s.echo_requests;
    all.arp_requests_sent += s.arp_requests_sent;
    all.ns_sent += s.ns_sent;
    all.neighbors_failed += s.neighbors_failed;
    all.reassembled += s.reassembled;
    all.udp_replies += s.udp_replies;
  }
  return all;
}

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
                     .tid = l->tid(),
                     .engines = {}});
    for (const Lcore::EngineShare& e : l->engine_shares()) views.back().engines.push_back({e.name, e.share});
  }
  return views;
}

}  // namespace sluice::engine
