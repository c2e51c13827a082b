// What both programs ask of their command lines beyond the parser's own errors.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The first word, if it is no option and none of the commands; else empty. The parser itself reports a misspelt
// command as a missing one.
inline std::string unknown_command(int argc, char** argv, const std::vector<std::string>& commands) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return "";
  return std::find(commands.begin(), commands.end(), argv[1]) == commands.end() ? argv[1] : "";
}

// What the parser refused, as the program's own error. Written for CLI::App and CLI::Error, which this room does not know.
inline std::string usage_error(const auto& app, const auto& error) {
  std::string what = error.what();
  if (const std::vector<std::string> extra = app.remaining(true); what.starts_with("The following argument") && !extra.empty()) {
    what = "not expected:";  // the parser names them backwards
    for (const std::string& word : extra) what += " " + word;
  }
  return app.get_name() + ": " + what + "\nRun with --help for more information.\n";
}

// The candidate that a word was probably meant to be: at most two letters wrong, left out, too many or swapped, and at most
// a third of them. Empty: none.
inline std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = 3;
  for (const std::string& c : candidates) {
    std::vector<size_t> before(c.size() + 1), row(c.size() + 1), next(c.size() + 1);
    for (size_t j = 0; j <= c.size(); j++) row[j] = j;
    for (size_t i = 1; i <= word.size(); i++) {
      next[0] = i;
      for (size_t j = 1; j <= c.size(); j++) {
        next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (word[i - 1] != c[j - 1])});
        if (i > 1 && j > 1 && word[i - 1] == c[j - 2] && word[i - 2] == c[j - 1]) next[j] = std::min(next[j], before[j - 2] + 1);
      }
      before.swap(row);
      row.swap(next);
    }
    const size_t distance = row[c.size()];
    if (distance < best_distance && distance * 3 <= std::max(word.size(), c.size()) + 2) best = c, best_distance = distance;
  }
  return best;
}

}  // namespace sluice
