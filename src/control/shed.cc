#include "control/shed.h"

#include <algorithm>

namespace sluice::control {
namespace {

using shed::ListEntry;
using shed::Origin;
using View = shed::PrefixList::View;

// The list's own order: family, address, length.
bool before(const Prefix& a, const Prefix& b) {
  if (a.addr.family != b.addr.family) return a.addr.family < b.addr.family;
  return a.addr.b != b.addr.b ? a.addr.b < b.addr.b : a.len < b.len;
}

std::optional<View> entry_at(const shed::PrefixList& lists, size_t position) {
  std::optional<View> v;
  lists.visit(position, 1, [&](const View& x) { v = x; });
  return v;
}

std::vector<View> by_command(const shed::PrefixList& lists) {
  std::vector<View> all;
  all.reserve(lists.size(Origin::command, SLUICE_ACTION_BLOCK) + lists.size(Origin::command, SLUICE_ACTION_ALLOW));
  lists.visit(0, lists.size(), [&](const View& v) {
    if (v.from == Origin::command) all.push_back(v);
  });
  return all;
}

// `kept` and behind them `fresh` instead of what there is by command. The list knows one end for all that comes at once;
// those that have another get it back afterwards, in place, which cannot fail: they are there.
Status rewrite(shed::PrefixList& lists, const std::vector<View>& kept, std::vector<ListEntry> fresh, Instant until) {
  std::vector<ListEntry> all;
  all.reserve(kept.size() + fresh.size());
  for (const View& v : kept) all.push_back(v.entry);
  all.insert(all.end(), fresh.begin(), fresh.end());
  if (Status s = lists.replace(Origin::command, std::move(all), until); !s) return s;
  if (std::all_of(kept.begin(), kept.end(), [&](const View& v) { return v.until == until; })) return {};
  const auto less = [](const ListEntry& a, const ListEntry& b) { return before(a.prefix, b.prefix); };
  std::sort(fresh.begin(), fresh.end(), less);
  for (const View& v : kept)
    if (v.until != until && !std::binary_search(fresh.begin(), fresh.end(), v.entry, less))
      if (Status s = lists.add(v.entry, Origin::command, v.until); !s) return s;
  return {};
}

}  // namespace

size_t position_of(const shed::PrefixList& lists, const Prefix& p) {
  size_t low = 0, high = lists.size();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const auto v = entry_at(lists, middle);
    if (v && before(v->entry.prefix, p)) low = middle + 1;
    else high = middle;
  }
  return low;
}

std::optional<View> entry_of(const shed::PrefixList& lists, const Prefix& p, Origin from) {
  std::optional<View> found;
  lists.visit(position_of(lists, p), 3, [&](const View& v) {  // one of each origin
    if (v.entry.prefix == p && v.from == from) found = v;
  });
  return found;
}

Status load_entries(shed::PrefixList& lists, sluice_action action, const std::vector<Prefix>& prefixes, Instant until, bool replace) {
  std::vector<View> kept = by_command(lists);
  if (replace) std::erase_if(kept, [&](const View& v) { return v.entry.action == action; });
  std::vector<ListEntry> fresh;
  fresh.reserve(prefixes.size());
  for (const Prefix& p : prefixes) fresh.push_back({p, action});
  return rewrite(lists, kept, std::move(fresh), until);
}

Result<size_t> clear_entries(shed::PrefixList& lists, sluice_action action) {
  std::vector<View> kept = by_command(lists);
  const size_t before = kept.size();
  std::erase_if(kept, [&](const View& v) { return v.entry.action == action; });
  if (kept.size() == before) return size_t{0};
  if (Status s = rewrite(lists, kept, {}, Instant::never()); !s) return Error{s.error()};
  return before - kept.size();
}

config::PrefixReader* PrefixLoad::piece_of(uint64_t number, sluice_action action, Instant now) {
  const bool under_way = reader_ && now - heard_ < kPatience;
  if (number == 0 ? under_way : !reader_ || number != number_ || action != action_) return nullptr;
  if (number == 0) {
    reader_.emplace(shed::PrefixList::kMost);
    number_++;
    action_ = action;
  }
  heard_ = now;
  return &*reader_;
}

}  // namespace sluice::control
