// Scalars with units and addresses.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

bool digits(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "12.5 ms" → 12.5 and "ms". Digits and one point, no sign, no exponent.
bool number_and_unit(std::string_view s, double& value, std::string_view& unit) {
  const size_t end = std::min(s.find_first_not_of("0123456789."), s.size());
  const std::string_view digits_part = s.substr(0, end);
  auto [stop, error] = std::from_chars(digits_part.data(), digits_part.data() + digits_part.size(), value,
                                       std::chars_format::fixed);
  if (error != std::errc() || stop != digits_part.data() + digits_part.size()) return false;
  unit = s.substr(end);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return std::isfinite(value);
}

struct Unit {
  const char* name;
  double factor;
};
constexpr Unit kTimes[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
constexpr Unit kCounts[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}};
constexpr Unit kSizes[] = {
    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};

template <class Units>
const Unit* unit_named(const Units& units, std::string_view name) {
  for (const Unit& u : units)
    if (name == u.name) return &u;
  return nullptr;
}

const char kPrefixPattern[] = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
const char kNetworkPattern[] = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$";

bool read_network(Reader& r, const At& at, const std::string& s, Prefix& out) {
  auto p = parse_prefix(s);
  if (!p)
    if (auto a = parse_ip(s)) p = Prefix{*a, static_cast<uint8_t>(a->bits())};
  if (!p) return r.expected(at, "a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address");
  if (p->has_host_bits())
    return r.mistake(at, "found '" + s + "', which has bits set behind its length; did you mean '" +
                             to_string(p->masked()) + "', or the single address '" + to_string(p->addr) +
                             "'?");
  out = *p;
  return true;
}

}  // namespace

std::string format_duration(Duration d) {
  for (auto it = std::rbegin(kTimes); it != std::rend(kTimes); ++it) {
    const auto factor = static_cast<int64_t>(it->factor);
    if (d.ns >= factor && d.ns % factor == 0) return std::to_string(d.ns / factor) + it->name;
  }
  return d.ns == 0 ? "0s" : std::to_string(d.ns) + "ns";
}

std::string format_bytes(uint64_t bytes) {
  const Unit* u = &kSizes[0];
  for (const Unit& c : kSizes)
    if (static_cast<double>(bytes) >= c.factor) u = &c;
  char text[32];
  const double v = static_cast<double>(bytes) / u->factor;
  std::snprintf(text, sizeof text, v == std::floor(v) ? "%.0f %s" : "%.1f %s", v, u->name);
  return text;
}

std::string format_count(uint64_t n) {
  for (auto it = std::rbegin(kCounts); it != std::rend(kCounts); ++it)
    if (const auto factor = static_cast<uint64_t>(it->factor); n >= factor && n % factor == 0)
      return std::to_string(n / factor) + it->name;
  return std::to_string(n);
}

bool good_name(std::string_view s) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !s.empty() && s.size() <= 63 && letter(s[0]) && std::all_of(s.begin(), s.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::optional<bool> truth(const Node& n) {
  if (n.kind != Node::Kind::scalar || n.quoted) return std::nullopt;
  if (n.text == "yes" || n.text == "true" || n.text == "on") return true;
  if (n.text == "no" || n.text == "false" || n.text == "off") return false;
  return std::nullopt;
}

const Type<bool>& boolean() {
  static const Type<bool> type = {Json{{"enum", {true, false, "yes", "no"}}},
                                  [](Reader& r, const At& at, bool& out) {
                                    const std::optional<bool> v = truth(*at.node);
                                    return v ? (out = *v, true) : r.expected(at, "yes or no");
                                  }};
  return type;
}

Type<std::string> text(size_t low, size_t high, const std::string& what, const std::string& pattern,
                       bool (*good)(std::string_view)) {
  Json s = {{"type", "string"}, {"minLength", low}, {"maxLength", high}};
  if (!pattern.empty()) s["pattern"] = pattern;
  return {s, [low, high, what, good](Reader& r, const At& at, std::string& out) {
            if (!needs_scalar(r, at, what)) return false;
            const std::string& t = at.node->text;
            if (t.size() < low || t.size() > high || (good && !good(t))) return r.expected(at, what);
            out = t;
            return true;
          }};
}

Type<Duration> duration(Duration low, Duration high) {
  const std::string range = "a time from " + format_duration(low) + " to " + format_duration(high);
  const std::string example = ", with its unit (us, ms, s, m, h or d)";
  return {Json{{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]+)? ?(us|ms|s|m|h|d)$"}},
          [low, high, range, example](Reader& r, const At& at, Duration& out) {
            if (!needs_scalar(r, at, range + example)) return false;
            double v = 0;
            std::string_view name;
            if (!number_and_unit(at.node->text, v, name)) return r.expected(at, range + example);
            const Unit* unit = unit_named(kTimes, name);
            if (!unit)
              return r.expected(
                  at, range + example + (name.empty() ? "; did you mean '" + at.node->text + "s'?" : ""));
            const double ns = std::round(v * unit->factor);
            if (ns < static_cast<double>(low.ns) || ns > static_cast<double>(high.ns))
              return r.expected(at, range);
            out = Duration::nanos(static_cast<int64_t>(ns));
            return true;
          }};
}

Type<uint64_t> byte_size(uint64_t low, uint64_t high) {
  const std::string what = "a size from " + format_bytes(low) + " to " + format_bytes(high) +
                           ", with its unit (KiB, MiB, GiB or TiB)";
  return {Json{{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]+)? ?(KiB|MiB|GiB|TiB)$"}},
          [low, high, what](Reader& r, const At& at, uint64_t& out) {
            if (!needs_scalar(r, at, what)) return false;
            double v = 0;
            std::string_view name;
            if (!number_and_unit(at.node->text, v, name)) return r.expected(at, what);
            const Unit* unit = unit_named(kSizes, name);
            if (!unit) {
              std::string hint;
              for (const Unit& u : kSizes)
                if (!name.empty() && std::toupper(static_cast<unsigned char>(name[0])) == u.name[0])
                  hint = std::string("; did you mean '") + u.name + "'?";
              return r.expected(at, what + hint);
            }
            const double bytes = v * unit->factor;
            if (bytes < static_cast<double>(low) || bytes > static_cast<double>(high))
              return r.expected(at, what);
            out = static_cast<uint64_t>(bytes);
            return true;
          }};
}

Type<uint64_t> packet_rate(uint64_t low, uint64_t high, const std::string& what) {
  const std::string range = what + " from " + format_count(low) + " to " + format_count(high) + ", such as 500, 10k or 2M";
  return {Json{{"anyOf", Json::array({Json{{"type", "integer"}, {"minimum", low}, {"maximum", high}},
                                      Json{{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]+)? ?[kM]?$"}}})}},
          [low, high, range](Reader& r, const At& at, uint64_t& out) {
            if (!needs_scalar(r, at, range)) return false;
            double v = 0;
            std::string_view name;
            if (!number_and_unit(at.node->text, v, name)) return r.expected(at, range);
            const Unit* unit = unit_named(kCounts, name);
            if (!unit) {
              const bool other_case = name == "K" || name == "m";
              return r.expected(at, range + (other_case ? std::string("; did you mean '") + (name == "K" ? 'k' : 'M') + "'?"
                                                        : std::string()));
            }
            const double n = v * unit->factor;
            if (n != std::floor(n) || n < static_cast<double>(low) || n > static_cast<double>(high))
              return r.expected(at, range);
            out = static_cast<uint64_t>(n);
            return true;
          }};
}

const Type<double>& percent() {
  static const std::string what = "a share such as 0.5%, from 0% to 100%";
  static const Type<double> type = {Json{{"type", "string"}, {"pattern", "^[0-9]+(\\.[0-9]+)? ?%$"}},
                                    [](Reader& r, const At& at, double& out) {
                                      double v = 0;
                                      std::string_view unit;
                                      if (!needs_scalar(r, at, what)) return false;
                                      if (!number_and_unit(at.node->text, v, unit) || unit != "%" || v > 100)
                                        return r.expected(at, what);
                                      out = v / 100;
                                      return true;
                                    }};
  return type;
}

const Type<unsigned>& octal_mode() {
  static const std::string what = "an octal file mode such as \"0660\"";
  static const Type<unsigned> type = {
      Json{{"anyOf",
            Json::array({Json{{"type", "string"}, {"pattern", "^0?[0-7]{3}$"}}, Json{{"type", "integer"}}})}},
      [](Reader& r, const At& at, unsigned& out) {
        if (!needs_scalar(r, at, what)) return false;
        const std::string& s = at.node->text;
        unsigned v = 0;
        auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v, 8);
        if (error != std::errc() || end != s.data() + s.size() || s.size() < 3 || s.size() > 4 || v > 0777)
          return r.expected(at, what);
        out = v;
        return true;
      }};
  return type;
}

const Type<Mac>& mac_address() {
  static const std::string what = "a station's MAC address such as 02:00:00:00:00:01";
  static const Type<Mac> type = {
      Json{{"type", "string"}, {"pattern", "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$"}},
      [](Reader& r, const At& at, Mac& out) {
        if (!needs_scalar(r, at, what)) return false;
        auto m = parse_mac(at.node->text);
        if (!m) return r.expected(at, what);
        if (m->group() || m->zero())
          return r.mistake(at, "found " + found(*at.node) + ", which is " +
                                   (m->zero() ? "all zero" : "a group address") + "; expected " + what);
        out = *m;
        return true;
      }};
  return type;
}

const Type<IpAddr>& ip_address() {
  static const std::string what = "an IPv4 or IPv6 address";
  static const Type<IpAddr> type = {Json{{"type", "string"}, {"pattern", "^[0-9A-Fa-f:.]+$"}},
                                    [](Reader& r, const At& at, IpAddr& out) {
                                      if (!needs_scalar(r, at, what)) return false;
                                      auto a = parse_ip(at.node->text);
                                      if (!a) {
                                        const bool prefix = parse_prefix(at.node->text).has_value();
                                        return r.expected(at, what + (prefix ? " without a length" : ""));
                                      }
                                      out = *a;
                                      return true;
                                    }};
  return type;
}

const Type<Prefix>& interface_address() {
  static const std::string what =
      "an address with the length of its subnet, such as 192.0.2.1/24 or 2001:db8::1/64";
  static const Type<Prefix> type = {Json{{"type", "string"}, {"pattern", kPrefixPattern}},
                                    [](Reader& r, const At& at, Prefix& out) {
                                      if (!needs_scalar(r, at, what)) return false;
                                      auto p = parse_prefix(at.node->text);
                                      if (!p) return r.expected(at, what);
                                      out = *p;
                                      return true;
                                    }};
  return type;
}

const Type<Prefix>& network() {
  static const Type<Prefix> type = {
      Json{{"type", "string"}, {"pattern", kNetworkPattern}}, [](Reader& r, const At& at, Prefix& out) {
        if (!needs_scalar(r, at, "a prefix such as 192.0.2.0/24, or an address")) return false;
        return read_network(r, at, at.node->text, out);
      }};
  return type;
}

const Type<PortSpan>& port_span() {
  static const std::string what = "a port number or a range, such as 443 or 8000-8080 (0 to 65535)";
  static const Type<PortSpan> type = {
      Json{{"anyOf", Json::array({Json{{"type", "integer"}, {"minimum", 0}, {"maximum", 65535}},
                                  Json{{"type", "string"}, {"pattern", "^[0-9]{1,5}(-[0-9]{1,5})?$"}}})}},
      [](Reader& r, const At& at, PortSpan& out) {
        if (!needs_scalar(r, at, what)) return false;
        const std::string& s = at.node->text;
        const size_t dash = s.find('-');
        const std::string low = s.substr(0, dash), high = dash == s.npos ? low : s.substr(dash + 1);
        if (!digits(low) || !digits(high) || low.size() > 5 || high.size() > 5) return r.expected(at, what);
        const int from = std::stoi(low), to = std::stoi(high);
        if (from > 65535 || to > 65535) return r.expected(at, what);
        if (from > to)
          return r.mistake(at, "found " + found(*at.node) + ", which runs backwards; did you mean '" + high +
                                   "-" + low + "'?");
        out = {static_cast<uint16_t>(from), static_cast<uint16_t>(to)};
        return true;
      }};
  return type;
}

const std::vector<std::pair<std::string, uint8_t>>& protocol_names() {
  static const std::vector<std::pair<std::string, uint8_t>> names = {
      {"tcp", 6},    {"udp", 17},   {"sctp", 132}, {"dccp", 33}, {"udplite", 136}, {"icmp4", 1},
      {"icmp6", 58}, {"igmp", 2},   {"gre", 47},   {"esp", 50},  {"ah", 51},       {"ospf", 89},
      {"pim", 103},  {"vrrp", 112}, {"ipip", 4},   {"ip6ip", 41}};
  return names;
}

std::string protocol_name(uint8_t proto) {
  for (auto& [name, number] : protocol_names())
    if (number == proto) return name;
  return std::to_string(proto);
}

namespace {

Type<uint8_t> make_protocol(bool rule) {
  std::vector<std::string> names;
  for (auto& [name, number] : protocol_names()) names.push_back(name);
  if (rule) names.insert(names.begin(), "icmp");
  const std::string what =
      "a protocol such as tcp, udp" + std::string(rule ? ", icmp" : "") + " or a number from 1 to 255";
  return {Json{{"anyOf", Json::array({Json{{"enum", names}},
                                      Json{{"type", "integer"}, {"minimum", 1}, {"maximum", 255}}})}},
          [names, what](Reader& r, const At& at, uint8_t& out) {
            if (!needs_scalar(r, at, what)) return false;
            const std::string& s = at.node->text;
            for (auto& [name, number] : protocol_names())
              if (s == name) return out = number, true;
            if (digits(s) && s.size() <= 3 && std::stoi(s) >= 1 && std::stoi(s) <= 255)
              return out = static_cast<uint8_t>(std::stoi(s)), true;
            return r.mistake(at, "found " + found(*at.node) + ", expected " + what + did_you_mean(s, names));
          }};
}

}  // namespace

const Type<uint8_t>& protocol(bool rule) {
  static const Type<uint8_t> in_rule = make_protocol(true), elsewhere = make_protocol(false);
  return rule ? in_rule : elsewhere;
}

const Type<std::string>& port_name() {
  static const Type<std::string> type = text(1, 15, "the name of a port", kPortNamePattern, good_name);
  return type;
}

}  // namespace sluice::config
