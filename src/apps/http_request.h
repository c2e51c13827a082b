// Requests out of a stream of bytes (RFC 9112), split wherever it may be: http_parser reads, and what an answer
// depends on is kept. What http_parser is lax about and this is not: exactly one well-formed Host in HTTP/1.1, the
// version, limits.
#pragma once

#include <http_parser.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "apps/http_select.h"

namespace sluice::apps {

struct HttpLimits {
  uint32_t head;   // bytes of request line and fields
  uint64_t body;
};

// Text up to a limit; what is longer is only known to be so.
template <size_t N>
class ShortText {
 public:
  void clear() { n_ = 0, long_ = false; }
  void append(const char* s, size_t n) {
    if (n > N - n_) {
      long_ = true;
      n = N - n_;
    }
    std::copy(s, s + n, text_.begin() + static_cast<std::ptrdiff_t>(n_));
    n_ = static_cast<uint32_t>(n_ + n);
  }
  bool too_long() const { return long_; }
  std::string_view view() const { return {text_.data(), n_}; }

 private:
  uint32_t n_;
  bool long_;
  std::array<char, N> text_;
};

class HttpRequest {
 public:
  static constexpr size_t kTarget = 2048;  // above: 414

  HttpRequest() { reset(); }
  void reset();

  enum class Step : uint8_t { more, complete, bad };
  // Reads on from `bytes`; `used` says how far. bad: status() says why, and the stream cannot be read any further.
  Step read(std::span<const uint8_t> bytes, const HttpLimits& limits, size_t& used);

  bool begun() const { return begun_; }           // at least one byte of a request was read
  unsigned status() const { return status_; }     // bad: 4xx or 5xx
  bool get() const { return parser_.method == HTTP_GET; }
  bool head() const { return parser_.method == HTTP_HEAD && !target_.view().empty(); }  // known once the target begins
  bool keep_alive() const { return keep_alive_; }
  bool has_body() const { return body_; }
  bool options() const { return parser_.method == HTTP_OPTIONS; }
  // As they came; good until reset().
  HttpConditions conditions() const;
  std::string_view target() const { return target_.view(); }
  // The target's path without its query, percent-decoded into `room` if there is something to decode. Empty: not one that
  // a resource can have.
  using PathRoom = std::array<char, kTarget>;
  std::string_view path(PathRoom& room) const;

 private:
  static const http_parser_settings& callbacks();
  int fail(unsigned status);
  void field_ends();
  void keep(std::string_view name, std::string_view value);
  int head_ends();
  unsigned why(std::span<const uint8_t> bytes, size_t used) const;

  http_parser parser_;
  const HttpLimits* limits_ = nullptr;   // during read()
  uint64_t head_bytes_, body_bytes_;
  unsigned status_;
  uint8_t hosts_;
  uint8_t codings_;                      // Transfer-Encoding fields
  bool begun_, in_head_, value_began_, keep_alive_, body_, expects_, host_bad_, coding_bad_, complete_;
  ShortText<kTarget> target_;
  ShortText<20> field_;
  ShortText<256> value_, if_match_, if_none_match_;
  ShortText<64> if_modified_since_, if_unmodified_since_, if_range_, range_;
};

}  // namespace sluice::apps
