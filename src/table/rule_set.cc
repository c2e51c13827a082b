#include "table/rule_set.h"

#include <rte_acl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <unordered_map>

// A rule becomes rte_acl entries, one for each combination of what it lists; entries of a rule share its
// priority, so that the lowest rule number wins. Per family:
//
//   input   proto | src | dst | sport dport | in out known 0     the first byte stands alone, then words of four,
//                                                                 as rte_acl wants it; network order
//   known   what decides whether a rule that names L4 may look at the ports (see the header):
//
//             rule names L4 | action          | entries
//             no            | any             | known: either
//             yes           | permit, reject  | known = 1 with its ports
//             yes           | deny            | known = 1 with its ports; known = 0 with any
//
// A port number that is not there (kNoPort) is 255 in the input, which no rule can name.

namespace sluice {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kDccp = 33, kSctp = 132, kUdpLite = 136, kIcmp = 1, kIcmp6 = 58;
constexpr std::array<uint8_t, 5> kWithPorts{kTcp, kUdp, kDccp, kSctp, kUdpLite};

bool has_ports(uint8_t proto) { return std::find(kWithPorts.begin(), kWithPorts.end(), proto) != kWithPorts.end(); }

struct Input4 {
  uint8_t proto;
  uint8_t pad[3];
  be32 src, dst;
  be16 sport, dport;
  uint8_t in, out, known, zero;
};
struct Input6 {
  uint8_t proto;
  uint8_t pad[3];
  Ip6 src, dst;
  be16 sport, dport;
  uint8_t in, out, known, zero;
};
static_assert(sizeof(Input4) == 20 && sizeof(Input6) == 44);

// Fields in the order in which the trie branches. Addresses first and the box's ports last is what builds
// fastest: most rules leave the ports open, and a wildcard high up is copied below every branch beside it.
template <unsigned kAddressWords>
struct Layout {
  static constexpr unsigned kSrc = 1, kDst = kSrc + kAddressWords, kSport = kDst + kAddressWords,
                            kDport = kSport + 1, kIn = kDport + 1, kOut = kIn + 1, kKnown = kOut + 1,
                            kZero = kKnown + 1, kFields = kZero + 1;
  struct Entry {
    rte_acl_rule_data data;
    rte_acl_field field[kFields];
  };
};

template <class Input, unsigned kWords>
rte_acl_config config_of() {
  using L = Layout<kWords>;
  rte_acl_config c{};
  c.num_categories = 1;
  c.num_fields = L::kFields;
  auto set = [&](unsigned field, uint8_t type, uint8_t size, size_t offset) {
    c.defs[field] = {type, size, static_cast<uint8_t>(field), 0, static_cast<uint32_t>(offset)};
  };
  set(0, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(Input, proto));
  for (unsigned i = 0; i < kWords; i++) {
    set(L::kSrc + i, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(Input, src) + 4 * i);
    set(L::kDst + i, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(Input, dst) + 4 * i);
  }
  set(L::kSport, RTE_ACL_FIELD_TYPE_RANGE, 2, offsetof(Input, sport));
  set(L::kDport, RTE_ACL_FIELD_TYPE_RANGE, 2, offsetof(Input, dport));
  set(L::kIn, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(Input, in));
  set(L::kOut, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(Input, out));
  set(L::kKnown, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(Input, known));
  set(L::kZero, RTE_ACL_FIELD_TYPE_BITMASK, 1, offsetof(Input, zero));
  uint8_t word = 0;
  for (unsigned i = 1; i < L::kFields; i++) {
    if (c.defs[i].offset % 4 == 0) word++;
    c.defs[i].input_index = word;
  }
  return c;
}

// One combination of protocol, ports and whether they are known.
struct L4 {
  uint8_t proto = 0, proto_mask = 0;
  PortRange sport{}, dport{};
  uint8_t known = 0, known_mask = 0;
};

void icmp_choices(const Rule& r, unsigned family, uint8_t proto, std::vector<L4>& out) {
  auto add = [&](uint16_t type_code) {
    auto type = static_cast<uint16_t>(type_code >> 8), code = static_cast<uint16_t>(type_code & 0xff);
    out.push_back({proto, 0xff, {type, type}, code == 0xff ? PortRange{} : PortRange{code, code}, 1, 1});
  };
  size_t before = out.size();
  for (uint16_t t : r.icmp) add(t);
  for (uint16_t t : family == 4 ? r.icmp4 : r.icmp6) add(t);
  if (out.size() > before && r.action == RuleAction::deny) out.push_back({proto, 0xff, {}, {}, 0, 1});
}

void port_choices(const Rule& r, uint8_t proto, std::vector<L4>& out) {
  static const std::vector<PortRange> any(1);
  for (const PortRange& s : r.sports.empty() ? any : r.sports)
    for (const PortRange& d : r.dports.empty() ? any : r.dports) out.push_back({proto, 0xff, s, d, 1, 1});
  if (r.action == RuleAction::deny) out.push_back({proto, 0xff, {}, {}, 0, 1});
}

// The protocols that a rule means in one family: where both ICMPs are listed, each stands for its own family.
std::vector<uint8_t> protocols_of(const Rule& r, unsigned family) {
  std::vector<uint8_t> p = r.protocols;
  auto lists = [&](uint8_t x) { return std::find(p.begin(), p.end(), x) != p.end(); };
  if (lists(kIcmp) && lists(kIcmp6)) std::erase(p, family == 4 ? kIcmp6 : kIcmp);
  if (p.empty() && r.names_ports()) p.assign(kWithPorts.begin(), kWithPorts.end());
  if (r.protocols.empty() && r.names_icmp()) p.push_back(family == 4 ? kIcmp : kIcmp6);
  std::sort(p.begin(), p.end());
  p.erase(std::unique(p.begin(), p.end()), p.end());
  return p;
}

std::vector<L4> l4_choices(const Rule& r, unsigned family) {
  std::vector<L4> out;
  std::vector<uint8_t> protocols = protocols_of(r, family);
  if (!r.names_l4()) {
    if (r.protocols.empty()) out.push_back({});
    for (uint8_t p : protocols) out.push_back({p, 0xff, {}, {}, 0, 0});
    return out;
  }
  for (uint8_t p : protocols) {
    if (r.names_ports() && has_ports(p)) port_choices(r, p, out);
    if (r.names_icmp() && p == (family == 4 ? kIcmp : kIcmp6)) icmp_choices(r, family, p, out);
  }
  return out;
}

// How many l4_choices() makes, without making them: a rule may list ports by the thousand, twice.
double count_l4(const Rule& r, unsigned family) {
  std::vector<uint8_t> protocols = protocols_of(r, family);
  if (!r.names_l4()) return r.protocols.empty() ? 1 : static_cast<double>(protocols.size());
  auto n = [](const auto& v) { return static_cast<double>(std::max<size_t>(v.size(), 1)); };
  double hidden = r.action == RuleAction::deny ? 1 : 0, sum = 0;
  double types = static_cast<double>(r.icmp.size() + (family == 4 ? r.icmp4 : r.icmp6).size());
  for (uint8_t p : protocols) {
    if (r.names_ports() && has_ports(p)) sum += n(r.sports) * n(r.dports) + hidden;
    if (types > 0 && p == (family == 4 ? kIcmp : kIcmp6)) sum += types + hidden;
  }
  return sum;
}

// The prefixes of one family; `any` of them where the rule names none at all.
std::vector<Prefix> of_family(const std::vector<Prefix>& all, unsigned family) {
  std::vector<Prefix> out;
  if (all.empty()) out.push_back({family == 4 ? IpAddr(Ip4{}) : IpAddr(Ip6{}), 0});
  for (const Prefix& p : all)
    if (p.addr.family == family) out.push_back(p);
  return out;
}

double count_entries(const Rule& r, unsigned family) {  // may be far beyond any integer
  auto n = [](const auto& v) { return static_cast<double>(std::max<size_t>(v.size(), 1)); };
  return static_cast<double>(of_family(r.sources, family).size()) *
         static_cast<double>(of_family(r.destinations, family).size()) * count_l4(r, family) * n(r.in_ports) *
         n(r.out_ports);
}

void set_address(rte_acl_field* f, const Prefix& p, unsigned words) {
  for (unsigned i = 0; i < words; i++) {
    be32 w;
    std::memcpy(&w, p.addr.b.data() + 4 * i, 4);
    f[i].value.u32 = w.host();
    f[i].mask_range.u32 = static_cast<uint32_t>(std::clamp(static_cast<int>(p.len) - 32 * static_cast<int>(i), 0, 32));
  }
}

void set_bits(rte_acl_field& f, unsigned value, unsigned mask) {
  f.value.u8 = static_cast<uint8_t>(value);
  f.mask_range.u8 = static_cast<uint8_t>(mask);
}

void set_range(rte_acl_field& f, const PortRange& r) {
  f.value.u16 = r.low;
  f.mask_range.u16 = r.high;
}

template <unsigned kWords>
void append(const Rule& r, uint32_t index, std::vector<typename Layout<kWords>::Entry>& to) {
  using L = Layout<kWords>;
  constexpr unsigned kFamily = kWords == 1 ? 4 : 6;
  static const std::vector<uint16_t> any{0};
  const auto& ins = r.in_ports.empty() ? any : r.in_ports;
  const auto& outs = r.out_ports.empty() ? any : r.out_ports;
  const auto destinations = of_family(r.destinations, kFamily);
  const auto l4 = l4_choices(r, kFamily);
  typename L::Entry e{};
  e.data = {1, static_cast<int32_t>(RTE_ACL_MAX_PRIORITY - index), index + 1};
  for (const Prefix& s : of_family(r.sources, kFamily))
    for (const Prefix& d : destinations)
      for (const L4& l : l4)
        for (uint16_t in : ins)
          for (uint16_t out : outs) {
            set_bits(e.field[0], l.proto, l.proto_mask);
            set_address(&e.field[L::kSrc], s, kWords);
            set_address(&e.field[L::kDst], d, kWords);
            set_range(e.field[L::kSport], l.sport);
            set_range(e.field[L::kDport], l.dport);
            set_bits(e.field[L::kIn], in, r.in_ports.empty() ? 0 : 0xff);
            set_bits(e.field[L::kOut], out, r.out_ports.empty() ? 0 : 0xff);
            set_bits(e.field[L::kKnown], l.known, l.known_mask);
            set_bits(e.field[L::kZero], 0, 0);
            to.push_back(e);
          }
}


template <class Input, unsigned kWords>
Result<rte_acl_ctx*> compile(const std::vector<typename Layout<kWords>::Entry>& entries, unsigned family,
                             int numa_node) {
  if (entries.empty()) return static_cast<rte_acl_ctx*>(nullptr);
  static std::atomic<unsigned> next{0};
  std::string name = "rules" + std::to_string(family) + "-" + std::to_string(next.fetch_add(1));
  auto size = static_cast<uint32_t>(sizeof entries[0]);
  rte_acl_param p{name.c_str(), numa_node, size, static_cast<uint32_t>(entries.size())};
  rte_acl_ctx* ctx = rte_acl_create(&p);
  const void* first = entries.data();
  rte_acl_config c = config_of<Input, kWords>();
  c.max_size = 0;  // many small tries: 0.6 s to build 10,000 rules; with any limit it tries large ones first, 2.5 s
  int rc = -1;
  if (ctx) rc = rte_acl_add_rules(ctx, static_cast<const rte_acl_rule*>(first), p.max_rule_num);
  if (rc == 0) rc = rte_acl_build(ctx, &c);
  if (rc == 0) return ctx;
  rte_acl_free(ctx);
  return Error{"no memory for the " + std::to_string(entries.size()) + " IPv" + std::to_string(family) +
               " filter entries that the rules come to; use fewer rules or smaller sets, or give more memory"};
}

Error too_many(const Rule& r, double own, double total, unsigned limit) {
  auto number = [](double v) { return v < 1e15 ? std::to_string(static_cast<uint64_t>(v)) : "more than 10^15"; };
  return {"the rule '" + r.name + "' multiplies out to " + number(own) + " entries (sources x destinations x ports x " +
          "protocols x in x out), which makes " + number(total) + " in all, over the limit of " +
          std::to_string(limit) + "; use fewer or larger prefixes and ranges, or several rules"};
}

Status check(const Rule& r) {
  for (const auto* ports : {&r.in_ports, &r.out_ports})
    for (uint16_t p : *ports)
      if (p >= kMaxPorts) return Error{"the rule '" + r.name + "' names port number " + std::to_string(p) +
                                       ", and there are at most " + std::to_string(kMaxPorts)};
  for (const auto* ranges : {&r.sports, &r.dports})
    for (const PortRange& x : *ranges)
      if (x.low > x.high) return Error{"the rule '" + r.name + "' has the empty port range " + std::to_string(x.low) +
                                       "-" + std::to_string(x.high)};
  return {};
}

template <class Key>
void fill_rest(const Key& k, auto& in) {
  in.proto = k.proto;
  in.sport = be16::from(k.sport);
  in.dport = be16::from(k.dport);
  in.in = static_cast<uint8_t>(std::min<uint16_t>(k.in_port, 0xff));
  in.out = static_cast<uint8_t>(std::min<uint16_t>(k.out_port, 0xff));
  in.known = k.l4_known;
  in.zero = 0;
}

template <class Input>
void run(const rte_acl_ctx* ctx, const Input* input, uint32_t* rule, unsigned n) {
  const uint8_t* data[kMaxBurst];
  for (unsigned i = 0; i < n; i++) data[i] = &input[i].proto;
  rte_acl_classify(ctx, data, rule, n, 1);
  for (unsigned i = 0; i < n; i++) rule[i]--;  // 0, no match, becomes kDefault
}

}  // namespace

RuleSet::Counters::Counters(unsigned w, size_t rules)
    : workers(w), stride((rules + 1 + 7) & ~size_t{3}), hits(std::make_unique<Hits[]>(stride * w)) {}

RuleSet::Sum RuleSet::Counters::sum(size_t i) const {
  Sum s;
  for (unsigned w = 0; w < workers; w++) {
    s.packets += of(w)[i].packets.get();
    s.bytes += of(w)[i].bytes.get();
  }
  return s;
}

Result<std::shared_ptr<const RuleSet>> RuleSet::build(std::vector<Rule> rules, const Options& o,
                                                      const RuleSet* previous) {
  std::vector<Layout<1>::Entry> entries4;
  std::vector<Layout<4>::Entry> entries6;
  double total = 0;
  for (uint32_t i = 0; i < rules.size(); i++) {
    if (Status s = check(rules[i]); !s) return Error{s.error()};
    double own = count_entries(rules[i], 4) + count_entries(rules[i], 6);
    total += own;
    if (total > o.max_expanded) return too_many(rules[i], own, total, o.max_expanded);
    append<1>(rules[i], i, entries4);
    append<4>(rules[i], i, entries6);
  }
  std::shared_ptr<RuleSet> set(new RuleSet);
  set->default_ = o.default_action;
  set->figures_ = {entries4.size(), entries6.size()};
  auto acl4 = compile<Input4, 1>(entries4, 4, o.numa_node);
  if (!acl4) return Error{acl4.error()};
  set->acl4_ = *acl4;
  auto acl6 = compile<Input6, 4>(entries6, 6, o.numa_node);
  if (!acl6) return Error{acl6.error()};
  set->acl6_ = *acl6;
  set->rules_ = std::move(rules);
  set->counters_ = std::make_shared<Counters>(std::max(o.workers, 1u), set->rules_.size());
  if (previous) set->inherit(*previous);
  return std::shared_ptr<const RuleSet>(std::move(set));
}

RuleSet::Figures RuleSet::count(const Rule& r) {
  auto whole = [](double v) { return v < 1e15 ? static_cast<size_t>(v) : SIZE_MAX; };
  return {whole(count_entries(r, 4)), whole(count_entries(r, 6))};
}

void RuleSet::inherit(const RuleSet& previous) {
  earlier_ = previous.counters_;
  inherited_.resize(rules_.size() + 1);
  std::unordered_map<std::string_view, size_t> slots;
  for (size_t i = 0; i < previous.rules_.size(); i++) slots.emplace(previous.rules_[i].name, i);
  auto take = [&](size_t from) {
    Inherited in{{}, from};
    if (previous.inherited_.empty()) return in;
    const Inherited& before = previous.inherited_[from];
    in.before = before.before;
    if (before.slot == SIZE_MAX) return in;
    Sum last = previous.earlier_->sum(before.slot);
    in.before.packets += last.packets;
    in.before.bytes += last.bytes;
    return in;
  };
  for (size_t i = 0; i < rules_.size(); i++) {
    auto it = slots.find(rules_[i].name);
    if (it == slots.end()) continue;
    inherited_[i] = take(it->second);
    slots.erase(it);  // once: a name that is there twice must not double what was counted
  }
  inherited_.back() = take(previous.rules_.size());
}

RuleSet::~RuleSet() {
  rte_acl_free(acl4_);
  rte_acl_free(acl6_);
}

void RuleSet::classify(const RuleKey4* keys, uint32_t* rule, unsigned n) const {
  if (!acl4_) {
    std::fill_n(rule, n, kDefault);
    return;
  }
  Input4 input[kMaxBurst];
  for (unsigned i = 0; i < n; i++) {
    input[i].src = keys[i].src.v;
    input[i].dst = keys[i].dst.v;
    fill_rest(keys[i], input[i]);
  }
  run(acl4_, input, rule, n);
}

void RuleSet::classify(const RuleKey6* keys, uint32_t* rule, unsigned n) const {
  if (!acl6_) {
    std::fill_n(rule, n, kDefault);
    return;
  }
  Input6 input[kMaxBurst];
  for (unsigned i = 0; i < n; i++) {
    input[i].src = keys[i].src;
    input[i].dst = keys[i].dst;
    fill_rest(keys[i], input[i]);
  }
  run(acl6_, input, rule, n);
}

RuleSet::Sum RuleSet::sum(uint32_t i) const {
  size_t slot = i == kDefault ? rules_.size() : i;
  Sum s = counters_->sum(slot);
  if (inherited_.empty()) return s;
  const Inherited& in = inherited_[slot];
  s.packets += in.before.packets;
  s.bytes += in.before.bytes;
  if (in.slot != SIZE_MAX) {
    Sum live = earlier_->sum(in.slot);
    s.packets += live.packets;
    s.bytes += live.bytes;
  }
  return s;
}

}  // namespace sluice
