// Drop rules in a NIC: sources that it drops by itself (rte_flow), so that they cost no CPU at all. How many it takes only
// trying tells: rules are given one after the other until it refuses one, and the verdict drops the rest. Control thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "wire/addr.h"

namespace sluice::port {

// What keeps the rules; tests have one of their own.
class RuleTaker {
 public:
  virtual ~RuleTaker() = default;
  virtual void* add(const Prefix& source) = 0;  // null: refused
  virtual bool remove(void* rule) = 0;
  virtual void remove_all() = 0;
  virtual uint64_t dropped(void* rule) = 0;     // frames so far; 0 where it does not count
};

class HardwareDrops {
 public:
  // The rules from now on, instead of those there are; those in both stay. Returns how many of the first are in force; none behind
  // them is.
  size_t set(RuleTaker& nic, std::span<const Prefix> sources);
  void clear(RuleTaker& nic) { set(nic, {}); }
  void forget();  // the device is gone, and the rules with it
  size_t size() const { return rules_.size(); }
  uint64_t dropped(RuleTaker& nic) const;  // by all rules that there ever were

 private:
  void drop_others(RuleTaker& nic, const std::set<Prefix>& wanted);
  bool take_out(RuleTaker& nic, std::map<Prefix, void*>::iterator rule);
  std::map<Prefix, void*> rules_;
  uint64_t dropped_before_ = 0;  // by rules that are no more
};

// The rules of a started ethdev.
class FlowRules final : public RuleTaker {
 public:
  explicit FlowRules(uint16_t port) : port_(port) {}
  void* add(const Prefix& source) override;
  bool remove(void* rule) override;
  void remove_all() override;
  uint64_t dropped(void* rule) override;

 private:
  const uint16_t port_;
};

}  // namespace sluice::port
