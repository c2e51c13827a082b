// What the prefix lists hold at one time: the entries, and what is counted about them. One thread at a time.
#pragma once

#include "shed/entries.h"

namespace sluice::shed {

// By prefixes, however many origins a prefix has; but for `by`.
struct Tally {
  uint32_t lengths6[129] = {};
  size_t prefixes4 = 0, prefixes6 = 0;
  uint32_t long_blocks = 0;  // of IPv4: /24s with a longer prefix inside, which may need a group
  size_t by[3][SLUICE_ACTIONS] = {};

  unsigned lengths_in_use() const;
};

class Contents {
 public:
  Contents() = default;
  // What becomes of `old` by `batches`; what ends until `now` is left out.
  static Result<Contents> after(const Entries& old, const std::vector<Batch>& batches, Instant now);

  const Entries& entries() const { return entries_; }
  const Tally& counts() const { return counts_; }
  Instant soonest() const { return soonest_; }  // end of an entry; or earlier, if what would have ended was removed
  std::vector<Entry> due(Instant now, size_t at_most) const;
  void set_soonest(Instant t) { soonest_ = t; }

  Status put(const Entry& e);  // an error, by the lists' bounds, changes nothing
  bool take(const Entry& key);

 private:
  void count(const Entry& prefix, bool was_there);
  bool long_neighbour(const Entry& e) const;

  Entries entries_;
  Tally counts_;
  Instant soonest_ = Instant::never();
};

// Whether it is a prefix, and an action.
Status check(const ListEntry& e);

}  // namespace sluice::shed
