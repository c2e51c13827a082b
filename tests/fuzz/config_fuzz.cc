// Any text as a configuration: no crash, no hang, and the same answer twice. A line that starts with "#set "
// is an override, path=value.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(data, data + size);
  sluice::config::Overrides set;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (line.starts_with("#set ") && equals != line.npos)
      set.emplace_back(line.substr(5, equals - 5), line.substr(equals + 1));
  }
  const sluice::config::Loaded first = sluice::config::load_text(text, "fuzz", set);
  for (const sluice::config::Mistake& m : first.mistakes)
    if (m.message.empty()) std::abort();
  if (first.ok()) {
    (void)sluice::config::memory_budget(first.model);
    if (!sluice::config::needs_restart(first.model, first.model).empty()) std::abort();
  }
  const sluice::config::Loaded again = sluice::config::load_text(text, "fuzz", set);
  if (again.mistakes.size() != first.mistakes.size()) std::abort();
  return 0;
}
