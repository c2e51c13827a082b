// What is sent, and when it may be: RFC 9293 3.8.6.2.1 (silly windows), 3.7.4 (Nagle, in Minshall's form: one small
// segment in flight at a time), RFC 5681 and 6675 (how much), RFC 3168 (ECN's bits).
#include "tcp/scoreboard.h"

#include "tcp/receiver.h"

namespace sluice::tcp {

namespace {

constexpr unsigned kPieces = 64;  // slices of one OutSegment; more of them make it shorter

// A segment under construction: what every one of them repeats.
struct Draft {
  Draft(Core& core, Tcb& c, Seq seq, uint8_t flags) {
    wire::TcpOptions o;
    if (c.ts_ok) {
      o.has_timestamps = true;
      o.ts_val = core.timestamp_of(c);
      o.ts_ecr = c.rx.ts_recent;
    }
    if (c.sack_ok && (flags & wire::kTcpRst) == 0) fill_sack(core, c, o, c.ts_ok ? 3 : 4);
    finish(core, c, seq, flags, o);
    s.window = announce_window(core, c, false);
    if (c.ecn_ok && c.rx.ece) s.flags |= wire::kTcpEce;
  }
  Draft(Core& core, const Tcb& c, Seq seq, uint8_t flags, const wire::TcpOptions& o) { finish(core, c, seq, flags, o); }
  Draft(const Draft&) = delete;

  OutSegment s;
  Slice piece[kPieces];
  uint8_t option[wire::kMaxTcpOptions];

 private:
  void finish(Core& core, const Tcb& c, Seq seq, uint8_t flags, const wire::TcpOptions& o) {
    s.tuple = c.tuple;
    s.seq = seq;
    s.ack = flags & wire::kTcpAck ? c.rcv_nxt : Seq{};
    s.flags = flags;
    s.options = {option, wire::build_tcp_options(option, o)};
    s.hop_limit = core.config.tuning.hop_limit;
    s.dont_fragment = !c.tx.may_fragment;
    s.path = c.path;
  }
};

// Names the bytes [begin, begin + length) in the draft; returns how many it could.
uint32_t gather(const Core& core, Draft& d, uint32_t chunk, Seq begin, uint32_t length) {
  uint32_t got = 0;
  unsigned n = 0;
  for (; got < length && n < kPieces; n++) {
    const Chunk& k = core.chunks.at(chunk);
    const auto offset = static_cast<uint32_t>(begin + got - k.begin);
    d.piece[n].m = k.slice.m;
    d.piece[n].data = k.slice.data + offset;
    d.piece[n].length = std::min(k.slice.length - offset, length - got);
    got += d.piece[n].length;
    chunk = k.next;
  }
  d.s.payload = {d.piece, n};
  return d.s.length = got;
}

// Payload of a full segment that carries what is owed now: SACK blocks take their bytes (RFC 9293 MUST-16).
uint32_t segment_room(const Tcb& c) {
  if (!c.sack_ok) return c.tx.mss;
  const unsigned blocks = std::min(c.rx.sack_count + unsigned{c.rx.dsack}, c.ts_ok ? 3u : 4u);
  if (!blocks) return c.tx.mss;
  const uint32_t taken = 4 + 8 * blocks;
  return c.tx.mss > taken + 8 ? c.tx.mss - taken : 8;
}

enum class Sent : uint8_t { first, again, probe };

// Sends data from `begin` on, at most `length` bytes of it, with the FIN if `fin` and all of them fit. Returns the end of
// what was sent.
Seq send_data(Core& core, Tcb& c, Seq begin, uint32_t length, bool fin, uint32_t chunk, Sent how, uint32_t mss) {
  Draft d(core, c, begin, wire::kTcpAck);
  const uint32_t got = gather(core, d, chunk, begin, length);
  Seq end = begin + got;
  if (got && end == data_end(c)) d.s.flags |= wire::kTcpPsh;
  if (fin && got == length) {
    d.s.flags |= wire::kTcpFin;
    end += 1;
  }
  d.s.mss = static_cast<uint16_t>(mss);
  if (c.ecn_ok && how == Sent::first && got) {  // RFC 3168 6.1.4 to 6.1.6
    d.s.ecn = Ecn::ect0;
    if (c.tx.cwr_due) d.s.flags |= wire::kTcpCwr;
    c.tx.cwr_due = false;
  }
  const uint32_t packets = got ? (got + d.s.mss - 1) / d.s.mss : 1;
  (how == Sent::again ? core.count.retransmitted_segments : core.count.out_segments) += packets;
  if (how == Sent::again) c.tx.retransmissions += packets;
  core.sink.send(d.s);
  ack_sent(core, c);
  c.cc.on_sent(got);
  c.tx.last_sent = core.now;
  return end;
}

// How much of the queue goes into the next OutSegment; 0: nothing for now. `bare_fin`: a FIN without data.
struct Choice {
  uint32_t length = 0;
  bool fin = false;
  bool any() const { return length || fin; }
};

Choice choose(const Tcb& c, Seq from, bool overriding) {
  const Sending& tx = c.tx;
  const auto unsent = static_cast<uint32_t>(data_end(c) - from);
  const bool fin = fin_waits(c);
  const int32_t edge = right_edge(c) - from;
  const uint32_t window = edge > 0 ? static_cast<uint32_t>(edge) : 0;
  const uint32_t mss = segment_room(c);
  const uint32_t flight = in_flight(c);
  uint32_t room = c.cc.cwnd() > flight ? c.cc.cwnd() - flight : 0;
  if (!flight) room = std::max(room, mss);

  const uint32_t allowed = std::min({unsent, window, room, kMaxBurst});
  if (allowed < unsent) {
    if (allowed >= mss) return {allowed - allowed % mss, false};
    if (allowed < window || !allowed) return {};      // congestion control waits for an ACK
    if ((c.snd_una == from || !tx.nagle) && allowed >= c.max_snd_wnd / 2) return {allowed, false};
    return {overriding ? allowed : 0, false};
  }
  const bool with_fin = fin && window > unsent;
  const uint32_t tail = unsent % mss;
  if (!tail || with_fin || overriding) return {unsent, with_fin};
  const bool held = tx.nagle && tx.small_out && c.snd_una != from;
  return {held ? unsent - tail : unsent, false};
}

// What was sent last ends at `end`, which may be less than was meant.
void finish_new(Core& core, Tcb& c, Seq end, bool with_fin) {
  Sending& tx = c.tx;
  core.records.at(tx.record_tail).end = end;
  if (with_fin) tx.fin_sent = true;
  if (static_cast<uint32_t>(end - c.snd_nxt - with_fin) % tx.mss) {
    tx.small_out = true;
    tx.small_end = end;
  }
  while (tx.next_chunk != kNone && core.chunks.at(tx.next_chunk).end() <= end)
    tx.next_chunk = core.chunks.at(tx.next_chunk).next;
  c.snd_nxt = end;
}

void restart_after_idle(Core& core, Tcb& c) {
  const Duration idle = core.now - c.tx.last_sent;
  if (idle > c.rtt.rto()) c.cc.after_idle(core.now, idle, c.rtt.rto());
}

}  // namespace

void send_new(Core& core, Tcb& c, bool overriding) {
  Sending& tx = c.tx;
  bool fresh = true;
  while (new_waits(c) || only_window_probe(core, c)) {
    // The byte that probed a closed window goes again with what follows it, now that the window is open.
    const bool rewind = only_window_probe(core, c) && c.snd_wnd;
    const Seq from = rewind ? c.snd_una : c.snd_nxt;
    const Choice pick = choose(c, from, overriding);
    if (!pick.any()) return;
    if (rewind) {
      tx.next_chunk = tx.chunk_head;
      remove_record(core, c, tx.record_head);
      c.snd_nxt = c.snd_una;
      fresh = false;
    }
    // The record first: without one there is nothing to recover by.
    const uint32_t chunk = tx.next_chunk;
    const uint8_t marks = fresh ? 0 : Record::kEverResent;
    if (!append_record(core, c, from + pick.length + pick.fin, chunk, marks)) return;
    const Seq end = send_data(core, c, from, pick.length, pick.fin, chunk, fresh ? Sent::first : Sent::again,
                              segment_room(c));
    finish_new(core, c, end, pick.fin && end == from + pick.length + 1);
    sent_something(core, c, fresh);
    fresh = true;
    overriding = false;
  }
}

void send_tail_probe(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  const int32_t edge = right_edge(c) - c.snd_nxt;
  if (edge <= 0 || tx.next_chunk == kNone) return;
  const uint32_t chunk = tx.next_chunk;
  const uint32_t length = std::min({static_cast<uint32_t>(data_end(c) - c.snd_nxt), static_cast<uint32_t>(edge), segment_room(c)});
  if (!append_record(core, c, c.snd_nxt + length, chunk, 0)) return;
  finish_new(core, c, send_data(core, c, c.snd_nxt, length, false, chunk, Sent::first, segment_room(c)), false);
}

void send_in_one(Core& core, Tcb& c, uint32_t length) {
  const uint32_t chunk = c.tx.next_chunk;
  if (!append_record(core, c, c.snd_nxt + length, chunk, Record::kMtuProbe)) return;
  finish_new(core, c, send_data(core, c, c.snd_nxt, length, false, chunk, Sent::first, length), false);
  sent_something(core, c, true);
}

bool resend_range(Core& core, Tcb& c, uint32_t record, uint32_t most) {
  Sending& tx = c.tx;
  Record& r = core.records.at(record);
  while (r.length() < most && join_with_next(core, c, record)) {}
  bool fin = tx.fin_sent && r.end > data_end(c);
  if (r.length() - fin > most) {
    if (!split_record(core, c, record, r.begin + most)) return false;
    fin = false;
  }
  const Seq end = send_data(core, c, r.begin, r.length() - fin, fin, r.chunk, Sent::again, segment_room(c));
  if (end != r.end && !split_record(core, c, record, end)) return false;  // too many pieces for one
  if (!tx.undo_stamp) tx.undo_stamp = core.timestamp_of(c) | !core.timestamp_of(c);
  tx.undo_bytes += r.length();
  if (r.is(Record::kLost)) mark_resent(c, r);
  r.marks |= Record::kEverResent;
  r.marks &= static_cast<uint8_t>(~Record::kMtuProbe);
  r.sent = core.now;
  sent_something(core, c, false);
  return true;
}

void resend_head(Core& core, Tcb& c) {
  const uint32_t head = c.tx.record_head;
  if (head == kNone) return;
  uint32_t most = segment_room(c);
  // The window shrank to less than a segment: no more than it has, but something (RFC 9293 3.8.6, SHLD-17).
  if (c.snd_wnd) most = std::min(most, c.snd_wnd);
  if (resend_range(core, c, head, most)) return;
  // No record to account for a part of it: sent all the same, or nothing would ever free one.
  const Record& r = core.records.at(head);
  send_data(core, c, r.begin, std::min(r.length(), most), false, r.chunk, Sent::again, segment_room(c));
}

void resend(Core& core, Tcb& c) {
  const uint32_t mss = segment_room(c);
  while (resend_waits(c)) {
    const uint32_t i = first_to_resend(core, c);
    if (i == kNone) return;
    const Record& r = core.records.at(i);
    const uint32_t flight = in_flight(c);
    const uint32_t room = c.cc.cwnd() > flight ? c.cc.cwnd() - flight : 0;
    const uint32_t wanted = std::min(r.length(), mss);
    if (room < wanted && flight) return;
    const int32_t edge = right_edge(c) - r.begin;
    const bool head = i == c.tx.record_head;
    if (edge <= 0 && !head) return;
    uint32_t most = std::max(mss, room - room % mss);
    if (edge > 0) most = std::min(most, static_cast<uint32_t>(edge));
    if (!resend_range(core, c, i, std::min(most, kMaxBurst)) || edge <= 0) return;
  }
}

void send_window_probe(Core& core, Tcb& c) {
  if (only_window_probe(core, c)) {
    Record& r = core.records.at(c.tx.record_head);
    send_data(core, c, r.begin, 1, false, r.chunk, Sent::again, 1);
    r.sent = core.now;
  } else if (new_waits(c)) {
    const uint32_t chunk = c.tx.next_chunk;
    const bool fin = chunk == kNone;
    // A FIN is sent as always, and repeated as always: there is nothing behind it.
    const uint8_t marks = fin ? Record::kEverResent : Record::kWindowProbe | Record::kEverResent;
    if (!append_record(core, c, c.snd_nxt + 1, chunk, marks)) return;
    if (fin) c.tx.fin_sent = true;
    c.snd_nxt = send_data(core, c, c.snd_nxt, !fin, fin, chunk, Sent::probe, 1);
    if (!fin && core.chunks.at(chunk).end() <= c.snd_nxt) c.tx.next_chunk = core.chunks.at(chunk).next;
  } else {
    return;
  }
  core.count.window_probes++;
}

namespace {
// RFC 5682 2.1, step 2b. false: there is nothing new that may be sent.
bool send_new_for_frto(Core& core, Tcb& c) {
  const Seq before = c.snd_nxt;
  send_new(core, c, false);
  return c.snd_nxt != before || c.tx.recover_at < before;
}
}  // namespace

void output(Core& core, Tcb& c) {
  if (c.tx.started && carries_data(c.state)) {
    if (c.snd_una == c.snd_nxt && new_waits(c)) restart_after_idle(core, c);
    if (c.tx.frto == 2 && !send_new_for_frto(core, c)) c.tx.frto = 0;
    if (!c.tx.frto && resend_waits(c)) resend(core, c);
    if (c.tx.search_high || core.now >= c.tx.mtu_again) probe_path_mtu(core, c);
    if (!resend_waits(c) && (new_waits(c) || only_window_probe(core, c)))
      send_new(core, c, false);
    schedule(core, c);
  }
  if (ack_owed(c)) send_ack(core, c);
}

void send_ack(Core& core, Tcb& c) {
  // Behind a window that was closed or shrank, only its edge is acceptable to the peer.
  const Seq seq = c.tx.started ? later(c.snd_una, earlier(c.snd_nxt, right_edge(c))) : c.snd_nxt;
  Draft d(core, c, seq, wire::kTcpAck);
  core.count.out_segments++;
  core.count.pure_acks++;
  core.sink.send(d.s);
  ack_sent(core, c);
}

void send_keepalive(Core& core, Tcb& c) {
  Draft d(core, c, c.snd_una - 1, wire::kTcpAck);
  core.count.out_segments++;
  core.count.keepalives++;
  core.sink.send(d.s);
  ack_sent(core, c);
}

// Behind the peer's window it would not count (RFC 9293 3.10.7.4): what probed a closed one was not taken.
void send_reset(Core& core, const Tcb& c) {
  wire::TcpOptions o;
  if (c.ts_ok) {
    o.has_timestamps = true;
    o.ts_val = core.timestamp_of(c);
    o.ts_ecr = c.rx.ts_recent;
  }
  const bool knows_peer = c.state >= State::syn_received;
  const Seq edge = c.snd_una + c.snd_wnd;
  const Seq seq = c.synchronized() && edge < c.snd_nxt ? edge : c.snd_nxt;
  Draft d(core, c, seq, static_cast<uint8_t>(wire::kTcpRst | (knows_peer ? wire::kTcpAck : 0)), o);
  core.count.out_resets++;
  core.sink.send(d.s);
}

void send_syn(Core& core, Tcb& c) {
  const Tuning& t = core.config.tuning;
  const bool active = c.state == State::syn_sent;
  wire::TcpOptions o;
  o.has_mss = true;
  o.mss = static_cast<uint16_t>(c.mtu - ip_tcp_headers(c));
  o.sack_permitted = active ? t.sack : c.sack_ok;
  o.has_timestamps = active ? t.timestamps : c.ts_ok;
  o.ts_val = o.has_timestamps ? core.timestamp_of(c) : 0;
  o.ts_ecr = active ? 0 : c.rx.ts_recent;
  o.has_window_scale = active ? t.window_scaling : c.ws_ok;
  o.window_scale = c.rcv_wind_shift;
  uint8_t flags = active ? wire::kTcpSyn : wire::kTcpSyn | wire::kTcpAck;
  // RFC 3168 6.1.1; after a timeout without it, since a box in between may throw such SYNs away.
  if (active && t.ecn && t.ecn_active && !c.tx.backoff) flags |= wire::kTcpEce | wire::kTcpCwr;
  if (!active && c.ecn_ok) flags |= wire::kTcpEce;

  Draft d(core, c, c.iss, flags, o);
  d.s.window = announce_window(core, c, true);
  Sending& tx = c.tx;
  if (tx.syn_count) core.count.syn_retransmits++;
  else core.count.out_segments++;
  core.sink.expects(c.tuple);
  core.sink.send(d.s);
  if (!active) ack_sent(core, c);
  if (!tx.syn_count) {
    c.snd_una = c.iss;
    c.snd_nxt = c.iss + 1;
    c.rtt.start(t);
    tx.progress_at = core.now;
  }
  if (tx.syn_count < UINT8_MAX) tx.syn_count++;
  tx.last_sent = core.now;
  schedule(core, c);
}

void send_stateless(Core& core, const Tuple& t, const Path& p, uint8_t flags, Seq seq, Seq ack, uint16_t window,
                    const wire::TcpOptions& options) {
  uint8_t option[wire::kMaxTcpOptions];
  OutSegment s;
  s.tuple = t;
  s.seq = seq;
  s.ack = ack;
  s.flags = flags;
  s.window = window;
  s.options = {option, wire::build_tcp_options(option, options)};
  s.hop_limit = core.config.tuning.hop_limit;
  s.path = p;
  core.count.out_segments++;
  if (flags & wire::kTcpRst) core.count.out_resets++;
  core.sink.send(s);
}

}  // namespace sluice::tcp
