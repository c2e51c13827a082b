// The keys of shed.
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

constexpr uint64_t kMostPackets = 10'000'000;

Json any_of(std::initializer_list<Json> list) { return Json{{"anyOf", Json(std::vector<Json>(list))}}; }
Json off_schema() { return Json{{"enum", {"off", false}}}; }

bool says_off(const Node& n) { return n.kind == Node::Kind::scalar && n.text == "off"; }

// ---- rates

Type<uint64_t> rate() { return packet_rate(1, kMostPackets, "packets a second,"); }
Type<uint64_t> burst() { return packet_rate(1, kMostPackets, "packets,"); }

template <class R>
Object<R> make_rate_keys(const char* what) {
  Object<R> o(what);
  o.key("rate", "Packets a second.", rate(), static_cast<uint64_t R::*>(&R::per_second)).required();
  o.key("burst", "How many may come at once. When left out: a tenth of a second's.", burst(),
        static_cast<uint64_t R::*>(&R::burst));
  return o;
}

const Object<ShedRate>& rate_keys() {
  static const Object<ShedRate> keys = make_rate_keys<ShedRate>("a rate");
  return keys;
}

const Object<ShedPrefixRate>& prefix_rate_keys() {
  static const Object<ShedPrefixRate> keys = [] {
    Object<ShedPrefixRate> o = make_rate_keys<ShedPrefixRate>("a rate");
    o.key("prefix4", "IPv4 addresses that agree in so many bits are counted together.", number<uint8_t>(1, 32),
          &ShedPrefixRate::length4, 32);
    o.key("prefix6", "The same for IPv6. When left out: 64 for sources, 128 for destinations.", number<uint8_t>(1, 128),
          &ShedPrefixRate::length6);
    return o;
  }();
  return keys;
}

// 10k, {rate: 10k, burst: 1k}, or off.
template <class R>
Type<R> limit(const Object<R>& keys) {
  const Object<R>* k = &keys;
  return {any_of({off_schema(), rate().schema, keys.schema()}), [k](Reader& r, const At& at, R& out) {
            if (at.node->kind == Node::Kind::map) {
              out.per_second = out.burst = 0;
              return k->read(r, at, out);
            }
            if (at.node->kind != Node::Kind::scalar) return r.expected(at, "a rate such as 10k, a map such as {rate: 10k, burst: 1k}, or off");
            uint64_t per_second = 0;
            if (!says_off(*at.node) && !rate().read(r, at, per_second)) return false;
            out.per_second = per_second;
            out.burst = 0;
            return true;
          }};
}

const char* const kClassNames[kShedClasses] = {"control", "established", "new", "rest"};
const char* const kClassTexts[kShedClasses] = {
    "Control traffic, which is never shed by load: above the rate it counts as rest. When left out: 20k, burst 2k.",
    "Packets of flows that answer.", "Packets that may begin a flow.", "All others."};

Object<Shed> make_rates_keys() {
  Object<Shed> o("shed.rates");
  o.key("source", "From each source address, or prefix.", limit(prefix_rate_keys()), &Shed::source);
  o.key("destination", "To each destination address, or prefix.", limit(prefix_rate_keys()), &Shed::destination);
  for (unsigned c = 0; c < kShedClasses; c++) {
    const Type<ShedRate> type = limit(rate_keys());
    o.own(kClassNames[c], kClassTexts[c], type.schema,
          [type, c](Reader& r, const At& at, Shed& s) { type.read(r, at, s.classes_rate[c]); });
  }
  return o;
}

const Object<Shed>& rates_keys() {
  static const Object<Shed> keys = make_rates_keys();
  return keys;
}

// ---- SYNs and ICMP

const Object<Shed>& syn_keys() {
  static const Object<Shed> keys =
      Object<Shed>("shed.syn")
          .own("rate", "SYNs a second to one address and port.", rate().schema,
               [](Reader& r, const At& at, Shed& s) {
                 if (rate().read(r, at, s.syn.per_second)) s.syn.burst = s.syn.per_second;
               }, "1k")
          .own("burst", "How many may come at once. When left out: a second's.", burst().schema,
               [](Reader& r, const At& at, Shed& s) { burst().read(r, at, s.syn.burst); })
          .key("always", "yes: at all times. no: while the box sheds.", boolean(), &Shed::syn_always, false)
          .key("cookies",
               "yes: SYNs above the rate for a service of the box are answered with SYN cookies, in front of the box. no: "
               "they are dropped, as those for others are.",
               boolean(), &Shed::syn_cookies, true);
  return keys;
}

const Object<Shed>& icmp_limit_keys() {
  static const Object<Shed> keys =
      Object<Shed>("shed.icmp")
          .own("rate", "ICMP and ICMPv6 packets a second, of each receive queue; neighbor discovery and small ICMP are control.",
               rate().schema, [](Reader& r, const At& at, Shed& s) { rate().read(r, at, s.icmp.per_second); })
          .own("burst", "How many may come at once. When left out: a tenth of a second's.", burst().schema,
               [](Reader& r, const At& at, Shed& s) { burst().read(r, at, s.icmp.burst); })
          .key("size", "The largest ICMP packet, its IP header included.", number<uint32_t>(64, 65535, "bytes"), &Shed::icmp_size);
  return keys;
}

void read_syn(Reader& r, const At& at, Shed& s) {
  if (says_off(*at.node)) {
    s.syn = {};
    s.syn_always = false;
    return;
  }
  if (at.node->kind != Node::Kind::map) {
    r.expected(at, "a map such as {rate: 1k, cookies: yes}, or off");
    return;
  }
  syn_keys().read(r, at, s);
}

void read_icmp(Reader& r, const At& at, Shed& s) {
  if (!icmp_limit_keys().read(r, at, s)) return;
  if (!at.node->find("rate") && !at.node->find("size")) r.mistake(at, "expected rate, size or both");
  if (const Node* b = at.node->find("burst"); b && !at.node->find("rate"))
    r.mistake(at.in("burst", b), "a burst needs a 'rate' beside it");
}

// ---- lists of prefixes

const Object<ShedListItem>& file_keys() {
  static const Object<ShedListItem> keys =
      Object<ShedListItem>("an item")
          .key("file", "A file of prefixes, one a line, # comments. Relative to the folder of this file.",
               text(1, 4096, "the name of a file", "", [](std::string_view s) { return s.find('\0') == s.npos; }),
               &ShedListItem::file)
          .required();
  return keys;
}

const Type<std::vector<ShedListItem>>& prefix_list() {
  static const Type<ShedListItem> item = {any_of({network().schema, file_keys().schema()}),
                                          [](Reader& r, const At& at, ShedListItem& i) {
                                            if (at.node->kind == Node::Kind::map) return file_keys().read(r, at, i);
                                            if (at.node->kind == Node::Kind::scalar) return network().read(r, at, i.prefix);
                                            return r.expected(at, "a prefix such as 192.0.2.0/24, an address, or {file: PATH}");
                                          }};
  static const Type<std::vector<ShedListItem>> type = list_of(item, "prefixes, or of files such as {file: block.txt}", true);
  return type;
}

void list_key(Object<Shed>& o, const char* name, const char* doc, ShedList Shed::* list) {
  o.own(name, doc, prefix_list().schema,
        [list](Reader& r, const At& at, Shed& s) { prefix_list().read(r, at, (s.*list).items); });
}

// ---- ports

const Type<ShedPorts>& blocked_ports() {
  static const std::string what = "a protocol and a port or a range, such as udp/1900 or tcp/6000-6063";
  static const Type<ShedPorts> type = {
      Json{{"type", "string"}, {"pattern", "^(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?$"}}, [](Reader& r, const At& at, ShedPorts& out) {
        if (!needs_scalar(r, at, what)) return false;
        const std::string& s = at.node->text;
        const size_t slash = s.find('/');
        const std::string word = s.substr(0, slash);
        if (slash == s.npos || (word != "tcp" && word != "udp")) {
          const bool bare = !s.empty() && s.find_first_not_of("0123456789-") == s.npos;
          return r.expected(at, what + (bare ? "; did you mean 'tcp/" + s + "' or 'udp/" + s + "'?" : did_you_mean(word, {"tcp", "udp"})));
        }
        Node range = *at.node;  // the mistakes of port_span name what they found
        range.text = s.substr(slash + 1);
        return port_span().read(r, At{&range, at.up, at.key, at.index}, out.span) && (out.proto = word == "tcp" ? 6 : 17, true);
      }};
  return type;
}

// Well-known amplifiers (after CISA's TA14-017A and what was abused since), by the port that their answers come from. DNS and
// NTP, which everybody asks, join them where the filter keeps sessions (control/translate_shed.cc).
constexpr uint16_t kAmplifiers[] = {17,  19,   69,   111,  137,  161,  389,  427,   520,
                                    1434, 1900, 3283, 3702, 5353, 5683, 10001, 11211, 37810};

void read_amplification(Reader& r, const At& at, Shed& s) {
  if (at.node->kind == Node::Kind::sequence) {
    list_of(number<uint16_t>(1, 65535), "UDP ports").read(r, at, s.amplification);
    return;
  }
  const std::optional<bool> on = truth(*at.node);
  if (!on) r.expected(at, "yes, no or a list of UDP ports such as [53, 11211]");
  if (!on.value_or(false)) return;
  s.amplification.assign(std::begin(kAmplifiers), std::end(kAmplifiers));
  s.amplification_known = true;
}

// ---- classes

const std::vector<std::pair<std::string, uint8_t>>& dscp_names() {  // RFC 2474, 2597, 3246, 5865, 8622
  static const std::vector<std::pair<std::string, uint8_t>> names = {
      {"cs0", 0},   {"cs1", 8},   {"cs2", 16},  {"cs3", 24},  {"cs4", 32},  {"cs5", 40},  {"cs6", 48},  {"cs7", 56},
      {"af11", 10}, {"af12", 12}, {"af13", 14}, {"af21", 18}, {"af22", 20}, {"af23", 22}, {"af31", 26}, {"af32", 28},
      {"af33", 30}, {"af41", 34}, {"af42", 36}, {"af43", 38}, {"ef", 46},   {"va", 44},   {"le", 1}};
  return names;
}

const Type<uint8_t>& dscp() {
  static const std::string what = "a DSCP such as ef, cs6 or af41, or a number from 0 to 63";
  static const Type<uint8_t> type = [] {
    std::vector<std::string> names;
    for (auto& [name, value] : dscp_names()) names.push_back(name);
    return Type<uint8_t>{any_of({Json{{"enum", names}}, Json{{"type", "integer"}, {"minimum", 0}, {"maximum", 63}}}),
                         [names](Reader& r, const At& at, uint8_t& out) {
                           if (!needs_scalar(r, at, what)) return false;
                           const std::string& s = at.node->text;
                           for (auto& [name, value] : dscp_names())
                             if (s == name) return out = value, true;
                           unsigned v = 64;
                           auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
                           if (error == std::errc() && end == s.data() + s.size() && v < 64)
                             return out = static_cast<uint8_t>(v), true;
                           return r.mistake(at, "found " + found(*at.node) + ", expected " + what + did_you_mean(s, names));
                         }};
  }();
  return type;
}

const Type<std::vector<uint8_t>>& protocols() {
  static const Type<std::vector<uint8_t>> type = [] {
    const Type<std::vector<uint8_t>> many = one_or_many(protocol(true), "protocols");
    return Type<std::vector<uint8_t>>{many.schema, [](Reader& r, const At& at, std::vector<uint8_t>& out) {
                                        auto one = [&](const At& item) {
                                          uint8_t p = 0;
                                          if (item.node->kind == Node::Kind::scalar && item.node->text == "icmp")
                                            out.insert(out.end(), {1, 58});  // each for its own family
                                          else if (protocol(true).read(r, item, p))
                                            out.push_back(p);
                                        };
                                        if (at.node->kind != Node::Kind::sequence) return one(at), true;
                                        if (at.node->items.empty()) return r.mistake(at, "found an empty list, expected protocols");
                                        for (size_t i = 0; i < at.node->items.size(); i++) one(at.item(i, at.node->items[i]));
                                        return true;
                                      }};
  }();
  return type;
}

const Object<ShedClassRule>& class_keys() {
  static const Type<std::vector<uint8_t>> codes = one_or_many(dscp(), "DSCPs");
  static const Object<ShedClassRule> keys =
      Object<ShedClassRule>("a class")
          .key("class", "control is shed last, then established, new and rest.",
               choice<ShedClass>({{"control", ShedClass::control},
                                  {"established", ShedClass::established},
                                  {"new", ShedClass::fresh},
                                  {"rest", ShedClass::rest}}),
               &ShedClassRule::cls)
          .required()
          .key("prefixes", "Source or destination lies in one of them. Left out: any.", one_or_many(network(), "prefixes"),
               &ShedClassRule::prefixes)
          .key("protocol", "A protocol, or several.", protocols(), &ShedClassRule::protocols)
          .key("ports", "Source or destination port of TCP or UDP: 5060, 8000-8080, or a list.",
               one_or_many(port_span(), "port numbers"), &ShedClassRule::ports)
          .own("dscp", "The packet's DSCP: ef, cs6, 46, or a list.", codes.schema, [](Reader& r, const At& at, ShedClassRule& u) {
            std::vector<uint8_t> list;
            if (codes.read(r, at, list))
              for (uint8_t d : list) u.dscp |= uint64_t{1} << d;
          });
  return keys;
}

// ---- the section

void static_keys(Object<Shed>& o) {
  list_key(o, "block", "Sources that are dropped: prefixes, and files of them. The longest prefix of both lists decides.", &Shed::block);
  list_key(o, "allow", "Sources that pass, whatever follows: no rate of theirs, no level.", &Shed::allow);
  o.key("bogons",
        "Sources that no packet has. martian: what may never be one (0/8, 127/8, multicast, …). full: private, shared and "
        "documentation prefixes, too.",
        choice<Shed::Bogons>({{"no", Shed::Bogons::no}, {"martian", Shed::Bogons::martian}, {"full", Shed::Bogons::full}}),
        &Shed::bogons, "no");
  o.key("malformed", "yes: packets whose headers contradict themselves are dropped in front. no: further inside.", boolean(),
        &Shed::malformed, false);
  o.key("tcp-flags", "yes: TCP flags that no TCP sends together are dropped.", boolean(), &Shed::tcp_flags, false);
  o.own("block-protocols", "IP protocols that are dropped.", protocols().schema,
        [](Reader& r, const At& at, Shed& s) { protocols().read(r, at, s.block_protocols); });
  o.key("block-ports", "Destination ports that are dropped: udp/1900, tcp/6000-6063.", list_of(blocked_ports(), "ports such as udp/1900"),
        &Shed::block_ports);
  o.own("amplification",
        "yes: UDP from ports that amplifiers answer from (SSDP, memcached, CLDAP, …; DNS and NTP, too, where the filter permits "
        "UDP statefully) is dropped, unless the box has seen what it answers. A list: from these ports, whatever the filter.",
        any_of({boolean().schema, list_of(number<uint16_t>(1, 65535), "UDP ports").schema}), read_amplification, false);
}

Object<Shed> make_shed_keys() {
  Object<Shed> o("shed");
  o.key("governor", "yes: the box sheds by load. no: only as 'sluicectl shed level' says.", boolean(), &Shed::governor, true);
  static_keys(o);
  o.own("icmp", "Limits of ICMP and ICMPv6.", icmp_limit_keys().schema(), read_icmp);
  o.own("rates", "Limits in packets a second, at all times: a rate such as 10k, a map, or off.", rates_keys().schema(),
        [](Reader& r, const At& at, Shed& s) { rates_keys().read(r, at, s); });
  o.own("syn", "TCP SYNs to each address and port, or off.", any_of({off_schema(), syn_keys().schema()}), read_syn);
  o.key("classes", "What counts as which class; the first that matches decides. At most 64, multiplied out.",
        list_of(class_keys().type(), "classes", true), &Shed::classes);
  return o;
}

}  // namespace

const Object<Shed>& shed_keys() {
  static const Object<Shed> keys = make_shed_keys();
  return keys;
}

}  // namespace sluice::config
