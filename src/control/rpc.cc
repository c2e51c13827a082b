#include "control/rpc.h"

#include <algorithm>

#include "sluice/control.h"

namespace sluice::control {

namespace {

constexpr size_t kMaxBatch = 64;

json error_object(const json& id, const RpcError& e) {
  json err = {{"code", e.code}, {"message", e.message}};
  if (!e.data.is_null()) err["data"] = e.data;
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", err}};
}

std::string nearest(const std::vector<Verb>& verbs, const std::string& name) {
  auto distance = [](std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++) row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= b.size(); j++) {
        size_t above = row[j];
        row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
        diagonal = above;
      }
    }
    return row[b.size()];
  };
  std::string best;
  size_t best_d = 3;
  for (const Verb& v : verbs) {
    size_t d = distance(std::string_view(name).substr(0, 64), v.name);
    if (d < best_d) {
      best_d = d;
      best = v.name;
    }
  }
  return best;
}

json call(Context& c, const std::vector<Verb>& verbs, const json& req) {
  if (!req.contains("jsonrpc") || req["jsonrpc"] != "2.0")
    throw RpcError{kInvalidRequest, "the field 'jsonrpc' must be \"2.0\""};
  if (!req.contains("method") || !req["method"].is_string())
    throw RpcError{kInvalidRequest, "the field 'method' must be a string"};
  for (const auto& [key, value] : req.items())
    if (key != "jsonrpc" && key != "method" && key != "params" && key != "id")
      throw RpcError{kInvalidRequest, "unknown field '" + key.substr(0, 64) + "' in the request"};
  const std::string name = req["method"];
  auto it = std::find_if(verbs.begin(), verbs.end(), [&](const Verb& v) { return name == v.name; });
  if (it == verbs.end()) {
    std::string hint = nearest(verbs, name);
    throw RpcError{kMethodNotFound,
                   "there is no method '" + name.substr(0, 64) + "'" +
                       (hint.empty() ? "; 'methods' lists them" : "; did you mean '" + hint + "'?")};
  }
  static const json empty = json::object();
  const json& params = req.contains("params") ? req["params"] : empty;
  if (!params.is_object())
    throw RpcError{kInvalidParams, name + ": 'params' must be an object of named fields"};
  Params p(name, params);
  return it->run(c, p);
}

using Poll = std::function<std::optional<json>()>;

struct Response {
  json object;  // null: none
  Poll later;   // null: object is it
};

// The response to a request, if its result is there.
std::optional<json> respond(const json& id, bool notification, const Poll& result) {
  try {
    auto r = result();
    if (!r) return std::nullopt;
    return notification ? json(nullptr) : json{{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(*r)}};
  } catch (const RpcError& e) {
    return error_object(id, e);
  } catch (const std::exception& e) {
    return error_object(id, {kInternalError, std::string("internal error: ") + e.what()});
  }
}

Response answer_one(Context& c, const std::vector<Verb>& verbs, const json& req) {
  if (!req.is_object()) return {error_object(nullptr, {kInvalidRequest, "a request must be an object"}), nullptr};
  const bool notification = !req.contains("id");
  json id = notification ? json(nullptr) : req["id"];
  if (!id.is_null() && !id.is_string() && !id.is_number())
    return {error_object(nullptr, {kInvalidRequest, "the field 'id' must be a string, a number or null"}), nullptr};
  try {
    return {*respond(id, notification, [&] { return std::optional(call(c, verbs, req)); }), nullptr};
  } catch (const Unfinished& u) {
    return {nullptr, [id, notification, poll = u.poll] { return respond(id, notification, poll); }};
  }
}

// All there is by now: whether nothing is left to come.
bool complete(std::vector<Response>& all) {
  bool whole = true;
  for (Response& r : all) {
    if (!r.later) continue;
    auto object = r.later();
    whole &= object.has_value();
    if (object) r = {std::move(*object), nullptr};
  }
  return whole;
}

// Names of ports, rules and files may hold any bytes: an answer is always valid UTF-8.
std::string dump(const json& j) {
  if (j.is_null()) return "";
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

void Params::invalid(const std::string& field, const std::string& what) const {
  throw RpcError{kInvalidParams, method_ + ": field '" + field + "': " + what};
}

uint64_t Params::number(const char* field, uint64_t fallback, uint64_t low, uint64_t high) {
  known_.insert(field);
  if (!object_.contains(field)) return fallback;
  const json& v = object_[field];
  if (!v.is_number_integer() || (v.is_number_integer() && !v.is_number_unsigned() && v.get<int64_t>() < 0) ||
      v.get<uint64_t>() < low || v.get<uint64_t>() > high)
    invalid(field, "expected a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return v.get<uint64_t>();
}

std::string Params::text(const char* field, const std::string& fallback) {
  known_.insert(field);
  if (!object_.contains(field)) return fallback;
  if (!object_[field].is_string()) invalid(field, "expected a string");
  return object_[field];
}

std::string Params::word(const char* field) {
  known_.insert(field);
  if (!object_.contains(field)) return "";
  const json& v = object_[field];
  if (v.is_number_integer()) return v.dump();
  if (!v.is_string()) invalid(field, "expected a word or a whole number");
  return v;
}

bool Params::flag(const char* field, bool fallback) {
  known_.insert(field);
  if (!object_.contains(field)) return fallback;
  if (!object_[field].is_boolean()) invalid(field, "expected true or false");
  return object_[field];
}

void Params::finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (known_.count(key)) continue;
    std::string list;
    for (const auto& k : known_) list += (list.empty() ? "" : ", ") + k;
    invalid(key.substr(0, 64), "unknown; " + (list.empty() ? "the method takes none" : "known are " + list));
  }
}

Reply answer_line(Context& c, const std::vector<Verb>& verbs, std::string_view line) {
  const json req = json::parse(line, nullptr, false);
  if (req.is_discarded()) return dump(error_object(nullptr, {kParseError, "the line is not valid JSON"}));
  if (req.is_array() && (req.empty() || req.size() > kMaxBatch))
    return dump(error_object(
        nullptr, {kInvalidRequest, "a batch holds 1 to " + std::to_string(kMaxBatch) + " requests"}));
  std::vector<Response> all;
  if (req.is_array())
    for (const json& one : req) all.push_back(answer_one(c, verbs, one));
  else
    all.push_back(answer_one(c, verbs, req));
  const bool whole = std::none_of(all.begin(), all.end(), [](const Response& one) { return one.later != nullptr; });
  Reply r;
  r.later = [batch = req.is_array(), all = std::move(all)]() mutable -> std::optional<std::string> {
    if (!complete(all)) return std::nullopt;
    if (!batch) return dump(all.front().object);
    json out;
    for (Response& one : all)
      if (!one.object.is_null()) out.push_back(std::move(one.object));
    return dump(out);
  };
  return whole ? Reply(r.later().value_or("")) : r;
}

}  // namespace sluice::control
