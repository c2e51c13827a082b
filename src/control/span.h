// How long something is to last, as people write it: 10m, 1h30m, 7d.
#pragma once

#include <string_view>

#include "base/instant.h"
#include "base/result.h"

namespace sluice::control {

inline constexpr Duration kLongestSpan = Duration::seconds(86400) * 3650;  // ten years

// Whole numbers with w, d, h, m or s, the larger unit first, each once; from a second to kLongestSpan. Errors say what
// is right.
Result<Duration> parse_span(std::string_view text);

}  // namespace sluice::control
