#include "engine/worker.h"

#include <algorithm>

namespace sluice::engine {

Worker::Worker(unsigned id, Wiring& wiring, const path::PipelineConfig& c, NeighborTable& neighbors,
               rte_mempool* pool, shed::Shed& shed, bool timed)
    : id_(id), wiring_(wiring), pipeline_(c, neighbors, account_, pool), shed_(shed),
      upkeep_(wiring.receive_queues(id)), timed_(timed) {
  for (const auto& q : upkeep_) rx_.emplace_back(*wiring.ports[q.port], q.port, q.queue, shed);
  for (const auto& of_stack : wiring.to_worker) rings_.push_back(of_stack[id].get());
  rings_.push_back(wiring.steer[id].get());
  for (uint16_t i = 0; i < wiring.ports.size(); ++i) {
    const Wiring::Egress e = wiring.egress(id, i);
    egress_.push_back(e);
    if (e.owner) {
      by_proxy_.push_back(i);
      continue;
    }
    if (!wiring.transmit[i].empty()) proxies_.push_back({i, wiring.transmit[i][e.queue].get()});
    const auto same = [&](const Intake& q) { return q.port() == i && q.queue() == e.queue; };
    if (std::none_of(rx_.begin(), rx_.end(), same)) upkeep_.push_back({i, e.queue});
  }
}

unsigned Worker::poll(Instant now, unsigned quota) {
  const path::Snapshot* s = wiring_.snapshot.load(std::memory_order_acquire);
  if (!s) return 0;
  if (!opened_) [[unlikely]] {
    for (Intake& q : rx_) native_ |= q.open();
    opened_ = true;
  }
  const Duration turn = timed_ && busy_ ? now - now_ : Duration{};
  now_ = now;
  unsigned handled = take_from_rings(*s, now);
  if (receiving_.load(std::memory_order_relaxed)) handled += take_from_ports(*s, now, quota);
  transmit_all();
  govern_intakes(now, turn);
  for (const auto& q : upkeep_) wiring_.ports[q.port]->turn(q.queue, now);
  sweep(now);
  busy_ = handled > 0;
  return handled;
}

unsigned Worker::take_from_rings(const path::Snapshot& s, Instant now) {
  rte_mbuf* pkts[kMaxBurst];
  unsigned handled = 0;
  for (Handoff* ring : rings_) {
    const unsigned n = ring->receive(pkts, kMaxBurst);
    if (n) pipeline_.from_ring(s, now, pkts, n, *this);
    handled += n;
  }
  for (const Proxy& p : proxies_) {
    const unsigned n = p.ring->receive(pkts, kMaxBurst);
    for (unsigned i = 0; i < n; ++i) transmit(p.port, pkts[i]);
    handled += n;
  }
  return handled;
}

unsigned Worker::take_from_ports(const path::Snapshot& s, Instant now, unsigned quota) {
  rte_mbuf *pkts[kMaxBurst], *answer[kMaxBurst];
  unsigned handled = 0, dropped = 0;
  const uint32_t checks = native_ ? shed_.environment().policy->checks : 0;
  for (size_t i = 0; i < rx_.size() && handled < quota; ++i) {
    Intake& q = rx_[next_rx_];
    next_rx_ = next_rx_ + 1 == rx_.size() ? 0 : next_rx_ + 1;
    const unsigned before = handed_on();
    unsigned answers;
    const unsigned n = q.take(now, checks, pkts, account_.row(q.port()), answer, answers);
    if (answers) [[unlikely]] send_answers(q.port(), answer, answers);
    pipeline_.shedding(q.level() != 0);
    if (n) pipeline_.receive(s, now, q.port(), pkts, n, *this);
    q.own_sends = handed_on() - before;
    handled += n + answers;
    dropped += q.taken() - n - answers;
  }
  return handled + dropped;
}

// The SYN that each was made of was received and has ended here; the answer is a packet of the box's own.
void Worker::send_answers(uint16_t port, rte_mbuf** pkts, unsigned n) {
  PortAccount& row = account_.row(port);
  for (unsigned i = 0; i < n; ++i) {
    row.rx_bytes.add(pkts[i]->pkt_len);
    pkts[i]->port = RTE_MBUF_PORT_INVALID;
    transmit(port, pkts[i]);
  }
  row.rx_packets.add(n);
  row.consumed.add(n);
  account_.box.created.add(n);
}

// ---- overload

// Packets that have gone to rings, or are about to.
unsigned Worker::handed_on() const {
  unsigned n = ring_sends_ + stack.n;
  for (unsigned w = 0; w < wiring_.workers(); ++w) n += worker[w].n;
  for (const uint16_t port : by_proxy_) n += tx[port].n;
  return n;
}

void Worker::note_ring(const Handoff& ring, unsigned room) {
  const float full = 1 - static_cast<float>(room) / static_cast<float>(ring.size());
  fullest_ring_ = std::max(fullest_ring_, full);
}

// A ring's fullness is laid at the door of the queues that fill it: each is told as much of it as it has its part in
// what goes there, so that a flood to the box on one port sheds nothing on another.
void Worker::govern_intakes(Instant now, Duration turn) {
  const bool governed = governed_.load(std::memory_order_relaxed);
  const auto queues = static_cast<float>(rx_.size());
  unsigned of_all = 0;
  for (const Intake& q : rx_) of_all += q.own_sends;
  for (Intake& q : rx_) {
    q.count_handed_on(of_all);
    const float blame = std::min(1.0f, q.handed_on() * queues);
    q.observe(now, governed, {.handoff = fullest_ring_ * blame, .turn = turn, .unserved = turn});
  }
  fullest_ring_ = 0;
  ring_sends_ = 0;
}

Instant Worker::shed_deadline() const {
  Instant first = Instant::never();
  for (const Intake& q : rx_) first = std::min(first, q.next_deadline());
  return first;
}

void Worker::reset_levels() {
  for (Intake& q : rx_) q.reset();
}

// ---- the ways out

void Worker::transmit_all() {
  while (dirty) flush_tx(static_cast<uint16_t>(__builtin_ctzll(dirty)));
  if (stack.n) flush_stack();
  for (unsigned w = 0; w < wiring_.workers(); ++w)
    if (worker[w].n) flush_worker(w);
}

void Worker::flush_tx(uint16_t port) {
  Queue& q = tx[port];
  const unsigned n = q.n;
  q.n = 0;
  dirty &= ~(uint64_t{1} << port);
  if (port >= egress_.size()) return drop(q.pkt, n, DropReason::port_down);
  const Wiring::Egress e = egress_[port];
  if (e.owner) {
    unsigned room;
    const unsigned sent = e.owner->send(q.pkt, n, &room);
    ring_sends_ += n;
    note_ring(*e.owner, room);
    return drop(q.pkt + sent, n - sent, DropReason::tx_ring_full);
  }
  port::Port& p = *wiring_.ports[port];
  Sizes sizes;
  for (unsigned i = 0; i < n; ++i) sizes.add(q.pkt[i]);
  const unsigned sent = try_transmit(p, e.queue, q.pkt, n);
  count_sent(port, sizes, sent);
  drop(q.pkt + sent, n - sent, p.link_up() ? DropReason::tx_full : DropReason::port_down);
}

void Worker::count_sent(uint16_t port, const Sizes& s, unsigned sent) {
  uint64_t bytes = 0;
  for (unsigned i = 0, run; i < sent; i += run) {
    for (run = 0; i + run < sent && s.port[i + run] == s.port[i]; ++run) bytes += s.length[i + run];
    account_.row(s.port[i]).forwarded.add(run);
  }
  account_.port[port].tx_packets.add(sent);
  account_.port[port].tx_bytes.add(bytes);
}

unsigned Worker::try_transmit(port::Port& p, uint16_t queue, rte_mbuf** pkts, unsigned n) {
  unsigned sent = p.tx_burst(queue, now_, pkts, n);
  for (unsigned tries = 1; sent < n && tries < kTries && p.link_up(); ++tries) {
    p.turn(queue, now_);
    sent += p.tx_burst(queue, now_, pkts + sent, n - sent);
  }
  return sent;
}

void Worker::flush_stack() {
  const unsigned n = stack.n;
  stack.n = 0;
  if (wiring_.stacks() == 1) return send_to_stack(0, stack.pkt, n);
  uint8_t owner[kRoom];
  uint32_t owners = 0;  // a bit each
  for (unsigned i = 0; i < n; ++i) {
    owner[i] = static_cast<uint8_t>(wiring_.share.of(stack.pkt[i]));
    owners |= 1u << owner[i];
  }
  for (; owners; owners &= owners - 1) {
    const auto e = static_cast<unsigned>(__builtin_ctz(owners));
    rte_mbuf* its[kRoom];
    unsigned of_it = 0;
    for (unsigned i = 0; i < n; ++i)
      if (owner[i] == e) its[of_it++] = stack.pkt[i];
    send_to_stack(e, its, of_it);
  }
}

void Worker::send_to_stack(unsigned engine, rte_mbuf** pkts, unsigned n) {
  Handoff& ring = *wiring_.to_stack[engine][id_];
  unsigned room;
  const unsigned sent = ring.send(pkts, n, &room);
  ring_sends_ += n;
  note_ring(ring, room);
  drop(pkts + sent, n - sent, DropReason::stack_ring_full);
}

void Worker::flush_worker(unsigned w) {
  Queue& q = worker[w];
  const unsigned n = q.n;
  q.n = 0;
  unsigned sent = 0, room;
  if (w < wiring_.workers()) {
    sent = wiring_.steer[w]->send(q.pkt, n, &room);
    ring_sends_ += n;
    note_ring(*wiring_.steer[w], room);
  }
  drop(q.pkt + sent, n - sent, DropReason::handoff_full);
}

void Worker::drop(rte_mbuf** pkts, unsigned n, DropReason r) {
  if (!n) return;
  for (unsigned i = 0; i < n; ++i) account_.row(pkts[i]->port).drop(r);
  rte_pktmbuf_free_bulk(pkts, n);
}

// ---- upkeep

// What is due by time is visited in bounded steps; what one step leaves stays due.
void Worker::sweep(Instant now) {
  if (!pipeline_.flows() || swept_ > now) {
    swept_ = now;
    return;
  }
  const Duration gone = std::min(now - swept_, kSweepPeriod);
  if (gone < kSweepTick) return;
  const auto period = static_cast<uint64_t>(kSweepPeriod.ns);
  const uint64_t capacity = pipeline_.flow_capacity();
  const uint64_t slots = std::min<uint64_t>(static_cast<uint64_t>(gone.ns) * capacity / period, kSweepStep);
  if (!slots) return;
  pipeline_.sweep(now, static_cast<unsigned>(slots));
  swept_ = now - (gone - Duration::nanos(static_cast<int64_t>(slots * period / capacity)));
}

Instant Worker::next_deadline() const {
  Instant first = pipeline_.flows() ? swept_ + kSweepEvery : Instant::never();
  first = std::min(first, shed_deadline());
  for (const Intake& q : rx_) first = std::min(first, wiring_.ports[q.port()]->next_event());
  return first;
}

bool Worker::arm(WaitSet& set) {
  for (const Handoff* ring : rings_)
    if (!ring->empty()) return false;
  for (const Proxy& p : proxies_)
    if (!p.ring->empty()) return false;
  if (!receiving_.load(std::memory_order_relaxed)) return true;
  for (const Intake& q : rx_) {
    port::Port& p = *wiring_.ports[q.port()];
    ++armed_;
    if (!p.arm(q.queue())) return false;
    set.add(p.wait_fd(q.queue()));
  }
  return true;
}

void Worker::disarm() {
  for (size_t i = 0; i < armed_; ++i) wiring_.ports[rx_[i].port()]->disarm(rx_[i].queue());
  armed_ = 0;
}

}  // namespace sluice::engine
