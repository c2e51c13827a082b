#include "tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

void account(Sending& tx, const Record& r, uint32_t bytes, bool add) {
  auto change = [&](uint32_t& n) { add ? n += bytes : n -= bytes; };
  if (r.is(Record::kSacked)) change(tx.sacked);
  if (r.is(Record::kLost)) change(tx.lost);
  if (r.is(Record::kResent)) change(tx.retransmitted);
}

void link_after(Core& core, Tcb& c, uint32_t at, uint32_t added) {
  Sending& tx = c.tx;
  Record& r = core.records.at(added);
  r.prev = at;
  r.next = at == kNone ? kNone : core.records.at(at).next;
  (at == kNone ? tx.record_head : core.records.at(at).next) = added;
  (r.next == kNone ? tx.record_tail : core.records.at(r.next).prev) = added;
  tx.records++;
}

// The record that holds `s`, from the nearer end; s lies in snd_una … snd_nxt.
uint32_t find(const Core& core, const Tcb& c, Seq s) {
  if (s - c.snd_una <= c.snd_nxt - s) {
    uint32_t i = c.tx.record_head;
    while (i != kNone && core.records.at(i).end <= s) i = core.records.at(i).next;
    return i;
  }
  uint32_t i = c.tx.record_tail;
  while (i != kNone && core.records.at(i).begin > s) i = core.records.at(i).prev;
  return i;
}

// `into` takes over what follows it.
void absorb_next(Core& core, Tcb& c, uint32_t into) {
  Record& r = core.records.at(into);
  const uint32_t gone = r.next;
  const Record& g = core.records.at(gone);
  r.end = g.end;
  r.marks |= g.marks & (Record::kEverResent | Record::kMtuProbe);
  r.packets = static_cast<uint16_t>(r.packets + g.packets);
  r.next = g.next;
  (r.next == kNone ? c.tx.record_tail : core.records.at(r.next).prev) = into;
  if (c.tx.resend_hint == gone) c.tx.resend_hint = into;
  c.tx.records--;
  core.records.give(gone);
}

void mark_sacked(Core& core, Tcb& c, uint32_t index) {
  Sending& tx = c.tx;
  Record& r = core.records.at(index);
  account(tx, r, r.length(), false);
  r.marks = static_cast<uint8_t>((r.marks & ~(Record::kLost | Record::kResent)) | Record::kSacked);
  account(tx, r, r.length(), true);
  r.packets = static_cast<uint16_t>(std::max(1u, (r.length() + tx.mss - 1) / tx.mss));
  tx.sacked_packets = static_cast<uint16_t>(tx.sacked_packets + r.packets);
}

// [left, right) lies in snd_una … snd_nxt.
void sack_range(Core& core, Tcb& c, Seq left, Seq right, const wire::TcpOptions& o, AckNews& n) {
  uint32_t i = find(core, c, left);
  while (i != kNone && core.records.at(i).begin < right) {
    if (!core.records.at(i).is(Record::kSacked)) {
      if (core.records.at(i).begin < left) {
        if (!split_record(core, c, i, left)) return;
        i = core.records.at(i).next;
      }
      if (core.records.at(i).end > right && !split_record(core, c, i, right)) return;
      Record& r = core.records.at(i);
      record_delivered(core, c, r, r.end, o, n);
      n.sacked = true;
      mark_sacked(core, c, i);
      const uint32_t before = r.prev;
      if (before != kNone && core.records.at(before).is(Record::kSacked)) {
        absorb_next(core, c, before);
        i = before;
      }
      const uint32_t after = core.records.at(i).next;
      if (after != kNone && core.records.at(after).is(Record::kSacked)) absorb_next(core, c, i);
    }
    i = core.records.at(i).next;
  }
}

// RFC 2883 4: the first block lies below the acknowledgment, or within the second one.
bool reports_duplicate(const InSegment& s) {
  const wire::TcpOptions& o = s.options;
  const Seq left{o.sack[0].left}, right{o.sack[0].right};
  if (right <= s.ack) return true;
  return o.sack_blocks > 1 && left >= Seq{o.sack[1].left} && right <= Seq{o.sack[1].right};
}

}  // namespace

bool append_record(Core& core, Tcb& c, Seq end, uint32_t chunk, uint8_t marks) {
  Sending& tx = c.tx;
  if (tx.record_tail != kNone) {  // sent in the same turn: one record does for both
    Record& t = core.records.at(tx.record_tail);
    if (t.sent == core.now && t.marks == marks && marks == 0) {
      t.end = end;
      return true;
    }
  }
  if (tx.records >= kRecordsToSend) return false;
  const uint32_t i = core.records.take();
  if (i == kNone) return false;
  Record& r = core.records.at(i);
  r.begin = c.snd_nxt;
  r.end = end;
  r.sent = core.now;
  r.chunk = chunk;
  r.marks = marks;
  link_after(core, c, tx.record_tail, i);
  return true;
}

bool split_record(Core& core, Tcb& c, uint32_t index, Seq at) {
  if (c.tx.records >= kRecordsToSplit) return false;
  const uint32_t added = core.records.take();
  if (added == kNone) return false;
  Record& r = core.records.at(index);
  Record& second = core.records.at(added);
  second = r;
  second.begin = at;
  second.marks &= static_cast<uint8_t>(~Record::kWindowProbe);
  r.end = at;
  while (second.chunk != kNone && core.chunks.at(second.chunk).end() <= at)
    second.chunk = core.chunks.at(second.chunk).next;
  link_after(core, c, index, added);
  return true;
}

bool join_with_next(Core& core, Tcb& c, uint32_t index) {
  constexpr uint8_t kSame = Record::kSacked | Record::kLost | Record::kResent | Record::kMtuProbe;
  const Record& r = core.records.at(index);
  if (r.next == kNone) return false;
  const Record& next = core.records.at(r.next);
  if ((r.marks & kSame) != Record::kLost || (next.marks & kSame) != Record::kLost) return false;
  absorb_next(core, c, index);
  return true;
}

void remove_record(Core& core, Tcb& c, uint32_t index) {
  Sending& tx = c.tx;
  const Record& r = core.records.at(index);
  account(tx, r, r.length(), false);
  if (r.is(Record::kSacked)) tx.sacked_packets = static_cast<uint16_t>(tx.sacked_packets - r.packets);
  if (tx.resend_hint == index) tx.resend_hint = r.next;
  (r.prev == kNone ? tx.record_head : core.records.at(r.prev).next) = r.next;
  (r.next == kNone ? tx.record_tail : core.records.at(r.next).prev) = r.prev;
  tx.records--;
  core.records.give(index);
}

void acknowledge_records(Core& core, Tcb& c, Seq ack, const wire::TcpOptions& o, AckNews& n) {
  while (c.tx.record_head != kNone) {
    Record& r = core.records.at(c.tx.record_head);
    if (r.begin >= ack) return;
    const Seq upto = earlier(r.end, ack);
    if (!r.is(Record::kSacked)) {
      if (r.is(Record::kEverResent)) n.resent_acked = true;
      else if (n.sent == Instant::never()) n.sent = r.sent;
      record_delivered(core, c, r, upto, o, n);
    }
    if (upto != r.end) {
      account(c.tx, r, static_cast<uint32_t>(upto - r.begin), false);
      r.begin = upto;
      return;
    }
    remove_record(core, c, c.tx.record_head);
  }
}

void take_sack(Core& core, Tcb& c, const InSegment& s, AckNews& n) {
  const wire::TcpOptions& o = s.options;
  unsigned first = 0;
  if (reports_duplicate(s)) {
    const Seq left{o.sack[0].left}, right{o.sack[0].right};
    first = 1;
    // Of what was sent within the last window only: older ones tell nothing about this recovery.
    if (left < right && right <= c.snd_nxt && right - left <= static_cast<int32_t>(c.max_snd_wnd) &&
        c.snd_una - left <= static_cast<int32_t>(c.max_snd_wnd)) {
      core.count.dsacks_received++;
      n.repeated = static_cast<uint32_t>(right - left);
      n.repeated_end = right;
    } else {
      core.count.sack_invalid++;
    }
  }
  for (unsigned b = first; b < o.sack_blocks; b++) {
    Seq left{o.sack[b].left};
    const Seq right{o.sack[b].right};
    if (left >= right || right > c.snd_nxt || left < s.ack) {
      core.count.sack_invalid++;
      continue;
    }
    if (right <= c.snd_una) continue;  // an acknowledgment that was overtaken
    left = later(left, c.snd_una);
    sack_range(core, c, left, right, o, n);
  }
}

void mark_lost(Core& core, Tcb& c, uint32_t index) {
  Sending& tx = c.tx;
  Record& r = core.records.at(index);
  if (r.is(Record::kLost)) {
    if (!r.is(Record::kResent)) return;
    tx.retransmitted -= r.length();  // the retransmission is lost, too
    r.marks &= static_cast<uint8_t>(~Record::kResent);
  } else {
    tx.lost += r.length();
    r.marks |= Record::kLost;
  }
  if (tx.resend_hint == kNone || r.begin < core.records.at(tx.resend_hint).begin) tx.resend_hint = index;
}

void mark_resent(Tcb& c, Record& r) {
  r.marks |= Record::kResent | Record::kEverResent;
  c.tx.retransmitted += r.length();
}

void forget_sacks(Core& core, Tcb& c) {
  for (uint32_t i = c.tx.record_head; i != kNone; i = core.records.at(i).next) {
    Record& r = core.records.at(i);
    r.marks &= static_cast<uint8_t>(~Record::kSacked);
    r.packets = 0;
  }
  c.tx.sacked = 0;
  c.tx.sacked_packets = 0;
}

void forget_losses(Core& core, Tcb& c) {
  for (uint32_t i = c.tx.record_head; i != kNone; i = core.records.at(i).next)
    core.records.at(i).marks &= static_cast<uint8_t>(~(Record::kLost | Record::kResent));
  c.tx.lost = c.tx.retransmitted = 0;
  c.tx.resend_hint = kNone;
}

uint32_t first_to_resend(Core& core, Tcb& c) {
  uint32_t i = c.tx.resend_hint;
  while (i != kNone && (core.records.at(i).marks & (Record::kLost | Record::kResent)) != Record::kLost)
    i = core.records.at(i).next;
  return c.tx.resend_hint = i;
}

}  // namespace sluice::tcp
