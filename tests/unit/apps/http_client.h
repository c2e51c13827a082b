// What an HTTP client makes of the bytes that it gets: its own, strict reading of responses (RFC 9112).
#pragma once

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

struct HttpResponse {
  unsigned status = 0;
  std::map<std::string, std::string> field;  // by lower-case name
  std::string body;
  bool close() const {
    const auto it = field.find("connection");
    return it != field.end() && it->second == "close";
  }
};

// The first response of `s`, which loses it. None: not all of it is there, or it is not one (`s` then stays).
inline std::optional<HttpResponse> take_response(std::string_view& s, bool to_head = false) {
  const size_t end = s.find("\r\n\r\n");
  if (end == s.npos || !s.starts_with("HTTP/1.1 ")) return std::nullopt;
  HttpResponse r;
  r.status = static_cast<unsigned>(std::atoi(std::string(s.substr(9, 3)).c_str()));
  std::string_view lines = s.substr(s.find("\r\n") + 2, end + 2 - s.find("\r\n") - 2);
  while (!lines.empty()) {
    const size_t eol = lines.find("\r\n");
    const std::string_view line = lines.substr(0, eol);
    const size_t colon = line.find(": ");
    if (colon == line.npos) return std::nullopt;
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    if (!r.field.emplace(name, line.substr(colon + 2)).second) return std::nullopt;  // none comes twice
    lines.remove_prefix(eol + 2);
  }
  size_t n = 0;
  if (r.status != 304 && r.status != 204 && !to_head) {
    if (!r.field.contains("content-length")) return std::nullopt;
    n = static_cast<size_t>(std::atoll(r.field["content-length"].c_str()));
  }
  if (s.size() < end + 4 + n) return std::nullopt;
  r.body = s.substr(end + 4, n);
  s.remove_prefix(end + 4 + n);
  return r;
}

// All of `s`; a rest that is no response shows as one with status 0 and the rest as its body.
inline std::vector<HttpResponse> responses(std::string_view s) {
  std::vector<HttpResponse> all;
  while (!s.empty()) {
    auto r = take_response(s);
    if (!r) {
      all.push_back({0, {}, std::string(s)});
      break;
    }
    all.push_back(std::move(*r));
  }
  return all;
}

}  // namespace sluice::test
