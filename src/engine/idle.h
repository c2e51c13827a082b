// What an lcore does when a turn found nothing: spin for as long as the next packet of a busy link takes,
// then spin with pauses (which leaves the core to its sibling), then sleep. It is decided by time, not by
// counting turns, so that it means the same on every machine.
//
// A wake-up that brought no work (a timer, the control thread) goes straight back to sleep: only work starts
// the sequence anew. A descriptor that is readable time and again without bringing any (a device in trouble)
// is not listened to until work comes by itself: the lcore polls with short sleeps instead of spinning.
//
// Spinning that has not brought work so many times running is left out, and tried again from time to time: the link is
// not that busy, or what brings the work (a NAPI thread, say) waits for this very core.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>

#include "base/counter.h"
#include "base/instant.h"
#include "engine/engine.h"

namespace sluice::engine {

class Idle {
 public:
  enum class Step : uint8_t { turn, pause, sleep };

  static constexpr Duration kSpin = Duration::micros(20), kPause = Duration::micros(100);
  // The longest sleep: bounds how late flows age, and how stale the watchdog's view may be.
  static constexpr Duration kLongest = Duration::millis(100);
  // Where a queue has no descriptor, sleeps grow between these while nothing comes.
  static constexpr Duration kPollShort = Duration::micros(50), kPollLong = Duration::millis(1);

  explicit Idle(bool busy) : busy_(busy) {}

  // After a turn that handled so many packets.
  Step after(unsigned handled, Instant now) {
    if (handled) {
      if (slept_) in_vain_ = std::min(in_vain_ + 1, kInVain);
      else if (spun_) in_vain_ = 0;
      slept_ = spun_ = false;
      idle_since_ = Instant::never();
      poll_ = kPollShort;
      false_alarms_ = 0;
      return Step::turn;
    }
    if (busy_) return Step::turn;
    if (idle_since_ == Instant::never()) {
      spun_ = in_vain_ < kInVain || ++left_out_ % kTriedAgain == 0;
      idle_since_ = spun_ ? now : now - kPause;
    }
    const Duration idle = now - idle_since_;
    return idle < kSpin ? Step::turn : idle < kPause ? Step::pause : Step::sleep;
  }
  // A descriptor woke the lcore. Followed by a turn: after() tells whether there was anything.
  void alarmed() { false_alarms_ += false_alarms_ <= kFalseAlarms; }
  bool ignores_alarms() const { return false_alarms_ > kFalseAlarms; }

  // How long to sleep; 0: not at all, the deadline is there.
  Duration length(Instant now, Instant deadline, bool must_poll) {
    slept_ = true;
    Duration d = must_poll ? poll_ : kLongest;
    if (must_poll && poll_ < kPollLong) poll_ = poll_ * 2 < kPollLong ? poll_ * 2 : kPollLong;
    if (deadline <= now) return {};
    return deadline - now < d ? deadline - now : d;
  }

 private:
  static constexpr unsigned kFalseAlarms = 16, kInVain = 16, kTriedAgain = 32;
  bool busy_;
  bool spun_ = false, slept_ = false;  // since there was nothing
  unsigned in_vain_ = 0, left_out_ = 0;
  unsigned false_alarms_ = 0;
  Instant idle_since_ = Instant::never();
  Duration poll_ = kPollShort;
};

// The last wake-ups' latencies: from the bell (another lcore's packet, or the control thread's test once a
// second) to the start of the first turn. What a frame on a socket waits for is the same path: the kernel
// makes the descriptor readable, and the lcore returns from ppoll. One writer, any readers.
class WakeTimes {
 public:
  void add(Duration d) {
    const uint64_t n = count_.get();
    ns_[n % kKept].store(d.ns, std::memory_order_relaxed);
    count_.add(1);
  }
  struct Percentiles {
    int64_t p50 = -1, p99 = -1;  // ns; -1: none yet
  };
  Percentiles percentiles() const;

 private:
  static constexpr unsigned kKept = 512;
  std::array<std::atomic<int64_t>, kKept> ns_{};
  Counter count_;
};

}  // namespace sluice::engine
