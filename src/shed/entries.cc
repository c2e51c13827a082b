#include "shed/entries.h"

#include <algorithm>

namespace sluice::shed {

size_t Entries::bytes() const {
  size_t n = runs_.capacity() * sizeof runs_[0];
  for (const auto& run : runs_) n += run->capacity() * sizeof(Entry);
  return n;
}

Entries::Cursor Entries::at(size_t position) const {
  size_t run = 0;
  while (run < runs_.size() && position >= runs_[run]->size()) position -= runs_[run++]->size();
  return {this, run, run < runs_.size() ? position : 0};
}

Entries::Cursor Entries::from(const Entry& key) const {
  const auto run = std::lower_bound(runs_.begin(), runs_.end(), key,
                                    [](const std::shared_ptr<const Run>& r, const Entry& k) { return r->back() < k; });
  if (run == runs_.end()) return {this, runs_.size(), 0};
  const auto at = std::lower_bound((*run)->begin(), (*run)->end(), key);
  return {this, static_cast<size_t>(run - runs_.begin()), static_cast<size_t>(at - (*run)->begin())};
}

const Entry* Entries::find(const Entry& key) const {
  const Cursor c = from(key);
  return c && c->same_prefix(key) && c->from == key.from ? &*c : nullptr;
}

const Entry* Entries::effective(const Entry& prefix) const {
  Entry key = prefix;
  key.from = Origin{};
  const Cursor c = from(key);
  return c && c->same_prefix(key) ? &*c : nullptr;
}

void Entries::put(const Entry& e) {
  if (runs_.empty()) {
    runs_.push_back(made({e}));
    size_ = 1;
    return;
  }
  Cursor c = from(e);
  if (!c) c.run_ = runs_.size() - 1, c.index_ = runs_.back()->size();
  const Run& old = *runs_[c.run_];
  const auto place = old.begin() + static_cast<ptrdiff_t>(c.index_);
  const bool there = place != old.end() && place->same_prefix(e) && place->from == e.from;
  Run fresh;
  fresh.reserve(old.size() + 1);
  fresh.insert(fresh.end(), old.begin(), place);
  fresh.push_back(e);
  fresh.insert(fresh.end(), place + there, old.end());
  size_ += !there;
  if (fresh.size() > 2 * kRun) {
    runs_.insert(runs_.begin() + static_cast<ptrdiff_t>(c.run_) + 1, made({fresh.begin() + kRun, fresh.end()}));
    fresh.resize(kRun);
  }
  runs_[c.run_] = made(std::move(fresh));
}

bool Entries::take(const Entry& key) {
  const Cursor c = from(key);
  if (!c || !c->same_prefix(key) || c->from != key.from) return false;
  Run fresh = *runs_[c.run_];
  fresh.erase(fresh.begin() + static_cast<ptrdiff_t>(c.index_));
  if (fresh.empty())
    runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(c.run_));
  else
    runs_[c.run_] = made(std::move(fresh));
  size_--;
  return true;
}

void Entries::assign(const std::vector<Entry>& sorted) {
  runs_.clear();
  size_ = sorted.size();
  runs_.reserve(size_ / kRun + 1);
  for (size_t i = 0; i < sorted.size(); i += kRun) {
    const auto first = sorted.begin() + static_cast<ptrdiff_t>(i);
    runs_.push_back(made({first, first + static_cast<ptrdiff_t>(std::min(kRun, sorted.size() - i))}));
  }
}

}  // namespace sluice::shed
