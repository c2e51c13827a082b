// Theory of operation
//
// Slots never move; the index (open addressing, linear probing, keyed hash) maps a key to its slot. The
// owner erases by shifting the entries behind back, so that there are no tombstones and a look-up stays
// short whatever was erased before. A reader that races with a shift may miss an entry that moves past it:
// its packet then takes the way of an unresolved neighbour to the owner, who finds the entry and sends it.
// A reader never gets a wrong slot: it compares the key under the slot's version.
#include "table/neighbor_table.h"

#include <bit>

namespace sluice {

namespace {
constexpr uint64_t kUsable = uint64_t{1} << 48;
constexpr auto relaxed = std::memory_order_relaxed;
}  // namespace

const char* to_string(NeighborState s) {
  switch (s) {
    case NeighborState::free: return "free";
    case NeighborState::incomplete: return "incomplete";
    case NeighborState::reachable: return "reachable";
    case NeighborState::stale: return "stale";
    case NeighborState::delay: return "delay";
    case NeighborState::probe: return "probe";
    case NeighborState::failed: return "failed";
    case NeighborState::permanent: return "permanent";
  }
  return "unknown";
}

NeighborTable::Key NeighborTable::Key::of(uint16_t port, const IpAddr& addr) {
  const Ip6 bytes = addr.v6();
  return {bytes.hi(), bytes.lo(), uint64_t{port} << 8 | addr.family};
}

IpAddr NeighborTable::Key::addr() const {
  IpAddr a;
  std::memcpy(a.b.data(), &hi, 8);
  std::memcpy(a.b.data() + 8, &lo, 8);
  a.family = static_cast<uint8_t>(tag);
  return a;
}

NeighborTable::Key NeighborTable::load_key(const Slot& s) {
  return {s.hi.load(relaxed), s.lo.load(relaxed), s.tag.load(relaxed)};
}

void NeighborTable::store_key(Slot& s, const Key& k, uint64_t word, NeighborState state) {
  const uint32_t v = s.version.load(relaxed);
  s.version.store(v + 1, relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  s.hi.store(k.hi, relaxed);
  s.lo.store(k.lo, relaxed);
  s.tag.store(k.tag, relaxed);
  s.word.store(word, relaxed);
  s.state.store(state, relaxed);
  s.version.store(v + 2, std::memory_order_release);
}

NeighborTable::NeighborTable(unsigned capacity, const HashKey& key)
    : capacity_(capacity),
      mask_(std::bit_ceil(capacity < 4 ? 8u : capacity * 2u) - 1),
      key_(key),
      slot_(new Slot[capacity]),
      index_(new std::atomic<uint32_t>[mask_ + 1]()),
      free_(capacity) {
  for (unsigned i = 0; i < capacity; i++) free_[i] = i;
}

NeighborTable::~NeighborTable() = default;

NeighborTable::Ref NeighborTable::find(uint16_t port, const IpAddr& addr) const {
  const Key key = Key::of(port, addr);
  uint64_t at = home(key);
  for (unsigned n = 0; n <= mask_; n++, at = (at + 1) & mask_) {
    const uint32_t v = index_[at].load(std::memory_order_acquire);
    if (v == 0) return {};
    const Slot& s = slot_[v - 1];
    const uint32_t before = s.version.load(std::memory_order_acquire);
    const Key k = load_key(s);
    const Word w{s.word.load(relaxed)};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (k == key && !(before & 1) && s.version.load(relaxed) == before) return {v - 1, w.generation()};
  }
  return {};
}

uint32_t NeighborTable::insert(uint16_t port, const IpAddr& addr) {
  const unsigned n = size_.load(relaxed);
  if (n == capacity_) return kNone;
  const uint32_t i = free_[free_head_];
  free_head_ = (free_head_ + 1) % capacity_;
  Slot& s = slot_[i];
  const Key key = Key::of(port, addr);
  const uint64_t generation = s.word.load(relaxed) & uint64_t{0xff} << 56;
  s.used_ms.store(0, relaxed);
  store_key(s, key, generation, NeighborState::incomplete);
  uint64_t at = home(key);
  while (index_[at].load(relaxed) != 0) at = (at + 1) & mask_;
  index_[at].store(i + 1, std::memory_order_release);
  size_.store(n + 1, relaxed);
  return i;
}

void NeighborTable::set(uint32_t index, NeighborState st, const Mac& mac, bool usable) {
  Slot& s = slot_[index];
  const uint64_t generation = s.word.load(relaxed) & uint64_t{0xff} << 56;
  s.state.store(st, relaxed);
  s.word.store(generation | (usable ? kUsable : 0) | mac.word(), std::memory_order_release);
}

void NeighborTable::erase(uint32_t index) {
  Slot& s = slot_[index];
  uint64_t hole = home(load_key(s));
  while (index_[hole].load(relaxed) != index + 1) hole = (hole + 1) & mask_;
  // Shift back every follower whose home is not between the hole and itself. Copy first, then clear: a
  // reader sees an entry twice rather than not at all.
  for (uint64_t at = (hole + 1) & mask_;; at = (at + 1) & mask_) {
    const uint32_t v = index_[at].load(relaxed);
    if (v == 0) break;
    const uint64_t h = home(load_key(slot_[v - 1]));
    if (((at - h) & mask_) < ((at - hole) & mask_)) continue;
    index_[hole].store(v, std::memory_order_release);
    hole = at;
  }
  index_[hole].store(0, std::memory_order_release);
  const uint64_t next = (s.word.load(relaxed) >> 56) + 1;
  store_key(s, Key{}, next << 56, NeighborState::free);
  const unsigned n = size_.load(relaxed);
  free_[(free_head_ + capacity_ - n) % capacity_] = index;
  size_.store(n - 1, relaxed);
}

std::vector<NeighborTable::View> NeighborTable::list() const {
  std::vector<View> out;
  for (uint32_t i = 0; i < capacity_; i++) {
    const Slot& s = slot_[i];
    for (int attempt = 0; attempt < 8; attempt++) {
      const uint32_t before = s.version.load(std::memory_order_acquire);
      const Key k = load_key(s);
      const Word w{s.word.load(relaxed)};
      const NeighborState st = s.state.load(relaxed);
      const uint32_t used = s.used_ms.load(relaxed);
      std::atomic_thread_fence(std::memory_order_acquire);
      if (before & 1 || s.version.load(relaxed) != before) continue;
      if (st != NeighborState::free) out.push_back({i, k.port(), k.addr(), w.mac(), st, used});
      break;
    }
  }
  return out;
}

}  // namespace sluice
