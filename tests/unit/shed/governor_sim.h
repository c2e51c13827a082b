// A queue in virtual time under a governor: frames of three classes are offered, the level sheds its share of each class,
// what passes waits in a ring, and an lcore serves the ring in turns. What overflows the ring is lost unseen.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "shed/governor.h"

namespace sluice::test {

enum SimClass { kEstablished, kNew, kRest, kSimClasses };
using PerClass = std::array<double, kSimClasses>;

inline double total(const PerClass& c) { return c[0] + c[1] + c[2]; }

// As the verdict does it (bpf/maps.h).
inline PerClass passing(uint32_t level) {
  const auto band = [&](uint32_t first) {
    return 1 - std::clamp((static_cast<double>(level) - first) / SLUICE_BAND, 0.0, 1.0);
  };
  return {band(SLUICE_LEVEL_NEW), band(SLUICE_LEVEL_REST), band(0)};
}

struct SimConfig {
  double capacity = 1e6;           // frames a second
  double ring = 2048;
  double burst = 64;               // frames taken a turn
  Duration least_turn = Duration::micros(1);   // of an empty one
  Duration other_work{};           // of each turn: the stack, other queues
  bool random = true;              // arrivals and verdicts, else as a fluid
};

// Turns of direction of the level's mean over 10 ms, when it has come further than `threshold`: the governor follows each
// burst in the ring, and is to have no swing of its own.
class Directions {
 public:
  explicit Directions(double threshold) : threshold_(threshold) {}
  void add(double level, double seconds) {
    sum_ += level * seconds;
    if ((time_ += seconds) < 0.01) return;
    const double v = sum_ / time_;
    sum_ = time_ = 0;
    if (v > extreme_ ? up_ : !up_) extreme_ = v;
    else if (std::abs(v - extreme_) >= threshold_) up_ = !up_, extreme_ = v, ++changes_;
  }
  unsigned changes() const { return changes_; }

 private:
  double threshold_, extreme_ = 0, sum_ = 0, time_ = 0;
  bool up_ = true;
  unsigned changes_ = 0;
};

// Of a span of the simulation.
struct SimResult {
  PerClass offered{}, served{}, overflow{};
  double idle = 0, seconds = 0;        // seconds in which the ring was empty and the lcore could have worked
  double capacity = 0;
  uint32_t level = 0, highest = 0;     // at the end; ever
  unsigned changes = 0;                // of direction (Directions), by more than 16 levels
  std::vector<double> waits;           // seconds that a frame waits, once a turn

  double goodput() const { return total(served) / (capacity * seconds); }
  double share(SimClass c) const { return offered[c] > 0 ? served[c] / offered[c] : 1; }
  double wait(double quantile) {
    if (waits.empty()) return 0;
    const auto at = waits.begin() + static_cast<ptrdiff_t>(quantile * static_cast<double>(waits.size() - 1));
    std::nth_element(waits.begin(), at, waits.end());
    return *at;
  }
};

class GovernorSim {
 public:
  explicit GovernorSim(const SimConfig& c = {}, const shed::GovernorConfig& g = {}) : c_(c), governor_(g) {}

  // `load`: frames a second of each class at a moment since the start of the span.
  SimResult run(Duration span, const std::function<PerClass(Duration)>& load) {
    SimResult r;
    r.capacity = effective_capacity();
    Directions directions(16);
    const Instant start = now_, end = now_ + span;
    while (now_ < end) {
      const double n = std::min(queued(), c_.burst);
      const double work = n / c_.capacity;
      const double turn = std::max(work, seconds(c_.least_turn)) + (n > 0 ? seconds(c_.other_work) : 0);
      serve(n, r);
      if (n == 0) r.idle += turn;
      arrive(load(now_ - start), turn, r);
      now_ = now_ + Duration::nanos(static_cast<int64_t>(turn * 1e9));
      observe(n, turn);
      directions.add(level_, turn);
      r.highest = std::max(r.highest, level_);
      r.waits.push_back(queued() / r.capacity);
    }
    r.seconds = seconds(now_ - start);
    r.level = level_;
    r.changes = directions.changes();
    return r;
  }
  SimResult run(Duration span, const PerClass& load) {
    return run(span, [&](Duration) { return load; });
  }
  double queued() const { return total(queue_); }
  // With full bursts.
  double effective_capacity() const { return c_.burst / (c_.burst / c_.capacity + seconds(c_.other_work)); }
  shed::Governor& governor() { return governor_; }

 private:
  static double seconds(Duration d) { return static_cast<double>(d.ns) * 1e-9; }

  void serve(double n, SimResult& r) {
    const double all = queued();
    for (unsigned c = 0; c < kSimClasses; ++c) {
      const double own = all > 0 ? n * queue_[c] / all : 0;
      queue_[c] -= own;
      r.served[c] += own;
    }
  }
  void arrive(const PerClass& load, double t, SimResult& r) {
    const PerClass pass = passing(level_);
    PerClass in{};
    for (unsigned c = 0; c < kSimClasses; ++c) {
      in[c] = count(load[c] * t * pass[c]);
      r.offered[c] += in[c] + count(load[c] * t * (1 - pass[c]));
    }
    const double room = c_.ring - queued(), all = total(in);
    const double kept = all > room ? room / all : 1;
    for (unsigned c = 0; c < kSimClasses; ++c) {
      queue_[c] += in[c] * kept;
      r.overflow[c] += in[c] * (1 - kept);
    }
  }
  // Arrivals of a Poisson process, of which some are picked out, are two such processes.
  double count(double mean) {
    if (!c_.random || mean <= 0) return mean;
    if (mean > 30) return std::max(0.0, std::round(mean + std::sqrt(mean) * gauss_(random_)));
    return std::poisson_distribution<int>(mean)(random_);
  }
  // As engine/intake.cc has it: only behind a full burst anything can wait.
  void observe(double n, double turn) {
    const bool full = n >= c_.burst;
    level_ = governor_.observe(now_, {.receive = full ? static_cast<float>(queued() / c_.ring) : 0.0f,
                                      .handoff = 0,
                                      .quota = static_cast<float>(n / c_.burst),
                                      .turn = Duration::nanos(n > 0 ? static_cast<int64_t>(turn * 1e9) : 0),
                                      .unserved = {}});
  }

  SimConfig c_;
  shed::Governor governor_;
  Instant now_{Duration::seconds(100).ns};
  PerClass queue_{};
  uint32_t level_ = 0;
  std::mt19937_64 random_{1};
  std::normal_distribution<double> gauss_;
};

// One core for everything: receive work in the kernel, with the verdict, and the lcore take turns of a scheduler's slice.
// What comes while the kernel's share does not run waits in a short backlog, or is lost unseen.
struct SharedCore {
  double drop = 150e-9, redirect = 400e-9, forward = 600e-9;  // seconds a frame: early drop; into the ring; on the lcore
  double backlog = 256, ring = 2048, slice = 3e-3;
  double offered = 1e6;    // of the rest
  int constant = -1;       // a level by hand
  double seconds = 1, settle = 0.5;

  // Frames a second that the lcore forwards.
  double run() {
    shed::Governor governor;
    Instant now{Duration::seconds(100).ns};
    double waiting = 0, queue = 0, served = 0, t = 0;
    uint32_t level = 0;
    const auto pass_time = [&](double d) {
      t += d;
      now = now + Duration::nanos(static_cast<int64_t>(d * 1e9));
      waiting = std::min(backlog, waiting + offered * d);
    };
    const auto observe = [&](double n) {
      const uint32_t l = governor.observe(now, {.receive = n < 64 ? 0 : static_cast<float>(queue / ring), .quota = static_cast<float>(n / 64)});
      level = constant >= 0 ? static_cast<uint32_t>(constant) : l;
    };
    while (t < settle + seconds) {
      for (const double end = t + slice; t < end && waiting >= 1;) {  // a NAPI poll
        const double n = std::min(waiting, 64.0), passed = n * passing(level)[kRest];
        waiting -= n;
        queue = std::min(ring, queue + passed);
        pass_time(passed * redirect + (n - passed) * drop);
      }
      double idle = 0;
      for (const double end = t + slice; t < end && idle < 100e-6;) {  // turns of the lcore; it sleeps after 100 us
        const double n = std::min(queue, 64.0);
        queue -= n;
        if (t > settle) served += n;
        const double turn = std::max(n * forward, 1e-6);
        idle = n >= 1 ? 0 : idle + turn;
        pass_time(turn);
        observe(n);
      }
    }
    return served / seconds;
  }
};

}  // namespace sluice::test
