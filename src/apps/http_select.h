// Which answer a conditional or partial request gets: preconditions (RFC 9110 13, in the order of 13.2.2) and ranges
// (RFC 9110 14.2). Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::apps {

// What a request says about it; "": nothing.
struct HttpConditions {
  std::string_view if_match, if_none_match, if_modified_since, if_unmodified_since, if_range, range;
  bool none() const {
    return if_match.empty() && if_none_match.empty() && if_modified_since.empty() && if_unmodified_since.empty() &&
           range.empty();
  }
};

// Of what would be sent.
struct HttpValidators {
  std::string_view etag;         // quoted, strong; "": none
  int64_t modified = -1;         // seconds since 1970; -1: not known
  bool modified_strong = false;  // the second of `modified` was over when the bytes were read (RFC 9110 8.8.2.2)
  uint64_t length = 0;           // bytes
};

// 0: go on; 304 or 412: that is the answer. `now`: seconds since 1970.
unsigned failed_precondition(const HttpConditions& c, const HttpValidators& v, int64_t now);

// The part of the body that a GET asks for.
struct HttpRange {
  enum class Kind : uint8_t { whole, part, unsatisfiable } kind = Kind::whole;
  uint64_t first = 0, length = 0;
};
// Several ranges, other units and what is malformed are answered with the whole, as RFC 9110 14.2 allows.
HttpRange select_range(const HttpConditions& c, const HttpValidators& v, int64_t now);

}  // namespace sluice::apps
