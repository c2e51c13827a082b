#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

constexpr uint8_t kWithPorts[] = {6, 17, 33, 132, 136};

bool has_ports(uint8_t p) {
  return std::find(std::begin(kWithPorts), std::end(kWithPorts), p) != std::end(kWithPorts);
}
bool is_icmp(uint8_t p) {
  return p == 1 || p == 58;
}

// Bit 4 and bit 6: the families that a list of prefixes is about; an empty list is about both.
constexpr unsigned kIp4 = 1, kIp6 = 2;
unsigned families(const std::vector<Prefix>& list) {
  if (list.empty()) return kIp4 | kIp6;
  unsigned f = 0;
  for (const Prefix& p : list) f |= p.addr.family == 4 ? kIp4 : kIp6;
  return f;
}

class RuleChecks {
 public:
  RuleChecks(const Model& m, Findings& f) : f_(f) {
    for (const Port& p : m.ports) names_.push_back(p.name), known_.insert(p.name);
  }

  void check(const Rule& r, size_t index) {
    index_ = index;
    check_ports(r.in, "in");
    check_ports(r.out, "out");
    check_l4(r);
    check_families(r);
  }
  std::string path(const std::string& below = "") const {
    return "filter.rules[" + std::to_string(index_) + "]" + (below.empty() ? "" : "." + below);
  }

 private:
  void check_ports(const std::vector<std::string>& list, const char* key) {
    for (size_t i = 0; i < list.size(); i++) {
      auto here = [&] { return path(key) + (list.size() > 1 ? "[" + std::to_string(i) + "]" : ""); };
      if (!known_.contains(list[i]))
        f_.add(here(), "found '" + list[i] + "', but there is no such port" + did_you_mean(list[i], names_));
      for (size_t k = 0; k < i; k++)
        if (list[k] == list[i]) f_.add(here(), "the port '" + list[i] + "' is named twice");
    }
  }

  void check_l4(const Rule& r) {
    auto lists = [](const std::vector<uint8_t>& p, bool (*good)(uint8_t)) {
      return !p.empty() && std::all_of(p.begin(), p.end(), good);
    };
    for (auto [key, spans] : {std::pair{"from-port", &r.from_ports}, std::pair{"to-port", &r.to_ports}})
      if (!spans->empty() && !lists(r.protocols, has_ports))
        f_.add(path(key), std::string("a rule with '") + key +
                              "' needs 'protocol: tcp', udp, or [tcp, udp]; " +
                              odd_protocol(r.protocols, has_ports));
    const bool types = !r.icmp.empty() || !r.icmp4.empty() || !r.icmp6.empty();
    if (types && !lists(r.protocols, is_icmp))
      f_.add(path("icmp"),
             "a rule with 'icmp' needs 'protocol: icmp'; " + odd_protocol(r.protocols, is_icmp));
  }
  static std::string odd_protocol(const std::vector<uint8_t>& p, bool (*good)(uint8_t)) {
    auto it = std::find_if_not(p.begin(), p.end(), good);
    return it == p.end() ? "it names none" : "it names " + protocol_name(*it);
  }

  void check_families(const Rule& r) {
    const unsigned by_address = families(r.from) & families(r.to);
    if (!by_address) {
      f_.add(path("to"),
             "the rule can never match: 'from' is of one family and 'to' of the other; give both IPv4, or "
             "both IPv6, or lists of both");
      return;
    }
    unsigned by_protocol = 0;
    for (uint8_t p : r.protocols) by_protocol |= p == 1 ? kIp4 : p == 58 ? kIp6 : kIp4 | kIp6;
    if (r.protocols.empty()) by_protocol = kIp4 | kIp6;
    const unsigned both = by_address & by_protocol;
    if (!both) {
      f_.add(path("protocol"),
             std::string("the rule can never match: its addresses are ") +
                 (by_address == kIp4 ? "IPv4 and its protocol is ICMPv6" : "IPv6 and its protocol is ICMP"));
      return;
    }
    if (r.icmp4.empty() && r.icmp6.empty()) return;
    const unsigned by_type = (r.icmp4.empty() ? 0 : kIp4) | (r.icmp6.empty() ? 0 : kIp6);
    if (!(by_type & both))
      f_.add(path("icmp"), std::string("the rule can never match: these messages exist in ") +
                               (by_type == kIp4 ? "ICMP" : "ICMPv6") +
                               " only, and the rule is about the other family");
  }

  Findings& f_;
  size_t index_ = 0;
  std::vector<std::string> names_;
  std::unordered_set<std::string> known_;
};

}  // namespace

void validate_filter(const Model& m, Findings& f) {
  RuleChecks checks(m, f);
  std::unordered_map<std::string, size_t> first;
  for (size_t i = 0; i < m.filter.rules.size(); i++) {
    const Rule& r = m.filter.rules[i];
    const std::string base = "filter.rules[" + std::to_string(i) + "]";
    auto [it, fresh] = first.emplace(r.name, i);
    if (!fresh)
      f.add(base + ".name", "the name '" + r.name + "' is taken by filter.rules[" +
                                std::to_string(it->second) +
                                "]; counters go by name, so each rule needs its own");
    if (!f.doubtful(base)) checks.check(r, i);
  }
}

}  // namespace sluice::config
