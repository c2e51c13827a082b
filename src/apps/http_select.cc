#include "apps/http_select.h"

#include <algorithm>
#include <optional>

#include "apps/http_date.h"
#include "apps/http_text.h"

namespace sluice::apps {

namespace {

// RFC 9110 8.8.3.2: a weak tag equals none in the strong comparison.
bool listed(std::string_view list, std::string_view etag, bool weak) {
  while (!list.empty() && !etag.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view tag = trimmed(list.substr(0, comma));
    if (weak && tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// nullopt: no date, or nothing to compare it with: the field does not count.
std::optional<bool> unmodified_since(std::string_view date, const HttpValidators& v, int64_t now) {
  const int64_t since = date.empty() || v.modified < 0 ? -1 : parse_http_date(date, now);
  if (since < 0) return std::nullopt;
  return v.modified <= since;
}

// RFC 9110 13.1.5
bool range_condition(std::string_view if_range, const HttpValidators& v, int64_t now) {
  if (if_range.empty()) return true;
  if (if_range.starts_with('"')) return if_range == v.etag;
  return v.modified_strong && parse_http_date(if_range, now) == v.modified;
}

// Digits alone, too many of which are just very many; nullopt: others, or none.
std::optional<uint64_t> number(std::string_view s) {
  if (s.empty()) return std::nullopt;
  uint64_t v = 0;
  for (char c : s) {
    if (c < '0' || c > '9') return std::nullopt;
    v = v > UINT64_MAX / 16 ? v : v * 10 + static_cast<uint64_t>(c - '0');
  }
  return v;
}

}  // namespace

unsigned failed_precondition(const HttpConditions& c, const HttpValidators& v, int64_t now) {
  if (!c.if_match.empty()) {
    if (c.if_match != "*" && !listed(c.if_match, v.etag, false)) return 412;
  } else if (unmodified_since(c.if_unmodified_since, v, now) == false) {
    return 412;
  }
  if (!c.if_none_match.empty()) return c.if_none_match == "*" || listed(c.if_none_match, v.etag, true) ? 304 : 0;
  return unmodified_since(c.if_modified_since, v, now) == true ? 304 : 0;
}

HttpRange select_range(const HttpConditions& c, const HttpValidators& v, int64_t now) {
  using Kind = HttpRange::Kind;
  static constexpr std::string_view unit = "bytes=";
  const HttpRange whole{Kind::whole, 0, v.length};
  if (!same_word(c.range.substr(0, unit.size()), unit) || !range_condition(c.if_range, v, now)) return whole;
  const std::string_view spec = trimmed(c.range.substr(unit.size()));
  const size_t dash = spec.find('-');
  if (dash == spec.npos) return whole;
  const std::string_view from = spec.substr(0, dash), to = spec.substr(dash + 1);
  const auto first = number(from), last = number(to);
  if ((!first && !from.empty()) || (!last && !to.empty()) || (!first && !last)) return whole;
  if (!first) {  // the last so many
    if (*last == 0) return {Kind::unsatisfiable};
    if (v.length == 0) return whole;
    const uint64_t n = std::min(*last, v.length);
    return {Kind::part, v.length - n, n};
  }
  if (last && *last < *first) return whole;
  if (*first >= v.length) return {Kind::unsatisfiable};
  const uint64_t end = last ? std::min(*last, v.length - 1) : v.length - 1;
  return {Kind::part, *first, end - *first + 1};
}

}  // namespace sluice::apps
