// Fields of an answer as text, for the views; what is missing is "-" or 0.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "ctl/table.h"

namespace sluice::ctl {

using nlohmann::json;

inline std::string text(const json& j, const char* key) {
  if (!j.contains(key) || j[key].is_null()) return "-";
  return j[key].is_string() ? j[key].get<std::string>() : j[key].dump();
}
inline double number(const json& j, const char* key) {
  return j.contains(key) && j[key].is_number() ? j[key].get<double>() : 0;
}
inline std::string counted(const json& j, const char* key) {
  return count(number(j, key));
}

inline std::string joined(const json& list, const char* empty = "any") {
  std::string s;
  for (const json& x : list) s += (s.empty() ? "" : ",") + (x.is_string() ? x.get<std::string>() : x.dump());
  return s.empty() ? empty : s;
}

inline std::string shown(double v, const char* format) {
  char buf[32];
  std::snprintf(buf, sizeof buf, format, v);
  return buf;
}

}  // namespace sluice::ctl
