// JSON-RPC 2.0 over the lines of the server: parses a request, finds the verb, checks its parameters,
// turns what goes wrong into an error object that names method and field.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/reply.h"

namespace sluice::control {

using nlohmann::json;

struct RpcError {  // thrown by verbs; ends as the response's error object
  int code;
  std::string message;
  json data = nullptr;
};

struct Unfinished {  // thrown by verbs whose work goes on elsewhere
  std::function<std::optional<json>()> poll;  // the result once there is one; may throw RpcError
};

// The parameters of one call. Each getter names the method and the field in what it throws; finish() refuses
// fields that no getter asked for.
class Params {
 public:
  Params(std::string method, const json& object) : method_(std::move(method)), object_(object) {}

  uint64_t number(const char* field, uint64_t fallback, uint64_t low, uint64_t high);
  std::string text(const char* field, const std::string& fallback = "");
  std::string word(const char* field);  // a text, or a whole number as one; empty: not there
  bool flag(const char* field, bool fallback = false);
  const std::string& method() const { return method_; }
  bool has(const char* field) const { return object_.contains(field); }
  void finish() const;
  [[noreturn]] void invalid(const std::string& field, const std::string& what) const;

 private:
  std::string method_;
  const json& object_;
  std::set<std::string> known_;
};

struct Context;

struct Verb {
  const char* name;
  const char* help;  // one sentence
  json (*run)(Context&, Params&);
};

// Answers one line.
Reply answer_line(Context& c, const std::vector<Verb>& verbs, std::string_view line);

}  // namespace sluice::control
