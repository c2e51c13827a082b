// The keys of the filter, its sets and its rules.
#include <algorithm>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

struct IcmpName {
  const char* name;
  int type4, code4, type6, code6;  // -1: the family has none; code 0xff: any
};
// RFC 792, 1122, 1812, 1191; RFC 4443, 4861, 2710, 3810.
constexpr IcmpName kIcmpNames[] = {
    {"echo-request", 8, 0xff, 128, 0xff},
    {"echo-reply", 0, 0xff, 129, 0xff},
    {"unreachable", 3, 0xff, 1, 0xff},
    {"port-unreachable", 3, 3, 1, 4},
    {"admin-prohibited", 3, 13, 1, 1},
    {"fragmentation-needed", 3, 4, -1, 0},
    {"packet-too-big", -1, 0, 2, 0xff},
    {"time-exceeded", 11, 0xff, 3, 0xff},
    {"parameter-problem", 12, 0xff, 4, 0xff},
    {"redirect", 5, 0xff, 137, 0xff},
    {"timestamp-request", 13, 0xff, -1, 0},
    {"timestamp-reply", 14, 0xff, -1, 0},
    {"router-solicitation", 10, 0xff, 133, 0xff},
    {"router-advertisement", 9, 0xff, 134, 0xff},
    {"neighbor-solicitation", -1, 0, 135, 0xff},
    {"neighbor-advertisement", -1, 0, 136, 0xff},
};

constexpr uint16_t type_code(int type, int code) {
  return static_cast<uint16_t>(type << 8 | code);
}

Json icmp_item_schema() {
  Json names = Json::array();
  for (const IcmpName& n : kIcmpNames) names.push_back(n.name);
  return Json{{"anyOf", Json::array({Json{{"enum", names}},
                                     Json{{"type", "integer"}, {"minimum", 0}, {"maximum", 255}},
                                     Json{{"type", "string"}, {"pattern", "^[0-9]{1,3}(/[0-9]{1,3})?$"}}})}};
}

bool small(std::string_view s, int& out) {  // 0..255
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
  return error == std::errc() && end == s.data() + s.size() && out >= 0 && out <= 255;
}

// Names go to their family's list; numbers to `icmp`, until the rule's family is known.
void read_icmp(Reader& r, const At& at, Rule& rule) {
  static constexpr const char* kWhat = "an ICMP type such as echo-request, a number, or TYPE/CODE";
  if (!needs_scalar(r, at, kWhat)) return;
  const std::string& s = at.node->text;
  std::vector<std::string> names;
  for (const IcmpName& n : kIcmpNames) {
    if (s == n.name) {
      if (n.type4 >= 0) rule.icmp4.push_back(type_code(n.type4, n.code4));
      if (n.type6 >= 0) rule.icmp6.push_back(type_code(n.type6, n.code6));
      return;
    }
    names.push_back(n.name);
  }
  const size_t slash = s.find('/');
  int type = 0, code = 0xff;
  if (small(std::string_view(s).substr(0, slash), type) &&
      (slash == s.npos || small(std::string_view(s).substr(slash + 1), code))) {
    rule.icmp.push_back(type_code(type, code));
    return;
  }
  r.mistake(at, "found " + found(*at.node) + ", expected " + kWhat + did_you_mean(s, names));
}

// Calls f for a single value, or for each item of a list that is not empty.
template <class F>
void each(Reader& r, const At& at, const std::string& what, const F& f) {
  if (at.node->kind != Node::Kind::sequence) return f(at);
  if (at.node->items.empty())
    r.mistake(at, "found an empty list, expected " + what + "; leave the key out for any");
  for (size_t i = 0; i < at.node->items.size(); i++) f(at.item(i, at.node->items[i]));
}

// $NAME in a rule. Null: a mistake was reported, or the set itself was refused.
const NamedSet* set_of(Reader& r, const At& at, bool ports) {
  const std::string name = at.node->text.substr(1);
  auto it = r.sets.find(name);
  if (it == r.sets.end()) {
    std::vector<std::string> names;
    for (auto& [n, set] : r.sets) names.push_back("$" + n);
    r.mistake(at, "found " + found(*at.node) + ", but filter.sets has no '" + name + "'" +
                      did_you_mean(at.node->text, names));
    return nullptr;
  }
  if (!it->second.sound) return nullptr;
  if (it->second.ports != ports) {
    r.mistake(at, "found " + found(*at.node) + ", which is a set of " +
                      (ports ? "addresses" : "port numbers") + ", expected " +
                      (ports ? "port numbers" : "addresses"));
    return nullptr;
  }
  return &it->second;
}

bool names_set(const Node& n) {
  return n.kind == Node::Kind::scalar && n.text.starts_with('$');
}

void read_addresses(Reader& r, const At& at, std::vector<Prefix>& out) {
  each(r, at, "prefixes", [&](const At& item) {
    if (names_set(*item.node)) {
      if (const NamedSet* s = set_of(r, item, false))
        out.insert(out.end(), s->prefixes.begin(), s->prefixes.end());
      return;
    }
    Prefix p;
    if (network().read(r, item, p)) out.push_back(p);
  });
}

void read_spans(Reader& r, const At& at, std::vector<PortSpan>& out) {
  each(r, at, "port numbers", [&](const At& item) {
    if (names_set(*item.node)) {
      if (const NamedSet* s = set_of(r, item, true)) out.insert(out.end(), s->spans.begin(), s->spans.end());
      return;
    }
    PortSpan p;
    if (port_span().read(r, item, p)) out.push_back(p);
  });
}

void read_protocols(Reader& r, const At& at, Rule& rule) {
  each(r, at, "protocols", [&](const At& item) {
    if (item.node->kind == Node::Kind::scalar && item.node->text == "icmp") {
      rule.protocols.insert(rule.protocols.end(), {1, 58});
      return;
    }
    uint8_t p = 0;
    if (protocol(true).read(r, item, p)) rule.protocols.push_back(p);
  });
  std::sort(rule.protocols.begin(), rule.protocols.end());
  rule.protocols.erase(std::unique(rule.protocols.begin(), rule.protocols.end()), rule.protocols.end());
}

Json one_or_list(const Json& item) {
  return Json{{"anyOf", Json::array({item, Json{{"type", "array"}, {"minItems", 1}, {"items", item}}})}};
}
Json with_set(const Json& item) {
  Json any = item.contains("anyOf") ? item["anyOf"] : Json::array({item});
  any.push_back(Json{{"type", "string"}, {"pattern", "^\\$[A-Za-z][A-Za-z0-9_-]*$"}});
  return Json{{"anyOf", any}};
}

const Type<Action>& action_type() {
  static const Type<Action> t =
      choice<Action>({{"permit", Action::permit}, {"deny", Action::deny}, {"reject", Action::reject}});
  return t;
}

void rule_addresses(Object<Rule>& o) {
  const Json addresses = one_or_list(with_set(network().schema));
  const Json spans = one_or_list(with_set(port_span().schema));
  o.own("from", "Source addresses: a prefix, an address, $set, or a list of them. Left out: any.", addresses,
        [](Reader& r, const At& at, Rule& u) { read_addresses(r, at, u.from); });
  o.own("to", "Destination addresses.", addresses,
        [](Reader& r, const At& at, Rule& u) { read_addresses(r, at, u.to); });
  o.own("protocol",
        "tcp, udp, icmp (ICMP in IPv4 and ICMPv6 in IPv6), another protocol's name or number, or a list.",
        one_or_list(protocol(true).schema), read_protocols);
  o.own("from-port", "Source ports: 443, 8000-8080, $set, or a list. Needs protocol tcp or udp.", spans,
        [](Reader& r, const At& at, Rule& u) { read_spans(r, at, u.from_ports); });
  o.own("to-port", "Destination ports.", spans,
        [](Reader& r, const At& at, Rule& u) { read_spans(r, at, u.to_ports); });
  o.own("icmp",
        "ICMP types: echo-request, unreachable, …; a number or TYPE/CODE where protocol is icmp4 or icmp6.",
        one_or_list(icmp_item_schema()), [](Reader& r, const At& at, Rule& u) {
          each(r, at, "ICMP types", [&](const At& item) { read_icmp(r, item, u); });
        });
}

Object<Rule> make_rule_keys() {
  Object<Rule> o("a rule");
  o.key("name", "What counters and verdicts call the rule. Left out: rule-N, by its place in the list.",
        text(1, 63, "a name of letters, digits, - and _, a letter first", kNamePattern, good_name),
        &Rule::name);
  o.key("action", "permit, deny (silently), or reject (with an ICMP error, or a reset for TCP).",
        action_type(), &Rule::action)
      .required();
  o.key("in", "Ports that the packet came in on. Left out: any.", one_or_many(port_name(), "ports"),
        &Rule::in);
  o.key("out", "Ports that it would leave through.", one_or_many(port_name(), "ports"), &Rule::out);
  rule_addresses(o);
  o.key("stateful", "Replies to what the rule permits pass without a rule of their own.", boolean(),
        &Rule::stateful);
  return o;
}

const Object<Rule>& rule_keys() {
  static const Object<Rule> keys = make_rule_keys();
  return keys;
}

void read_set(Reader& r, const At& at, NamedSet& set) {
  set.sound = false;
  if (at.node->kind != Node::Kind::sequence || at.node->items.empty()) {
    r.expected(at, "a list of prefixes or of port numbers, with at least one item");
    return;
  }
  auto looks_like_port = [](const Node& n) {
    return n.kind == Node::Kind::scalar && n.text.find_first_not_of("0123456789-") == std::string::npos;
  };
  set.ports = looks_like_port(*at.node->items[0]);
  bool ok = true;
  for (size_t i = 0; i < at.node->items.size(); i++) {
    const At item = at.item(i, at.node->items[i]);
    if (names_set(*item.node)) {
      ok = r.mistake(item, "found " + found(*item.node) + "; a set cannot hold another set");
    } else if (looks_like_port(*item.node) != set.ports) {
      ok = r.expected(item, set.ports ? "a port number, as the set's first item is one"
                                      : "a prefix or an address, as the set's first item is one");
    } else if (set.ports) {
      ok &= port_span().read(r, item, set.spans.emplace_back());
    } else {
      ok &= network().read(r, item, set.prefixes.emplace_back());
    }
  }
  set.sound = ok;
}

void read_sets(Reader& r, const At& at, Filter&) {
  if (at.node->kind != Node::Kind::map) {
    r.expected(at, "a map of sets, such as 'servers: [192.0.2.0/24]'");
    return;
  }
  check_map_keys(r, at, "filter.sets", nullptr);
  for (size_t i = 0; i < at.node->pairs(); i++) {
    const Node& key = at.node->key(i);
    if (key.kind != Node::Kind::scalar) continue;
    const At here = at.in(key.text, &at.node->value(i));
    if (!good_name(key.text))
      r.mistake_at(&key, here.path(),
                   "found " + found(key) +
                       " as the name of a set, expected letters, digits, - and _, "
                       "a letter first");
    auto [it, fresh] = r.sets.try_emplace(key.text);
    if (fresh) read_set(r, here, it->second);
  }
}

// A type given as a number belongs to the one family that the rule is about.
void settle_icmp(Reader& r, const At& at, Rule& rule) {
  if (rule.icmp.empty()) return;
  auto only = [](const std::vector<Prefix>& all, unsigned family) {
    return !all.empty() &&
           std::all_of(all.begin(), all.end(), [&](const Prefix& p) { return p.addr.family == family; });
  };
  for (unsigned family : {4u, 6u}) {
    const uint8_t proto = family == 4 ? 1 : 58;
    if (rule.protocols != std::vector<uint8_t>{proto} && !only(rule.from, family) && !only(rule.to, family))
      continue;
    auto& list = family == 4 ? rule.icmp4 : rule.icmp6;
    list.insert(list.end(), rule.icmp.begin(), rule.icmp.end());
    rule.icmp.clear();
    return;
  }
  const Node* n = at.node->find("icmp");
  r.mistake(at.in("icmp", n),
            "a number means one message in ICMP and another in ICMPv6; use a name, or "
            "'protocol: icmp4' or 'icmp6'");
}

void read_rules(Reader& r, const At& at, Filter& f) {
  if (at.node->kind != Node::Kind::sequence) {
    r.expected(at, "a list of rules");
    return;
  }
  f.rules.reserve(at.node->items.size());
  for (size_t i = 0; i < at.node->items.size(); i++) {
    Rule& rule = f.rules.emplace_back();
    rule.stateful = f.stateful;
    const At here = at.item(i, at.node->items[i]);
    if (rule_keys().read(r, here, rule)) settle_icmp(r, here, rule);
    if (rule.name.empty()) rule.name = "rule-" + std::to_string(i + 1);
  }
}

Json sets_schema() {
  const Json item = {{"anyOf", Json::array({network().schema, port_span().schema})}};
  return Json{{"type", "object"},
              {"propertyNames", Json{{"pattern", kNamePattern}}},
              {"additionalProperties", Json{{"type", "array"}, {"minItems", 1}, {"items", item}}}};
}

// `sets` and `stateful` stand before `rules`, which need both.
Object<Filter> make_filter_keys() {
  Object<Filter> o("filter");
  o.key("default", "What becomes of packets that no rule matches.", action_type(), &Filter::default_action,
        "deny");
  o.key("stateful", "Replies to permitted packets pass by themselves; a rule can say otherwise.", boolean(),
        &Filter::stateful, true);
  o.key("tiny-fragments",
        "drop: fragments too small to hold the headers that rules look at (RFC 1858, RFC 7112).",
        choice<bool>({{"drop", true}, {"pass", false}}), &Filter::drop_tiny_fragments, "drop");
  o.own("sets", "Named lists of prefixes or of port numbers, which rules use as $name.", sets_schema(),
        read_sets);
  o.own(
      "rules",
      "The rules, in order: the first that matches decides. They judge forwarded packets, not the box's own.",
      Json{{"type", "array"}, {"items", rule_keys().schema()}}, read_rules);
  return o;
}

}  // namespace

const Object<Filter>& filter_keys() {
  static const Object<Filter> keys = make_filter_keys();
  return keys;
}

}  // namespace sluice::config
