// From text to model. All mistakes are found in one pass, each with its place.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/model.h"

namespace sluice::config {

struct Mistake {
  std::string file;      // as given, or "--set"
  unsigned line = 0, column = 0;  // 1-based; 0: the whole file
  std::string path;      // "filter.rules[3].to"
  std::string message;   // what was found, what was expected, a suggestion where there is one
};
std::string to_string(const Mistake& m);  // FILE:LINE:COLUMN: PATH: MESSAGE

struct Loaded {
  Model model;
  std::vector<Mistake> mistakes;   // empty: the model is sound
  bool ok() const { return mistakes.empty(); }
};

using Overrides = std::vector<std::pair<std::string, std::string>>;  // path → value, as --set gives them

inline constexpr size_t kMaxFileSize = 16u << 20;

Loaded load_file(const std::string& path, const Overrides& set = {});
Loaded load_text(const std::string& text, const std::string& file_name, const Overrides& set = {});

// JSON Schema (draft 2020-12) of the file.
std::string schema();

// What must be the same for config.apply on a running box; each string names a setting that needs a restart.
std::vector<std::string> needs_restart(const Model& running, const Model& wanted);

// Bytes the dataplane will take for this model, by part, largest first.
struct Budget {
  std::vector<std::pair<std::string, uint64_t>> parts;
  uint64_t total = 0;
};

}  // namespace sluice::config
