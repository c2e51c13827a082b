// An lcore: one pinned thread, one loop over its engines. The loop is lcore.cc's turn() and run().
//
// Threads: run() and what it calls live on the lcore's thread; with virtual time, turn() on the caller's.
// start(), stop(), execute() and the views are the control thread's.
#pragma once

#include <pthread.h>

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/handoff.h"
#include "engine/idle.h"
#include "engine/qsbr.h"

struct rte_mempool;

namespace sluice::engine {

class Lcore {
 public:
  // `id` is its reader number in `qsbr`.
  Lcore(unsigned id, unsigned cpu, bool busy, Qsbr& qsbr, rte_mempool* pool)
      : id_(id), cpu_(cpu), qsbr_(qsbr), pool_(pool), idle_(busy) {}
  ~Lcore() { stop(); }
  Lcore(const Lcore&) = delete;

  void add(Engine* e, const std::string& role);  // before start(); engines are turned in this order
  Bell& bell() { return bell_; }

  Status start(const std::string& thread_name);  // returns when the loop runs
  void stop();                                   // ends and joins the thread after its current turn
  bool started() const { return started_; }

  // One turn of all engines: reads no clock. Returns packets handled.
  unsigned turn(Instant now);
  Instant next_deadline() const;

  // Runs `f` between two turns and waits for it. false: not even begun within `at_most`, and it will not be.
  bool execute(const std::function<void()>& f, Duration at_most);

  struct Counters {
    Counter turns, busy_turns, sleeps, wakeups, packets;
  };
  const Counters& counters() const { return counters_; }
  unsigned cpu() const { return cpu_; }
  const std::string& role() const { return role_; }
  // What an engine took of the last second, by TSC: any thread.
  struct EngineShare {
    std::string name;
    double share;
  };
  std::vector<EngineShare> engine_shares() const;
  double busy_share() const { return busy_share_.load(std::memory_order_relaxed); }
  Instant last_turn() const { return {last_turn_.load(std::memory_order_relaxed)}; }
  uint64_t tid() const { return tid_.load(std::memory_order_relaxed); }
  const WakeTimes& wake_times() const { return wake_times_; }

 private:
  struct Action {
    const std::function<void()>* f;
    std::atomic<bool> done{false};
  };

  void run();
  void enter(), leave();
  void run_action();
  void sleep(Instant now);
  void account(Instant now, unsigned handled);
  void close_window(Instant now);

  struct Slot {
    Slot(Engine* e, const std::string& n) : engine(e), name(n) {}
    Engine* engine;
    std::string name;
    uint64_t ticks = 0;  // of this window
    std::atomic<double> share{0};
  };

  const unsigned id_, cpu_;
  Qsbr& qsbr_;
  rte_mempool* pool_;
  std::deque<Slot> engines_;
  std::string role_;
  Bell bell_;
  Idle idle_;
  WaitSet waits_;
  std::atomic<bool> stop_{false};
  std::atomic<Action*> action_{nullptr};

  // Time and load, by the loop.
  Instant rung_at_ = Instant::never();  // when the bell woke us for the turn to come
  Instant window_start_{}, previous_turn_{};
  Duration window_busy_{};
  uint64_t window_ticks_ = 0;  // TSC at its start
  bool previous_busy_ = false;

  Counters counters_;
  WakeTimes wake_times_;
  std::atomic<double> busy_share_{0};
  std::atomic<int64_t> last_turn_{0};
  std::atomic<uint64_t> tid_{0};
  std::atomic<bool> up_{false};
  int enter_error_ = 0;
  pthread_t thread_{};
  bool started_ = false;
};

}  // namespace sluice::engine
