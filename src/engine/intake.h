// A receive queue as its worker has it: the burst, the verdict behind it where no program stands in front of the port,
// and the governor that sets the queue's shed level.
//
// Threads: the worker's lcore, but for view() and hold(), which are for any.
#pragma once

#include <algorithm>
#include <optional>

#include "base/account.h"
#include "engine/published.h"
#include "port/port.h"
#include "shed/governor.h"
#include "shed/native.h"

namespace sluice::engine {

class Intake {
 public:
  Intake(port::Port& port, uint16_t index, uint16_t queue, shed::Shed& shed)
      : port_(port), index_(index), queue_(queue), native_(shed) {}

  uint16_t port() const { return index_; }
  uint16_t queue() const { return queue_; }

  // After the port has started: finds out who gives the verdict. true: it is given here.
  bool open() {
    in_front_ = port_.early_drop(queue_);
    level_ = in_front_ ? in_front_ : &native_.queue();
    room_ = in_front_ ? port_.rx_waiting(queue_).size : 0;
    native_view_.store(!in_front_, std::memory_order_relaxed);
    return !in_front_;
  }

  // At most kMaxBurst frames that go on. `checks`: of the policy in force. `answer`: as many SYN-ACKs at most, which the
  // caller books and sends through the same port.
  unsigned take(Instant now, uint32_t checks, rte_mbuf** pkts, PortAccount& row, rte_mbuf** answer, unsigned& answers) {
    answers = 0;
    if (!in_front_ && (checks | level_->level) != 0) [[unlikely]] return judged(now, pkts, row, answer, answers);
    const unsigned n = taken_ = passed_ = port_.rx_burst(queue_, now, pkts, kMaxBurst);
    full_ = n == kMaxBurst;
    return n;
  }

  // Once a turn: what the last burst left behind, and the rest of the load, make the new level.
  void observe(Instant now, bool governed, shed::Load load);
  unsigned taken() const { return taken_; }  // frames of this turn, with those that the verdict dropped
  unsigned own_sends = 0;                    // of this turn's, what went to rings
  void count_handed_on(unsigned of_all);
  float handed_on() const { return handed_on_; }  // its part of all that goes to rings, lately: 0 to 1

  uint32_t level() const { return level_ ? sluice_queue_level(level_) : 0; }  // the governor's, or the gate's
  Instant next_deadline() const { return std::min(governor_.next_deadline(), look_until_); }
  void reset();  // leaves no level behind

  struct View {
    uint32_t level;
    int32_t held;  // -1: by load
    bool native;
    port::Occupancy waiting, buffers;  // as the last turn left them; waiting.used 0: its burst was not full
    float handoff;
  };
  View view() const;
  uint64_t count(sluice_outcome o, sluice_class c) const { return native_.count(o, c); }
  void hold(int32_t level) { governor_.hold(level); }

 private:
  static constexpr unsigned kMostBursts = 16, kEnough = kMaxBurst * 3 / 4;

  static constexpr Duration kLook = Duration::millis(500);
  unsigned judged(Instant now, rte_mbuf** pkts, PortAccount& row, rte_mbuf** answer, unsigned& answers);

  struct Seen {
    port::Occupancy waiting, buffers;
    float handoff = 0;
    uint32_t level = 0;
  };

  bool gate(Instant now, bool on, const Seen& seen);

  port::Port& port_;
  const uint16_t index_, queue_;
  shed::NativeVerdict native_;
  shed::Governor governor_;
  sluice_queue* in_front_ = nullptr;  // the program's
  sluice_queue* level_ = nullptr;
  uint32_t room_ = 0;                 // of the socket's ring
  unsigned taken_ = 0, passed_ = 0;
  bool full_ = false;                 // the last burst was
  Instant look_until_ = Instant::never();  // never(): no gate was shut lately
  bool ran_dry_ = false;              // since then
  uint32_t shown_ = 0;                // the highest level since then: the gate's changes from frame to frame
  float handed_on_ = 0;
  std::atomic<bool> native_view_{false};
  Published<Seen> seen_;
};

}  // namespace sluice::engine
