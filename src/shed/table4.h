// The IPv4 half of a list slot: DIR-24-8 (bpf/maps.h), written from the sorted entries.
//
// Theory of operation. Any change comes down to painting a range of addresses with what the entries inside it say, on the
// ground of what the longest prefix around it says; a whole table is the range of all addresses. Every word is written
// once, with its final value, so a verdict sees an address as before or as after. A /24 whose addresses are alike needs no
// group. A group that falls free is not used again before a grace period, since a verdict may be on its way to it.
#pragma once

#include <bitset>
#include <vector>

#include "shed/entries.h"
#include "shed/list_memory.h"

namespace sluice::shed {

class Table4 {
 public:
  Table4(ListMemory& memory, unsigned slot) : memory_(memory), slot_(slot) {}

  // The slot, of unknown content, is written anew. It has slots4, and groups for every /24 with a longer prefix inside.
  void build(const Entries& all);
  // A change of `p`; the entries are those after it.
  void repaint(const Entry& p, const Entries& all);
  size_t groups_used() const { return used_ - free_.size(); }

 private:
  struct Block {  // the /24 that is being painted
    uint32_t number = UINT32_MAX;
    uint64_t word[8];
  };
  void paint(uint32_t first, uint32_t last, uint32_t ground, Entries::Cursor inside);
  void fill(uint32_t first, uint32_t last, uint32_t action);
  void fill_part(uint32_t first, uint32_t last, uint32_t action);
  void load(uint32_t number);
  void flush();
  void set_slots(uint32_t first, uint32_t end, uint32_t action);
  void set_slot(uint32_t number, uint32_t value);
  uint32_t take_group();

  ListMemory& memory_;
  const unsigned slot_;
  sluice_slots4* slots_ = nullptr;
  sluice_group* groups_ = nullptr;
  bool fresh_ = false;  // what the slot holds means nothing
  std::bitset<SLUICE_SLOTS4_ROWS> written_;  // rows that hold more than zeros; the others are skipped
  Block block_{};
  uint32_t used_ = 0;                   // groups that were ever taken
  std::vector<uint32_t> free_, waiting_;  // waiting for a grace period
};

}  // namespace sluice::shed
