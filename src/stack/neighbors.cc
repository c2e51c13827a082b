#include "stack/neighbors.h"

#include <algorithm>

#include "stack/arp.h"
#include "stack/nd.h"
#include "stack/own.h"

namespace sluice::stack {

namespace {

constexpr Duration kSweep = Duration::seconds(1);       // a whole round over the live entries
constexpr unsigned kSlice = 1024;                       // entries a step of the sweep
constexpr Duration kRetryRate = Duration::millis(20);   // when the request rate is used up
constexpr Duration kFailedKept = Duration::seconds(20); // a failed entry, for people to see
constexpr unsigned kVictims = 256;                      // entries looked at to find one to evict

uint32_t coarse_ms(Instant now) { return static_cast<uint32_t>(now.ns / 1'000'000) | 1; }

}  // namespace

Neighbors::Neighbors(Core& core)
    : core_(core),
      table_(core.table),
      entry_(core.table.capacity()),
      heap_(core.table.capacity()),
      queue_bound_(std::max(64u, core.pool->size / 8)) {
  live_.reserve(core.table.capacity());
}

Neighbors::~Neighbors() {
  for (Entry& e : entry_)
    while (rte_mbuf* m = dequeue(e)) {
      core_.account.row(m->port).drop(DropReason::shutdown);
      rte_pktmbuf_free(m);
    }
}

void Neighbors::configure(Turn& t) {
  auto wanted = [&](uint16_t port, const IpAddr& a) {
    return std::any_of(t.ifs.neighbors.begin(), t.ifs.neighbors.end(),
                       [&](const StaticNeighbor& s) { return s.port == port && s.addr == a; });
  };
  for (size_t n = live_.size(); n-- > 0;) {
    const uint32_t i = live_[n];
    const Interface* ifc = t.port(table_.port(i));
    const bool fixed = table_.state(i) == NeighborState::permanent;
    const bool away = ifc && !fixed && ifc->link_epoch != epoch_[table_.port(i)];
    if (!ifc || away || owns(*ifc, table_.addr(i)) || (fixed && !wanted(table_.port(i), table_.addr(i)))) erase(t, i);
  }
  for (size_t p = 0; p < std::min<size_t>(t.ifs.port.size(), kMaxPorts); p++) epoch_[p] = t.ifs.port[p].link_epoch;
  for (const StaticNeighbor& s : t.ifs.neighbors) {
    if (!t.port(s.port)) continue;
    uint32_t i = table_.find(s.port, s.addr).index;
    if (i == kNone) i = create(t, s.port, s.addr);
    if (i != kNone) settle(t, i, NeighborState::permanent, s.mac);
  }
}

void Neighbors::output(Turn& t, rte_mbuf* m) {
  const Meta& meta = stash(m);
  if (!t.port(meta.egress)) return t.drop(m, DropReason::port_down);
  uint32_t i = table_.find(meta.egress, meta.next_hop).index;
  if (i == kNone) {
    i = create(t, meta.egress, meta.next_hop);
    if (i == kNone) return t.drop(m, DropReason::neighbor_table_full);
    enqueue(t, i, m);
    return start(t, i);
  }
  if (table_.word(i).usable()) return send(t, i, m);
  if (table_.state(i) == NeighborState::incomplete) return enqueue(t, i, m);
  enqueue(t, i, m);
  if (t.now < entry_[i].until) fail(t, i);  // still held down: refused at once
  else start(t, i);
}

void Neighbors::heard_request(Turn& t, uint16_t port, const IpAddr& addr, const Mac& mac) {
  uint32_t i = table_.find(port, addr).index;
  if (i == kNone) i = create(t, port, addr);
  if (i == kNone || table_.state(i) == NeighborState::permanent) return;
  if (table_.word(i).usable() && table_.mac(i) == mac) return;
  settle(t, i, NeighborState::stale, mac);
}

bool Neighbors::heard_advert(Turn& t, uint16_t port, const IpAddr& addr, const Advert& a) {
  const uint32_t i = table_.find(port, addr).index;
  if (i == kNone) return false;
  const NeighborState state = table_.state(i);
  if (state == NeighborState::permanent) return true;
  if (!table_.word(i).usable()) {
    if (a.mac) settle(t, i, a.solicited ? NeighborState::reachable : NeighborState::stale, *a.mac);
    return true;
  }
  const Mac known = table_.mac(i);
  const bool differs = a.mac && *a.mac != known;
  if (differs && !a.override_mac) {
    if (state == NeighborState::reachable) settle(t, i, NeighborState::stale, known);
    return true;
  }
  if (a.solicited) settle(t, i, NeighborState::reachable, a.mac.value_or(known));
  else if (differs) settle(t, i, NeighborState::stale, *a.mac);
  return true;
}

void Neighbors::tick(Turn& t) {
  while (!heap_.empty() && heap_.next() <= t.now) due(t, heap_.top());
  if (next_sweep_ <= t.now) sweep(t);
}

// --- entries

uint32_t Neighbors::create(Turn& t, uint16_t port, const IpAddr& addr) {
  uint32_t i = table_.insert(port, addr);
  if (i == kNone && make_room(t)) i = table_.insert(port, addr);
  if (i == kNone) return kNone;
  entry_[i] = Entry{};
  entry_[i].last_used = t.now;
  entry_[i].live_at = static_cast<uint32_t>(live_.size());
  live_.push_back(i);
  next_sweep_ = std::min(next_sweep_, t.now + kSweep);
  return i;
}

void Neighbors::erase(Turn& t, uint32_t i) {
  Entry& e = entry_[i];
  while (rte_mbuf* m = dequeue(e)) t.drop(m, DropReason::neighbor_unresolved);
  leave(i);
  heap_.clear(i);
  if (table_.state(i) == NeighborState::permanent) permanent_--;
  live_[e.live_at] = live_.back();
  entry_[live_.back()].live_at = e.live_at;
  live_.pop_back();
  table_.erase(i);
}

bool Neighbors::make_room(Turn& t) {
  if (failed_.n > 0) return erase(t, failed_.head), true;
  if (live_.empty()) return false;
  uint32_t victim = kNone;
  const size_t start = t.core.random() % live_.size();
  for (size_t n = 0; n < std::min<size_t>(kVictims, live_.size()); n++) {
    const uint32_t i = live_[(start + n) % live_.size()];
    if (table_.state(i) != NeighborState::stale) continue;
    if (table_.used_ms(i) == 0) {  // somebody asked for us, and we never had anything for him
      victim = i;
      break;
    }
    if (victim == kNone || entry_[i].last_used < entry_[victim].last_used) victim = i;
  }
  if (victim == kNone) victim = incomplete_.head;
  if (victim == kNone) return false;
  erase(t, victim);
  return true;
}

// Begins to ask everybody for an address.
void Neighbors::start(Turn& t, uint32_t i) {
  table_.set(i, NeighborState::incomplete, table_.mac(i), false);
  entry_[i].probes = 0;
  enter(i, Limbo::incomplete);
  if (incomplete_.n + failed_.n > std::max(t.core.config.max_incomplete, 1u))
    erase(t, failed_.n > 0 ? failed_.head : incomplete_.head);
  solicit(t, i);
}

void Neighbors::fail(Turn& t, uint32_t i) {
  Entry& e = entry_[i];
  if (table_.state(i) != NeighborState::failed) {
    t.core.stats.neighbors_failed++;
    table_.set(i, NeighborState::failed, table_.mac(i), false);
    e.until = t.now + t.ifs.timers.retrans;
    enter(i, Limbo::failed);
    heap_.set(i, t.now + kFailedKept);
  }
  const bool v4 = table_.addr(i).family == 4;
  while (rte_mbuf* m = dequeue(e)) {
    // Host unreachable (RFC 1812 5.2.7.1), address unreachable (RFC 4443 3.1).
    t.refuse(m, v4 ? 3 : 1, v4 ? 1 : 3, 0, DropReason::neighbor_unresolved);
  }
}

// The address is known: enters a state in which packets flow, and sends those that waited.
void Neighbors::settle(Turn& t, uint32_t i, NeighborState s, const Mac& mac) {
  Entry& e = entry_[i];
  leave(i);
  heap_.clear(i);
  e.probes = 0;
  if (s == NeighborState::permanent && table_.state(i) != s) permanent_++;
  if (s == NeighborState::reachable) e.until = t.now + reachable_time(t);
  table_.set(i, s, mac, true);
  while (rte_mbuf* m = dequeue(e)) send(t, i, m);
}

void Neighbors::used(Turn& t, uint32_t i) {
  entry_[i].last_used = t.now;
  if (table_.state(i) != NeighborState::stale) return;
  table_.set(i, NeighborState::delay, table_.mac(i), true);
  heap_.set(i, t.now + t.ifs.timers.delay_first_probe);
}

Duration Neighbors::reachable_time(Turn& t) {
  const int64_t base = t.ifs.timers.reachable.ns;  // × 0.5 to 1.5 (RFC 4861 6.3.2)
  return Duration::nanos(base / 2 + static_cast<int64_t>(t.core.random() % static_cast<uint64_t>(base + 1)));
}

// --- asking

void Neighbors::solicit(Turn& t, uint32_t i) {
  const bool probing = table_.state(i) == NeighborState::probe;
  const unsigned rate = t.core.config.arp_requests_per_second, burst = std::max(rate / 4, 16u);
  const bool first = entry_[i].probes == 0;
  TokenBucket& bucket = probing ? probes_ : requests_;
  if ((!probing && !first && !bucket.has(t.now, rate, burst, burst / 2)) || !bucket.take(t.now, rate, burst)) {
    heap_.set(i, t.now + kRetryRate);
    return;
  }
  entry_[i].probes++;
  heap_.set(i, t.now + t.ifs.timers.retrans);
  const std::optional<Mac> to = probing ? std::optional(table_.mac(i)) : std::nullopt;
  const IpAddr target = table_.addr(i);
  if (target.family == 4) send_arp_request(t, table_.port(i), target.v4(), to);
  else send_solicitation(t, table_.port(i), target.v6(), to);
}

void Neighbors::due(Turn& t, uint32_t i) {
  const NeighborTimers& timers = t.ifs.timers;
  switch (table_.state(i)) {
    case NeighborState::incomplete:
      return entry_[i].probes < timers.max_multicast_solicit ? solicit(t, i) : fail(t, i);
    case NeighborState::delay:
      table_.set(i, NeighborState::probe, table_.mac(i), true);
      return solicit(t, i);
    case NeighborState::probe:
      return entry_[i].probes < timers.max_unicast_solicit ? solicit(t, i) : start(t, i);
    case NeighborState::failed:
      return erase(t, i);
    default:
      return heap_.clear(i);
  }
}

// --- use

void Neighbors::sweep(Turn& t) {
  if (live_.size() == permanent_) {
    next_sweep_ = Instant::never();
    return;
  }
  for (unsigned n = 0; n < kSlice && !live_.empty(); n++) {
    if (cursor_ == 0 || cursor_ > live_.size()) {
      if (n > 0) break;  // a round is over
      cursor_ = live_.size();
    }
    look_at(t, live_[--cursor_]);
  }
  const int64_t steps = static_cast<int64_t>(live_.size() / kSlice + 1);
  next_sweep_ = t.now + Duration::nanos(kSweep.ns / steps);
}

void Neighbors::look_at(Turn& t, uint32_t i) {
  Entry& e = entry_[i];
  const uint32_t seen = table_.used_ms(i);
  const bool in_use = seen != e.used_seen;
  e.used_seen = seen;
  if (in_use) e.last_used = t.now;
  if (table_.state(i) == NeighborState::reachable && e.until <= t.now)
    table_.set(i, NeighborState::stale, table_.mac(i), true);
  if (table_.state(i) != NeighborState::stale) return;
  if (in_use) used(t, i);
  else if (t.now - e.last_used >= t.ifs.timers.gc_stale) erase(t, i);
}

// --- packets

void Neighbors::enqueue(Turn& t, uint32_t i, rte_mbuf* m) {
  Entry& e = entry_[i];
  if (e.waiting >= std::max(t.ifs.timers.queue_packets, 1u)) t.drop(dequeue(e), DropReason::neighbor_queue_full);
  if (queued_ >= queue_bound_) return t.drop(m, DropReason::neighbor_queue_full);
  m->next = nullptr;
  if (e.tail) e.tail->next = m;
  else e.head = m;
  e.tail = m;
  e.waiting++;
  queued_++;
}

rte_mbuf* Neighbors::dequeue(Entry& e) {
  rte_mbuf* m = e.head;
  if (!m) return nullptr;
  e.head = m->next;
  if (!e.head) e.tail = nullptr;
  m->next = nullptr;
  e.waiting--;
  queued_--;
  return m;
}

void Neighbors::send(Turn& t, uint32_t i, rte_mbuf* m) {
  const uint16_t egress = table_.port(i);
  const Interface* ifc = t.port(egress);
  wire::EthHdr* eth = wire::edit<wire::EthHdr>(bytes_of(m));
  if (!ifc || !eth) return t.drop(m, DropReason::port_down);
  eth->dst = table_.mac(i);
  eth->src = ifc->mac;
  table_.touch(i, coarse_ms(t.now));
  used(t, i);
  t.transmit(m, egress);
}

// --- the two lists of entries without an address, oldest first

void Neighbors::enter(uint32_t i, Limbo l) {
  leave(i);
  Entry& e = entry_[i];
  List& q = list(l);
  e.limbo = l;
  e.prev = q.tail;
  e.next = kNone;
  (q.tail == kNone ? q.head : entry_[q.tail].next) = i;
  q.tail = i;
  q.n++;
}

void Neighbors::leave(uint32_t i) {
  Entry& e = entry_[i];
  if (e.limbo == Limbo::none) return;
  List& q = list(e.limbo);
  (e.prev == kNone ? q.head : entry_[e.prev].next) = e.next;
  (e.next == kNone ? q.tail : entry_[e.next].prev) = e.prev;
  q.n--;
  e.limbo = Limbo::none;
}

}  // namespace sluice::stack
