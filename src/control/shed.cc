#include "control/shed.h"

#include <algorithm>

namespace sluice::control {
namespace {

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
