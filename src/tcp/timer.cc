// The retransmission timer: one entry of the wheel for whatever the connection waits for.
//
// An acknowledgment moves the deadline on almost every time. The wheel is left alone then: it fires at the old, earlier
// deadline, and is armed again for the rest. So an entry is moved once a timeout, not once a segment.
#include "tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

constexpr Duration kMaxAckDelay = Duration::millis(200);    // RFC 8985 7.2: TLP.max_ack_delay
constexpr Duration kSwsFloor = Duration::millis(200), kSwsCeiling = Duration::millis(500);  // RFC 9293 3.8.6.2.1
constexpr unsigned kMaxShift = 16;

Duration backed_off(const Core& core, const Tcb& c) {
  const int64_t ns = c.rtt.rto().ns << std::min<unsigned>(c.tx.backoff, kMaxShift);
  return Duration::nanos(std::min(ns, core.config.tuning.rto_max.ns));
}

Duration patience(const Core& core, const Tcb& c) {
  return c.user_timeout.ns ? c.user_timeout : core.config.tuning.give_up;
}

void arm(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  Instant when = std::min(tx.rto_at, tx.early_at);
  if (tx.alarm == Alarm::none) when = Instant::never();
  else if (tx.alarm != Alarm::override_sws) when = std::min(when, tx.progress_at + patience(core, c));
  if (when == Instant::never()) {
    if (tx.armed_at != Instant::never()) core.cancel(c, Timer::retransmit);
    tx.armed_at = when;
  } else if (when < tx.armed_at) {
    core.arm(c, Timer::retransmit, when);
    tx.armed_at = when;
  }
}

void wait_for(Core& core, Tcb& c, Alarm a, Duration d) {
  if (c.tx.alarm == a && c.tx.rto_at != Instant::never()) return;
  if (a != Alarm::rto) c.tx.progress_at = core.now;
  c.tx.alarm = a;
  c.tx.rto_at = core.now + d;
}

// RFC 8985 7.2: nothing but a probe would tell of the tail's loss. Not behind a window that has shrunk.
bool tail_may_be_probed(const Tcb& c) {
  const Sending& tx = c.tx;
  return c.sack_ok && !tx.tlp_out && !tx.sacked && !tx.lost && c.snd_una != c.snd_nxt &&
         (tx.phase == Phase::open || tx.phase == Phase::cwr) && c.snd_nxt <= right_edge(c);
}

void plan_tail_probe(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.early == Alarm::reorder || tx.alarm != Alarm::rto || !tail_may_be_probed(c)) return;
  Duration pto = Duration::seconds(1);
  if (c.rtt.measured()) {
    pto = c.rtt.srtt() * 2;
    if (outstanding(c) <= tx.mss) pto = pto + kMaxAckDelay;
  }
  tx.early = Alarm::tail_probe;
  tx.early_at = std::min(core.now + pto, tx.rto_at);
}

bool on_syn_timeout(Core& core, Tcb& c) {
  const Tuning& t = core.config.tuning;
  Sending& tx = c.tx;
  if (tx.backoff >= (c.state == State::syn_sent ? t.syn_retries : t.syn_ack_retries)) return false;
  tx.backoff++;
  tx.rto_at = core.now + backed_off(core, c);
  send_syn(core, c);
  return true;
}

void on_window_probe_timer(Core& core, Tcb& c) {
  if (c.tx.backoff < UINT8_MAX) c.tx.backoff++;
  send_window_probe(core, c);
  c.tx.rto_at = core.now + backed_off(core, c);
}

bool fire(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.early != Alarm::none && tx.early_at <= core.now) {
    const Alarm a = tx.early;
    tx.early = Alarm::none;
    tx.early_at = Instant::never();
    if (a == Alarm::reorder) on_reorder_timer(core, c);
    else if (tail_may_be_probed(c)) on_tail_probe_timer(core, c);
    return true;
  }
  if (core.now < tx.rto_at) return true;
  switch (tx.alarm) {
    case Alarm::rto:
      if (!tx.started) return on_syn_timeout(core, c);
      on_rto(core, c);
      tx.rto_at = core.now + c.rtt.rto();
      break;
    case Alarm::window_probe:
      on_window_probe_timer(core, c);
      break;
    case Alarm::override_sws:
      tx.rto_at = Instant::never();
      send_new(core, c, true);
      break;
    default:
      break;
  }
  return true;
}

}  // namespace

void progressed(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  tx.progress_at = core.now;
  if (tx.early == Alarm::tail_probe) {
    tx.early = Alarm::none;
    tx.early_at = Instant::never();
  }
  if (tx.alarm != Alarm::rto) return;
  tx.rto_at = c.snd_una == c.snd_nxt ? Instant::never() : core.now + c.rtt.rto();
  plan_tail_probe(core, c);
}

void sent_something(Core& core, Tcb& c, bool fresh) {
  Sending& tx = c.tx;
  if (tx.alarm != Alarm::rto) {
    tx.alarm = Alarm::rto;
    tx.progress_at = core.now;
    tx.rto_at = core.now + c.rtt.rto();
  } else if (tx.rto_at == Instant::never()) {
    tx.rto_at = core.now + c.rtt.rto();
  }
  if (fresh) plan_tail_probe(core, c);
}

void schedule(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  const bool probe = only_window_probe(core, c);
  if (c.snd_una != c.snd_nxt && !probe) {
    wait_for(core, c, Alarm::rto, c.rtt.rto());
  } else if (tx.started && carries_data(c.state) && (probe || new_waits(c))) {
    tx.early = Alarm::none;
    tx.early_at = Instant::never();
    if (right_edge(c) - (probe ? c.snd_una : c.snd_nxt) <= 0) wait_for(core, c, Alarm::window_probe, c.rtt.rto());
    else wait_for(core, c, Alarm::override_sws, std::clamp(c.rtt.rto(), kSwsFloor, kSwsCeiling));
  } else {
    tx.alarm = tx.early = Alarm::none;
    tx.rto_at = tx.early_at = Instant::never();
  }
  arm(core, c);
}

bool retransmit_timer(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  tx.armed_at = Instant::never();
  if (tx.alarm == Alarm::none) return true;
  if (tx.alarm != Alarm::override_sws && core.now >= tx.progress_at + patience(core, c)) {
    core.count.user_timeouts++;
    return false;
  }
  if (!fire(core, c)) return false;
  if (new_waits(c) || resend_waits(c)) core.mark(c);
  schedule(core, c);
  return true;
}

}  // namespace sluice::tcp
