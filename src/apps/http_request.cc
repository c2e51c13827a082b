#include "apps/http_request.h"

#include <algorithm>

#include "apps/http_content.h"

namespace sluice::apps {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_word(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool alphanumeric(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'); }

// uri-host [ ":" port ] (RFC 9110 7.2), by its characters.
bool host_like(std::string_view s) {
  static constexpr std::string_view also = "-._~%!$&'()*+,;=:[]";
  return std::all_of(s.begin(), s.end(), [](char c) { return alphanumeric(c) || also.find(c) != also.npos; });
}

// A character of a method's name (RFC 9110 5.6.2, tchar).
bool token(uint8_t c) {
  static constexpr std::string_view also = "!#$%&'*+-.^_`|~";
  return alphanumeric(static_cast<char>(c)) || also.find(static_cast<char>(c)) != also.npos;
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

HttpRequest& of(http_parser* p) { return *static_cast<HttpRequest*>(p->data); }

}  // namespace

void HttpRequest::reset() {
  http_parser_init(&parser_, HTTP_REQUEST);
  head_bytes_ = body_bytes_ = 0;
  status_ = 0;
  hosts_ = 0;
  begun_ = value_began_ = keep_alive_ = body_ = expects_ = host_bad_ = complete_ = false;
  in_head_ = true;
  target_.clear();
  field_.clear();
  value_.clear();
  none_match_.clear();
  modified_since_.clear();
}

// What a callback returns to stop the parser: on_headers_complete has other uses for 1 and 2.
constexpr int kStop = -1;

int HttpRequest::fail(unsigned status) {
  status_ = status;
  return kStop;
}

const http_parser_settings& HttpRequest::callbacks() {
  static const http_parser_settings s = [] {
    http_parser_settings c;
    http_parser_settings_init(&c);
    c.on_url = [](http_parser* p, const char* at, size_t n) {
      HttpRequest& r = of(p);
      r.target_.append(at, n);
      return r.target_.too_long() ? r.fail(414) : 0;
    };
    c.on_header_field = [](http_parser* p, const char* at, size_t n) {
      HttpRequest& r = of(p);
      if (!r.in_head_) return 0;
      if (r.value_began_) r.field_ends();
      r.field_.append(at, n);
      return 0;
    };
    c.on_header_value = [](http_parser* p, const char* at, size_t n) {
      HttpRequest& r = of(p);
      if (!r.in_head_) return 0;
      r.value_began_ = true;
      r.value_.append(at, n);
      return 0;
    };
    c.on_headers_complete = [](http_parser* p) { return of(p).head_ends(); };
    c.on_body = [](http_parser* p, const char*, size_t n) {
      HttpRequest& r = of(p);
      r.body_bytes_ += n;
      return r.body_bytes_ > r.limits_->body ? r.fail(413) : 0;
    };
    c.on_message_complete = [](http_parser* p) {
      HttpRequest& r = of(p);
      r.keep_alive_ = http_should_keep_alive(p);
      r.complete_ = true;
      http_parser_pause(p, 1);
      return 0;
    };
    return c;
  }();
  return s;
}

void HttpRequest::field_ends() {
  const std::string_view value = trimmed(value_.view());
  if (!field_.too_long() && !field_.view().empty()) {
    const std::string_view f = field_.view();
    if (same_word(f, "host")) {
      hosts_ = static_cast<uint8_t>(std::min(hosts_ + 1, 2));
      host_bad_ |= value_.too_long() || !host_like(value);
    } else if (same_word(f, "expect")) {
      if (same_word(value, "100-continue")) expects_ = true;
      else status_ = 417;
    } else if (same_word(f, "if-none-match") && !value_.too_long()) {
      none_match_.clear();
      none_match_.append(value.data(), value.size());
    } else if (same_word(f, "if-modified-since")) {
      modified_since_.clear();
      modified_since_.append(value.data(), value.size());
    }
  }
  field_.clear();
  value_.clear();
  value_began_ = false;
}

int HttpRequest::head_ends() {
  field_ends();
  in_head_ = false;
  if (parser_.http_major != 1) return fail(505);
  if (host_bad_ || hosts_ > 1 || (hosts_ == 0 && parser_.http_minor > 0)) return fail(400);
  if (parser_.method == HTTP_CONNECT) return fail(405);
  if (status_ != 0) return fail(status_);
  const bool chunked = parser_.flags & F_CHUNKED;
  const bool sized = (parser_.flags & F_CONTENTLENGTH) && parser_.content_length > 0;
  body_ = chunked || sized;
  if (sized && parser_.content_length > limits_->body) return fail(413);
  if (!body_ || !expects_ || parser_.http_minor == 0) return 0;
  // The client waits to be told to go on (RFC 9110 10.1.1). Its body would be thrown away: the answer comes at once
  // instead, and is the connection's last.
  complete_ = true;
  keep_alive_ = false;
  return kStop;
}

unsigned HttpRequest::why(std::span<const uint8_t> bytes, size_t used) const {
  if (status_ != 0) return status_;
  switch (HTTP_PARSER_ERRNO(&parser_)) {
    case HPE_HEADER_OVERFLOW: return 431;
    case HPE_INVALID_METHOD: return used < bytes.size() && token(bytes[used]) ? 501 : 400;
    default: return 400;
  }
}

HttpRequest::Step HttpRequest::read(std::span<const uint8_t> bytes, const HttpLimits& limits, size_t& used) {
  limits_ = &limits;
  parser_.data = this;
  begun_ = true;
  used = 0;
  while (used < bytes.size()) {
    // Of a head no more is read than may be.
    size_t n = bytes.size() - used;
    if (in_head_) {
      if (head_bytes_ == limits.head) {
        status_ = 431;
        return Step::bad;
      }
      n = std::min<size_t>(n, limits.head - head_bytes_);
    }
    const bool head = in_head_;
    const size_t took =
        http_parser_execute(&parser_, &callbacks(), reinterpret_cast<const char*>(bytes.data()) + used, n);
    if (head) head_bytes_ += took;
    used += took;
    if (complete_) return Step::complete;
    if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK) {
      status_ = why(bytes, used);
      return Step::bad;
    }
  }
  return Step::more;
}

bool HttpRequest::not_modified(std::string_view etag, int64_t modified) const {
  std::string_view list = none_match_.view();
  if (!list.empty()) {  // If-Modified-Since does not count then; the comparison is weak (RFC 9110 13.1.2)
    if (list == "*") return true;
    while (!list.empty()) {
      const size_t comma = std::min(list.find(','), list.size());
      std::string_view tag = trimmed(list.substr(0, comma));
      if (tag.starts_with("W/")) tag.remove_prefix(2);
      if (tag == etag) return true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
  }
  if (modified_since_.view().empty() || modified_since_.too_long()) return false;
  const int64_t since = parse_http_date(modified_since_.view());
  return since >= 0 && modified <= since;
}

std::string_view HttpRequest::path(PathRoom& room) const {
  std::string_view t = target_.view();
  if (!t.starts_with('/')) {  // absolute form (RFC 9112 3.2.2)
    const size_t authority = t.find("://");
    if (authority == t.npos) return {};
    const size_t slash = t.find_first_of("/?#", authority + 3);
    if (slash == t.npos || t[slash] != '/') return "/";
    t.remove_prefix(slash);
  }
  t = t.substr(0, t.find_first_of("?#"));
  if (t.find('%') == t.npos) return t;
  char* const begin = room.data();
  char* to = begin;
  for (size_t i = 0; i < t.size(); i++) {
    char c = t[i];
    if (c == '%') {
      const int high = i + 2 < t.size() ? hex(t[i + 1]) : -1, low = high >= 0 ? hex(t[i + 2]) : -1;
      if (low < 0 || (high == 0 && low == 0)) return {};
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    *to++ = c;
  }
  return {begin, static_cast<size_t>(to - begin)};
}

}  // namespace sluice::apps
