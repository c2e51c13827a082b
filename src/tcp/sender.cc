// The sending half: the queue, and what an acknowledgment does.
//
// Theory of operation. The application's slices wait in a list of chunks until they are acknowledged; each knows its
// first sequence number, so that any position is found from the nearest record. output() sends as much of it as the
// windows allow, in as few OutSegments as it can, and keeps one record of each (scoreboard.h). An acknowledgment cuts
// records off the front, SACK blocks mark them, and the bytes by mark (Sending::sacked, lost, retransmitted) give the
// pipe of RFC 6675 without a walk. As long as nothing is or was amiss, an acknowledgment is the window update, the
// cut, one round-trip sample and one call of congestion control; everything else is in recovery.cc.
//
// One wheel timer serves all of a connection's waits (timer.cc), since at any moment only one of them can be next.
#include <cassert>

#include "tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

void release(Core& core, const Slice& s) {
  if (s.m) core.buffers.free(s.m);
  if (s.keeper) s.keeper->release();
}

void release_chunks(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  while (tx.chunk_head != kNone) {
    const uint32_t i = tx.chunk_head;
    const Chunk& k = core.chunks.at(i);
    if (k.end() > c.snd_una) break;
    tx.chunk_head = k.next;
    release(core, k.slice);
    core.chunks.give(i);
  }
  if (tx.chunk_head == kNone) tx.chunk_tail = kNone;
  if (tx.record_head != kNone) core.records.at(tx.record_head).chunk = tx.chunk_head;
}

// RFC 9293 3.10.7.4: only a segment that is not older than the last one that did may change the window. One that
// acknowledges something new is not old, even where it is a retransmission with a lower number: its window counts from
// its acknowledgment, and the one that we have would promise too much from there. true: the window is another one than
// before.
bool update_window(Tcb& c, const InSegment& s) {
  if (s.ack < c.snd_una) return false;
  if (s.ack == c.snd_una && !(c.snd_wl1 < s.seq || (c.snd_wl1 == s.seq && c.snd_wl2 <= s.ack))) return false;
  const uint32_t window = uint32_t{s.window} << c.snd_wind_shift;
  const bool changed = window != c.snd_wnd;
  c.snd_wnd = window;
  c.max_snd_wnd = std::max(c.max_snd_wnd, window);
  c.snd_wl1 = s.seq;
  c.snd_wl2 = s.ack;
  return changed;
}

// Karn's rule, or the echoed timestamp (RFC 7323 4.1), whose clock ticks in milliseconds.
void measure(Core& core, Tcb& c, const wire::TcpOptions& o, AckNews& n) {
  if (n.sent != Instant::never() && !n.resent_acked) {
    n.rtt = core.now - n.sent;
  } else if (c.ts_ok && o.has_timestamps && o.ts_ecr) {
    const auto ticks = static_cast<int32_t>(core.timestamp_of(c) - o.ts_ecr);
    if (ticks >= 0 && ticks < 600'000) n.rtt = Duration::millis(std::max(ticks, 1));
  }
  if (n.rtt.ns) c.rtt.sample(core.config.tuning, core.now, n.rtt);
}

// snd_una moves on.
void advance(Core& core, Tcb& c, const InSegment& s, AckNews& n, Acked& out) {
  Sending& tx = c.tx;
  n.acked = static_cast<uint32_t>(s.ack - c.snd_una);
  out.bytes = std::min(n.acked, tx.queued);
  out.fin = tx.fin_sent && n.acked > tx.queued;
  acknowledge_records(core, c, s.ack, s.options, n);
  c.snd_una = s.ack;
  tx.queued -= out.bytes;
  release_chunks(core, c);
  tx.sack_high = later(tx.sack_high, s.ack);
  if (tx.small_out && tx.small_end <= s.ack) tx.small_out = false;
  if (tx.recover_set && tx.recover_at < s.ack) tx.recover_set = false;
  if (tx.undo_possible && tx.phase == Phase::open && tx.undo_una < s.ack) tx.undo_possible = false;
  core.count.out_bytes += out.bytes;
  measure(core, c, s.options, n);
  path_mtu_acked(core, c, n);
}

void begin(Core& core, Tcb& c, const InSegment& s) {
  Sending& tx = c.tx;
  c.snd_una = c.iss + 1;
  tx.started = true;
  tx.sack_high = c.snd_una;
  const bool syn_lost = tx.backoff > 0;
  tx.backoff = 0;
  tx.alarm = Alarm::none;
  tx.rto_at = Instant::never();
  c.snd_wnd = uint32_t{s.window} << (s.has(wire::kTcpSyn) ? 0 : c.snd_wind_shift);
  c.max_snd_wnd = c.snd_wnd;
  c.snd_wl1 = s.seq;
  c.snd_wl2 = s.ack;
  start_path_mtu(c);
  tx.last_sent = core.now;
  c.cc.start(core.config.tuning, core.now, tx.mss, syn_lost);
  schedule(core, c);
  if (new_waits(c)) core.mark(c);
}

}  // namespace

void syn_acknowledged(Core& core, Tcb& c, const InSegment& s) {
  AckNews n;
  if (c.tx.syn_count == 1) n.sent = c.tx.last_sent;
  const Tuning& t = core.config.tuning;
  c.rtt.start(t);
  measure(core, c, s.options, n);
  if (c.tx.backoff && !c.rtt.measured()) c.rtt.handshake_timed_out(t);
  begin(core, c, s);
}

void start_from_cookie(Core& core, Tcb& c, const InSegment& s) {
  c.rtt.start(core.config.tuning);
  c.tx.syn_count = 1;
  begin(core, c, s);
}

Acked acknowledge(Core& core, Tcb& c, const InSegment& s) {
  Sending& tx = c.tx;
  Acked out;
  AckNews n{.prior_una = c.snd_una, .prior_flight = outstanding(c)};
  const bool was_closed = c.snd_wnd == 0;
  const bool window_moved = update_window(c, s);
  n.echoed = c.ecn_ok && s.has(wire::kTcpEce);
  if (s.ack > c.snd_una) advance(core, c, s, n, out);
  else n.duplicate = s.ack == c.snd_una && c.snd_una != c.snd_nxt && !s.seg_len() && !window_moved;
  if (c.sack_ok && s.options.sack_blocks) take_sack(core, c, s, n);

  const bool amiss = tx.phase != Phase::open || tx.sacked || tx.lost || tx.duplicates || tx.tlp_out || n.duplicate ||
                     n.repeated || n.echoed;
  if (amiss) recover(core, c, s, n);
  else if (n.acked) c.cc.on_ack(core.now, n.acked, n.prior_flight, c.rtt.srtt(), n.rtt);

  if (was_closed && c.snd_wnd) tx.backoff = 0;
  if (n.acked) {
    if (!was_closed || c.snd_wnd) tx.backoff = 0;
    progressed(core, c);
  } else if ((!c.snd_wnd || was_closed) && !c.orphan) {
    // RFC 9293 3.8.6.1: a closed window is no failure while the peer answers; but nobody waits for an orphan's end.
    tx.progress_at = core.now;
  }
  if (new_waits(c) || resend_waits(c)) core.mark(c);
  schedule(core, c);
  return out;
}

uint32_t send_room(const Tcb& c) { return c.tx.queued < c.tx.send_buffer ? c.tx.send_buffer - c.tx.queued : 0; }

Outcome enqueue(Core& core, Tcb& c, const Slice* slices, unsigned n) {
  Sending& tx = c.tx;
  uint64_t bytes = 0;
  for (unsigned i = 0; i < n; i++) bytes += slices[i].length;
  if (bytes > send_room(c) || core.chunks.capacity() - core.chunks.used() < n) return Outcome::full;
  for (unsigned i = 0; i < n; i++) {
    const Slice& s = slices[i];
    if (!s.length) {
      release(core, s);
      continue;
    }
    const uint32_t added = core.chunks.take();
    Chunk& k = core.chunks.at(added);
    k.slice = s;
    k.begin = data_end(c);
    (tx.chunk_tail == kNone ? tx.chunk_head : core.chunks.at(tx.chunk_tail).next) = added;
    tx.chunk_tail = added;
    if (tx.next_chunk == kNone) tx.next_chunk = added;
    tx.queued += s.length;
  }
  return Outcome::ok;
}

void queue_fin(Core&, Tcb& c) { c.fin_queued = true; }

bool quotes_in_flight(const Tcb& c, Seq quoted) {
  return c.snd_una != c.snd_nxt && quoted >= c.snd_una && quoted < c.snd_nxt;
}

void drop_sending(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  core.cancel(c, Timer::retransmit);
  while (tx.record_head != kNone) remove_record(core, c, tx.record_head);
  while (tx.chunk_head != kNone) {
    const uint32_t i = tx.chunk_head;
    tx.chunk_head = core.chunks.at(i).next;
    release(core, core.chunks.at(i).slice);
    core.chunks.give(i);
  }
  tx.chunk_tail = tx.next_chunk = kNone;
  tx.queued = 0;
  tx.alarm = tx.early = Alarm::none;
  tx.armed_at = tx.rto_at = tx.early_at = Instant::never();
}

SenderView sender_view(const Core&, const Tcb& c) {
  static constexpr const char* kPhase[] = {"open", "disorder", "recovery", "loss", "cwr"};
  const Sending& tx = c.tx;
  return {.queued = tx.queued,
          .in_flight = outstanding(c),
          .lost = tx.lost,
          .sacked = tx.sacked,
          .retransmissions = tx.retransmissions,
          .mss = tx.mss,
          .path_mtu = tx.path_mtu,
          .phase = kPhase[static_cast<unsigned>(tx.phase)]};
}

}  // namespace sluice::tcp
