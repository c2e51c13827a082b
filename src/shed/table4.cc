#include "shed/table4.h"

#include <algorithm>
#include <atomic>

namespace sluice::shed {

namespace {

constexpr uint64_t kAlike[SLUICE_ACTIONS] = {0, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, UINT64_MAX};

template <class T>
void publish(T& word, T value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref(word).store(value, order);
}

}  // namespace

void Table4::build(const Entries& all) {
  slots_ = memory_.slot(slot_).slots4.load(std::memory_order_relaxed);
  groups_ = memory_.slot(slot_).groups.load(std::memory_order_relaxed);
  used_ = 0;
  free_.clear(), waiting_.clear();
  fresh_ = true;
  paint(0, UINT32_MAX, SLUICE_ACTION_NONE, all.begin());
  fresh_ = false;
}

void Table4::repaint(const Entry& p, const Entries& all) {
  uint32_t ground = SLUICE_ACTION_NONE;
  for (unsigned len = p.len; len-- > 0 && ground == SLUICE_ACTION_NONE;)
    if (const Entry* e = all.effective(p.around(static_cast<uint8_t>(len), Origin{}))) ground = e->action;
  paint(p.first4(), p.last4(), ground, all.from(p.around(p.len, Origin{})));
}

// Nested prefixes are a stack: the innermost that has not ended colours the addresses up to the next beginning or end.
void Table4::paint(uint32_t first, uint32_t last, uint32_t ground, Entries::Cursor inside) {
  struct Open {
    uint32_t last, action;
  } open[34];
  unsigned depth = 0;
  open[depth++] = {last, ground};
  uint64_t at = first;
  const auto close_before = [&](uint64_t next) {
    while (depth > 0 && open[depth - 1].last < next) {
      const Open& o = open[--depth];
      if (at <= o.last) fill(static_cast<uint32_t>(at), o.last, o.action);
      at = std::max<uint64_t>(at, uint64_t{o.last} + 1);
    }
  };
  const Entry* before = nullptr;
  for (; inside && inside->family == 4 && inside->first4() <= last; ++inside) {
    const Entry& e = *inside;
    if (before && before->same_prefix(e)) continue;  // of an origin that comes later
    before = &e;
    close_before(e.first4());
    if (at < e.first4()) fill(static_cast<uint32_t>(at), e.first4() - 1, open[depth - 1].action);
    at = e.first4();
    open[depth++] = {e.last4(), e.action};
  }
  close_before(uint64_t{last} + 1);
  flush();
}

void Table4::fill(uint32_t first, uint32_t last, uint32_t action) {
  if (first & 255 || (last >> 8) == (first >> 8)) {
    const uint32_t end = std::min(last, first | 255);
    fill_part(first, end, action);
    if (end == last) return;
    first = end + 1;
  }
  flush();
  const uint32_t whole = (last & 255) == 255 ? (last >> 8) + 1 : last >> 8;
  set_slots(first >> 8, whole, action);
  if ((last & 255) != 255) fill_part(last & ~255u, last, action);
}

void Table4::fill_part(uint32_t first, uint32_t last, uint32_t action) {
  if (block_.number != first >> 8) {
    flush();
    load(first >> 8);
  }
  for (uint32_t a = first & 255; a <= (last & 255);) {
    const uint32_t end = std::min(a | 31, last & 255), n = end - a + 1;
    const uint64_t mask = (n == 32 ? UINT64_MAX : (1ull << 2 * n) - 1) << 2 * (a & 31);
    uint64_t& w = block_.word[a / 32];
    w = (w & ~mask) | (kAlike[action] & mask);
    a = end + 1;
  }
}

void Table4::load(uint32_t number) {
  block_.number = number;
  const uint32_t slot = fresh_ ? 0 : slots_->slot[number];
  if (slot < SLUICE_ACTIONS)
    std::fill_n(block_.word, 8, kAlike[slot]);
  else
    std::copy_n(groups_[slot - SLUICE_ACTIONS].word, 8, block_.word);
}

void Table4::flush() {
  if (block_.number == UINT32_MAX) return;
  const uint32_t number = std::exchange(block_.number, UINT32_MAX);
  const uint64_t first = block_.word[0];
  const uint32_t action = first & 3;
  if (std::all_of(block_.word, block_.word + 8, [&](uint64_t w) { return w == kAlike[action]; }))
    return set_slot(number, action);
  const uint32_t slot = fresh_ ? 0 : slots_->slot[number];
  const bool there = slot >= SLUICE_ACTIONS;
  const uint32_t g = there ? slot - SLUICE_ACTIONS : take_group();
  for (unsigned i = 0; i < 8; i++) publish<__u64>(groups_[g].word[i], block_.word[i]);
  if (!there) set_slot(number, SLUICE_ACTIONS + g);
}

void Table4::set_slots(uint32_t first, uint32_t end, uint32_t action) {
  for (uint32_t n = first, next; n < end; n = next) {
    next = std::min(end, (n | 255) + 1);
    if (action == SLUICE_ACTION_NONE && !written_[n >> 8]) continue;
    if (!fresh_) {
      for (uint32_t i = n; i < next; i++) set_slot(i, action);
      continue;
    }
    std::fill(slots_->slot + n, slots_->slot + next, action);
    if (action != SLUICE_ACTION_NONE)
      written_.set(n >> 8);
    else if (next - n == 256)
      written_.reset(n >> 8);
  }
}

void Table4::set_slot(uint32_t number, uint32_t value) {
  uint32_t& slot = slots_->slot[number];
  if (slot == value) return;
  if (value != SLUICE_ACTION_NONE) written_.set(number >> 8);
  if (!fresh_ && slot >= SLUICE_ACTIONS) waiting_.push_back(slot - SLUICE_ACTIONS);
  publish(slot, value, std::memory_order_release);
}

// Whoever changes an entry has seen to it that there are enough.
uint32_t Table4::take_group() {
  const uint32_t there = memory_.slot(slot_).group_count;
  if (free_.empty() && used_ == there) {
    memory_.grace();
    free_.swap(waiting_);
  }
  if (free_.empty()) return used_++;
  const uint32_t g = free_.back();
  free_.pop_back();
  return g;
}

}  // namespace sluice::shed
