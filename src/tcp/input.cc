// SEGMENT ARRIVES: RFC 9293 3.10.7, in its order and with its names. Beside each step stands what RFC 5961 (blind
// attacks), RFC 7323 (timestamps) and RFC 6191 (TIME-WAIT) change in it.
#include "tcp/machine.h"
#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp {

using wire::kTcpAck;
using wire::kTcpCwr;
using wire::kTcpEce;
using wire::kTcpFin;
using wire::kTcpRst;
using wire::kTcpSyn;

namespace {

constexpr Taken kHandled{Taken::By::caller};
constexpr Duration kTimestampLife = Duration::seconds(24 * 86400);  // RFC 7323 5.5

}  // namespace

Taken Machine::receive(const InSegment& s) {
  core.count.in_segments++;
  if (s.options.malformed) core.count.in_errors++;
  const uint64_t hash = core.table.hash(s.tuple);
  const uint32_t i = core.table.find(s.tuple, hash);
  if (i == kNone) {
    const ListenerId l = find_listener(s.tuple.local, s.tuple.local_port);
    return l == kNoListener ? at_closed(s) : at_listener(l, s);
  }
  Tcb& c = core.tcbs.at(i);
  c.path = s.path;
  return c.state == State::syn_sent ? in_syn_sent(c, s) : in_other_states(c, s);
}

// ---- 3.10.7.3, SYN-SENT

Taken Machine::in_syn_sent(Tcb& c, const InSegment& s) {
  // First, check the ACK bit.
  const bool ack_ok = s.has(kTcpAck) && s.ack > c.iss && s.ack <= c.snd_nxt;
  if (s.has(kTcpAck) && !ack_ok) {
    if (!s.has(kTcpRst) && core.resets.take(core.now, core.config.limits.resets_per_second, core.config.limits.resets_per_second))
      send_stateless(core, s.tuple, s.path, kTcpRst, s.ack, Seq{}, 0, {});
    return kHandled;
  }
  // Second, check the RST bit: believed only if it acknowledges our SYN.
  if (s.has(kTcpRst)) {
    if (ack_ok) end(c, Failure::refused);
    return kHandled;
  }
  // Fourth, check the SYN bit. (Third, security, is not done: MAY, and unused in the Internet.)
  if (!s.has(kTcpSyn)) return kHandled;
  // RFC 7323 3.2: an echo of something that was not sent is of an old connection; the SYN's timestamp must be echoed.
  c.irs = s.seq;
  c.rcv_nxt = s.seq + 1;
  c.rx.advertised = c.rcv_nxt;
  c.rx.last_ack_sent = c.rcv_nxt;
  negotiate(c, s.options, (s.flags & (kTcpEce | kTcpCwr)) == (s.has(kTcpAck) ? kTcpEce : kTcpEce | kTcpCwr));
  c.last_received = core.now;
  if (!s.has(kTcpAck)) {
    // Simultaneous open: our SYN is repeated with an ACK of theirs (MUST-10).
    c.state = State::syn_received;
    add(half_open_, c);
    announce_window(core, c, true);
    send_syn(core, c);
    return kHandled;
  }
  syn_acknowledged(core, c, s);
  announce_window(core, c, true);
  established(c);
  c.rx.quick_ack = true;
  core.mark(c);
  // Data and FIN may come with the SYN.
  if (s.length == 0 && !s.has(kTcpFin)) return kHandled;
  InSegment rest = s;
  rest.flags = static_cast<uint8_t>(s.flags & ~kTcpSyn);
  rest.seq = s.seq + 1;
  return in_other_states(c, rest);
}

// ---- 3.10.7.4, the other states

bool Machine::acceptable(const Tcb& c, const InSegment& s) const {
  const Seq first = c.rcv_nxt, edge = later(c.rx.advertised, c.rcv_nxt);
  const uint32_t length = s.seg_len();
  // A bare ACK at the very edge comes from a peer that has filled the window: what it says of our data counts (3.10.7.4:
  // "special allowance should be made to accept valid ACKs").
  if (length == 0) return s.seq >= first && s.seq <= edge;
  if (first == edge) return false;
  const Seq last = s.seq + (length - 1);
  return (s.seq >= first && s.seq < edge) || (last >= first && last < edge);
}

// RFC 7323 5.3 R1. A timestamp that is weeks old says nothing any more (5.5).
bool Machine::paws_rejects(Tcb& c, const InSegment& s) {
  if (!c.ts_ok || !s.options.has_timestamps || s.has(kTcpRst)) return false;
  if (static_cast<int32_t>(s.options.ts_val - c.rx.ts_recent) >= 0) return false;
  if (core.now - c.rx.ts_recent_at > kTimestampLife) return false;
  core.count.paws_rejected++;
  return true;
}

void Machine::answer_unacceptable(Tcb& c, const InSegment& s) {
  if (s.has(kTcpRst)) return;
  core.count.sequence_rejected++;
  // The SYN again: our SYN-ACK was lost, or is slow.
  if (c.state == State::syn_received && s.has(kTcpSyn) && s.seq == c.irs) return send_syn(core, c);
  // A retransmitted FIN starts TIME-WAIT anew (3.10.7.4, fifth and eighth).
  if (c.state == State::time_wait && s.has(kTcpFin) && s.seq + s.seg_len() == c.rcv_nxt) enter_time_wait(c);
  if (s.length > 0 && s.seq < c.rcv_nxt) {
    const Seq end = earlier(s.seq + s.length, c.rcv_nxt);
    core.count.duplicate_bytes += static_cast<uint32_t>(end - s.seq);
    c.rx.duplicate = {s.seq.v, end.v};
    c.rx.dsack = true;
  }
  // Without payload or FIN it may itself be an answer to one of these: two stacks that disagree must not go on for ever.
  if (s.seg_len() == 0) return challenge(c);
  send_ack(core, c);
}

void Machine::challenge(Tcb& c) {
  const uint32_t rate = core.config.limits.challenge_acks_per_second;
  if (!core.challenge.take(core.now, rate, rate)) {
    core.count.challenge_acks_limited++;
    return;
  }
  core.count.challenge_acks++;
  send_ack(core, c);
}

// RFC 5961 3.2: only a RST with exactly the expected number resets; another one in the window is asked about.
void Machine::on_reset(Tcb& c, const InSegment& s) {
  if (s.seq != c.rcv_nxt) return challenge(c);
  if (c.state == State::syn_received) return end(c, c.passive ? Failure::reset : Failure::refused);
  const bool over = c.state == State::closing || c.state == State::last_ack || c.state == State::time_wait;
  end(c, over ? Failure::none : Failure::reset);
}

// RFC 9293 3.6.1 MAY-2, RFC 6191 2: a SYN that cannot be an old duplicate opens a new connection.
bool Machine::reused_in_time_wait(Tcb& c, const InSegment& s, Taken& out) {
  if (c.state != State::time_wait || !s.has(kTcpSyn) || s.has(kTcpAck) || s.has(kTcpRst)) return false;
  const bool both = c.ts_ok && s.options.has_timestamps;
  const int32_t newer = static_cast<int32_t>(s.options.ts_val - c.rx.ts_recent);
  const bool beyond = s.seq > c.rcv_nxt;
  if (both ? newer < 0 || (newer == 0 && !beyond) : !beyond) return false;
  const ListenerId l = find_listener(s.tuple.local, s.tuple.local_port);
  if (l == kNoListener) return false;
  core.count.time_wait_reused++;
  iss_floor_ = c.snd_nxt;
  end(c, Failure::none);
  out = at_listener(l, s);
  iss_floor_.reset();
  return true;
}

// Fifth, check the ACK field. false: the segment goes no further.
bool Machine::check_ack(Tcb& c, const InSegment& s) {
  if (!s.has(kTcpAck)) return false;
  if (c.state == State::syn_received) {
    if (s.ack <= c.snd_una || s.ack > c.snd_nxt) {
      const uint32_t rate = core.config.limits.resets_per_second;
      if (core.resets.take(core.now, rate, rate))
        send_stateless(core, c.tuple, c.path, kTcpRst, s.ack, Seq{}, 0, {});
      return false;
    }
    syn_acknowledged(core, c, s);
    established(c);
    if (s.ack == c.snd_una) return true;
  }
  // RFC 5961 5.2.
  if (s.ack < c.snd_una - c.max_snd_wnd || s.ack > c.snd_nxt) {
    core.count.ack_rejected++;
    challenge(c);
    return false;
  }
  if (c.state == State::time_wait) return true;
  const Acked a = acknowledge(core, c, s);
  if (a.bytes && !c.orphan) {
    c.acked_untold += a.bytes;
    tell(c, 0);
  }
  if (!a.fin) return true;
  switch (c.state) {
    case State::fin_wait_1:
      c.state = State::fin_wait_2;
      core.cancel(c, Timer::life);
      if (c.orphan) core.arm(c, Timer::life, core.now + core.config.tuning.fin_wait_2);
      else if (c.keepalive) arm_keepalive(c);
      return true;
    case State::closing:
      enter_time_wait(c);
      return false;
    case State::last_ack:
      end(c, Failure::none);
      return false;
    default:
      return true;
  }
}

// Eighth, check the FIN bit: everything before it has been received.
void Machine::on_fin(Tcb& c) {
  c.rx.fin_taken = true;
  c.rcv_nxt += 1;
  if (c.rx.advertised < c.rcv_nxt) c.rx.advertised = c.rcv_nxt;
  c.rx.quick_ack = true;
  core.mark(c);
  switch (c.state) {
    case State::established:
      c.state = State::close_wait;
      break;
    case State::fin_wait_1:  // our FIN is not acknowledged, or check_ack had made it FIN-WAIT-2
      c.state = State::closing;
      break;
    case State::fin_wait_2:
      tell(c, kTellPeerClosed);
      return enter_time_wait(c);
    default:
      return;
  }
  tell(c, kTellPeerClosed);
}

Taken Machine::in_other_states(Tcb& c, InSegment s) {
  Taken reused;
  if (reused_in_time_wait(c, s, reused)) return reused;

  // Simultaneous open (3.5, figure 7): the peer's SYN again, now with the ACK of ours, counts as that ACK.
  if (c.state == State::syn_received && !c.passive && s.has(kTcpSyn) && s.has(kTcpAck) && s.seq == c.irs) {
    s.flags = static_cast<uint8_t>(s.flags & ~kTcpSyn);
    s.seq = s.seq + 1;
  }
  // First, check the sequence number; before it, the timestamp (RFC 7323 5.3).
  if (c.ts_ok && !s.options.has_timestamps && !s.has(kTcpRst) && !s.has(kTcpSyn)) return kHandled;  // 3.2
  if (paws_rejects(c, s)) {
    answer_unacceptable(c, s);
    return kHandled;
  }
  if (!acceptable(c, s)) {
    answer_unacceptable(c, s);
    return kHandled;
  }
  c.last_received = core.now;
  // Second, check the RST bit.
  if (s.has(kTcpRst)) {
    on_reset(c, s);
    return kHandled;
  }
  // Fourth, check the SYN bit (RFC 5961 4.2). (Third, security: see above.)
  if (s.has(kTcpSyn)) {
    challenge(c);
    return kHandled;
  }
  if (!check_ack(c, s)) return kHandled;
  // RFC 7323 4.3 (2): the timestamp to echo is that of the segment that the last ACK waits for. Behind the check of the
  // ACK, so that a segment that is dropped there cannot make PAWS drop the peer's own. 5.5: an outdated one gives way to
  // whatever comes.
  if (c.ts_ok && s.options.has_timestamps && s.seq <= c.rx.last_ack_sent &&
      (static_cast<int32_t>(s.options.ts_val - c.rx.ts_recent) >= 0 || core.now - c.rx.ts_recent_at > kTimestampLife)) {
    c.rx.ts_recent = s.options.ts_val;
    c.rx.ts_recent_at = core.now;
  }

  // RFC 3168 6.1.3: the peer has slowed down; then, that it should.
  if (c.ecn_ok) {
    if (s.has(kTcpCwr)) c.rx.ece = false;
    if (s.ecn == Ecn::ce) {
      core.count.ecn_ce_received++;
      c.rx.quick_ack |= !c.rx.ece;
      c.rx.ece = true;
    }
  }
  // Sixth, the URG bit: the pointer is not looked at, urgent data is data (RFC 6093 3.2, 5).
  // Seventh, process the segment text, where the peer may still send.
  if (s.seg_len() == 0) return kHandled;
  const bool open = c.state == State::established || c.state == State::fin_wait_1 || c.state == State::fin_wait_2;
  if (!open) return kHandled;
  if (c.orphan && s.length > 0 && s.seq + s.length > c.rcv_nxt) {
    // RFC 9293 3.6.1 SHLD-3: nobody is there to read it, and the peer is to know.
    core.count.after_close++;
    // Where the peer is: it may not have our FIN, and takes a reset only at its own RCV.NXT (RFC 5961 3.2).
    send_stateless(core, c.tuple, c.path, kTcpRst, s.ack, Seq{}, 0, {});
    end(c, Failure::none);
    return kHandled;
  }
  if (s.has(kTcpFin)) {
    const Seq fin = s.seq + s.length;
    if (fin <= c.rx.advertised && !c.rx.fin_seen) {
      c.rx.fin_seen = true;
      c.rx.fin = fin;
    }
  }
  const Taken taken = text(c, s);
  if (c.rx.fin_seen && !c.rx.fin_taken && c.rcv_nxt == c.rx.fin) on_fin(c);
  else if (c.rx.fin_seen && !c.rx.fin_taken && s.length == 0) send_ack(core, c);  // a FIN ahead of data
  return taken;
}

// ---- ICMP

void Machine::icmp(const IcmpError& e) {
  const uint32_t i = core.table.find(e.tuple, core.table.hash(e.tuple));
  if (i == kNone) return;
  Tcb& c = core.tcbs.at(i);
  if (!quotes_in_flight(c, e.seq)) {
    core.count.mtu_icmp_ignored++;
    return;
  }
  if (e.kind == IcmpError::Kind::too_big) return path_mtu(core, c, e);
  // RFC 5927 4.1, 5.2: an established connection outlives what ICMP says; an attempt ends at a hard error.
  if (e.kind == IcmpError::Kind::hard && (c.state == State::syn_sent || c.state == State::syn_received))
    end(c, Failure::unreachable);
}

}  // namespace sluice::tcp
