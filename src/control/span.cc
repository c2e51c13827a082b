#include "control/span.h"

#include <charconv>
#include <string>

namespace sluice::control {
namespace {

struct Unit {
  char name;
  int64_t seconds;
};
constexpr Unit kUnits[] = {{'w', 7 * 86400}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
constexpr int64_t kMost = kLongestSpan.ns / 1'000'000'000;

}  // namespace

Result<Duration> parse_span(std::string_view text) {
  static const std::string expected = "expected a time such as 10m, 1h30m or 7d";
  const std::string shown = "'" + std::string(text.substr(0, 40)) + "'";
  const char *at = text.data(), *end = at + text.size();
  int64_t seconds = 0;
  const Unit* unit = std::begin(kUnits);
  if (text.empty()) return Error{expected};
  while (at < end) {
    int64_t n = 0;
    auto [next, error] = std::from_chars(at, end, n);
    if (error == std::errc::result_out_of_range) return Error{shown + " is too long: ten years (3650d) at most"};
    if (error != std::errc() || *at == '-')
      return Error{shown + " is no time; " + expected};
    if (next == end) return Error{shown + " has no unit; did you mean '" + std::string(text) + "s' or '" + std::string(text) + "m'?"};
    while (unit != std::end(kUnits) && unit->name != *next) unit++;
    if (unit == std::end(kUnits)) return Error{shown + " is no time; " + expected + " (w, d, h, m, s; the larger first)"};
    if (n > kMost / unit->seconds || (seconds += n * unit->seconds) > kMost)
      return Error{shown + " is too long: ten years (3650d) at most"};
    unit++;
    at = next + 1;
  }
  if (seconds == 0) return Error{shown + " is no time at all; " + expected};
  return Duration::seconds(seconds);
}

}  // namespace sluice::control
