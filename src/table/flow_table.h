// A bounded hash table for flows: fixed size, open to attackers' keys, looked up in bursts. Single-threaded.
//
// Theory of operation. Buckets of 16 slots. A slot has a 16-bit tag, and an entry at the place that bucket
// and slot imply: there is no index to follow. The tags of a million flows are 2 MiB, so they stay in the
// L2 or L3 cache, and a lookup among cold flows costs one miss to memory: the entry, whose place is known
// (and prefetched) before its key is compared. A key has two buckets, from independent parts of its hash.
// It goes into the first until that has ten entries, then into the emptier one: of a full complement of flows
// one in 10,000 finds both full (balanced allocations), and five in six are found in the first bucket.
// Entries never move, so that an index stays good until the entry is erased.
//
// When both buckets are full the caller says which of the 32 entries has to go, or that none may: the
// table never grows and no insertion takes more than 32 comparisons.
//
// Memory is the table's own anonymous mapping, with transparent huge pages where the kernel gives them:
// large tables are possible without reserved huge pages and outside EAL's fixed heap. Pages are touched at
// the start, so that no fault comes later.
//
// The hash is the caller's and must be keyed (base/hash.h): 64 bits, all of them used.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice {

// Anonymous zeroed memory, prefaulted, 2 MiB aligned. Throws std::bad_alloc: made at start, on the control thread.
class MappedMemory {
 public:
  MappedMemory(size_t bytes, int numa_node);
  ~MappedMemory();
  MappedMemory(const MappedMemory&) = delete;
  std::byte* data() const { return p_; }
  size_t size() const { return size_; }

 private:
  std::byte* p_;
  size_t size_;
};

// 16 tags that are compared together; one AVX2 or two SSE2 registers.
struct alignas(32) TagGroup {
  static constexpr unsigned kSlots = 16;
  uint16_t tag[kSlots];  // 0: free

  // Bit per slot.
  uint32_t match(uint16_t t) const {
#if defined(__SSE2__)
    const __m128i want = _mm_set1_epi16(static_cast<short>(t));
    const auto* p = reinterpret_cast<const __m128i*>(tag);
    const __m128i lo = _mm_cmpeq_epi16(_mm_load_si128(p), want), hi = _mm_cmpeq_epi16(_mm_load_si128(p + 1), want);
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(lo, hi)));
#else
    uint32_t m = 0;
    for (unsigned i = 0; i < kSlots; i++) m |= uint32_t{tag[i] == t} << i;
    return m;
#endif
  }
};

template <class Key, class Value>
class FlowTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct alignas(64) Entry {
    Key key;
    Value value;
  };
  static_assert(std::is_trivially_copyable_v<Entry>);

  // Holds at least `flows`. Throws std::bad_alloc.
  explicit FlowTable(size_t flows, int numa_node = -1)
      : buckets_(buckets_for(flows)), memory_(bytes_for(buckets_), numa_node),
        entry_(reinterpret_cast<Entry*>(memory_.data())),
        group_(reinterpret_cast<TagGroup*>(memory_.data() + size_t{buckets_} * TagGroup::kSlots * sizeof(Entry))) {}

  static size_t memory_estimate(size_t flows) { return bytes_for(buckets_for(flows)); }
  size_t memory_bytes() const { return memory_.size(); }
  size_t capacity() const { return size_t{buckets_} * TagGroup::kSlots; }
  size_t size() const { return size_; }

  Entry& at(uint32_t i) { return entry_[i]; }
  const Entry& at(uint32_t i) const { return entry_[i]; }
  bool occupied(uint32_t i) const { return group_[i / TagGroup::kSlots].tag[i % TagGroup::kSlots] != 0; }

  // Lookup in three steps, so that a burst's misses overlap: prefetch(hash) for each, then candidate(hash)
  // for each, then compare keys; where the candidate is another key's, find() settles it.
  void prefetch(uint64_t hash) const { __builtin_prefetch(&group_[first(hash)]); }
  // The entry that most likely holds the key, on its way into the cache; kNone: the key is not in the table.
  uint32_t candidate(uint64_t hash) const {
    uint32_t b = first(hash), m = group_[b].match(tag_of(hash));
    if (m == 0) {
      b = second(hash);
      m = group_[b].match(tag_of(hash));
      if (m == 0) return kNone;
    }
    const uint32_t i = b * TagGroup::kSlots + static_cast<uint32_t>(std::countr_zero(m));
    for (size_t line = 0; line < sizeof(Entry); line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(&entry_[i]) + line);
    return i;
  }
  uint32_t find(const Key& key, uint64_t hash) const {
    for (uint32_t b : {first(hash), second(hash)}) {
      for (uint32_t m = group_[b].match(tag_of(hash)); m != 0; m &= m - 1) {
        const uint32_t i = b * TagGroup::kSlots + static_cast<uint32_t>(std::countr_zero(m));
        if (entry_[i].key == key) return i;
      }
    }
    return kNone;
  }

  // Makes an entry for a key that is not in the table; its value is Value{}. When both buckets are full,
  // `worth(index)` says how good a victim each entry is: 0 never, else the greatest goes, after
  // `erase(index)`, which must call erase() on it. kNone: no victim.
  template <class Worth, class Erase>
  uint32_t insert(const Key& key, uint64_t hash, Worth&& worth, Erase&& erase_victim) {
    const uint32_t a = first(hash), b = second(hash);
    const uint32_t free_a = group_[a].match(0), free_b = group_[b].match(0);
    const int spare = std::popcount(free_a);
    const bool use_first = spare >= kReserve || spare >= std::popcount(free_b);
    uint32_t bucket = use_first ? a : b, free = use_first ? free_a : free_b;
    if (free == 0) {
      const uint32_t victim = worst(a, b, worth);
      if (victim == kNone) return kNone;
      erase_victim(victim);
      bucket = victim / TagGroup::kSlots;
      free = 1u << (victim % TagGroup::kSlots);
    }
    const uint32_t slot = static_cast<uint32_t>(std::countr_zero(free));
    group_[bucket].tag[slot] = tag_of(hash);
    size_++;
    const uint32_t i = bucket * TagGroup::kSlots + slot;
    entry_[i] = Entry{key, Value{}};
    return i;
  }
  void erase(uint32_t i) {
    uint16_t& t = group_[i / TagGroup::kSlots].tag[i % TagGroup::kSlots];
    size_ -= t != 0;
    t = 0;
  }

  // Visits the occupied slots from `cursor` on, at most `budget` slots; `visit(index)` may erase. Returns
  // the next cursor, 0 at the end.
  template <class Visit>
  uint64_t scan(uint64_t cursor, unsigned budget, Visit&& visit) const {
    const uint64_t end = cursor + budget < capacity() ? cursor + budget : capacity();
    for (uint64_t i = cursor; i < end; i++) {
      const uint32_t at = static_cast<uint32_t>(i);
      if (i + kScanAhead < end && occupied(at + kScanAhead)) __builtin_prefetch(&entry_[i + kScanAhead]);
      if (occupied(at)) visit(at);
    }
    return end == capacity() ? 0 : end;
  }

 private:
  static constexpr int kSlots = TagGroup::kSlots;
  static constexpr uint32_t kScanAhead = 8;
  static constexpr int kReserve = 6;  // fewer free places than this, and the second bucket is looked at

  // An eighth more than asked for: above 90% two full buckets are no longer rare.
  static uint32_t buckets_for(size_t flows) {
    const size_t n = (flows + flows / 8) / TagGroup::kSlots + 1;
    return static_cast<uint32_t>(n < (UINT32_MAX >> 5) ? n : UINT32_MAX >> 5);
  }
  static size_t bytes_for(uint32_t buckets) {
    return size_t{buckets} * (TagGroup::kSlots * sizeof(Entry) + sizeof(TagGroup));
  }
  // Multiply-shift instead of a mask: any number of buckets will do.
  uint32_t first(uint64_t hash) const { return static_cast<uint32_t>((hash >> 32) * buckets_ >> 32); }
  uint32_t second(uint64_t hash) const { return static_cast<uint32_t>((hash & 0xffffffff) * buckets_ >> 32); }
  // From bits that decide about neither bucket, as far as there are so few buckets.
  static uint16_t tag_of(uint64_t hash) {
    const uint16_t t = static_cast<uint16_t>(hash ^ (hash >> 32));
    return t ? t : 1;
  }
  template <class Worth>
  uint32_t worst(uint32_t a, uint32_t b, Worth&& worth) const {
    uint32_t victim = kNone;
    uint64_t most = 0;
    for (uint32_t bucket : {a, b}) {
      for (uint32_t s = 0; s < TagGroup::kSlots; s++) {
        const uint64_t w = worth(bucket * TagGroup::kSlots + s);
        if (w > most) most = w, victim = bucket * TagGroup::kSlots + s;
      }
    }
    return victim;
  }

  uint32_t buckets_;
  MappedMemory memory_;
  Entry* entry_;
  TagGroup* group_;
  size_t size_ = 0;
};

}  // namespace sluice
