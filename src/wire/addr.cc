#include "wire/addr.h"

#include <arpa/inet.h>

#include <cctype>

namespace sluice {

Ip6 link_local_of(const Mac& mac) {
  return {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(mac.b[0] ^ 2), mac.b[1], mac.b[2], 0xff, 0xfe,
           mac.b[3], mac.b[4], mac.b[5]}};
}

Ip6 solicited_node(const Ip6& t) {
  return {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, t.b[13], t.b[14], t.b[15]}};
}

Mac multicast_mac(const Ip4& g) {
  uint32_t h = g.host();
  return {{0x01, 0x00, 0x5e, static_cast<uint8_t>(h >> 16 & 0x7f), static_cast<uint8_t>(h >> 8),
           static_cast<uint8_t>(h)}};
}

Mac multicast_mac(const Ip6& g) { return {{0x33, 0x33, g.b[12], g.b[13], g.b[14], g.b[15]}}; }

Prefix Prefix::masked() const {
  Prefix p = *this;
  for (unsigned i = 0; i < 16; i++) {
    unsigned bit = i * 8;
    if (bit >= len) p.addr.b[i] = 0;
    else if (len - bit < 8) p.addr.b[i] &= static_cast<uint8_t>(0xff << (8 - (len - bit)));
  }
  return p;
}

bool Prefix::contains(const IpAddr& a) const {
  return a.family == addr.family && Prefix{a, len}.masked().addr == masked().addr;
}

std::optional<Mac> parse_mac(std::string_view s) {
  Mac m;
  if (s.size() != 17) return std::nullopt;
  for (unsigned i = 0; i < 6; i++) {
    unsigned v = 0;
    for (unsigned k = 0; k < 2; k++) {
      char c = s[i * 3 + k];
      if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
      v = v * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (i < 5 && s[i * 3 + 2] != ':') return std::nullopt;
    m.b[i] = static_cast<uint8_t>(v);
  }
  return m;
}

std::optional<Ip4> parse_ip4(std::string_view s) {
  Ip4 a;
  if (s.find('\0') != s.npos) return std::nullopt;  // inet_pton would stop there and be content
  if (inet_pton(AF_INET, std::string(s).c_str(), &a) != 1) return std::nullopt;
  return a;
}

std::optional<Ip6> parse_ip6(std::string_view s) {
  Ip6 a;
  if (s.find('\0') != s.npos) return std::nullopt;
  if (inet_pton(AF_INET6, std::string(s).c_str(), &a) != 1) return std::nullopt;
  return a;
}

std::optional<IpAddr> parse_ip(std::string_view s) {
  if (auto a = parse_ip4(s)) return IpAddr(*a);
  if (auto a = parse_ip6(s)) return IpAddr(*a);
  return std::nullopt;
}

std::optional<Prefix> parse_prefix(std::string_view s) {
  size_t slash = s.find('/');
  if (slash == s.npos) return std::nullopt;
  auto a = parse_ip(s.substr(0, slash));
  std::string_view l = s.substr(slash + 1);
  if (!a || l.empty() || l.size() > 3 || (l.size() > 1 && l[0] == '0')) return std::nullopt;
  unsigned n = 0;
  for (char c : l) {
    if (!std::isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    n = n * 10 + static_cast<unsigned>(c - '0');
  }
  if (n > a->bits()) return std::nullopt;
  return Prefix{*a, static_cast<uint8_t>(n)};
}

std::string to_string(const Mac& m) {
  static const char hex[] = "0123456789abcdef";
  std::string s;
  for (unsigned i = 0; i < 6; i++) {
    if (i) s += ':';
    s += hex[m.b[i] >> 4];
    s += hex[m.b[i] & 15];
  }
  return s;
}

std::string to_string(const Ip4& a) {
  char buf[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &a, buf, sizeof buf);
}

std::string to_string(const Ip6& a) {
  char buf[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, &a, buf, sizeof buf);
}

std::string to_string(const IpAddr& a) {
  return a.family == 4 ? to_string(a.v4()) : a.family == 6 ? to_string(a.v6()) : "none";
}

std::string to_string(const Prefix& p) { return to_string(p.addr) + "/" + std::to_string(p.len); }

}  // namespace sluice
