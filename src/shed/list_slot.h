// One of the two slots that the prefix lists are compiled into: its tables, and what the verdict is told of them.
//
// build() writes a slot that no verdict looks at, on any thread; show() changes one that verdicts may be reading, on the
// control thread, each change one word after the other so that every source is seen as before or as after.
#pragma once

#include "shed/list_contents.h"
#include "shed/table4.h"
#include "shed/table6.h"

namespace sluice::shed {

class ListSlot {
 public:
  ListSlot(ListMemory& memory, unsigned i, sluice_list_info& info, const sluice_cookie_key& key)
      : memory_(memory), i_(i), info_(info), key_(key), table4_(memory, i), table6_(memory, i, key) {
    info.key = key;
  }

  Status build(const Contents& c);
  // What `c`, which has just changed there, says of a prefix. false: there is no room for it in place; build another.
  Result<bool> show(const Entry& prefix, const Contents& c);
  // Whether a slot built now would have more room than this one has left, which is not much.
  bool tight(const Tally& t) const;
  size_t memory_bytes() const { return memory_.bytes(i_, table4_.groups_used(), size_t{table6_.mask()} + 1); }

 private:
  Status build4(const Contents& c);
  Status build6(const Contents& c);
  Result<bool> show4(const Entry& prefix, const Contents& c);
  Result<bool> show6(const Entry& prefix, const Contents& c);
  bool know_length(uint8_t len);

  ListMemory& memory_;
  const unsigned i_;
  sluice_list_info& info_;
  const sluice_cookie_key key_;
  Table4 table4_;
  Table6 table6_;
};

}  // namespace sluice::shed
