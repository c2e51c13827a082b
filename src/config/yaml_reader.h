// From nodes to values. A Type<V> says in one place how a value of kind V is read and what the JSON Schema
// says of it; an Object<T> is the table of the keys of a map. The parser and the schema both come from these
// tables, so that they cannot drift.
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

using Json = nlohmann::ordered_json;

// A node and the way to it. Lives on the stack of the reader; the path is text only where a mistake needs it.
struct At {
  const Node* node = nullptr;
  const At* up = nullptr;
  std::string_view key = {};
  int64_t index = -1;

  At in(std::string_view k, const Node* n) const { return {n, this, k, -1}; }
  At item(size_t i, const Node* n) const { return {n, this, {}, static_cast<int64_t>(i)}; }
  std::string path() const;
};

// What `filter: sets:` defines; rules refer to it as $name.
struct NamedSet {
  bool ports = false, sound = true;
  std::vector<Prefix> prefixes;
  std::vector<PortSpan> spans;
};

class Reader {
 public:
  static constexpr size_t kMaxMistakes = 1000;

  Reader(const Document& doc, std::vector<Mistake>& mistakes) : doc_(doc), mistakes_(mistakes) {}

  // Always false, so that a reader can end with `return r.mistake(…)`.
  bool mistake(const At& at, std::string message);
  bool expected(const At& at, const std::string& what);  // "found X, expected WHAT"
  bool mistake_at(const Node* where, std::string path, std::string message);

  std::map<std::string, NamedSet, std::less<>> sets;

 private:
  const Document& doc_;
  std::vector<Mistake>& mistakes_;
  std::set<std::pair<const Node*, std::string>> seen_;  // a node used by many aliases is reported once
};

// The node's text as found, for messages: short, in quotes.
std::string found(const Node& n);
// " (did you mean 'X'?)", or nothing where no candidate is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);
unsigned edit_distance(std::string_view a, std::string_view b);  // insert, delete, change, swap neighbours

template <class V>
struct Type {
  Json schema;
  std::function<bool(Reader&, const At&, V&)> read;  // false: a mistake was reported, the value is untouched
};

// A null where a key wants something: the key without a value is a mistake of its own.
bool needs_scalar(Reader& r, const At& at, const std::string& what);

template <class T>
class Object {
 public:
  struct Field {
    std::string name;
    Json schema;
    std::function<void(Reader&, const At&, T&)> read;
    bool required = false;
  };

  explicit Object(std::string what) : what_(std::move(what)) {}

  template <class V>
  Object& key(const char* name, const char* doc, const Type<V>& type, V T::*member, Json standard = nullptr) {
    auto read = type.read;
    return own(
        name, doc, type.schema, [read, member](Reader& r, const At& at, T& t) { read(r, at, t.*member); },
        std::move(standard));
  }
  template <class V>
  Object& key(const char* name, const char* doc, const Type<V>& type, std::optional<V> T::*member) {
    auto read = type.read;
    return own(name, doc, type.schema, [read, member](Reader& r, const At& at, T& t) {
      V v{};
      if (read(r, at, v)) t.*member = std::move(v);
    });
  }
  // A key that fills more, or something else, than one member.
  Object& own(const char* name, const char* doc, Json schema,
              std::function<void(Reader&, const At&, T&)> read, Json standard = nullptr) {
    Json s = Json{{"description", doc}};
    s.update(schema);
    if (!standard.is_null()) s["default"] = std::move(standard);
    fields_.push_back({name, std::move(s), std::move(read), false});
    known_.push_back(name);
    return *this;
  }
  Object& required() { return fields_.back().required = true, *this; }

  // Keys are read in the order of the table, whatever their order in the file.
  bool read(Reader& r, const At& at, T& t) const;
  Json schema() const;
  Type<T> type() const {
    return {schema(), [this](Reader& r, const At& at, T& t) { return read(r, at, t); }};
  }

 private:
  std::string what_;
  std::vector<Field> fields_;
  std::vector<std::string> known_;
};

// Reports keys that are not text, occur twice, or are not among `known`.
void check_map_keys(Reader& r, const At& at, const std::string& what, const std::vector<std::string>* known);

template <class T>
bool Object<T>::read(Reader& r, const At& at, T& t) const {
  if (at.node->kind != Node::Kind::map) return r.expected(at, "a map (key: value)");
  check_map_keys(r, at, what_, &known_);
  for (const Field& f : fields_) {
    const Node* n = at.node->find(f.name);
    if (n)
      f.read(r, at.in(f.name, n), t);
    else if (f.required)
      r.mistake(at, "the key '" + f.name + "' is missing");
  }
  return true;
}

template <class T>
Json Object<T>::schema() const {
  Json properties = Json::object(), required = Json::array();
  for (const Field& f : fields_) {
    properties[f.name] = f.schema;
    if (f.required) required.push_back(f.name);
  }
  Json s = {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!required.empty()) s["required"] = required;
  return s;
}

template <class V>
Type<std::vector<V>> list_of(const Type<V>& item, const std::string& what, bool may_be_empty = false) {
  Json s = {{"type", "array"}, {"items", item.schema}};
  if (!may_be_empty) s["minItems"] = 1;
  auto read = item.read;
  return {s, [read, what, may_be_empty](Reader& r, const At& at, std::vector<V>& out) {
            if (at.node->kind != Node::Kind::sequence) return r.expected(at, "a list of " + what);
            if (at.node->items.empty() && !may_be_empty)
              return r.mistake(at, "found an empty list, expected " + what);
            // A bad item keeps its place, so that indices are those of the file.
            bool ok = true;
            out.clear();
            for (size_t i = 0; i < at.node->items.size(); i++) {
              V v{};
              ok &= read(r, at.item(i, at.node->items[i]), v);
              out.push_back(std::move(v));
            }
            return ok;
          }};
}

// One value, or a list of them.
template <class V>
Type<std::vector<V>> one_or_many(const Type<V>& item, const std::string& what) {
  Type<std::vector<V>> list = list_of(item, what);
  Json s = {{"anyOf", Json::array({item.schema, list.schema})}};
  auto one = item.read;
  auto many = list.read;
  return {s, [one, many](Reader& r, const At& at, std::vector<V>& out) {
            if (at.node->kind == Node::Kind::sequence) return many(r, at, out);
            V v{};
            if (!one(r, at, v)) return false;
            out.assign(1, std::move(v));
            return true;
          }};
}

template <class N>
Type<N> number(uint64_t low, uint64_t high, const std::string& unit = "") {
  const std::string what = "a number from " + std::to_string(low) + " to " + std::to_string(high) +
                           (unit.empty() ? "" : " (" + unit + ")");
  return {Json{{"type", "integer"}, {"minimum", low}, {"maximum", high}},
          [low, high, what](Reader& r, const At& at, N& out) {
            if (!needs_scalar(r, at, what)) return false;
            const std::string& s = at.node->text;
            uint64_t v = 0;
            auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
            if (error != std::errc() || end != s.data() + s.size() || v < low || v > high)
              return r.expected(at, what);
            out = static_cast<N>(v);
            return true;
          }};
}

template <class E>
Type<E> choice(const std::vector<std::pair<std::string, E>>& words) {
  std::string what;
  Json names = Json::array();
  std::vector<std::string> candidates;
  for (size_t i = 0; i < words.size(); i++) {
    what += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i].first;
    names.push_back(words[i].first);
    // Editors read these words as YAML 1.1 or 1.2 does: as a boolean or as null.
    if (words[i].first == "off") names.push_back(false);
    if (words[i].first == "null") names.push_back(nullptr);
    candidates.push_back(words[i].first);
  }
  return {Json{{"enum", names}}, [words, what, candidates](Reader& r, const At& at, E& out) {
            const bool empty = at.node->kind == Node::Kind::null && at.node->text.empty();
            if (at.node->kind == Node::Kind::sequence || at.node->kind == Node::Kind::map || empty)
              return r.expected(at, what);
            for (auto& [name, value] : words)
              if (at.node->text == name) return out = value, true;
            return r.mistake(at, "found " + found(*at.node) + ", expected " + what +
                                     did_you_mean(at.node->text, candidates));
          }};
}

std::optional<bool> truth(const Node& n);  // of yes, no and their synonyms; none: anything else
const Type<bool>& boolean();
// Text of low to high bytes; `pattern` is an ECMAScript regular expression for the schema, `good` its check.
Type<std::string> text(size_t low, size_t high, const std::string& what, const std::string& pattern = "",
                       bool (*good)(std::string_view) = nullptr);
Type<Duration> duration(Duration low, Duration high);   // 250ms, 30s, 5m
Type<uint64_t> byte_size(uint64_t low, uint64_t high);  // 512 MiB, 2 GiB
Type<uint64_t> packet_rate(uint64_t low, uint64_t high, const std::string& what);  // 500, 10k, 2M
const Type<double>& percent();                          // 0.5%; the value is a share, 0..1
const Type<unsigned>& octal_mode();
const Type<Mac>& mac_address();
const Type<IpAddr>& ip_address();
const Type<Prefix>& interface_address();   // ADDRESS/LENGTH, host bits kept
const Type<Prefix>& network();             // PREFIX, or an address: itself alone; no host bits
const Type<PortSpan>& port_span();         // 80, 8000-8080
const Type<uint8_t>& protocol(bool rule);  // a name or 1..255
const std::vector<std::pair<std::string, uint8_t>>& protocol_names();
std::string protocol_name(uint8_t proto);
const Type<std::string>& port_name();  // of the section `ports`
bool good_name(std::string_view s);    // [A-Za-z][A-Za-z0-9_-]*, at most 63
inline constexpr const char* kNamePattern = "^[A-Za-z][A-Za-z0-9_-]{0,62}$";
inline constexpr const char* kPortNamePattern = "^[A-Za-z][A-Za-z0-9_-]{0,14}$";

std::string format_duration(Duration d);
std::string format_bytes(uint64_t bytes);
std::string format_count(uint64_t n);  // 10k, 2M

// The sections, one file each.
const Object<Model>& root_keys();
const Object<System>& system_keys();
const Object<Control>& control_keys();
const Object<Flows>& flows_keys();
const Object<Icmp>& icmp_keys();
const Object<Model>& neighbors_keys();
const Object<Port>& port_keys();
const Object<Route>& route_keys();
const Object<Filter>& filter_keys();
const Object<Tcp>& tcp_keys();
const Object<Service>& service_keys();
const Object<Shed>& shed_keys();

// Parsed values against each other: references, overlaps, what can never work.
class Findings {
 public:
  Findings(const Document& doc, std::vector<Mistake>& mistakes);
  void add(const std::string& path, std::string message);
  void add(Mistake m);  // in another file
  // Something below this path could not be read: what depends on it is not judged.
  bool doubtful(std::string_view path) const;
  const Document& doc() const { return doc_; }

 private:
  const Document& doc_;
  std::vector<Mistake>& mistakes_;
  std::vector<std::string> bad_;  // sorted paths of what the readers refused
};
void validate(const Model& m, Findings& f);
void validate_system(const Model& m, Findings& f);
void validate_ports(const Model& m, Findings& f);
void validate_routes(const Model& m, Findings& f);
void validate_neighbors(const Model& m, Findings& f);
void validate_filter(const Model& m, Findings& f);
void validate_tcp(const Model& m, Findings& f);
void validate_services(const Model& m, Findings& f);
void validate_shed(const Model& m, Findings& f);
void read_shed_files(Model& m, const std::string& folder, Findings& f);

}  // namespace sluice::config
