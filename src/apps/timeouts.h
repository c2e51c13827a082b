// Time-outs of many connections, each named by a small index. Setting one is mostly a store: an item stands in a
// wheel's slot that comes no later than its deadline, and is moved on when that slot comes up. So a deadline that is
// put off with every packet costs nothing until it would have passed. Fires no earlier than the deadline, and at most
// kStep later.
#pragma once

#include <cstdint>
#include <vector>

#include "base/instant.h"

namespace sluice::apps {

class Timeouts {
 public:
  static constexpr int64_t kStep = Duration::millis(20).ns;

  explicit Timeouts(uint32_t items);

  // INT64_MAX: never.
  void set(uint32_t item, int64_t when, int64_t now) {
    item_[item].when = when;
    if (when != INT64_MAX && (item_[item].slot == kNowhere || when < item_[item].visit)) link(item, now);
  }
  void clear(uint32_t item) { item_[item].when = INT64_MAX; }
  int64_t when(uint32_t item) const { return item_[item].when; }

  // Calls fire(item) for what is due, with its deadline cleared; at most `budget` items are looked at, and what is left
  // over stays due. fire() may set and clear.
  template <class Fire>
  void run(int64_t now, unsigned budget, Fire&& fire) {
    while (budget > 0) {
      const uint32_t i = next_due(now);
      if (i == kNobody) return;
      budget--;
      unlink(i);
      if (item_[i].when > now) {
        if (item_[i].when != INT64_MAX) link(i, now);
        continue;
      }
      item_[i].when = INT64_MAX;
      fire(i);
    }
  }
  // When run() has to be called next.
  int64_t deadline() const;

 private:
  static constexpr unsigned kSlots = 512;
  static constexpr uint32_t kNobody = UINT32_MAX;
  static constexpr uint16_t kNowhere = UINT16_MAX;
  struct Item {
    int64_t when = INT64_MAX;
    int64_t visit = 0;  // when its slot comes up
    uint32_t next = kNobody, prev = kNobody;
    uint16_t slot = kNowhere;
  };

  void link(uint32_t i, int64_t now);
  void unlink(uint32_t i);
  uint32_t next_due(int64_t now);

  std::vector<Item> item_;
  std::vector<uint32_t> head_;
  uint64_t busy_[kSlots / 64]{};
  int64_t turn_ = 0;     // the step up to which slots were emptied
  uint32_t linked_ = 0;
};

}  // namespace sluice::apps
