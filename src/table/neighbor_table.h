// Next hops' MAC addresses. One writer (the stack engine that runs ARP and ND), any number of readers
// (workers). A neighbour has an index that flows refer to, so that a changed MAC touches no flow; one
// 64-bit word per neighbour tells a worker all it needs in one load.
//
// Word: bits 0-47 MAC in memory order · bit 48 usable (the MAC may be used) · bits 56-63 generation of the
// slot. A slot is freed only after the entry was unused for gc_stale, and gets a new generation: a flow
// that still holds (index, generation) sees the difference and goes through the slow path again.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/instant.h"
#include "wire/addr.h"

namespace sluice {

enum class NeighborState : uint8_t { free, incomplete, reachable, stale, delay, probe, failed, permanent };
const char* to_string(NeighborState s);

class NeighborTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Ref {               // what a flow keeps
    uint32_t index = kNone;
    uint8_t generation = 0;
  };
  struct Word {
    uint64_t w = 0;
    bool usable() const { return w >> 48 & 1; }
    uint8_t generation() const { return static_cast<uint8_t>(w >> 56); }
    Mac mac() const { return Mac::from_word(w & 0xffffffffffff); }
  };
  struct View {              // a copy for people: control socket
    uint32_t index;
    uint16_t port;
    IpAddr addr;
    Mac mac;
    NeighborState state;
    uint32_t used_ms;        // coarse time of last use
  };

  NeighborTable(unsigned capacity, const HashKey& key);
  ~NeighborTable();
  NeighborTable(const NeighborTable&) = delete;

  // --- any thread
  Ref find(uint16_t port, const IpAddr& addr) const;
  Word word(uint32_t index) const { return {slot_[index].word.load(std::memory_order_acquire)}; }
  void prefetch(uint32_t index) const { __builtin_prefetch(&slot_[index]); }
  // Says that a packet went to this neighbour: the owner sees it and probes a stale one. `now_ms` is
  // coarse, and never 0.
  void touch(uint32_t index, uint32_t now_ms) {
    auto& u = slot_[index].used_ms;
    if (u.load(std::memory_order_relaxed) != now_ms) u.store(now_ms, std::memory_order_relaxed);
  }
  unsigned capacity() const { return capacity_; }
  unsigned size() const { return size_.load(std::memory_order_relaxed); }
  // Copies the occupied slots; entries may change while it runs, each is whole.
  std::vector<View> list() const;

  // --- the owner alone
  // kNone: full. The state is incomplete. The address must not be in the table yet.
  uint32_t insert(uint16_t port, const IpAddr& addr);
  void set(uint32_t index, NeighborState s, const Mac& mac, bool usable);
  void erase(uint32_t index);
  NeighborState state(uint32_t index) const { return slot_[index].state.load(std::memory_order_relaxed); }
  uint16_t port(uint32_t index) const { return load_key(slot_[index]).port(); }
  IpAddr addr(uint32_t index) const { return load_key(slot_[index]).addr(); }
  Mac mac(uint32_t index) const { return word(index).mac(); }
  uint32_t used_ms(uint32_t index) const { return slot_[index].used_ms.load(std::memory_order_relaxed); }

 private:
  // Port and address as words, so that a reader that races with the owner reads whole words.
  struct Key {
    uint64_t hi = 0, lo = 0, tag = 0;  // tag: port << 8 | family
    static Key of(uint16_t port, const IpAddr& addr);
    uint16_t port() const { return static_cast<uint16_t>(tag >> 8); }
    IpAddr addr() const;
    bool operator==(const Key&) const = default;
  };
  struct alignas(64) Slot {
    std::atomic<uint64_t> word{0};
    std::atomic<uint64_t> hi{0}, lo{0}, tag{0};
    std::atomic<uint32_t> used_ms{0};
    std::atomic<uint32_t> version{0};  // odd while the owner changes the key (seqlock)
    std::atomic<NeighborState> state{NeighborState::free};
  };
  static Key load_key(const Slot& s);
  void store_key(Slot& s, const Key& k, uint64_t word, NeighborState state);
  uint64_t home(const Key& k) const { return hash_words(key_, k.hi ^ k.tag << 32, k.lo) & mask_; }

  unsigned capacity_;
  unsigned mask_;  // of the index
  HashKey key_;
  std::unique_ptr<Slot[]> slot_;
  std::unique_ptr<std::atomic<uint32_t>[]> index_;  // open addressing, at most half full; slot + 1, 0: empty
  std::vector<uint32_t> free_;                      // a ring, oldest first: a slot rests before it is used again
  size_t free_head_ = 0;
  std::atomic<unsigned> size_{0};
};

}  // namespace sluice
