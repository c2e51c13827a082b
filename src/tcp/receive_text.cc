// Payload: what comes in order is queued for the application, what comes ahead of its turn waits, and the window says how
// much more may come (RFC 9293 3.8.6, 3.10.7.4 seventh; RFC 5681 4.2; RFC 2018; RFC 2883).
//
// Theory of operation
//
// Received mbufs are linked as they are, through their private areas. The queue holds what lies before rcv_nxt, `ahead`
// what lies behind a hole: sorted, free of overlaps. Where bytes come twice, those that were stored first stay, unless
// the newer segment covers them whole.
//
// What is held is charged, each buffer with at least kBufferCharge bytes, and the window shrinks by the charge: so small
// segments close the window before they pin the pool. Since the announced edge never moves back, a peer that sends
// single bytes into an announced window can overdraw: small segments are then copied behind the one before, and at twice
// the receive buffer segments are dropped.
#include <algorithm>
#include <cstring>

#include "tcp/machine.h"
#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp {

namespace {

struct Held {
  rte_mbuf* next;
  Seq begin;
  uint16_t offset, length;
  Seq end() const { return begin + length; }
};

Held& held(rte_mbuf* m) { return *static_cast<Held*>(rte_mbuf_to_priv(m)); }

constexpr Taken kHandled{Taken::By::caller}, kKept{Taken::By::library};
Taken refused(DropReason r) { return {Taken::By::nobody, r}; }

uint32_t charge_of(uint32_t length) { return length < kBufferCharge ? kBufferCharge : length; }

constexpr uint32_t kStretch = 16;  // full segments that one ACK may answer

uint32_t own_mss(const Tcb& c) { return c.mtu - (c.tuple.local.family == 4 ? 40u : 60u); }

// The step in which the window's edge moves (RFC 9293 3.8.6.2.2).
uint32_t window_step(const Tcb& c) {
  const uint32_t half = c.rx.receive_buffer / 2, mss = own_mss(c);
  return half < mss ? half : mss;
}

// The last quarter of the buffers is for connections that hold little: a few whose readers do not read can fill the
// rest, and must not end everybody's service.
constexpr uint32_t kModest = 16 * 1024;  // bytes of charge
bool buffers_are_scarce(const Core& core) { return core.buffers.held() > core.buffers.most() / 4 * 3; }

bool keep(Core& core, const Tcb& c, const rte_mbuf* m, uint32_t length) {
  const uint32_t charge = c.rx.charge + charge_of(length);
  if (charge > 2 * c.rx.receive_buffer || (charge > kModest && buffers_are_scarce(core))) return false;
  return core.buffers.adopt(m);
}

// Where the window could end.
Seq possible_edge(const Core& core, const Tcb& c) {
  const uint32_t limit = buffers_are_scarce(core) ? std::min(c.rx.receive_buffer, kModest) : c.rx.receive_buffer;
  const uint32_t room = limit > c.rx.charge ? limit - c.rx.charge : 0;
  const uint32_t tellable = uint32_t{UINT16_MAX} << c.rcv_wind_shift;
  return c.rcv_nxt + (room < tellable ? room : tellable);
}

}  // namespace

// ---- what the sender asks for

uint16_t announce_window(Core& core, Tcb& c, bool syn) {
  Receiving& rx = c.rx;
  if (rx.advertised < c.rcv_nxt) rx.advertised = c.rcv_nxt;
  const Seq possible = possible_edge(core, c);
  const Seq edge = possible - rx.advertised >= static_cast<int32_t>(window_step(c)) ? possible : rx.advertised;
  const auto window = static_cast<uint32_t>(edge - c.rcv_nxt);
  const unsigned shift = syn ? 0 : c.rcv_wind_shift;
  uint32_t field = window >> shift;
  // RFC 7323 2.4: rounding must not take back what was announced.
  if (c.rcv_nxt + (field << shift) < rx.advertised) field++;
  if (field > UINT16_MAX) field = UINT16_MAX;
  rx.advertised = later(rx.advertised, c.rcv_nxt + (field << shift));
  return static_cast<uint16_t>(field);
}

bool ack_owed(const Tcb& c) { return c.rx.quick_ack; }

void ack_sent(Core& core, Tcb& c) {
  Receiving& rx = c.rx;
  rx.quick_ack = false;
  rx.unacked_bytes = 0;
  rx.last_ack_sent = c.rcv_nxt;
  if (rx.delayed) {
    rx.delayed = false;
    core.cancel(c, Timer::ack);
  }
}

void fill_sack(Core&, Tcb& c, wire::TcpOptions& o, unsigned most) {
  o.sack_blocks = 0;
  if (!c.sack_ok) return;
  if (c.rx.dsack && most > 0) {
    o.sack[o.sack_blocks++] = c.rx.duplicate;
    c.rx.dsack = false;
  }
  for (unsigned i = 0; i < c.rx.sack_count && o.sack_blocks < most; i++) o.sack[o.sack_blocks++] = c.rx.recent[i];
}

// ---- SACK's memory

namespace {

// [begin, end) has arrived ahead: it goes first, together with the blocks that it touches (RFC 2018 4).
void note_block(Receiving& rx, Seq begin, Seq end) {
  wire::SackBlock kept[wire::kMaxSackBlocks];
  unsigned n = 0;
  for (unsigned i = 0; i < rx.sack_count; i++) {
    const Seq left{rx.recent[i].left}, right{rx.recent[i].right};
    if (right < begin || left > end) {
      if (n < wire::kMaxSackBlocks - 1) kept[n++] = rx.recent[i];
      continue;
    }
    begin = earlier(begin, left);
    end = later(end, right);
  }
  rx.recent[0] = {begin.v, end.v};
  for (unsigned i = 0; i < n; i++) rx.recent[i + 1] = kept[i];
  rx.sack_count = static_cast<uint8_t>(n + 1);
}

// Blocks hold nothing before `from` and nothing from `to` on.
void clip_blocks(Receiving& rx, Seq from, Seq to) {
  unsigned n = 0;
  for (unsigned i = 0; i < rx.sack_count; i++) {
    const Seq left = later(Seq{rx.recent[i].left}, from), right = earlier(Seq{rx.recent[i].right}, to);
    if (left < right) rx.recent[n++] = {left.v, right.v};
  }
  rx.sack_count = static_cast<uint8_t>(n);
}

void note_duplicate(Core& core, Tcb& c, Seq begin, Seq end) {
  core.count.duplicate_bytes += static_cast<uint32_t>(end - begin);
  c.rx.duplicate = {begin.v, end.v};
  c.rx.dsack = true;
}

}  // namespace

// ---- arrival

Taken Machine::text(Tcb& c, const InSegment& s) {
  if (s.length == 0) return kHandled;
  Seq begin = s.seq, end = s.seq + s.length;
  uint16_t offset = s.offset;
  if (begin < c.rcv_nxt) {
    note_duplicate(core, c, begin, earlier(end, c.rcv_nxt));
    c.rx.quick_ack = true;
    core.mark(c);
    if (end <= c.rcv_nxt) return kHandled;
    offset = static_cast<uint16_t>(offset + (c.rcv_nxt - begin));
    begin = c.rcv_nxt;
  }
  if (end > c.rx.advertised) {
    end = c.rx.advertised;
    c.rx.quick_ack = true;
    core.mark(c);
    if (end <= begin) return kHandled;
  }
  const auto length = static_cast<uint16_t>(end - begin);
  return begin == c.rcv_nxt ? in_order(c, s.m, offset, length) : out_of_order(c, s.m, begin, offset, length);
}

Taken Machine::in_order(Tcb& c, rte_mbuf* m, uint16_t offset, uint16_t length) {
  Receiving& rx = c.rx;
  Taken taken = kKept;
  // What fills the hole goes before what lies behind it (RFC 2018 8 lets the receiver take that back): else small segments
  // ahead could use the buffer up, and the connection would stand still for ever.
  while (rx.ahead && rx.charge + charge_of(length) > 2 * rx.receive_buffer) drop_furthest(c);
  if (rx.ahead && core.buffers.held() >= core.buffers.most()) drop_furthest(c);
  if (coalesce(c, m, offset, length)) {
    core.count.coalesced++;
    taken = kHandled;
  } else if (!keep(core, c, m, length)) {
    core.count.memory_dropped++;
    rx.quick_ack = true;
    core.mark(c);
    return refused(DropReason::tcp_memory);
  } else {
    held(m) = {nullptr, c.rcv_nxt, offset, length};
    (rx.queue_tail ? held(rx.queue_tail).next : rx.queue_head) = m;
    rx.queue_tail = m;
    rx.queue_buffers++;
    rx.charge += charge_of(length);
  }
  rx.queue_bytes += length;
  c.rcv_nxt += length;
  core.count.in_bytes += length;
  if (rx.ahead) {
    // RFC 5681 4.2: what fills a hole is acknowledged at once.
    rx.quick_ack = true;
    drain_ahead(c);
  }
  owe_ack(c, length);
  tell(c, 0);
  return taken;
}

// Copied behind the last buffer, if it is small and that one is ours alone and has room.
bool Machine::coalesce(Tcb& c, rte_mbuf* m, uint16_t offset, uint16_t length) {
  rte_mbuf* tail = c.rx.queue_tail;
  if (!tail || length >= kBufferCharge) return false;
  Held& h = held(tail);
  if (h.length + length > UINT16_MAX || rte_mbuf_refcnt_read(tail) != 1 || !RTE_MBUF_DIRECT(tail)) return false;
  const uint32_t used = uint32_t{h.offset} + h.length;
  if (tail->data_off + used + length > tail->buf_len) return false;
  std::memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t*, used), rte_pktmbuf_mtod_offset(m, uint8_t*, offset), length);
  if (tail->data_len < used + length) tail->pkt_len = tail->data_len = static_cast<uint16_t>(used + length);
  c.rx.charge += charge_of(h.length + uint32_t{length}) - charge_of(h.length);
  h.length = static_cast<uint16_t>(h.length + length);
  return true;
}

void Machine::drain_ahead(Tcb& c) {
  Receiving& rx = c.rx;
  while (rx.ahead && held(rx.ahead).begin <= c.rcv_nxt) {
    rte_mbuf* m = rx.ahead;
    Held& h = held(m);
    rx.ahead = h.next;
    rx.ahead_buffers--;
    rx.ahead_bytes -= h.length;
    const uint32_t before = charge_of(h.length);
    const auto known = static_cast<uint16_t>(earlier(c.rcv_nxt, h.end()) - h.begin);
    if (known == h.length) {
      rx.charge -= before;
      core.buffers.free(m);
      continue;
    }
    h.offset = static_cast<uint16_t>(h.offset + known);
    h.length = static_cast<uint16_t>(h.length - known);
    h.begin = c.rcv_nxt;
    h.next = nullptr;
    rx.charge -= before - charge_of(h.length);
    (rx.queue_tail ? held(rx.queue_tail).next : rx.queue_head) = m;
    rx.queue_tail = m;
    rx.queue_buffers++;
    rx.queue_bytes += h.length;
    c.rcv_nxt += h.length;
    core.count.in_bytes += h.length;
  }
  if (!rx.ahead) rx.ahead_tail = nullptr;
  clip_blocks(rx, c.rcv_nxt, c.rx.advertised);
}

void Machine::drop_furthest(Tcb& c) {
  Receiving& rx = c.rx;
  rte_mbuf* before = nullptr;
  rte_mbuf* m = rx.ahead;
  for (; held(m).next; m = held(m).next) before = m;
  (before ? held(before).next : rx.ahead) = nullptr;
  rx.ahead_tail = before;
  rx.ahead_buffers--;
  rx.ahead_bytes -= held(m).length;
  rx.charge -= charge_of(held(m).length);
  clip_blocks(rx, c.rcv_nxt, held(m).begin);
  core.buffers.free(m);
  core.count.out_of_order_dropped++;
}

Taken Machine::out_of_order(Tcb& c, rte_mbuf* m, Seq begin, uint16_t offset, uint16_t length) {
  Receiving& rx = c.rx;
  Seq end = begin + length;
  rte_mbuf* before = nullptr;
  rte_mbuf* at = rx.ahead;
  if (rx.ahead_tail && held(rx.ahead_tail).end() <= begin) {
    before = rx.ahead_tail;
    at = nullptr;
  }
  for (; at && held(at).end() <= begin; at = held(at).next) before = at;
  if (at && held(at).begin <= begin) {  // its front is known
    const Seq known = earlier(held(at).end(), end);
    note_duplicate(core, c, begin, known);
    offset = static_cast<uint16_t>(offset + (known - begin));
    begin = known;
    before = at;
    at = held(at).next;
  }
  while (at && held(at).begin < end && held(at).end() <= end) {  // covers what is there
    rte_mbuf* next = held(at).next;
    core.count.duplicate_bytes += held(at).length;
    rx.ahead_buffers--;
    rx.ahead_bytes -= held(at).length;
    rx.charge -= charge_of(held(at).length);
    (before ? held(before).next : rx.ahead) = next;
    if (!next) rx.ahead_tail = before;
    core.buffers.free(at);
    at = next;
  }
  if (at && held(at).begin < end) {  // its back is known
    note_duplicate(core, c, held(at).begin, end);
    end = held(at).begin;
  }
  Taken taken = kHandled;
  if (begin < end) {
    const auto rest = static_cast<uint16_t>(end - begin);
    const bool many = rx.ahead_buffers >= core.config.limits.out_of_order ||
                      rx.charge + charge_of(rest) > 2 * rx.receive_buffer;
    if (many && at) drop_furthest(c);
    if ((many && !at) || !keep(core, c, m, rest)) {
      core.count.out_of_order_dropped++;
      taken = refused(DropReason::tcp_memory);
    } else {
      if (before == nullptr || held(before).next != at) at = before ? held(before).next : rx.ahead;
      held(m) = {at, begin, offset, rest};
      (before ? held(before).next : rx.ahead) = m;
      if (!at) rx.ahead_tail = m;
      rx.ahead_buffers++;
      rx.ahead_bytes += rest;
      rx.charge += charge_of(rest);
      core.count.out_of_order++;
      // The block that is told holds all that is contiguous with it (RFC 2018 4), what was told long ago too.
      Seq from = begin, to = end;
      if (before && held(before).end() == begin) {
        from = held(rx.ahead).begin;
        for (rte_mbuf* k = rx.ahead; k != before; k = held(k).next)
          if (held(k).end() != held(held(k).next).begin) from = held(held(k).next).begin;
      }
      for (; at && held(at).begin == to; at = held(at).next) to = held(at).end();
      note_block(rx, from, to);
      taken = kKept;
    }
  }
  // RFC 5681 4.2: a duplicate ACK for each, at once; it is not held back for the burst's end.
  send_ack(core, c);
  return taken;
}

void Machine::owe_ack(Tcb& c, uint32_t length) {
  Receiving& rx = c.rx;
  if (length > rx.segment_estimate) rx.segment_estimate = static_cast<uint16_t>(length);
  rx.unacked_bytes += length;
  // RFC 9293 3.8.6.3, RFC 5681 4.2: at the latest for every second full segment. Within a burst one ACK answers more,
  // but not so many that the peer's clock stops.
  if (rx.unacked_bytes >= 2u * rx.segment_estimate) rx.quick_ack = true;
  if (rx.quick_ack) {
    if (rx.unacked_bytes >= kStretch * rx.segment_estimate) send_ack(core, c);
    else core.mark(c);
  } else if (!rx.delayed) {
    rx.delayed = true;
    core.arm(c, Timer::ack, core.now + core.config.tuning.delayed_ack);
  }
}

// ---- the application

Event Machine::take_data(Tcb& c) {
  Receiving& rx = c.rx;
  rte_mbuf* m = rx.queue_head;
  const Held h = held(m);
  rx.queue_head = h.next;
  if (!h.next) rx.queue_tail = nullptr;
  rx.queue_buffers--;
  rx.queue_bytes -= h.length;
  rx.given_bytes += h.length;
  rx.given_charge += charge_of(h.length);
  return {.kind = EventKind::data, .offset = h.offset, .length = h.length, .conn = id_of(c), .user = c.user, .m = m};
}

void Machine::open_window(Tcb& c) {
  if (c.state != State::established && c.state != State::fin_wait_1 && c.state != State::fin_wait_2) return;
  if (c.rx.fin_seen) return;
  const Seq announced = later(c.rx.advertised, c.rcv_nxt);
  const int32_t gain = possible_edge(core, c) - announced;
  if (gain < static_cast<int32_t>(window_step(c))) return;
  const bool nearly_closed = announced - c.rcv_nxt < static_cast<int32_t>(2 * own_mss(c));
  if (!nearly_closed && gain < static_cast<int32_t>(c.rx.receive_buffer / 4)) return;
  c.rx.quick_ack = true;
  core.mark(c);
}

void Machine::drop_received(Tcb& c) {
  Receiving& rx = c.rx;
  for (rte_mbuf* list : {rx.queue_head, rx.ahead})
    while (list) {
      rte_mbuf* next = held(list).next;
      core.buffers.free(list);
      list = next;
    }
  rx.queue_head = rx.queue_tail = rx.ahead = rx.ahead_tail = nullptr;
  rx.queue_bytes = rx.ahead_bytes = 0;
  rx.queue_buffers = rx.ahead_buffers = 0;
  rx.charge = rx.given_charge;
  rx.sack_count = 0;
}

}  // namespace sluice::tcp
