// Dates as HTTP has them (RFC 9110 5.6.7): seconds since 1970, without locale, time zone, lock or allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::apps {

inline constexpr size_t kHttpDate = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

// The preferred form, of the years 1970 to 9999.
void write_http_date(int64_t seconds, std::span<char, kHttpDate> to);
std::string http_date(int64_t seconds);
// All three forms; `now` says which century a year of two digits is of. -1: no date, or one before 1970.
int64_t parse_http_date(std::string_view s, int64_t now);

}  // namespace sluice::apps
