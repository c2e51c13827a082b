#include "config/prefix_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

namespace sluice::config {
namespace {

constexpr const char* kBlanks = " \t\r";

std::string shown(std::string_view s) {
  constexpr size_t kShown = 40;
  std::string out = "'";
  for (char c : s.substr(0, kShown)) out += c >= ' ' && c < 0x7f ? c : '?';
  return out + (s.size() > kShown ? "…'" : "'");
}

// A decimal number as addresses have it: no sign, no leading zero. Where it ends; null: there is none.
const char* decimal(const char* at, const char* end, unsigned most, unsigned& v) {
  auto [next, error] = std::from_chars(at, end, v);
  return error != std::errc() || v > most || (*at == '0' && next - at > 1) ? nullptr : next;
}

// Dotted quad with or without a length, as most lines are; everything else takes wire's way. No text is copied.
bool quick(std::string_view s, Prefix& p) {
  const char *at = s.data(), *end = at + s.size();
  uint32_t host = 0;
  unsigned v = 0;
  for (unsigned i = 0; i < 4; i++) {
    if (i && (at == end || *at++ != '.')) return false;
    if (!(at = decimal(at, end, 255, v))) return false;
    host = host << 8 | v;
  }
  unsigned len = 32;
  if (at != end && (*at++ != '/' || !(at = decimal(at, end, 32, len)) || at != end)) return false;
  p.addr = Ip4::from_host(host);
  p.len = static_cast<uint8_t>(len);
  return true;
}

bool has_host_bits4(const Prefix& p) {
  return p.len < 32 && (p.addr.v4().host() << p.len) != 0;
}

}  // namespace

bool PrefixReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    if (end == piece.npos) {
      if (begun_.size() + piece.size() > kMaxLine) {
        line_++;
        mistake(0, "the line has more than " + std::to_string(kMaxLine) + " bytes; expected a prefix a line");
        begun_.clear();
        return false;
      }
      begun_ += piece;
      return true;
    }
    bool go_on;
    if (begun_.empty()) {
      go_on = line(piece.substr(0, end));
    } else {
      begun_ += piece.substr(0, end);
      go_on = line(begun_);
      begun_.clear();
    }
    if (!go_on) return false;
    piece.remove_prefix(end + 1);
  }
  return true;
}

bool PrefixReader::finish() {
  const std::string last = std::move(begun_);
  begun_.clear();
  return last.empty() || line(last);
}

bool PrefixReader::mistake(size_t offset, std::string message) {
  mistakes_.push_back({line_, static_cast<unsigned>(offset + 1), std::move(message)});
  return mistakes_.size() < kMaxMistakes;
}

bool PrefixReader::line(std::string_view s) {
  line_++;
  const size_t start = s.find_first_not_of(kBlanks);
  if (start == s.npos || s[start] == '#' || s[start] == ';') return true;
  const size_t end = std::min(s.find_first_of(" \t\r#;", start), s.size());
  const size_t behind = s.find_first_not_of(kBlanks, end);
  if (behind != s.npos && s[behind] != '#' && s[behind] != ';')
    return mistake(behind, "found " + shown(s.substr(behind)) + " behind the prefix; expected the end of the line");
  return word(s.substr(start, end - start), start);
}

bool PrefixReader::word(std::string_view w, size_t offset) {
  Prefix p;
  bool host_bits = false;
  if (quick(w, p)) {
    host_bits = has_host_bits4(p);
  } else {
    auto any = parse_prefix(w);
    if (!any)
      if (auto a = parse_ip(w)) any = Prefix{*a, static_cast<uint8_t>(a->bits())};
    if (!any)
      return mistake(offset, "found " + shown(w) + ", expected a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address");
    p = *any;
    host_bits = p.has_host_bits();
  }
  if (host_bits)
    return mistake(offset, "found " + shown(w) + ", which has bits set behind its length; did you mean '" +
                               to_string(p.masked()) + "', or the single address '" + to_string(p.addr) + "'?");
  if (prefixes_.size() == most_) {
    mistake(offset, "found more than " + std::to_string(most_) + " prefixes, which is all that the lists hold");
    return false;
  }
  prefixes_.push_back(p);
  lines_.push_back(line_);
  return true;
}

PrefixFile read_prefix_file(const std::string& path, size_t most) {
  auto unreadable = [](const std::string& why) { return PrefixFile{{}, {}, {{0, 0, "the file cannot be read: " + why}}}; };
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return unreadable(std::strerror(errno));
  if (!S_ISREG(st.st_mode)) return unreadable(S_ISDIR(st.st_mode) ? "it is a folder" : "it is no regular file");
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::strerror(errno));
  PrefixReader reader(most);
  std::string piece(1 << 20, '\0');
  bool go_on = true;
  while (go_on && in) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    go_on = reader.feed(std::string_view(piece).substr(0, static_cast<size_t>(in.gcount())));
  }
  if (go_on) reader.finish();
  if (in.bad()) return unreadable(std::strerror(errno));
  return reader.take();
}

}  // namespace sluice::config
