// A fixed number of items, handed out by index: allocated at construction, touched as they are first used. Last in,
// first out, so that what is in the cache is used again.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::apps {

inline constexpr uint32_t kNone = UINT32_MAX;

template <class T>
class Pool {
 public:
  explicit Pool(uint32_t most) : most_(most) {
    items_.reserve(most);
    free_.reserve(most);
  }

  // An item as T{}; kNone: all are in use.
  uint32_t take() {
    if (!free_.empty()) {
      const uint32_t i = free_.back();
      free_.pop_back();
      items_[i] = T{};
      return i;
    }
    if (items_.size() == most_) return kNone;
    items_.emplace_back();  // never beyond what was reserved
    return static_cast<uint32_t>(items_.size() - 1);
  }
  void give(uint32_t i) { free_.push_back(i); }

  T& operator[](uint32_t i) { return items_[i]; }
  const T& operator[](uint32_t i) const { return items_[i]; }
  uint32_t touched() const { return static_cast<uint32_t>(items_.size()); }  // indices below have been used
  uint32_t used() const { return static_cast<uint32_t>(items_.size() - free_.size()); }
  uint32_t most() const { return most_; }

 private:
  std::vector<T> items_;
  std::vector<uint32_t> free_;
  uint32_t most_;
};

}  // namespace sluice::apps
