// A connection's block from its making to its release, what its application is told, and its long timer.
//
// Theory of operation
//
// A block that has ended may still be on two lists: of those to be flushed, and of those with events. It is given back
// when it is on neither, so the lists never hold a stranger. A connection that ended with data that the application has
// not taken stays, out of the table, until the application has: `closed` is the last event.
//
// The long timer (Timer::life) means, by state: ESTABLISHED, CLOSE-WAIT and FIN-WAIT-2 keepalive, FIN-WAIT-2
// of an orphan its end, TIME-WAIT 2 MSL. It is not moved when a segment arrives: when it fires, it looks when that was.
#include "tcp/machine.h"
#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp {

Core::Core(const Config& c, const Secrets& s, Buffers& b, Sink& out)
    : config(c),
      secrets(s),
      buffers(b),
      sink(out),
      tcbs(c.limits.connections),
      table(s.table, tcbs),
      timers(c.limits.connections * kTimers),
      chunks(c.limits.chunks),
      records(c.limits.records),
      random_state(s.seed) {}

uint32_t Core::timestamp_of(const Tcb& c) const {
  return static_cast<uint32_t>(now.ns / 1'000'000) + c.ts_offset;
}

void Core::mark(Tcb& c) {
  if (c.dirty) return;
  c.dirty = true;
  c.dirty_next = dirty_head;
  dirty_head = index_of(c);
}

void Machine::start() {
  for (ListenerId& head : by_port_) head = kNoListener;
}

Machine::~Machine() {
  for (uint32_t i = 0; i < core.tcbs.touched(); i++) {
    Tcb& c = core.tcbs.at(i);
    if (c.generation == 0) continue;  // given back
    drop_received(c);
    drop_sending(core, c);
  }
}

// ---- blocks

Tcb* Machine::make(const Tuple& t, uint64_t hash) {
  uint32_t i = core.tcbs.take();
  if (i == kNone && time_wait_.head != kNone) {
    core.count.time_wait_evicted++;
    end(core.tcbs.at(time_wait_.head), Failure::none);
    i = core.tcbs.take();
  }
  if (i == kNone) return nullptr;
  Tcb& c = core.tcbs.at(i);
  c.tuple = t;
  c.hash = hash;
  c.generation = next_generation_++;
  if (next_generation_ == 0) next_generation_ = 1;
  c.opened = c.last_received = core.now;
  core.table.insert(i);
  return &c;
}

void Machine::release(Tcb& c) {
  drop_received(c);
  if (c.listener != kNoListener) listener_[c.listener].connections--;
  c.generation = 0;
  core.tcbs.give(core.index_of(c));
}

void Machine::release_if_idle(Tcb& c) {
  const bool untold = !c.orphan && (c.pending || c.rx.queue_head);  // paused: the rest is told when it goes on
  if (c.state == State::closed && !c.dirty && !c.ready && !untold) release(c);
}

Tcb* Machine::find(ConnId id) {
  if (id.index >= core.tcbs.touched()) return nullptr;
  Tcb& c = core.tcbs.at(id.index);
  return c.generation == id.generation && id.generation != 0 && !c.orphan ? &c : nullptr;
}

void Machine::add(AgeList& l, Tcb& c) {
  const uint32_t i = core.index_of(c);
  c.list_prev = l.tail;
  c.list_next = kNone;
  (l.tail == kNone ? l.head : core.tcbs.at(l.tail).list_next) = i;
  l.tail = i;
  l.size++;
}

void Machine::remove(AgeList& l, Tcb& c) {
  (c.list_prev == kNone ? l.head : core.tcbs.at(c.list_prev).list_next) = c.list_next;
  (c.list_next == kNone ? l.tail : core.tcbs.at(c.list_next).list_prev) = c.list_prev;
  c.list_prev = c.list_next = kNone;
  l.size--;
}

// ---- ends

void Machine::end(Tcb& c, Failure why) {
  if (c.state == State::syn_received) remove(half_open_, c);
  if (c.state == State::time_wait) remove(time_wait_, c);
  const bool never_accepted = c.state == State::syn_received && c.passive;
  if (!c.synchronized()) core.count.attempt_fails++;
  else if (why == Failure::reset) core.count.established_resets++;
  for (const Timer t : {Timer::retransmit, Timer::ack, Timer::life}) core.cancel(c, t);
  core.table.remove(core.index_of(c));
  drop_sending(core, c);
  c.state = State::closed;
  c.failure = why;
  if (c.orphan || never_accepted) {
    c.orphan = true;
    drop_received(c);
    release_if_idle(c);
    return;
  }
  // A failure takes back what was not told yet; what was received in order before a proper end is still told.
  if (why != Failure::none) drop_received(c);
  tell(c, kTellEnd);
}

void Machine::enter_time_wait(Tcb& c) {
  if (c.state == State::time_wait) remove(time_wait_, c);
  else core.count.time_wait++;
  c.state = State::time_wait;
  add(time_wait_, c);
  for (const Timer t : {Timer::retransmit, Timer::ack}) core.cancel(c, t);
  drop_sending(core, c);
  core.arm(c, Timer::life, core.now + core.config.tuning.time_wait);
  if (!c.orphan) tell(c, kTellEnd);
  if (time_wait_.size > core.config.limits.time_wait) {
    core.count.time_wait_evicted++;
    end(core.tcbs.at(time_wait_.head), Failure::none);
  }
}

void Machine::leave(Tcb& c) {
  c.orphan = true;
  c.pending = 0;
  drop_received(c);
  c.rx.charge -= c.rx.given_charge;
  c.rx.given_bytes = c.rx.given_charge = 0;
  if (c.state == State::fin_wait_2) core.arm(c, Timer::life, core.now + core.config.tuning.fin_wait_2);
  release_if_idle(c);
}

void Machine::queue_close(Tcb& c) {
  c.fin_queued = true;
  queue_fin(core, c);
  if (c.state == State::established) c.state = State::fin_wait_1;
  else if (c.state == State::close_wait) c.state = State::last_ack;
  else return;  // not open yet: established() goes on
  core.cancel(c, Timer::life);
  core.mark(c);
}

// ---- time

void Machine::arm_keepalive(Tcb& c) {
  const bool waits = c.state == State::fin_wait_2 && !c.orphan;
  if (c.state != State::established && c.state != State::close_wait && !waits) return;
  const Tuning& t = core.config.tuning;
  if (!c.keepalive) return core.cancel(c, Timer::life);
  core.arm(c, Timer::life, c.last_received + t.keepalive_idle + t.keepalive_interval * c.keepalive_sent);
}

void Machine::life_timer(Tcb& c) {
  const Tuning& t = core.config.tuning;
  switch (c.state) {
    case State::time_wait:
      return end(c, Failure::none);
    case State::fin_wait_2:
      if (c.orphan) return end(c, Failure::none);
      break;
    case State::established:
    case State::close_wait:
      break;
    default:
      return;
  }
  if (core.now < c.last_received + t.keepalive_idle) {
    c.keepalive_sent = 0;
    return arm_keepalive(c);
  }
  if (c.keepalive_sent >= t.keepalive_probes) {
    send_reset(core, c);
    return end(c, Failure::timed_out);
  }
  c.keepalive_sent++;
  send_keepalive(core, c);
  core.arm(c, Timer::life, core.now + t.keepalive_interval);
}

void Machine::timer(uint32_t id) {
  Tcb& c = core.tcbs.at(id / kTimers);
  switch (static_cast<Timer>(id % kTimers)) {
    case Timer::retransmit:
      if (!retransmit_timer(core, c)) {
        if (c.synchronized()) send_reset(core, c);
        end(c, Failure::timed_out);
      }
      return;
    case Timer::ack:
      core.count.delayed_acks++;
      c.rx.delayed = false;
      c.rx.quick_ack = true;
      return core.mark(c);
    case Timer::life:
      return life_timer(c);
  }
}

void Machine::flush() {
  while (core.dirty_head != kNone) {
    Tcb& c = core.tcbs.at(core.dirty_head);
    core.dirty_head = c.dirty_next;
    c.dirty = false;
    if (c.state == State::closed) release_if_idle(c);
    else if (c.state == State::time_wait) {
      if (ack_owed(c)) send_ack(core, c);
    } else if (c.state != State::syn_sent && c.state != State::syn_received) {
      output(core, c);
    }
  }
}

// ---- events

void Machine::tell(Tcb& c, uint8_t bits) {
  if (c.orphan) return;
  c.pending |= bits;
  if (c.ready) return;
  c.ready = true;
  c.ready_next = kNone;
  const uint32_t i = core.index_of(c);
  (ready_tail_ == kNone ? ready_head_ : core.tcbs.at(ready_tail_).ready_next) = i;
  ready_tail_ = i;
}

// In the order of their causes: the opening, data, acknowledgments, the peer's FIN, the end.
bool Machine::tell_one(Tcb& c, Event& e) {
  e = Event{.conn = id_of(c), .user = c.user};
  if (c.pending & (kTellAccepted | kTellConnected)) {
    e.kind = c.pending & kTellAccepted ? EventKind::accepted : EventKind::connected;
    e.listener = c.listener;
    c.pending &= static_cast<uint8_t>(~(kTellAccepted | kTellConnected));
    return true;
  }
  if (c.rx.queue_head && !c.rx.paused) {
    e = take_data(c);
    return true;
  }
  if (c.acked_untold) {
    e.kind = EventKind::sent;
    e.bytes = c.acked_untold;
    c.acked_untold = 0;
    return true;
  }
  if (c.rx.queue_head) return false;  // what follows comes behind the data
  if (c.pending & kTellPeerClosed) {
    e.kind = EventKind::peer_closed;
    c.pending &= static_cast<uint8_t>(~kTellPeerClosed);
    return true;
  }
  if (c.pending & kTellEnd) {
    e.kind = c.failure == Failure::none ? EventKind::closed : EventKind::failed;
    e.failure = c.failure;
    c.pending = 0;
    c.orphan = true;
    return true;
  }
  return false;
}

unsigned Machine::events(std::span<Event> out) {
  unsigned n = 0;
  while (n < out.size() && ready_head_ != kNone) {
    Tcb& c = core.tcbs.at(ready_head_);
    if (!c.orphan && tell_one(c, out[n])) {
      n++;
      continue;
    }
    ready_head_ = c.ready_next;
    if (ready_head_ == kNone) ready_tail_ = kNone;
    c.ready = false;
    release_if_idle(c);
  }
  return n;
}

}  // namespace sluice::tcp
