// Loss: how it is found, what is done about it, and how a mistake is taken back.
//
// With SACK, RFC 8985 (RACK-TLP): a range is lost when something sent later was delivered, and a reordering window has
// passed since; the tail is probed where no acknowledgment would tell. Without SACK, RFC 6582 (NewReno), where duplicate
// ACKs stand for SACKs. Both share the phases: open → disorder → recovery (paced by RFC 6937) → open; and loss after a
// timeout, with RFC 5682 (F-RTO) first asking whether the timeout was needless. A reduction is undone when timestamps
// (RFC 3522), F-RTO or DSACK (RFC 2883) show that nothing was lost.
#include "tcp/isn.h"
#include "tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

bool reduced(const Tcb& c) { return c.tx.phase == Phase::recovery || c.tx.phase == Phase::loss; }

// RFC 8985 6.2, step 4.
Duration reorder_window(const Tcb& c) {
  const Sending& tx = c.tx;
  if (!tx.reordering_seen && (reduced(c) || tx.sacked_packets >= kDuplicateThreshold)) return {};
  return std::min(Duration::nanos(c.rtt.min().ns / 4 * tx.reorder_mult), c.rtt.srtt());
}

bool sent_before_rack(const Tcb& c, const Record& r) {
  return r.sent < c.tx.rack_sent || (r.sent == c.tx.rack_sent && r.end < c.tx.rack_end);
}

// RFC 8985 6.2, step 5. What is not lost yet but may be soon is looked at again by the timer.
void detect_by_rack(Core& core, Tcb& c, AckNews& n) {
  Sending& tx = c.tx;
  Instant again{};
  if (tx.rack_valid) {
    const Duration patience = tx.rack_rtt + reorder_window(c);
    for (uint32_t i = tx.record_head; i != kNone; i = core.records.at(i).next) {
      const Record& r = core.records.at(i);
      if (r.is(Record::kSacked) || (r.marks & (Record::kLost | Record::kResent)) == Record::kLost) continue;
      if (!sent_before_rack(c, r)) {
        if (r.begin >= tx.sack_high && !r.is(Record::kEverResent)) break;  // new data is sent in order
        continue;
      }
      const Instant due = r.sent + patience;
      if (due > core.now) {
        again = std::max(again, due);
        continue;
      }
      n.newly_lost += r.length();
      mark_lost(core, c, i);
    }
  }
  if (again > core.now) {
    tx.early = Alarm::reorder;
    tx.early_at = again;
  } else if (tx.early == Alarm::reorder) {
    tx.early = Alarm::none;
    tx.early_at = Instant::never();
  }
}

// RFC 5681 3.2, RFC 6582 3.2: the first segment, after three duplicates or a partial acknowledgment.
void detect_by_duplicates(Core& core, Tcb& c, AckNews& n) {
  Sending& tx = c.tx;
  const bool partial = tx.phase == Phase::recovery && n.acked;
  const bool enough = !reduced(c) && tx.duplicates >= kDuplicateThreshold && !tx.recover_set;
  if (tx.record_head == kNone || !(partial || enough)) return;
  const Record& r = core.records.at(tx.record_head);
  if (r.length() > tx.mss) split_record(core, c, tx.record_head, r.begin + tx.mss);
  if (r.is(Record::kLost)) return;
  n.newly_lost += r.length();
  mark_lost(core, c, tx.record_head);
}

void detect(Core& core, Tcb& c, AckNews& n) {
  if (c.sack_ok) detect_by_rack(core, c, n);
  else detect_by_duplicates(core, c, n);
}

// From here on until snd_nxt is acknowledged, the window is reduced once.
void begin_reduction(Tcb& c, Phase p) {
  Sending& tx = c.tx;
  tx.phase = p;
  tx.recover_at = c.snd_nxt;
  tx.recover_set = true;
  tx.undo_possible = true;
  tx.undo_una = c.snd_una;
  tx.undo_bytes = tx.undo_stamp = 0;
  if (c.ecn_ok) tx.cwr_due = true;
}

// RFC 6675 5 (4.3), RFC 6582 3.2: the first lost segment goes at once, whatever the pipe.
void resend_first(Core& core, Tcb& c) {
  const uint32_t i = first_to_resend(core, c);
  if (i != kNone && c.cc.cwnd() < in_flight(c) + c.tx.mss) resend_range(core, c, i, c.tx.mss);
}

void enter_recovery(Core& core, Tcb& c, const AckNews& n) {
  core.count.fast_recoveries++;
  begin_reduction(c, Phase::recovery);
  c.tx.tlp_out = false;
  c.cc.enter_recovery(core.now, outstanding(c));
  c.cc.on_recovery_ack(n.delivered, in_flight(c), false);
  resend_first(core, c);
}

// All that the reduction was about is acknowledged.
void leave(Tcb& c) {
  Sending& tx = c.tx;
  if (tx.phase == Phase::recovery) c.cc.leave_recovery();
  tx.phase = tx.sacked ? Phase::disorder : Phase::open;
  tx.frto = 0;
  tx.duplicates = 0;
  tx.undo_una = c.snd_nxt;
  if (tx.reorder_persist && --tx.reorder_persist == 0) tx.reorder_mult = 1;
}

void undo(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.phase == Phase::loss) {
    core.count.spurious_timeouts++;
    c.rtt.undo_back_off(core.config.tuning);
    tx.backoff = 0;
  }
  c.cc.undo();
  tx.undo_possible = false;
  tx.cwr_due = false;
  if (!reduced(c)) return;
  forget_losses(core, c);
  tx.recover_set = false;
  tx.frto = 0;
  tx.duplicates = 0;
  tx.phase = tx.sacked ? Phase::disorder : Phase::open;
}

// RFC 2883: every byte that was sent again has been reported as a duplicate. RFC 3522: what came now is echoed as older
// than the first retransmission. false: neither.
bool needless(const Tcb& c, const wire::TcpOptions& o, const AckNews& n, bool all_repeated) {
  const Sending& tx = c.tx;
  if (!tx.undo_possible) return false;
  if (all_repeated) return true;
  return n.acked && n.prior_una == tx.undo_una && tx.undo_stamp && c.ts_ok && o.has_timestamps && o.ts_ecr &&
         static_cast<int32_t>(o.ts_ecr - tx.undo_stamp) < 0;
}

// RFC 8985 6.2, step 4: a duplicate tells of a retransmission that was too early. true: all of them were.
bool on_dsack(Tcb& c, const AckNews& n) {
  Sending& tx = c.tx;
  if (!tx.dsack_round_set || c.snd_una >= tx.dsack_round) {
    tx.dsack_round_set = true;
    tx.dsack_round = c.snd_nxt;
    if (tx.reorder_mult < UINT8_MAX) tx.reorder_mult++;
    tx.reorder_persist = 16;
  }
  if (!tx.undo_possible || !tx.undo_bytes) return false;
  tx.undo_bytes -= std::min(tx.undo_bytes, n.repeated);
  return tx.undo_bytes == 0;
}

// RFC 8985 7.4.2: whether the probe replaced something lost.
void on_tail_probe_ack(Core& core, Tcb& c, const InSegment& s, const AckNews& n) {
  Sending& tx = c.tx;
  if (s.ack < tx.tlp_end) return;
  const bool repaired = tx.tlp_resent && s.ack > tx.tlp_end && !(n.repeated && n.repeated_end == tx.tlp_end);
  const bool settled = !tx.tlp_resent || s.ack > tx.tlp_end || n.repeated || (n.duplicate && !s.options.sack_blocks);
  if (settled) tx.tlp_out = false;
  if (!repaired || reduced(c)) return;
  core.count.tail_loss_repaired++;
  c.cc.on_ecn(core.now, n.prior_flight);
  if (c.ecn_ok) tx.cwr_due = true;
}

// RFC 3168 6.1.2: once a window.
void on_ece(Core& core, Tcb& c, const AckNews& n) {
  Sending& tx = c.tx;
  if (tx.ecn_wait || reduced(c)) return;
  core.count.ecn_reductions++;
  c.cc.on_ecn(core.now, n.prior_flight);
  tx.cwr_due = true;
  tx.ecn_wait = true;
  tx.ecn_until = c.snd_nxt;
  tx.phase = Phase::cwr;
}

// RFC 5682 3.1: after a timeout, the first acknowledgment that moves on lets new data go, and the next one tells whether
// what was sent before the timeout had arrived. true: it had, and the timeout is undone.
bool frto(Core& core, Tcb& c, const AckNews& n) {
  Sending& tx = c.tx;
  // Without SACK, what is acknowledged together with a retransmission may have waited for it.
  const bool original = n.original && (c.sack_ok || !n.resent_acked);
  if (original && tx.undo_possible) {
    undo(core, c);
    return true;
  }
  if (tx.frto == 2 || !n.acked) tx.frto = 0;
  else tx.frto = 2;
  return false;
}

void count_duplicates(Core& core, Tcb& c, AckNews& n) {
  Sending& tx = c.tx;
  if (n.duplicate) {
    core.count.duplicate_acks_received++;
    if (c.sack_ok || (tx.duplicates + 1u) * tx.mss >= outstanding(c) + tx.mss) return;
    tx.duplicates++;
    n.delivered += tx.mss;
  } else if (n.acked && tx.duplicates) {
    // One of the segments acknowledged filled the hole; the others were counted when their duplicates came.
    const uint32_t counted = std::min<uint32_t>(tx.duplicates, (n.acked - 1) / tx.mss);
    n.delivered -= std::min(n.delivered, counted * tx.mss);
    tx.duplicates = tx.phase == Phase::recovery ? static_cast<uint16_t>(tx.duplicates - counted) : uint16_t{0};
  }
}

}  // namespace

void record_delivered(Core& core, Tcb& c, const Record& r, Seq upto, const wire::TcpOptions& o, AckNews& n) {
  Sending& tx = c.tx;
  n.delivered += static_cast<uint32_t>(upto - r.begin);
  const bool again = r.is(Record::kEverResent);
  if (!again) {
    if (tx.phase == Phase::loss && upto <= tx.recover_at) n.original = true;
    if (upto < tx.sack_high && !tx.reordering_seen) {
      tx.reordering_seen = true;
      core.count.rack_reordered++;
    }
  }
  tx.sack_high = later(tx.sack_high, upto);
  const Duration rtt = core.now - r.sent;
  if (again) {  // RFC 8985 6.2, step 2: it may be the first transmission that arrived
    if (c.ts_ok && o.has_timestamps && static_cast<int32_t>(o.ts_ecr - timestamp(r.sent, c.ts_offset)) < 0) return;
    if (rtt < c.rtt.min()) return;
  }
  if (tx.rack_valid && (r.sent < tx.rack_sent || (r.sent == tx.rack_sent && upto <= tx.rack_end))) return;
  tx.rack_valid = true;
  tx.rack_sent = r.sent;
  tx.rack_end = upto;
  tx.rack_rtt = rtt;
}

void recover(Core& core, Tcb& c, const InSegment& s, AckNews& n) {
  Sending& tx = c.tx;
  count_duplicates(core, c, n);
  const bool all_repeated = n.repeated && on_dsack(c, n);
  if (tx.tlp_out) on_tail_probe_ack(core, c, s, n);
  // Only what was sent after the reduction can tell that it was not enough.
  if (tx.ecn_wait && c.snd_una > tx.ecn_until) tx.ecn_wait = false;
  if (n.echoed) on_ece(core, c, n);
  if (needless(c, s.options, n, all_repeated)) undo(core, c);
  bool left = false;
  if (reduced(c) && c.snd_una >= tx.recover_at) {
    left = tx.phase == Phase::recovery;
    leave(c);
  }
  if (tx.phase == Phase::loss && tx.frto) frto(core, c, n);

  if (n.delivered || !c.sack_ok) detect(core, c, n);
  if (tx.lost && !reduced(c)) {
    if (!tx.probe_mtu || !path_mtu_probe_lost(core, c)) return enter_recovery(core, c, n);
  }
  if (!reduced(c)) {
    const bool odd = tx.sacked || tx.duplicates;
    tx.phase = odd ? Phase::disorder : tx.ecn_wait ? Phase::cwr : Phase::open;
  }
  if (tx.phase == Phase::recovery) {
    c.cc.on_recovery_ack(n.delivered, in_flight(c), n.acked && !n.newly_lost);
    if (!c.sack_ok && n.newly_lost) resend_first(core, c);
  } else if (n.acked && !n.echoed && !left) {
    // What was SACKed before, or counted as a duplicate, has made room then.
    c.cc.on_ack(core.now, std::min(n.acked, n.delivered), n.prior_flight, c.rtt.srtt(), n.rtt);
  }
}

void on_rto(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.record_head == kNone) return;
  core.count.timeouts++;
  const bool first = tx.backoff == 0;
  // RFC 2018 8: a receiver that SACKed what it does not acknowledge has thrown it away.
  if (core.records.at(tx.record_head).is(Record::kSacked) || !first) forget_sacks(core, c);
  const bool in_recovery = tx.phase == Phase::recovery;
  const uint32_t flight = outstanding(c);
  const Duration patience = tx.rack_rtt + reorder_window(c);
  for (uint32_t i = tx.record_head; i != kNone; i = core.records.at(i).next) {
    const Record& r = core.records.at(i);
    if (r.is(Record::kSacked)) continue;
    // RFC 8985 6.3: what was sent only just now may still arrive.
    if (i == tx.record_head || !c.sack_ok || !tx.rack_valid || r.sent + patience <= core.now) mark_lost(core, c, i);
  }
  tx.tlp_out = false;
  tx.duplicates = 0;
  if (first) begin_reduction(c, Phase::loss);
  tx.phase = Phase::loss;
  tx.recover_at = c.snd_nxt;
  tx.frto = in_recovery ? 0 : 1;
  if (tx.backoff < UINT8_MAX) tx.backoff++;
  c.rtt.back_off(core.config.tuning);
  c.cc.on_timeout(core.now, flight, first);
  path_mtu_timeout(core, c);
  resend_head(core, c);
}

void on_reorder_timer(Core& core, Tcb& c) {
  AckNews n{.prior_una = c.snd_una};
  detect(core, c, n);
  if (c.tx.lost && !reduced(c)) enter_recovery(core, c, n);
}

void on_tail_probe_timer(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.record_tail == kNone) return;
  const Seq before = c.snd_nxt;
  send_tail_probe(core, c);
  if (c.snd_nxt == before) {
    uint32_t i = tx.record_tail;
    const Record& r = core.records.at(i);
    const uint32_t fin = tx.fin_sent && r.end > data_end(c);
    const uint32_t last = r.length() > fin ? (r.length() - fin - 1) % tx.mss + 1 + fin : fin;
    if (last < r.length()) {
      if (!split_record(core, c, i, r.end - last)) return;
      i = tx.record_tail;
    }
    if (!resend_range(core, c, i, tx.mss)) return;
  }
  core.count.tail_loss_probes++;
  tx.tlp_out = true;
  tx.tlp_resent = c.snd_nxt == before;
  tx.tlp_end = c.snd_nxt;
  tx.rto_at = core.now + c.rtt.rto();  // RFC 8985 7.3
}

}  // namespace sluice::tcp
