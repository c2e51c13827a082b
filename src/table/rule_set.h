// Ordered filter rules, compiled to two rte_acl contexts (IPv4, IPv6). First match wins. Immutable once
// built; classify anywhere.
//
// A rule that names ports or an ICMP type sees only packets whose ports are known. For a later fragment
// (or an L4 header that is not there) it matches by its other fields if it denies, and not at all if it
// permits or rejects: nobody gets through by hiding the ports.
//
// What a rule names of L4 must be there: one that names ports alone matches no ICMP, one that names ICMP types
// alone matches ICMP alone; a rule that names both holds TCP and its like to the ports, ICMP to the types.
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
  bool operator==(const PortRange&) const = default;
};

struct Rule {
  std::string name;
  RuleAction action = RuleAction::deny;
  std::vector<uint16_t> in_ports, out_ports;  // port numbers; empty: any
  std::vector<Prefix> sources, destinations;  // empty: any address of any family; else their families only
  std::vector<uint8_t> protocols;             // empty: any. ICMP and ICMPv6 are told apart by family
  std::vector<PortRange> sports, dports;      // empty: any. TCP, UDP, SCTP, DCCP, UDP-Lite
  std::vector<uint16_t> icmp;                 // type << 8 | code, code 0xff: any; empty: any. Either family
  bool stateful = true;                       // replies of what it permits pass without a rule
  std::vector<uint16_t> icmp4, icmp6;         // like icmp, for one family: "echo-request" is 8 here and 128 there
  bool names_ports() const { return !sports.empty() || !dports.empty(); }
  bool names_icmp() const { return !icmp.empty() || !icmp4.empty() || !icmp6.empty(); }
  bool names_l4() const { return names_ports() || names_icmp(); }
  bool operator==(const Rule&) const = default;
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

  // `previous` hands its counters to rules of the same name; what workers still count there until they have
  // moved on is not lost. No worker may still use the rule set from which `previous` itself inherited.
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
    return counters_->of(worker)[i == kDefault ? rules_.size() : i];
  }
  struct Sum {
    uint64_t packets = 0, bytes = 0;
  };
  Sum sum(uint32_t i) const;  // over workers, with what earlier rule sets counted for the same name

  struct Figures {
    size_t entries4 = 0, entries6 = 0;  // after sets are multiplied out
  };
  const Figures& figures() const { return figures_; }
  static Figures count(const Rule& r);  // what one rule comes to; SIZE_MAX: beyond counting
  RuleAction default_action() const { return default_; }
  const std::vector<Rule>& rules() const { return rules_; }

 private:
  // Shared with the rule set that follows: until its workers have moved on, they count here.
  struct Counters {
    Counters(unsigned w, size_t rules);
    Hits* of(unsigned worker) const { return hits.get() + worker * stride; }
    Sum sum(size_t i) const;
    unsigned workers;
    size_t stride;
    std::unique_ptr<Hits[]> hits;
  };
  struct Inherited {
    Sum before;                       // final: of the predecessor's predecessors
    size_t slot = SIZE_MAX;           // in `earlier_`; SIZE_MAX: none
  };

  RuleSet() = default;
  void inherit(const RuleSet& previous);

  std::vector<Rule> rules_;
  RuleAction default_ = RuleAction::deny;
  rte_acl_ctx* acl4_ = nullptr;
  rte_acl_ctx* acl6_ = nullptr;
  Figures figures_;
  std::shared_ptr<Counters> counters_, earlier_;
  std::vector<Inherited> inherited_;  // by rule, the default's last; empty: no predecessor
};

}  // namespace sluice
