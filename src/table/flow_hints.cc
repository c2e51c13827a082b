#include "table/flow_hints.h"

#include <algorithm>
#include <bit>

#include "hint.h"

namespace sluice {

namespace {

struct Place {
  uint32_t cell;
  uint64_t bits;
};

Place place_of(const sluice_cookie_key& key, const IpAddr& src, const IpAddr& dst, uint16_t sport, uint16_t dport,
               uint8_t proto) {
  uint64_t s[2], d[2];
  std::memcpy(s, src.b.data(), sizeof s);
  std::memcpy(d, dst.b.data(), sizeof d);
  const uint16_t both[2] = {sport, dport};
  uint32_t ports;
  std::memcpy(&ports, both, sizeof ports);
  const uint64_t hash = sluice_tuple_hash(&key, reinterpret_cast<const __u64*>(s), reinterpret_cast<const __u64*>(d),
                                          ports, src.family, proto);
  return {sluice_hint_cell_of(hash), sluice_hint_bits(hash)};
}

}  // namespace

// Most marks repeat one of this generation: reading first keeps the cell's cache line shared with the readers.
void FlowHints::mark(const IpAddr& src, const IpAddr& dst, uint16_t sport, uint16_t dport, uint8_t proto) {
  const Place p = place_of(key_, src, dst, sport, dport, proto);
  std::atomic_ref word(memory_->cell[p.cell].word[generation() & 1]);
  if ((word.load(std::memory_order_relaxed) & p.bits) != p.bits) word.fetch_or(p.bits, std::memory_order_relaxed);
}

bool FlowHints::marked(const IpAddr& src, const IpAddr& dst, uint16_t sport, uint16_t dport, uint8_t proto) const {
  const Place p = place_of(key_, src, dst, sport, dport, proto);
  for (auto& w : memory_->cell[p.cell].word)
    if ((std::atomic_ref(w).load(std::memory_order_relaxed) & p.bits) == p.bits) return true;
  return false;
}

// The older half is emptied before marks go there, or what they set would be lost.
void FlowHints::turn() {
  const auto next = static_cast<uint16_t>(generation() + 1);
  for (sluice_hint_cell& c : memory_->cell) {
    std::atomic_ref word(c.word[next & 1]);
    if (word.load(std::memory_order_relaxed) != 0) word.store(0, std::memory_order_relaxed);
  }
  generation_.store(next, std::memory_order_relaxed);
}

double FlowHints::fill() const {
  uint64_t set[2] = {0, 0};
  for (sluice_hint_cell& c : memory_->cell)
    for (unsigned g = 0; g < 2; g++)
      set[g] += static_cast<unsigned>(std::popcount(std::atomic_ref(c.word[g]).load(std::memory_order_relaxed)));
  return static_cast<double>(std::max(set[0], set[1])) / (64.0 * SLUICE_HINT_CELLS);
}

}  // namespace sluice
