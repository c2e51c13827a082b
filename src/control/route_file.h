// Route files: what a routing daemon or a dump gives, a route a line.
//
//   PREFIX ADDRESS[,ADDRESS…]     next hops; several: ECMP, in this order
//   PREFIX blackhole
//   PREFIX unreachable
//
// Fields are separated by blanks; '#' begins a comment. Either family, in any order. Bounded in size, routes and
// in the mistakes that one error names. Control thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/addr.h"

namespace sluice::control {

struct RouteTarget {  // what stands behind the prefix; routes that say the same share one
  enum class Kind : uint8_t { via, blackhole, unreachable } kind = Kind::via;
  std::vector<IpAddr> via;  // of one family, at most kMaxEcmp, no two alike
  uint32_t line = 0;        // where it was seen first
};

struct RouteFile {
  struct Route {
    Prefix prefix;    // masked
    uint32_t target;  // index in `targets`
    uint32_t line;    // 1-based
  };
  std::string name;
  std::vector<Route> routes;  // in the file's order; a prefix may still be there twice
  std::vector<RouteTarget> targets;
};

inline constexpr size_t kMaxRouteFileSize = size_t{512} << 20;
inline constexpr size_t kMaxRoutes = 8'000'000;  // of one file
inline constexpr unsigned kMaxRouteMistakes = 20;

// An error is one line for each mistake, "FILE:LINE:COLUMN: what was found and what was expected".
Result<RouteFile> read_route_file(const std::string& path);
Result<RouteFile> parse_route_text(std::string_view text, const std::string& name);

}  // namespace sluice::control
