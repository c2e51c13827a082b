#include "shed/list_contents.h"

#include <algorithm>

namespace sluice::shed {

namespace {

Tally tally(const Entries& all) {
  Tally t;
  const Entry* before = nullptr;
  uint32_t block = UINT32_MAX;
  for (auto c = all.begin(); c; ++c) {
    const Entry& e = *c;
    t.by[static_cast<unsigned>(e.from)][e.action]++;
    if (before && before->same_prefix(e)) continue;
    before = &e;
    if (e.family == 6) {
      t.prefixes6++;
      t.lengths6[e.len]++;
      continue;
    }
    t.prefixes4++;
    if (e.len > 24 && e.first4() >> 8 != block) {
      block = e.first4() >> 8;
      t.long_blocks++;
    }
  }
  return t;
}

Status within_bounds(size_t entries, const Tally& t) {
  if (entries > PrefixList::kMost)
    return Error{"the lists hold at most " + std::to_string(PrefixList::kMost) + " prefixes, and this would make " +
                 std::to_string(entries) + ": remove some, or join them to shorter ones"};
  if (const unsigned n = t.lengths_in_use(); n > SLUICE_MAX_LENGTHS6)
    return Error{"IPv6 prefixes of " + std::to_string(n) + " lengths are too many, each is looked for in turn: at most " +
                 std::to_string(SLUICE_MAX_LENGTHS6) + " (bogons have some, too); round some to a common length"};
  return {};
}

Result<std::vector<Entry>> sorted(const std::vector<Batch>& batches) {
  std::vector<Entry> fresh;
  size_t n = 0;
  for (const Batch& b : batches) n += b.come.size();
  fresh.reserve(n);
  for (const Batch& b : batches)
    for (const ListEntry& e : b.come) {
      if (Status s = check(e); !s) return Error{s.error()};
      fresh.emplace_back(e.prefix, b.from, e.action, b.until);
    }
  std::stable_sort(fresh.begin(), fresh.end());
  return fresh;
}

}  // namespace

unsigned Tally::lengths_in_use() const {
  return static_cast<unsigned>(std::count_if(std::begin(lengths6), std::end(lengths6), [](auto n) { return n > 0; }));
}

Status check(const ListEntry& e) {
  if (e.prefix.addr.none() || e.prefix.len > e.prefix.addr.bits()) return Error{"'" + to_string(e.prefix) + "' is no prefix"};
  if (e.action <= SLUICE_ACTION_NONE || e.action >= SLUICE_ACTIONS)
    return Error{to_string(e.prefix) + " is given no action: block or allow"};
  return {};
}

Result<Contents> Contents::after(const Entries& old, const std::vector<Batch>& batches, Instant now) {
  auto fresh = sorted(batches);
  if (!fresh) return Error{fresh.error()};
  unsigned go[3] = {};
  for (const Batch& b : batches) go[static_cast<unsigned>(b.from)] |= b.go;
  std::vector<Entry> all;
  all.reserve(fresh->size() + old.size());
  auto kept = old.begin();
  for (auto e = fresh->begin(); e != fresh->end() || kept;) {
    if (kept && (kept->until <= now || go[static_cast<unsigned>(kept->from)] >> kept->action & 1)) {
      ++kept;
    } else if (e == fresh->end() || (kept && *kept < *e)) {
      all.push_back(*kept);
      ++kept;
    } else {
      if (kept && !(*e < *kept)) ++kept;
      if (!all.empty() && !(all.back() < *e)) all.pop_back();
      all.push_back(*e++);
    }
  }
  Contents c;
  for (const Entry& e : all) c.soonest_ = std::min(c.soonest_, e.until);
  c.entries_.assign(all);
  c.counts_ = tally(c.entries_);
  if (Status s = within_bounds(c.entries_.size(), c.counts_); !s) return Error{s.error()};
  return c;
}

std::vector<Entry> Contents::due(Instant now, size_t at_most) const {
  std::vector<Entry> all;
  for (auto c = entries_.begin(); c && all.size() < at_most; ++c)
    if (c->until <= now) all.push_back(*c);
  return all;
}

// Another prefix longer than /24 in the same /24.
bool Contents::long_neighbour(const Entry& e) const {
  const Entry block = e.around(24, Origin{});
  for (auto c = entries_.from(block); c && block.holds(*c); ++c)
    if (c->len > 24 && !c->same_prefix(e)) return true;
  return false;
}

// After a change of a prefix's entries.
void Contents::count(const Entry& prefix, bool was_there) {
  const bool now = entries_.effective(prefix) != nullptr;
  if (now == was_there) return;
  const auto step = now ? 1u : UINT32_MAX;
  if (prefix.family == 6) {
    counts_.prefixes6 += now ? 1 : -1;
    counts_.lengths6[prefix.len] += step;
  } else {
    counts_.prefixes4 += now ? 1 : -1;
    if (prefix.len > 24 && !long_neighbour(prefix)) counts_.long_blocks += step;
  }
}

Status Contents::put(const Entry& e) {
  const Entry* there = entries_.find(e);
  if (there) {
    counts_.by[static_cast<unsigned>(e.from)][there->action]--;
    entries_.put(e);
  } else {
    const bool was_there = entries_.effective(e) != nullptr;
    entries_.put(e);
    count(e, was_there);
  }
  counts_.by[static_cast<unsigned>(e.from)][e.action]++;
  if (there) {
    soonest_ = std::min(soonest_, e.until);
    return {};
  }
  Status s = within_bounds(entries_.size(), counts_);
  if (s)
    soonest_ = std::min(soonest_, e.until);
  else
    take(e);
  return s;
}

bool Contents::take(const Entry& key) {
  const Entry* there = entries_.find(key);
  if (!there) return false;
  const Entry gone = *there;
  entries_.take(gone);
  count(gone, true);
  counts_.by[static_cast<unsigned>(gone.from)][gone.action]--;
  return true;
}

}  // namespace sluice::shed
