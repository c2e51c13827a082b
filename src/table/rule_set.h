// Ordered filter rules, compiled to two rte_acl contexts (IPv4, IPv6). First match wins. Immutable once
// built; classify anywhere.
//
// A rule that names ports or an ICMP type sees only packets whose ports are known. For a later fragment
// (or an L4 header that is not there) it matches by its other fields if it denies, and not at all if it
// permits or rejects: nobody gets through by hiding the ports.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/limits.h"
#include "base/result.h"
#include "wire/addr.h"

struct rte_acl_ctx;

namespace sluice {

enum class RuleAction : uint8_t { permit, deny, reject };

struct PortRange {
  uint16_t low = 0, high = 65535;  // host order, inclusive
  bool any() const { return low == 0 && high == 65535; }
};

struct Rule {
  std::string name;
  RuleAction action = RuleAction::deny;
  std::vector<uint16_t> in_ports, out_ports;  // port numbers; empty: any
  std::vector<Prefix> sources, destinations;  // empty: any address of any family; else their families only
  std::vector<uint8_t> protocols;             // empty: any. ICMP and ICMPv6 are told apart by family
  std::vector<PortRange> sports, dports;      // empty: any. TCP, UDP, SCTP, DCCP, UDP-Lite
  std::vector<uint16_t> icmp;                 // type << 8 | code, code 0xff: any; empty: any
  bool stateful = true;                       // replies of what it permits pass without a rule
  bool names_l4() const { return !sports.empty() || !dports.empty() || !icmp.empty(); }
};

struct RuleKey4 {     // what is classified; ports in host order; for ICMP sport = type, dport = code
  Ip4 src, dst;
  uint16_t sport, dport;
  uint16_t in_port, out_port;
  uint8_t proto;
  bool l4_known;      // false: a later fragment, or no whole L4 header
};
struct RuleKey6 {
  Ip6 src, dst;
  uint16_t sport, dport;
  uint16_t in_port, out_port;
  uint8_t proto;
  bool l4_known;
};

class RuleSet {
 public:
  static constexpr uint32_t kDefault = UINT32_MAX;  // no rule matched

  struct Hits {  // one writer per worker
    Counter packets, bytes;
  };
  struct Options {
    RuleAction default_action = RuleAction::deny;
    unsigned workers = 1;
    unsigned max_expanded = 200'000;  // entries after sets are multiplied out; more is an error that names the rule
    int numa_node = -1;
  };

  // `previous` hands its counters to rules of the same name.
  static Result<std::shared_ptr<const RuleSet>> build(std::vector<Rule> rules, const Options& o,
                                                      const RuleSet* previous = nullptr);
  ~RuleSet();

  // Index of the first matching rule, or kDefault. n ≤ kMaxBurst.
  void classify(const RuleKey4* keys, uint32_t* rule, unsigned n) const;
  void classify(const RuleKey6* keys, uint32_t* rule, unsigned n) const;

  const Rule& rule(uint32_t i) const { return rules_[i]; }
  size_t size() const { return rules_.size(); }
  RuleAction action(uint32_t i) const { return i == kDefault ? default_ : rules_[i].action; }
  // Counters of a rule (kDefault too) for one worker; written by that worker alone.
  Hits& hits(uint32_t i, unsigned worker) const {
    return hits_[worker][i == kDefault ? rules_.size() : i];
  }
  struct Sum {
    uint64_t packets = 0, bytes = 0;
  };
  Sum sum(uint32_t i) const;  // over workers, with what an earlier rule set of the same rules counted

 private:
  RuleSet() = default;
  std::vector<Rule> rules_;
  RuleAction default_ = RuleAction::deny;
  rte_acl_ctx* acl4_ = nullptr;
  rte_acl_ctx* acl6_ = nullptr;
  unsigned workers_ = 1;
  std::unique_ptr<std::unique_ptr<Hits[]>[]> hits_;
  std::vector<Sum> inherited_;
};

}  // namespace sluice
