#include "engine/lcore.h"

#include <poll.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine/nap.h"

namespace sluice::engine {

// ---- the loop

void Lcore::run() {
  enter();
  const Clock& clock = Clock::get();
  while (!stop_.load(std::memory_order_relaxed)) {
    const Instant now = clock.now();
    const unsigned handled = turn(now);
    qsbr_.quiescent(id_);
    account(now, handled);
    switch (idle_.after(handled, now)) {
      case Idle::Step::turn: break;
      case Idle::Step::pause: rte_pause(); break;
      case Idle::Step::sleep: sleep(now); break;
    }
  }
  leave();
}

unsigned Lcore::turn(Instant now) {
  if (action_.load(std::memory_order_relaxed)) [[unlikely]] run_action();
  unsigned handled = 0;
  uint64_t begin = rte_rdtsc();
  for (Slot& s : engines_) {
    handled += s.engine->poll(now, kQuota);
    const uint64_t end = rte_rdtsc();
    s.ticks += end - begin;
    begin = end;
  }
  return handled;
}

Instant Lcore::next_deadline() const {
  Instant first = Instant::never();
  for (const Slot& s : engines_) first = std::min(first, s.engine->next_deadline());
  return first;
}

// Sleeps until a frame, a ring's bell or a deadline. Says so first and looks for work afterwards: see
// handoff.h for why no wake-up is lost.
void Lcore::sleep(Instant now) {
  waits_.fds.clear();
  waits_.must_poll = false;
  waits_.add(bell_.fd());  // the first
  bell_.going_to_sleep();
  bool quiet = !action_.load(std::memory_order_relaxed) && !stop_.load(std::memory_order_relaxed);
  for (Slot& s : engines_) quiet = s.engine->arm(waits_) && quiet;
  const bool bell_alone = idle_.ignores_alarms();
  const bool must_poll = waits_.must_poll || bell_alone;
  const Duration length = quiet ? idle_.length(now, next_deadline(), must_poll) : Duration{};
  if (length.ns > 0) {
    qsbr_.offline(id_);
    const timespec t{length.ns / 1'000'000'000, length.ns % 1'000'000'000};
    const int ready = ppoll(waits_.fds.data(), bell_alone ? 1 : waits_.fds.size(), &t, nullptr);
    qsbr_.online(id_);
    counters_.sleeps.add(1);
    if (ready > 0) counters_.wakeups.add(1);
    if (ready > 0 && !waits_.fds[0].revents) idle_.alarmed();
  }
  const Instant rung_at = bell_.awake(waits_.fds[0].revents);
  // A ring from before the sleep was answered by being awake, and measures nothing.
  if (length.ns > 0 && rung_at >= now) rung_at_ = rung_at;
  for (Slot& s : engines_) s.engine->disarm();
}

// A turn lasts until the next one begins, so that one clock reading a turn is enough. Only turns without
// packets are followed by a sleep; those count as idle time.
void Lcore::account(Instant now, unsigned handled) {
  if (rung_at_ != Instant::never()) wake_times_.add(now - rung_at_);
  rung_at_ = Instant::never();

  last_turn_.store(now.ns, std::memory_order_relaxed);
  counters_.turns.add(1);
  if (handled) {
    counters_.busy_turns.add(1);
    counters_.packets.add(handled);
  }
  if (previous_busy_) window_busy_ = window_busy_ + (now - previous_turn_);
  previous_busy_ = handled > 0;
  previous_turn_ = now;
  if (now - window_start_ >= Duration::seconds(1)) close_window(now);
}

void Lcore::close_window(Instant now) {
  const Duration window = now - window_start_;
  busy_share_.store(static_cast<double>(window_busy_.ns) / static_cast<double>(window.ns), std::memory_order_relaxed);
  window_start_ = now;
  window_busy_ = {};
  const uint64_t ticks = rte_rdtsc();
  const auto passed = static_cast<double>(ticks - window_ticks_);
  window_ticks_ = ticks;
  for (Slot& s : engines_) {
    s.share.store(passed > 0 ? static_cast<double>(s.ticks) / passed : 0, std::memory_order_relaxed);
    s.ticks = 0;
  }
}

std::vector<Lcore::EngineShare> Lcore::engine_shares() const {
  std::vector<EngineShare> all;
  for (const Slot& s : engines_) all.push_back({s.name, s.share.load(std::memory_order_relaxed)});
  return all;
}

void Lcore::run_action() {
  Action* a = action_.exchange(nullptr, std::memory_order_acquire);
  if (!a) return;  // withdrawn
  (*a->f)();
  a->done.store(true, std::memory_order_release);
}

// ---- the thread

void Lcore::enter() {
  tid_ = static_cast<uint64_t>(gettid());
  // The kernel may round a sleep up by this much; its default of 50 µs is as long as our shortest.
  prctl(PR_SET_TIMERSLACK, 1000UL);
  if (rte_thread_register() != 0) enter_error_ = rte_errno;
  waits_.fds.reserve(64);
  qsbr_.join(id_);
  window_start_ = previous_turn_ = Clock::get().now();
  last_turn_ = window_start_.ns;
  window_ticks_ = rte_rdtsc();
  up_.store(true, std::memory_order_release);
}

void Lcore::leave() {
  qsbr_.leave(id_);
  rte_mempool_cache_flush(rte_mempool_default_cache(pool_, rte_lcore_id()), pool_);
  rte_thread_unregister();
  tid_ = 0;
}

Status Lcore::start(const std::string& thread_name) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu_, &cpus);
  pthread_attr_setaffinity_np(&attr, sizeof cpus, &cpus);
  // Signals are for the control thread; the lcore inherits this mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  stop_ = up_ = false;
  enter_error_ = 0;
  const int failed = pthread_create(
      &thread_, &attr, [](void* self) -> void* { return static_cast<Lcore*>(self)->run(), nullptr; }, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attr);
  if (failed)
    return Error{"cannot start a thread on CPU " + std::to_string(cpu_) + " (" + strerror(failed) +
                 "): name a CPU that exists and that this process may use (taskset -p shows which)"};
  started_ = true;
  pthread_setname_np(thread_, thread_name.c_str());
  nap_until([&] { return up_.load(std::memory_order_acquire); }, Duration::seconds(10));
  if (enter_error_) {
    stop();
    return Error{"EAL takes no further thread for CPU " + std::to_string(cpu_) + " (" + strerror(enter_error_) +
                 "): lower the number of workers"};
  }
  return {};
}

void Lcore::stop() {
  if (!started_) return;
  stop_.store(true, std::memory_order_relaxed);
  bell_.ring();
  pthread_join(thread_, nullptr);
  started_ = false;
}

bool Lcore::execute(const std::function<void()>& f, Duration at_most) {
  if (!started_) return f(), true;
  Action a{&f};
  action_.store(&a, std::memory_order_release);
  bell_.ring();
  const auto done = [&] { return a.done.load(std::memory_order_acquire); };
  if (nap_until(done, at_most)) return true;
  Action* mine = &a;
  if (action_.compare_exchange_strong(mine, nullptr, std::memory_order_relaxed)) return false;
  while (!nap_until(done, Duration::seconds(1))) {}  // it has begun: `f` refers to our caller's stack
  return true;
}

void Lcore::add(Engine* e, const std::string& role) {
  engines_.emplace_back(e, role);
  role_ += (role_.empty() ? "" : ", ") + role;
}

}  // namespace sluice::engine
