// All entries of the prefix lists, in order of address: by family, address, length, origin. Sorted runs of bounded length,
// so that a single change moves kilobytes, whatever there is in all. A run that is made never changes, so a copy of all
// entries costs a pointer each run, and may be read by another thread while this one changes.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/endian.h"
#include "shed/prefix_list.h"

namespace sluice::shed {

struct Entry {
  uint64_t hi = 0, lo = 0;  // masked address, host order; IPv4 stands in the upper half of hi
  Instant until = Instant::never();
  uint8_t family = 0, len = 0;
  Origin from{};
  uint8_t action = SLUICE_ACTION_NONE;

  Entry() = default;
  Entry(const Prefix& p, Origin o, uint8_t a = SLUICE_ACTION_NONE, Instant end = Instant::never())
      : until(end), family(p.addr.family), len(p.len), from(o), action(a) {
    std::memcpy(&hi, p.addr.b.data(), 8);
    std::memcpy(&lo, p.addr.b.data() + 8, 8);
    hi = byte_swapped(hi), lo = byte_swapped(lo);
    mask();
  }
  // The same origin's shorter prefix, or another's, around this one.
  Entry around(uint8_t shorter, Origin o) const {
    Entry e = *this;
    e.len = shorter, e.from = o;
    e.mask();
    return e;
  }
  Prefix prefix() const {
    Prefix p;
    p.len = len;
    p.addr.family = family;
    const uint64_t words[2] = {byte_swapped(hi), byte_swapped(lo)};
    std::memcpy(p.addr.b.data(), words, sizeof words);
    return p;
  }
  bool same_prefix(const Entry& o) const { return hi == o.hi && lo == o.lo && len == o.len && family == o.family; }
  bool holds(const Entry& o) const {  // o's prefix lies in this one
    return family == o.family && len <= o.len && o.around(len, o.from).same_prefix(*this);
  }
  uint32_t first4() const { return static_cast<uint32_t>(hi >> 32); }
  uint32_t last4() const { return first4() | (len == 32 ? 0 : UINT32_MAX >> len); }

  friend bool operator<(const Entry& a, const Entry& b) {
    if (a.family != b.family) return a.family < b.family;
    if (a.hi != b.hi) return a.hi < b.hi;
    if (a.lo != b.lo) return a.lo < b.lo;
    if (a.len != b.len) return a.len < b.len;
    return a.from < b.from;
  }

 private:
  void mask() {
    hi &= len >= 64 ? ~0ull : len ? ~0ull << (64 - len) : 0;
    lo &= len >= 128 ? ~0ull : len > 64 ? ~0ull << (128 - len) : 0;
  }
};

class Entries {
 public:
  // A place in the order; good until the next change.
  class Cursor {
   public:
    explicit operator bool() const { return run_ < all_->runs_.size(); }
    const Entry& operator*() const { return (*all_->runs_[run_])[index_]; }
    const Entry* operator->() const { return &**this; }
    Cursor& operator++() {
      if (++index_ == all_->runs_[run_]->size()) run_++, index_ = 0;
      return *this;
    }

   private:
    friend class Entries;
    Cursor(const Entries* all, size_t run, size_t index) : all_(all), run_(run), index_(index) {}
    const Entries* all_;
    size_t run_, index_;
  };

  size_t size() const { return size_; }
  size_t bytes() const;
  Cursor begin() const { return {this, 0, 0}; }
  Cursor at(size_t position) const;
  Cursor from(const Entry& key) const;  // the first that is not before key
  const Entry* find(const Entry& key) const;
  // Of a prefix: what its first origin says. Null: it has none.
  const Entry* effective(const Entry& prefix) const;

  void put(const Entry& e);         // in the place of one of the same prefix and origin
  bool take(const Entry& key);
  void assign(const std::vector<Entry>& sorted);  // without duplicates

 private:
  using Run = std::vector<Entry>;
  static constexpr size_t kRun = 512;
  static std::shared_ptr<const Run> made(Run r) { return std::make_shared<const Run>(std::move(r)); }
  std::vector<std::shared_ptr<const Run>> runs_;  // none is empty
  size_t size_ = 0;
};

}  // namespace sluice::shed
