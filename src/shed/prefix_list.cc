// Entries are kept twice: in order, with origins and ends (entries.h), for people and for building; and compiled, what is
// in force of each prefix, in one of two slots of shared memory (table4.h, table6.h), for verdicts. A single change is
// compiled in place. What cannot be (all entries of an origin; a new length of IPv6 prefixes; no room left in the slot)
// is compiled into the other slot, and control.lists is turned to it. Whatever can fail comes before the first word that
// a verdict sees.
#include "shed/prefix_list.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "shed/entries.h"
#include "shed/list_memory.h"
#include "shed/table4.h"
#include "shed/table6.h"

namespace sluice::shed {

namespace {

// What there is, by prefixes, however many origins a prefix has; but for `by`.
struct Tally {
  uint32_t lengths6[129] = {};
  size_t prefixes4 = 0, prefixes6 = 0;
  uint32_t long_blocks = 0;  // of IPv4: /24s with a longer prefix inside, which may need a group
  size_t by[3][SLUICE_ACTIONS] = {};
};

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

unsigned lengths_in_use(const Tally& t) {
  return static_cast<unsigned>(std::count_if(std::begin(t.lengths6), std::end(t.lengths6), [](auto n) { return n > 0; }));
}

Status check(const ListEntry& e) {
  if (e.prefix.addr.none() || e.prefix.len > e.prefix.addr.bits()) return Error{"'" + to_string(e.prefix) + "' is no prefix"};
  if (e.action <= SLUICE_ACTION_NONE || e.action >= SLUICE_ACTIONS)
    return Error{to_string(e.prefix) + " is given no action: block or allow"};
  return {};
}

PrefixList::View view_of(const Entry& e) {
  return {{e.prefix(), static_cast<sluice_action>(e.action)}, e.from, e.until};
}

}  // namespace

struct PrefixList::Impl {
  Impl(std::unique_ptr<ListMemory> m, sluice_control* c, uint64_t k0, uint64_t k1)
      : memory(std::move(m)), control(c), key{k0, k1}, table4(*memory), table6(*memory, key) {}

  Status limits(size_t entries_then, const Tally& t) const;
  Tally changed(const Entry& prefix, bool was_there) const;
  Status show(const Entry& prefix, const Tally& t);
  Status show6(const Entry& prefix, const Tally& t);
  Status rebuild(const Entries& e, const Tally& t);
  Status adopt(std::vector<Entry> sorted);
  Status replace(std::vector<Entry> fresh, unsigned origins);
  bool take(const Entry& key);
  std::vector<Prefix> wholly_blocked(size_t at_most) const;
  bool knows_length(uint8_t len) const;
  bool long_neighbour(const Entry& e) const;
  const sluice_list_info& info() const { return control->list[control->lists]; }
  void done(const Tally& t) {
    counts = t;
    blocked = {};
    if (used) used(entries.size() > 0);
  }

  std::unique_ptr<ListMemory> memory;
  sluice_control* const control;
  const sluice_cookie_key key;
  Entries entries;
  Tally counts;
  Table4 table4;
  Table6 table6;
  Instant soonest = Instant::never();
  std::function<void(bool)> used;
  struct {  // the last answer of blocked(), until something changes
    size_t at_most = 0;
    std::vector<Prefix> prefixes;
  } blocked;
};

// Another prefix longer than /24 in the same /24.
bool PrefixList::Impl::long_neighbour(const Entry& e) const {
  const Entry block = e.around(24, Origin{});
  for (auto c = entries.from(block); c && block.holds(*c); ++c)
    if (c->len > 24 && !c->same_prefix(e)) return true;
  return false;
}

Status PrefixList::Impl::limits(size_t entries_then, const Tally& t) const {
  if (entries_then > kMost)
    return Error{"the lists hold at most " + std::to_string(kMost) + " prefixes, and this would make " +
                 std::to_string(entries_then) + ": remove some, or join them to shorter ones"};
  if (const unsigned n = lengths_in_use(t); n > SLUICE_MAX_LENGTHS6)
    return Error{"IPv6 prefixes of " + std::to_string(n) + " lengths are too many, each is looked for in turn: at most " +
                 std::to_string(SLUICE_MAX_LENGTHS6) + " (bogons have some, too); round some to a common length"};
  return {};
}

// ---- the other slot

Status PrefixList::Impl::rebuild(const Entries& e, const Tally& t) {
  const uint32_t other = control->lists ^ 1;
  memory->grace();
  sluice_list_info next{};
  next.key = key;
  if (t.prefixes4 > 0) {
    Status s = memory->want_slots4(other);
    if (s) s = memory->want_groups(other, t.long_blocks + t.long_blocks / 4);
    if (!s) return s;
  }
  uint32_t buckets = Table6::buckets_for(t.prefixes6);
  Table6 fresh6(*memory, key);
  for (bool built = t.prefixes6 == 0; !built; buckets *= 2) {
    if (buckets > ListMemory::kMostBuckets) return Error{"the list of IPv6 prefixes is full: remove some"};
    if (Status s = memory->want_list6(other, buckets); !s) return s;
    built = fresh6.build(other, buckets, e);
  }
  if (t.prefixes4 > 0) {
    table4.build(other, e);
    next.has4 = 1;
    next.groups = memory->slot(other).group_count;
  }
  if (t.prefixes6 > 0) {
    table6 = fresh6;
    next.has6 = 1;
    next.mask6 = fresh6.mask();
    for (int len = 128; len >= 0; len--)
      if (t.lengths6[len] > 0) next.length6[next.lengths6++] = static_cast<uint8_t>(len);
  }
  control->list[other] = next;
  std::atomic_ref(control->lists).store(other, std::memory_order_release);
  return {};
}

// All of `sorted` instead of what there is.
Status PrefixList::Impl::adopt(std::vector<Entry> sorted) {
  Instant next = Instant::never();
  for (const Entry& e : sorted) next = std::min(next, e.until);
  Entries fresh;
  fresh.assign(std::move(sorted));
  const Tally t = tally(fresh);
  Status s = limits(fresh.size(), t);
  if (s) s = rebuild(fresh, t);
  if (!s) return s;
  entries = std::move(fresh);
  soonest = next;
  done(t);
  return {};
}

// origins: a bit each, of those whose entries go.
Status PrefixList::Impl::replace(std::vector<Entry> fresh, unsigned origins) {
  std::stable_sort(fresh.begin(), fresh.end());
  std::vector<Entry> all;
  all.reserve(fresh.size() + entries.size());
  auto kept = entries.begin();
  for (auto e = fresh.begin(); e != fresh.end() || kept;) {
    if (kept && origins >> static_cast<unsigned>(kept->from) & 1) {
      ++kept;
    } else if (e == fresh.end() || (kept && *kept < *e)) {
      all.push_back(*kept);
      ++kept;
    } else {
      if (!all.empty() && !(all.back() < *e)) all.pop_back();
      all.push_back(*e++);
    }
  }
  return adopt(std::move(all));
}

// ---- in place

Tally PrefixList::Impl::changed(const Entry& prefix, bool was_there) const {
  Tally t = counts;
  const Entry* now = entries.effective(prefix);
  if ((now != nullptr) == was_there) return t;
  const auto step = now ? 1u : UINT32_MAX;
  if (prefix.family == 6) {
    t.prefixes6 += now ? 1 : -1;
    t.lengths6[prefix.len] += step;
  } else {
    t.prefixes4 += now ? 1 : -1;
    if (prefix.len > 24 && !long_neighbour(prefix)) t.long_blocks += step;
  }
  return t;
}

bool PrefixList::Impl::knows_length(uint8_t len) const {
  const auto& i = info();
  return std::find(i.length6, i.length6 + i.lengths6, len) != i.length6 + i.lengths6;
}

// Makes verdicts see what the entries say of a prefix.
Status PrefixList::Impl::show(const Entry& prefix, const Tally& t) {
  if (prefix.family == 6) return show6(prefix, t);
  if (!info().has4 || t.long_blocks > info().groups) return rebuild(entries, t);
  table4.repaint(prefix, entries);
  return {};
}

Status PrefixList::Impl::show6(const Entry& prefix, const Tally& t) {
  const Entry* e = entries.effective(prefix);
  const uint32_t action = e ? uint32_t{e->action} : uint32_t{SLUICE_ACTION_NONE};
  const bool crowded = t.prefixes6 > size_t{table6.mask()} * 6;
  if (action != SLUICE_ACTION_NONE && (!info().has6 || crowded || !knows_length(prefix.len))) return rebuild(entries, t);
  return table6.set(prefix, action) ? Status{} : rebuild(entries, t);
}

bool PrefixList::Impl::take(const Entry& key_of) {
  const Entry* there = entries.find(key_of);
  if (!there) return false;
  const Entry gone = *there;
  entries.take(gone);
  Tally t = changed(gone, true);
  t.by[static_cast<unsigned>(gone.from)][gone.action]--;
  (void)show(gone, t).ok();  // what is there needs no more room when less of it is shown
  done(t);
  return true;
}

// ---- the list

PrefixList::PrefixList(std::unique_ptr<ListMemory> memory, sluice_control* control, uint64_t k0, uint64_t k1)
    : impl_(std::make_unique<Impl>(std::move(memory), control, k0, k1)) {}
PrefixList::~PrefixList() = default;

Status PrefixList::add(const ListEntry& e, Origin from, Instant until) {
  if (Status s = check(e); !s) return s;
  const Entry n(e.prefix, from, e.action, until);
  Entries& all = impl_->entries;
  const bool was_there = all.effective(n) != nullptr;
  const Entry* there = all.find(n);
  const bool again = there != nullptr;
  const Entry old = again ? *there : n;
  all.put(n);
  Tally t = impl_->changed(n, was_there);
  if (again) t.by[static_cast<unsigned>(from)][old.action]--;
  t.by[static_cast<unsigned>(from)][n.action]++;
  Status s = impl_->limits(all.size(), t);
  if (s && !(again && old.action == n.action)) s = impl_->show(n, t);
  if (!s) {
    again ? all.put(old) : void(all.take(n));
    return s;
  }
  impl_->soonest = std::min(impl_->soonest, until);
  impl_->done(t);
  return {};
}

bool PrefixList::remove(const Prefix& p, Origin from) {
  return !p.addr.none() && p.len <= p.addr.bits() && impl_->take(Entry(p, from));
}

Status PrefixList::replace(Origin from, std::vector<ListEntry> all, Instant until) {
  std::vector<Entry> fresh;
  fresh.reserve(all.size());
  for (const ListEntry& e : all) {
    if (Status s = check(e); !s) return s;
    fresh.emplace_back(e.prefix, from, e.action, until);
  }
  return impl_->replace(std::move(fresh), 1u << static_cast<unsigned>(from));
}

Status PrefixList::replace(Origin from, const std::vector<ListEntry>& all, Origin other,
                           const std::vector<ListEntry>& others) {
  std::vector<Entry> fresh;
  fresh.reserve(all.size() + others.size());
  for (const auto& [list, origin] : {std::pair(&all, from), std::pair(&others, other)})
    for (const ListEntry& e : *list) {
      if (Status s = check(e); !s) return s;
      fresh.emplace_back(e.prefix, origin, e.action);
    }
  return impl_->replace(std::move(fresh), 1u << static_cast<unsigned>(from) | 1u << static_cast<unsigned>(other));
}

// A look at all entries, but only when one is due.
size_t PrefixList::expire(Instant now) {
  if (now < impl_->soonest) return 0;
  constexpr size_t kTooManyOneByOne = 4096;
  std::vector<Entry> due, kept;
  Instant next = Instant::never();
  size_t n = 0;
  for (auto c = impl_->entries.begin(); c; ++c) {
    if (c->until > now) {
      next = std::min(next, c->until);
    } else if (n++ < kTooManyOneByOne) {
      due.push_back(*c);
    }
  }
  if (n > kTooManyOneByOne) {
    for (auto c = impl_->entries.begin(); c; ++c)
      if (c->until > now) kept.push_back(*c);
    if (impl_->adopt(std::move(kept))) return n;
    // No memory: some now, the others next time.
    next = now;
  }
  for (const Entry& e : due) impl_->take(e);
  impl_->soonest = next;
  return due.size();
}

Instant PrefixList::next_expiry() const {
  return impl_->soonest;
}

void PrefixList::when_used(std::function<void(bool)> f) {
  impl_->used = std::move(f);
}

size_t PrefixList::size() const {
  return impl_->entries.size();
}

size_t PrefixList::size(Origin from, sluice_action a) const {
  return a < SLUICE_ACTIONS ? impl_->counts.by[static_cast<unsigned>(from)][a] : 0;
}

size_t PrefixList::memory_bytes() const {
  return impl_->entries.bytes() + impl_->memory->bytes(impl_->control->lists, impl_->table4.groups_used(), size_t{impl_->table6.mask()} + 1);
}

void PrefixList::visit(size_t from, size_t n, const std::function<void(const View&)>& f) const {
  for (auto c = impl_->entries.at(from); c && n > 0; ++c, n--) f(view_of(*c));
}

std::optional<PrefixList::View> PrefixList::find(const IpAddr& a) const {
  if (a.none()) return {};
  const Entry host(Prefix{a, static_cast<uint8_t>(a.bits())}, Origin{});
  for (unsigned len = a.bits() + 1; len-- > 0;)
    if (const Entry* e = impl_->entries.effective(host.around(static_cast<uint8_t>(len), Origin{}))) return view_of(*e);
  return {};
}

std::vector<Prefix> PrefixList::blocked(size_t at_most) const {
  if (at_most == 0) return {};
  auto& answer = impl_->blocked;
  if (answer.at_most != at_most) answer = {at_most, impl_->wholly_blocked(at_most)};
  return answer.prefixes;
}

std::vector<Prefix> PrefixList::Impl::wholly_blocked(size_t at_most) const {
  std::vector<Entry> allowed;
  for (auto c = entries.begin(); c; ++c)
    if (c->action == SLUICE_ACTION_ALLOW) allowed.push_back(*c);
  std::vector<std::vector<Entry>> by_length(129);
  const Entry *before = nullptr, *taken = nullptr;
  for (auto c = entries.begin(); c; ++c) {
    const Entry& e = *c;
    const bool shadowed = before && before->same_prefix(e);
    before = &e;
    if (shadowed || e.action != SLUICE_ACTION_BLOCK || (taken && taken->holds(e))) continue;
    const auto inside = std::lower_bound(allowed.begin(), allowed.end(), e);
    if ((inside != allowed.end() && e.holds(*inside)) || by_length[e.len].size() >= at_most) continue;
    by_length[e.len].push_back(e);
    taken = &e;
  }
  std::vector<Prefix> all;
  for (const auto& same : by_length)
    for (const Entry& e : same)
      if (all.size() < at_most) all.push_back(e.prefix());
  return all;
}

}  // namespace sluice::shed
