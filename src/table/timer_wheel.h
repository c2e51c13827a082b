// Many deadlines, each named by a small index: arming, moving and cancelling are O(1), and mostly one store.
//
// Theory of operation. Time is cut into ticks of 2^16 ns. A tick's number is eight digits of six bits; a level is one
// digit, with 64 slots. `cursor_` is the tick that was reached last, and a timer lies at the level of the highest digit
// in which its tick differs from the cursor's, in the slot of that digit: near ticks have a slot each, far ones share
// slots of 64, 4096, … ticks. So slots in the order of (level, digit) are in the order of time, the first one that is
// occupied is found by two bit scans however far off it is, and any 64-bit time has a place. When the cursor comes to a
// slot of a higher level, its timers are dealt out to lower ones; within a tick, deadlines are compared.
//
// Lazily moved. Most timers never fire: they move on with every segment, or are cancelled. So cancel() only clears the
// deadline, and arm() to a later one only stores it; the timer stays in its slot, which is visited no later than the
// deadline, and is dropped or dealt out again there. Only a timer that moves to an earlier slot is linked anew.
//
// Dealing out is bounded in each call of expire(), so that a slot in which a million timers wait is no standstill.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/instant.h"

namespace sluice {

class TimerWheel {
 public:
  // Indices 0 … timers-1, at most 2^27. Memory is a lazily touched mapping of 16 bytes a timer, and is reclaimed never.
  explicit TimerWheel(uint32_t timers);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;

  void arm(uint32_t timer, Instant deadline) {  // armed or not; never(): cancels
    if (deadline == Instant::never()) return cancel(timer);
    Node& n = nodes_[timer];
    const bool was = n.armed();
    next_ = was || armed_ > 0 ? std::min(next_, deadline) : deadline;
    armed_ += !was;
    n.deadline = deadline;
    const uint32_t place = place_of(deadline);
    if (n.place == 0) {
      link(timer, place);
    } else if (place < n.place) {
      unlink(timer);
      link(timer, place);
    }
  }
  void cancel(uint32_t timer) {
    Node& n = nodes_[timer];
    if (!n.armed()) return;
    armed_--;
    n.deadline = Instant::never();
  }
  bool armed(uint32_t timer) const { return nodes_[timer].armed(); }
  Instant deadline(uint32_t timer) const {  // never() where it is not armed
    return armed(timer) ? nodes_[timer].deadline : Instant::never();
  }
  uint32_t armed_count() const { return armed_; }

  // The earliest moment at which expire() has something to do, never later than the first deadline (or than the last
  // `now`, where that is overdue). Exact for what is due soon, unless the first timer was cancelled or moved since;
  // earlier for what is far off: expire() then looks closer, fires nothing, and the answer moves on. never(): nothing is
  // armed.
  Instant next_deadline() const { return armed_ ? next_ : Instant::never(); }

  // Calls fire(timer) for timers with deadline ≤ now, each disarmed before its call; at most `budget` of them, in the
  // order of their deadlines as far as ticks tell them apart. fire may arm and cancel any timer. Returns how many.
  // Stops early after much dealing out, too: more is due while next_deadline() ≤ now. `now` does not run backwards.
  template <class Fire>
  unsigned expire(Instant now, unsigned budget, Fire&& fire) {
    if (now < next_ || (armed_ == 0 && levels_ == 0)) return 0;
    return turn(now, budget, fire);
  }

 private:
  static constexpr unsigned kTickBits = 16, kDigitBits = 6, kSlots = 1u << kDigitBits, kLevels = 8;
  static constexpr uint32_t kEnd = (1u << 27) - 1;  // of a list
  static constexpr unsigned kDealt = 1024;          // timers dealt out in a call of expire() at most

  struct Node {
    Instant deadline{};
    uint64_t next : 27, prev : 27;
    uint64_t place : 10;  // 1 + level · 64 + digit; 0: in no slot, and so not armed
    bool armed() const { return place != 0 && deadline != Instant::never(); }
  };
  static_assert(sizeof(Node) == 16);

  // Time before zero has ticks too.
  static uint64_t tick_of(Instant t) { return (static_cast<uint64_t>(t.ns) ^ 1ull << 63) >> kTickBits; }
  static Instant start_of(uint64_t tick) { return {static_cast<int64_t>(tick << kTickBits ^ 1ull << 63)}; }

  uint32_t place_of(Instant deadline) const {
    const uint64_t tick = std::max(tick_of(deadline), cursor_);
    const unsigned level = (63u - static_cast<unsigned>(std::countl_zero((tick ^ cursor_) | 1))) / kDigitBits;
    return 1 + level * kSlots + (tick >> (level * kDigitBits) & (kSlots - 1));
  }
  uint64_t first_tick(uint32_t place) const {
    const unsigned level = (place - 1) / kSlots;
    const uint64_t digit = (place - 1) % kSlots, above = (level + 1) * kDigitBits;
    return (cursor_ >> above << above) | digit << (level * kDigitBits);
  }
  uint32_t first_place() const {  // 0: all slots are empty
    if (levels_ == 0) return 0;
    const unsigned level = static_cast<unsigned>(std::countr_zero(levels_));
    return 1 + level * kSlots + static_cast<unsigned>(std::countr_zero(slots_[level]));
  }

  void link(uint32_t timer, uint32_t place) {
    const uint32_t slot = place - 1, level = slot / kSlots, head = heads_[slot];
    Node& n = nodes_[timer];
    n.place = place & 1023;
    n.prev = kEnd;
    n.next = head & kEnd;
    if (head != kEnd) nodes_[head].prev = timer & kEnd;
    heads_[slot] = timer;
    slots_[level] |= 1ull << slot % kSlots;
    levels_ |= 1u << level;
  }
  void unlink(uint32_t timer) {
    Node& n = nodes_[timer];
    const uint32_t slot = static_cast<uint32_t>(n.place) - 1, level = slot / kSlots;
    if (n.next != kEnd) nodes_[n.next].prev = n.prev;
    if (n.prev != kEnd) nodes_[n.prev].next = n.next;
    else heads_[slot] = static_cast<uint32_t>(n.next);
    n.place = 0;
    if (heads_[slot] != kEnd) return;
    slots_[level] &= ~(1ull << slot % kSlots);
    if (slots_[level] == 0) levels_ &= ~(1u << level);
  }

  // Drops the timer if it is cancelled, deals it out if it belongs to another slot; false: it stays.
  bool settle(uint32_t timer, uint32_t place);
  // Deals out a slot of a higher level. false: not all of it, for want of `work`.
  bool deal(uint32_t place, unsigned& work);
  // What next_deadline() says from now on, by the first slot that has something armed.
  void look_ahead();

  template <class Fire>
  unsigned turn(Instant now, unsigned budget, Fire&& fire);

  Node* nodes_;
  uint64_t cursor_ = 0;
  Instant next_ = Instant::never();
  uint32_t timers_, armed_ = 0;
  uint32_t dealing_ = 0;  // the place of a slot that is dealt out in part; comes before all others
  uint32_t levels_ = 0;   // bit: the level has an occupied slot
  uint64_t slots_[kLevels] = {};
  uint32_t heads_[kLevels * kSlots];
};

template <class Fire>
unsigned TimerWheel::turn(Instant now, unsigned budget, Fire&& fire) {
  const uint64_t now_tick = tick_of(now);
  unsigned fired = 0, work = kDealt;
  for (;;) {
    const uint32_t place = dealing_ ? dealing_ : first_place();
    if (place == 0) break;
    if (const uint64_t tick = first_tick(place); tick > now_tick) break;
    else if (tick > cursor_) cursor_ = tick;
    if (place > kSlots) {
      dealing_ = deal(place, work) ? 0 : place;
      if (dealing_ == 0) continue;
      next_ = now;
      return fired;
    }
    const Instant due = cursor_ < now_tick ? start_of(cursor_ + 1) - Duration::nanos(1) : now;
    // Nothing but this loop takes timers out of the cursor's own slot: there is none before it to move to. What fire()
    // puts in stands at the head, behind us.
    for (uint32_t i = heads_[place - 1], after; i != kEnd; i = after) {
      Node& n = nodes_[i];
      if (n.next != kEnd) __builtin_prefetch(&nodes_[n.next]);
      if (n.deadline <= due) {
        if (fired == budget) {
          next_ = now;
          return fired;
        }
        after = static_cast<uint32_t>(n.next);
        unlink(i);
        armed_--;
        fired++;
        fire(i);
      } else {
        after = static_cast<uint32_t>(n.next);
        settle(i, place);
      }
    }
    if (cursor_ == now_tick) break;
  }
  if (now_tick > cursor_) cursor_ = now_tick;
  look_ahead();
  return fired;
}

}  // namespace sluice
