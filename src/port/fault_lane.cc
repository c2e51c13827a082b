#include "port/fault_lane.h"

#include <algorithm>

#include "base/hash.h"
#include "packet/buf.h"

namespace sluice::port {

namespace {

// A displaced frame that nothing overtakes must not wait for ever.
constexpr Duration kPatience = Duration::millis(10);
constexpr unsigned kMostPasses = 4;

}  // namespace

FaultLane::FaultLane(const FaultOptions& o, uint64_t stream, rte_mempool* pool)
    : o_(o), pool_(pool), random_(o.seed * 0x9e3779b97f4a7c15ull + stream) {
  heap_.reserve(kRoom);
}

double FaultLane::draw() {
  random_ += 0xa0761d6478bd642full;
  return static_cast<double>(fold_multiply(random_, random_ ^ 0xe7037ed1a0b428dbull) >> 11) * 0x1p-53;
}

void FaultLane::admit(Instant now, rte_mbuf* m) {
  if (o_.loss > 0 && draw() < o_.loss) {
    lost.add(1);
    rte_pktmbuf_free(m);
    return;
  }
  if (o_.corrupt > 0 && draw() < o_.corrupt) m = corrupt(m);
  if (o_.duplicate > 0 && draw() < o_.duplicate) {
    if (rte_mbuf* twin = rte_pktmbuf_copy(m, pool_, 0, UINT32_MAX)) {
      twin->port = m->port;
      duplicated.add(1);
      schedule(now, twin);
    }
  }
  schedule(now, m);
  settle();
}

rte_mbuf* FaultLane::corrupt(rte_mbuf* m) {
  const double where = draw();
  if (rte_mbuf_refcnt_read(m) != 1 || !RTE_MBUF_DIRECT(m)) {  // others see these bytes
    rte_mbuf* own = rte_pktmbuf_copy(m, pool_, 0, UINT32_MAX);
    if (!own) return m;
    own->port = m->port;
    rte_pktmbuf_free(m);
    m = own;
  }
  auto bytes = bytes_of(m);
  if (bytes.empty()) return m;
  const auto bit = static_cast<size_t>(where * static_cast<double>(bytes.size() * 8));
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
  corrupted.add(1);
  return m;
}

void FaultLane::schedule(Instant now, rte_mbuf* m) {
  int64_t late = o_.delay.ns;
  if (o_.jitter.ns > 0) late += static_cast<int64_t>((2 * draw() - 1) * static_cast<double>(o_.jitter.ns));
  late = std::max<int64_t>(late, 0);
  if (late > 0) delayed.add(1);
  const int64_t at = (now + Duration::nanos(late)).ns;
  held_++;
  if (o_.reorder > 0 && draw() < o_.reorder) {
    const auto passes = 1 + static_cast<unsigned>(draw() * kMostPasses);
    auto free_slot =
        std::find_if(displaced_.begin(), displaced_.end(), [](const Displaced& d) { return !d.m; });
    if (free_slot != displaced_.end()) {
      *free_slot = {m, passes, (Instant{at} + kPatience).ns};
      reordered.add(1);
      return;
    }
  }
  push(at, m);
  overtaken(at);
}

void FaultLane::push(int64_t at, rte_mbuf* m) {
  heap_.push_back({at, order_++, m});
  std::push_heap(heap_.begin(), heap_.end());
}

void FaultLane::overtaken(int64_t at) {
  for (Displaced& d : displaced_)
    if (d.m && --d.passes == 0) push(at, std::exchange(d.m, nullptr));
}

unsigned FaultLane::due(Instant now, rte_mbuf** pkts, unsigned n) {
  if (next() > now) return 0;
  for (Displaced& d : displaced_)
    if (d.m && d.give_up <= now.ns) push(d.give_up, std::exchange(d.m, nullptr));
  unsigned k = 0;
  while (k < n && !heap_.empty() && heap_.front().at <= now.ns) {
    std::pop_heap(heap_.begin(), heap_.end());
    pkts[k++] = heap_.back().m;
    heap_.pop_back();
  }
  held_ -= k;
  settle();
  return k;
}

// In front of all others, and in their order: every call counts down from where the one before began.
void FaultLane::put_back(Instant now, rte_mbuf** pkts, unsigned n) {
  int64_t first = heap_.empty() ? now.ns : std::min(now.ns, heap_.front().at);
  front_ -= n;
  for (unsigned i = 0; i < n; i++) {
    heap_.push_back({first, front_ + i, pkts[i]});
    std::push_heap(heap_.begin(), heap_.end());
  }
  held_ += n;
  settle();
}

void FaultLane::settle() {
  int64_t next = heap_.empty() ? INT64_MAX : heap_.front().at;
  if (o_.reorder > 0)
    for (const Displaced& d : displaced_)
      if (d.m) next = std::min(next, d.give_up);
  next_.store(next, std::memory_order_relaxed);
  holding_.store(held_, std::memory_order_relaxed);
}

unsigned FaultLane::drop_all() {
  const unsigned n = held_;
  for (Entry& e : heap_) rte_pktmbuf_free(e.m);
  heap_.clear();
  for (Displaced& d : displaced_) rte_pktmbuf_free(std::exchange(d.m, nullptr));
  held_ = 0;
  settle();
  return n;
}

}  // namespace sluice::port
