#include "control/route_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <unordered_map>

#include "base/limits.h"

// A million lines have a handful of different right-hand sides: they are parsed once each, and found again by
// their text.

namespace sluice::control {
namespace {

constexpr bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// For a message: what stands there, short, without control characters.
std::string shown(std::string_view s) {
  constexpr size_t kShown = 40;
  std::string out = "'";
  for (char c : s.substr(0, kShown)) out += c >= ' ' && c < 0x7f ? c : '?';
  return out + (s.size() > kShown ? "…'" : "'");
}

// Dotted quad as inet_pton takes it (no leading zeros), without its copy of the text.
bool parse_quad(std::string_view s, uint32_t& host) {
  const char *at = s.data(), *end = at + s.size();
  host = 0;
  for (unsigned i = 0; i < 4; i++) {
    if (i && (at == end || *at++ != '.')) return false;
    uint8_t v = 0;
    auto [next, error] = std::from_chars(at, end, v);
    if (error != std::errc() || (*at == '0' && next - at > 1)) return false;
    host = host << 8 | v;
    at = next;
  }
  return at == end;
}

bool parse_address(std::string_view s, IpAddr& a) {
  uint32_t host;
  if (parse_quad(s, host)) {
    a = Ip4::from_host(host);
    return true;
  }
  if (s.find(':') == s.npos) return false;
  auto six = parse_ip6(s);
  if (six) a = *six;
  return six.has_value();
}

// A prefix that nothing may be routed to.
const char* refuse_destination(const Prefix& p) {
  const uint8_t first = p.addr.b[0];
  if (p.addr.family == 4) {
    if (p.len >= 4 && first >> 4 == 0xe) return "multicast is not routed";
    if (p.len >= 8 && first == 127) return "loopback addresses are not routed";
    return nullptr;
  }
  if (p.len >= 8 && first == 0xff) return "multicast is not routed";
  if (p.len >= 10 && p.addr.v6().link_local()) return "link-local addresses are not routed";
  if (p.len == 128 && p.addr.v6().loopback()) return "loopback addresses are not routed";
  return nullptr;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& name) : text_(text) { file_.name = name; }

  Result<RouteFile> run() {
    const char* at = text_.data();
    const char* end = at + text_.size();
    while (at < end && mistakes_ < kMaxRouteMistakes) {
      const auto left = static_cast<size_t>(end - at);
      const void* newline = std::memchr(at, '\n', left);
      const size_t length = newline ? static_cast<size_t>(static_cast<const char*>(newline) - at) : left;
      line_++;
      parse_line({at, length});
      at += length + 1;
    }
    if (mistakes_ == kMaxRouteMistakes && at < end)
      errors_ += "\n" + file_.name + ": reading stopped after " + std::to_string(kMaxRouteMistakes) + " mistakes";
    if (mistakes_) return Error{std::move(errors_)};
    return std::move(file_);
  }

 private:
  void parse_line(std::string_view s) {
    begin_ = s.data();
    if (size_t comment = s.find('#'); comment != s.npos) s = s.substr(0, comment);
    std::string_view prefix = word(s);
    if (prefix.empty()) return;
    std::string_view target = word(s), more = word(s);
    Prefix p;
    if (!parse_prefix_at(prefix, p)) return;
    if (target.empty())
      return mistake(prefix.end(), "nothing behind the prefix; expected next hops, blackhole or unreachable");
    if (!more.empty())
      return mistake(more.begin(), "found " + shown(more) +
                                       " behind the next hops; expected the end of the line (several next hops are "
                                       "separated by commas, without blanks)");
    const uint32_t t = target_of(target);
    if (t == kBad) return;
    const RouteTarget& rt = file_.targets[t];
    if (!rt.via.empty() && rt.via[0].family != p.addr.family)
      return mistake(target.begin(), "the next hop " + to_string(rt.via[0]) + " and the prefix " + to_string(p) +
                                         " are of different families; both must be IPv4, or both IPv6");
    if (file_.routes.size() == kMaxRoutes)
      return mistake(prefix.begin(), "more than " + std::to_string(kMaxRoutes) + " routes in one file");
    file_.routes.push_back({p, t, line_});
  }

  static std::string_view word(std::string_view& s) {
    size_t from = 0;
    while (from < s.size() && blank(s[from])) from++;
    size_t to = from;
    while (to < s.size() && !blank(s[to])) to++;
    std::string_view w = s.substr(from, to - from);
    s = s.substr(to);
    return w;
  }

  bool parse_prefix_at(std::string_view s, Prefix& p) {
    const size_t slash = s.find('/');
    const std::string_view address = s.substr(0, slash);
    if (!parse_address(address, p.addr)) {
      mistake(s.begin(), "found " + shown(s) + ", expected a prefix such as 192.0.2.0/24 or 2001:db8::/32");
      return false;
    }
    unsigned len = 0;
    const std::string_view digits = slash == s.npos ? std::string_view() : s.substr(slash + 1);
    auto [next, error] = std::from_chars(digits.data(), digits.data() + digits.size(), len);
    const bool number = error == std::errc() && next == digits.data() + digits.size() && digits.size() <= 3 &&
                        (digits[0] != '0' || digits.size() == 1);
    if (!number || len > p.addr.bits()) {
      const std::string bits = std::to_string(p.addr.bits());
      if (slash == s.npos)
        mistake(s.end(), "the prefix " + shown(s) + " has no length; did you mean " + to_string(p.addr) + "/" + bits + "?");
      else
        mistake(digits.begin(), "found the prefix length " + shown(digits) + ", expected a number from 0 to " + bits);
      return false;
    }
    p.len = static_cast<uint8_t>(len);
    if (!masked(p)) {
      mistake(s.begin(), "the prefix " + to_string(p) + " has bits behind its length; did you mean " +
                             to_string(p.masked()) + "?");
      return false;
    }
    if (const char* why = refuse_destination(p)) {
      mistake(s.begin(), "found " + to_string(p) + "; " + why);
      return false;
    }
    return true;
  }

  static bool masked(const Prefix& p) {
    if (p.addr.family == 6) return !p.has_host_bits();
    return p.len == 32 || (p.addr.v4().host() & UINT32_MAX >> p.len) == 0;
  }

  uint32_t target_of(std::string_view s) {
    if (s == last_text_) return last_target_;
    auto it = known_.find(s);
    if (it == known_.end()) {
      RouteTarget t;
      t.line = line_;
      if (!parse_target(s, t)) return kBad;
      it = known_.emplace(s, static_cast<uint32_t>(file_.targets.size())).first;
      file_.targets.push_back(std::move(t));
    }
    last_text_ = s;
    return last_target_ = it->second;
  }

  bool parse_target(std::string_view s, RouteTarget& t) {
    t.kind = s == "blackhole"     ? RouteTarget::Kind::blackhole
             : s == "unreachable" ? RouteTarget::Kind::unreachable
                                  : RouteTarget::Kind::via;
    if (t.kind != RouteTarget::Kind::via) return true;
    for (size_t from = 0; from <= s.size();) {
      const size_t comma = std::min(s.find(',', from), s.size());
      const std::string_view one = s.substr(from, comma - from);
      IpAddr a;
      if (!parse_address(one, a))
        return mistake(one.begin(), "found " + shown(one) + ", expected the address of a next hop, blackhole or " +
                                        "unreachable"), false;
      if (!t.via.empty() && t.via[0].family != a.family)
        return mistake(s.begin() + from, "next hops of both families in one route"), false;
      if (std::find(t.via.begin(), t.via.end(), a) != t.via.end())
        return mistake(s.begin() + from, "the next hop " + to_string(a) + " is given twice"), false;
      if (t.via.size() == kMaxEcmp)
        return mistake(s.begin() + from, "more than " + std::to_string(kMaxEcmp) + " next hops in one route"), false;
      t.via.push_back(a);
      from = comma + 1;
    }
    return true;
  }

  void mistake(const char* where, const std::string& what) {
    if (mistakes_++) errors_ += "\n";
    errors_ += file_.name + ":" + std::to_string(line_) + ":" + std::to_string(where - begin_ + 1) + ": " + what;
  }

  static constexpr uint32_t kBad = UINT32_MAX;
  std::string_view text_;
  RouteFile file_;
  std::unordered_map<std::string_view, uint32_t> known_;
  std::string_view last_text_;
  uint32_t last_target_ = kBad;
  uint32_t line_ = 0;
  const char* begin_ = nullptr;
  std::string errors_;
  unsigned mistakes_ = 0;
};

}  // namespace

Result<RouteFile> parse_route_text(std::string_view text, const std::string& name) { return Parser(text, name).run(); }

Result<RouteFile> read_route_file(const std::string& path) {
  auto failed = [&] { return Error{"cannot read the route file " + path + ": " + std::strerror(errno)}; };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failed();
  struct Close {
    int fd;
    ~Close() { ::close(fd); }
  } close{fd};
  struct stat st {};
  if (::fstat(fd, &st) < 0) return failed();
  if (!S_ISREG(st.st_mode)) return Error{"cannot read the route file " + path + ": it is not a regular file"};
  const auto size = static_cast<size_t>(st.st_size);
  if (size > kMaxRouteFileSize)
    return Error{"the route file " + path + " is larger than " + std::to_string(kMaxRouteFileSize >> 20) + " MiB"};
  // Read whole, not mapped: a file that shrinks under a mapping kills the process.
  std::string text(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd, text.data() + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  return parse_route_text(text, path);
}

}  // namespace sluice::control
