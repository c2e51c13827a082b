// Early drop on the control side: the shed section in the words of src/shed, and changes of the prefix lists that take
// more than one step. Control thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "config/prefix_file.h"
#include "control/translate.h"
#include "shed/policy.h"
#include "shed/prefix_list.h"

namespace sluice::control {

shed::Policy shed_policy(const config::Model& m);
// The TCP listeners, each on the addresses that are the box's own: a SYN for another host is never answered.
std::vector<shed::Service> shed_services(const config::Model& m, const std::vector<PortFacts>& facts);

// Of one origin; none: there is no such entry.
std::optional<shed::PrefixList::View> entry_of(const shed::PrefixList& lists, const Prefix& p, shed::Origin from);
// Position of the first entry that is not before this prefix.
size_t position_of(const shed::PrefixList& lists, const Prefix& p);

// A list that comes in pieces, so that reading it holds up nobody. One at a time.
class PrefixLoad {
 public:
  static constexpr Duration kPatience = Duration::seconds(10);  // silence after which another may begin

  // The load of this number, or, where it is 0, a new one. Null: there is none of that number, or another is under way.
  config::PrefixReader* piece_of(uint64_t number, sluice_action action, Instant now);
  uint64_t number() const { return number_; }
  void end() { reader_.reset(); }

 private:
  std::optional<config::PrefixReader> reader_;
  sluice_action action_{};
  uint64_t number_ = 0;
  Instant heard_{};
};

}  // namespace sluice::control
