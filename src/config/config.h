// From text to model. All mistakes are found in one pass, each with its place.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/model.h"

namespace sluice::config {

struct Mistake {
  std::string file;               // as given, or "--set"
  unsigned line = 0, column = 0;  // 1-based; 0: the whole file
  std::string path;               // "filter.rules[3].to"
  std::string message;            // what was found, what was expected, a suggestion where there is one
};
std::string to_string(const Mistake& m);  // FILE:LINE:COLUMN: PATH: MESSAGE

struct Loaded {
  Model model;
  std::vector<Mistake> mistakes;  // empty: the model is sound
  bool ok() const { return mistakes.empty(); }
};

using Overrides = std::vector<std::pair<std::string, std::string>>;  // path → value, as --set gives them

inline constexpr size_t kMaxFileSize = 16u << 20;

// load_file() also judges what the machine has: files and folders that are named, memory that is there. Neither
// throws; a damaged or hostile file costs bounded time and memory.
Loaded load_file(const std::string& path, const Overrides& set = {});
Loaded load_text(const std::string& text, const std::string& file_name, const Overrides& set = {});
// A text that is to replace the running configuration: judged as load_file() would a file in `folder`.
Loaded load_text_in(const std::string& folder, const std::string& text, const std::string& file_name, const Overrides& set);
// Absolute, so that a file names the same things however it is called.
std::string folder_of(const std::string& file);

// JSON Schema (draft 2020-12) of the file.
std::string schema();

// What must be the same for config.apply on a running box; each string names a setting that needs a restart.
std::vector<std::string> needs_restart(const Model& running, const Model& wanted);

// Bytes the dataplane will take for this model, by part, largest first. Estimates on the safe side; the sizes
// behind them are constants in budget.cc.
struct Budget {
  std::vector<std::pair<std::string, uint64_t>> parts;
  uint64_t total = 0;
};
struct RouteCount {  // routes that files bring, which the model alone cannot tell
  uint64_t ip4 = 0, ip6 = 0;
};
Budget memory_budget(const Model& m, const RouteCount& from_files = {});
// "needs 2.1 GiB, but LIMIT is …; the largest parts are …": empty where it fits. `what` names the limit.
std::string over_budget(const Budget& b, uint64_t limit, const std::string& what);
// What this process may take: MemAvailable, free huge pages and what it already holds, within its cgroup's
// limit. UINT64_MAX where the machine does not say.
uint64_t available_memory();
// Reads a route file only to count its routes by family; false: it cannot be read.
bool count_routes(const std::string& path, RouteCount& count);

}  // namespace sluice::config
