#include "apps/http_request.h"

#include <algorithm>

#include "apps/http_text.h"

namespace sluice::apps {

namespace {

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
  hosts_ = codings_ = 0;
  begun_ = value_began_ = keep_alive_ = body_ = expects_ = host_bad_ = coding_bad_ = complete_ = false;
  in_head_ = true;
  target_.clear();
  field_.clear();
  value_.clear();
  if_match_.clear();
  if_none_match_.clear();
  for (auto* t : {&if_modified_since_, &if_unmodified_since_, &if_range_, &range_}) t->clear();
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
  if (!field_.too_long() && !field_.view().empty()) keep(field_.view(), trimmed(value_.view()));
  field_.clear();
  value_.clear();
  value_began_ = false;
}

namespace {

// A field that comes twice is a list (RFC 9110 5.3).
template <size_t N>
void join(ShortText<N>& t, std::string_view value) {
  if (!t.view().empty()) t.append(",", 1);
  t.append(value.data(), value.size());
}

}  // namespace

void HttpRequest::keep(std::string_view name, std::string_view value) {
  const bool cut = value_.too_long();
  if (same_word(name, "host")) {
    hosts_ = static_cast<uint8_t>(std::min(hosts_ + 1, 2));
    host_bad_ |= cut || !host_like(value);
  } else if (same_word(name, "transfer-encoding")) {
    codings_ = static_cast<uint8_t>(std::min(codings_ + 1, 2));
    coding_bad_ |= !same_word(value, "chunked");
  } else if (same_word(name, "expect")) {
    if (same_word(value, "100-continue")) expects_ = true;
    else status_ = 417;
  } else if (same_word(name, "if-match")) {
    // Half of it might refuse what all of it allows.
    join(if_match_, value);
    if (cut || if_match_.too_long()) status_ = 431;
  } else if (same_word(name, "if-none-match")) {
    if (!cut) join(if_none_match_, value);  // what is not compared is sent
  } else if (same_word(name, "if-modified-since")) {
    join(if_modified_since_, value);
  } else if (same_word(name, "if-unmodified-since")) {
    join(if_unmodified_since_, value);
  } else if (same_word(name, "if-range")) {
    join(if_range_, value);
  } else if (same_word(name, "range")) {
    join(range_, value);
  }
}

HttpConditions HttpRequest::conditions() const {
  // What did not fit is none of the forms that count.
  const auto whole = [](const auto& t) { return t.too_long() ? std::string_view("?") : t.view(); };
  return {if_match_.view(),           if_none_match_.view(), whole(if_modified_since_),
          whole(if_unmodified_since_), whole(if_range_),      whole(range_)};
}

int HttpRequest::head_ends() {
  field_ends();
  in_head_ = false;
  if (parser_.http_major != 1) return fail(505);
  if (host_bad_ || hosts_ > 1 || (hosts_ == 0 && parser_.http_minor > 0)) return fail(400);
  if (parser_.method == HTTP_CONNECT) return fail(405);
  if (status_ != 0) return fail(status_);
  // RFC 9112 6.1, 6.3: a coding in HTTP/1.0, or behind chunked, makes the end of the body unknown; in front of it, it is
  // just not understood.
  const bool chunked = parser_.flags & F_CHUNKED;
  if (codings_ > 0 && (parser_.http_minor == 0 || !chunked)) return fail(400);
  if (coding_bad_ || codings_ > 1) return fail(501);
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
