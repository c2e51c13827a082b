#include "shed/list_slot.h"

#include <algorithm>
#include <atomic>

namespace sluice::shed {

namespace {

template <class T>
void publish(T& word, T value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

constexpr uint32_t kSpareGroups = 4096;

}  // namespace

Status ListSlot::build4(const Contents& c) {
  const uint32_t n = c.counts().long_blocks;
  Status s = memory_.want_slots4(i_);
  if (s) s = memory_.want_groups(i_, n + std::max(n / 4, kSpareGroups));
  if (s) table4_.build(c.entries());
  return s;
}

Status ListSlot::build6(const Contents& c) {
  for (uint32_t buckets = Table6::buckets_for(c.counts().prefixes6);; buckets *= 2) {
    if (buckets > ListMemory::kMostBuckets) return Error{"the list of IPv6 prefixes is full: remove some"};
    if (Status s = memory_.want_list6(i_, buckets); !s) return s;
    if (table6_.build(buckets, c.entries())) return {};
  }
}

Status ListSlot::build(const Contents& c) {
  const Tally& t = c.counts();
  sluice_list_info next{};
  next.key = key_;
  if (t.prefixes4 > 0) {
    if (Status s = build4(c); !s) return s;
    next.has4 = 1;
    next.groups = memory_.slot(i_).group_count;
  }
  if (t.prefixes6 > 0) {
    if (Status s = build6(c); !s) return s;
    next.has6 = 1;
    next.mask6 = table6_.mask();
    for (int len = 128; len >= 0; len--)
      if (t.lengths6[len] > 0) next.length6[next.lengths6++] = static_cast<uint8_t>(len);
  }
  info_ = next;
  return {};
}

Result<bool> ListSlot::show(const Entry& prefix, const Contents& c) {
  return prefix.family == 6 ? show6(prefix, c) : show4(prefix, c);
}

// The first prefix of a family: its table, which nobody has looked at, is built; a verdict that still holds what the
// memory was before is waited for.
Result<bool> ListSlot::show4(const Entry& prefix, const Contents& c) {
  if (!info_.has4) {
    if (Status s = build4(c); !s) return Error{s.error()};
    info_.groups = memory_.slot(i_).group_count;
    memory_.grace();
    publish(info_.has4, 1u);
    return true;
  }
  if (c.counts().long_blocks > info_.groups) return false;
  table4_.repaint(prefix, c.entries());
  return true;
}

Result<bool> ListSlot::show6(const Entry& prefix, const Contents& c) {
  const Entry* e = c.entries().effective(prefix);
  const uint32_t action = e ? uint32_t{e->action} : uint32_t{SLUICE_ACTION_NONE};
  if (!info_.has6) {
    if (Status s = build6(c); !s) return Error{s.error()};
    info_.mask6 = table6_.mask();
    know_length(prefix.len);
    memory_.grace();
    publish(info_.has6, 1u);
    return true;
  }
  const bool crowded = c.counts().prefixes6 > size_t{table6_.mask()} * 6;
  if (action != SLUICE_ACTION_NONE && (crowded || !know_length(prefix.len))) return false;
  return table6_.set(prefix, action);
}

// A verdict that goes through the lengths meanwhile misses none: each is written to its new place before the one before
// takes the old place. false: there is no place.
bool ListSlot::know_length(uint8_t len) {
  uint8_t* const first = info_.length6;
  const uint32_t n = info_.lengths6;
  const auto place = static_cast<uint32_t>(std::find_if(first, first + n, [&](uint8_t l) { return l <= len; }) - first);
  if (place < n && first[place] == len) return true;
  if (n == SLUICE_MAX_LENGTHS6) return false;
  publish(first[n], place < n ? first[n - 1] : len);
  publish(info_.lengths6, n + 1);
  for (uint32_t i = n; i-- > place + 1;) publish(first[i], first[i - 1]);
  publish(first[place], len);
  return true;
}

bool ListSlot::tight(const Tally& t) const {
  return (info_.has4 && t.long_blocks + kSpareGroups / 2 > info_.groups) ||
         (info_.has6 && t.prefixes6 > size_t{table6_.mask()} * 5 && table6_.mask() + 1 < ListMemory::kMostBuckets) ||
         (info_.lengths6 == SLUICE_MAX_LENGTHS6 && t.lengths_in_use() < SLUICE_MAX_LENGTHS6);
}

}  // namespace sluice::shed
