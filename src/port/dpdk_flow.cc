#include "port/dpdk_flow.h"

#include <rte_flow.h>

#include <cstring>
#include <iterator>

namespace sluice::port {

size_t HardwareDrops::set(RuleTaker& nic, std::span<const Prefix> sources) {
  drop_others(nic, {sources.begin(), sources.end()});
  // Where one is refused, those that come last make room for those that come first.
  size_t last = sources.size();
  const auto make_room = [&](size_t behind) {
    while (last > behind + 1)
      if (const auto r = rules_.find(sources[--last]); r != rules_.end() && take_out(nic, r)) return true;
    return false;
  };
  for (size_t n = 0; n < sources.size(); n++) {
    if (rules_.contains(sources[n])) continue;
    void* rule = nic.add(sources[n]);
    while (!rule && make_room(n)) rule = nic.add(sources[n]);
    if (!rule) return n;
    rules_.emplace(sources[n], rule);
  }
  return sources.size();
}

bool HardwareDrops::take_out(RuleTaker& nic, std::map<Prefix, void*>::iterator rule) {
  dropped_before_ += nic.dropped(rule->second);
  const bool gone = nic.remove(rule->second);
  rules_.erase(rule);
  return gone;
}

// A rule that the NIC does not let go might drop what is allowed by now: then all go.
void HardwareDrops::drop_others(RuleTaker& nic, const std::set<Prefix>& wanted) {
  bool all_gone = true;
  for (auto r = rules_.begin(); r != rules_.end();) {
    const auto next = std::next(r);
    if (!wanted.contains(r->first)) all_gone &= take_out(nic, r);
    r = next;
  }
  if (all_gone) return;
  for (const auto& r : rules_) dropped_before_ += nic.dropped(r.second);
  nic.remove_all();
  rules_.clear();
}

void HardwareDrops::forget() {
  rules_.clear();
}

uint64_t HardwareDrops::dropped(RuleTaker& nic) const {
  uint64_t n = dropped_before_;
  for (const auto& r : rules_) n += nic.dropped(r.second);
  return n;
}

namespace {

// A frame of either family by its source, and what is done with it. Counting is asked for, and left out where it is refused.
struct Rule {
  explicit Rule(const Prefix& p) {
    const Prefix source = p.masked();
    uint8_t mask[16] = {};
    for (unsigned bit = 0; bit < source.len; bit++) mask[bit / 8] = static_cast<uint8_t>(mask[bit / 8] | 0x80u >> bit % 8);
    pattern[0].type = RTE_FLOW_ITEM_TYPE_ETH;
    if (source.addr.family == 4) {
      std::memcpy(&spec4.hdr.src_addr, source.addr.b.data(), 4);
      std::memcpy(&mask4.hdr.src_addr, mask, 4);
      pattern[1].type = RTE_FLOW_ITEM_TYPE_IPV4;
      pattern[1].spec = &spec4, pattern[1].mask = &mask4;
    } else {
      std::memcpy(spec6.hdr.src_addr, source.addr.b.data(), 16);
      std::memcpy(mask6.hdr.src_addr, mask, 16);
      pattern[1].type = RTE_FLOW_ITEM_TYPE_IPV6;
      pattern[1].spec = &spec6, pattern[1].mask = &mask6;
    }
    attributes.ingress = 1;
  }
  rte_flow_attr attributes{};
  rte_flow_item_ipv4 spec4{}, mask4{};
  rte_flow_item_ipv6 spec6{}, mask6{};
  rte_flow_item pattern[3]{};  // the last is RTE_FLOW_ITEM_TYPE_END
  rte_flow_action_count count{};
  const rte_flow_action counted[3] = {{RTE_FLOW_ACTION_TYPE_COUNT, &count}, {RTE_FLOW_ACTION_TYPE_DROP, nullptr},
                                      {RTE_FLOW_ACTION_TYPE_END, nullptr}};
};

}  // namespace

void* FlowRules::add(const Prefix& source) {
  const Rule r(source);
  for (const rte_flow_action* actions : {r.counted, r.counted + 1}) {
    rte_flow_error e{};
    if (rte_flow_validate(port_, &r.attributes, r.pattern, actions, &e) != 0) continue;
    if (rte_flow* flow = rte_flow_create(port_, &r.attributes, r.pattern, actions, &e)) return flow;
  }
  return nullptr;
}

bool FlowRules::remove(void* rule) {
  rte_flow_error e{};
  return rte_flow_destroy(port_, static_cast<rte_flow*>(rule), &e) == 0;
}

void FlowRules::remove_all() {
  rte_flow_error e{};
  rte_flow_flush(port_, &e);
}

uint64_t FlowRules::dropped(void* rule) {
  const rte_flow_action count[] = {{RTE_FLOW_ACTION_TYPE_COUNT, nullptr}, {RTE_FLOW_ACTION_TYPE_END, nullptr}};
  rte_flow_query_count answer{};
  rte_flow_error e{};
  if (rte_flow_query(port_, static_cast<rte_flow*>(rule), count, &answer, &e) != 0) return 0;
  return answer.hits_set ? answer.hits : 0;
}

}  // namespace sluice::port
