// What both programs ask of their command lines beyond the parser's own errors.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace sluice {

// The first word, if it is no option and none of the commands; else empty. The parser itself reports a misspelt
// command as a missing one.
inline std::string unknown_command(int argc, char** argv, const std::vector<std::string>& commands) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return "";
  return std::find(commands.begin(), commands.end(), argv[1]) == commands.end() ? argv[1] : "";
}

}  // namespace sluice
