// The text of one configuration as a tree of nodes that know their places. The only files that see yaml-cpp
// are yaml.cc and yaml_scan.cc's caller; everything above reads these nodes.
//
// yaml-cpp's own node tree is not used: it drops duplicate keys silently and follows aliases without bound.
// Here the parser's events are taken one by one, maps keep every entry in the file's order, and an alias
// counts as often as it is used, so that a bomb is refused before it is walked.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace sluice::config {

struct Node {
  enum class Kind : uint8_t { null, scalar, sequence, map };
  Kind kind = Kind::null;
  bool quoted = false;         // a scalar in quotes: never a boolean
  bool from_override = false;  // made by --set: it has no line
  uint32_t line = 0;           // from 1
  uint32_t byte_column = 0;    // from 1; Document::at() counts characters
  uint32_t weight = 1;         // nodes below and including this one, aliases followed
  std::string text;            // scalar, or null as it was written ("null", "~", "")
  std::vector<Node*> items;    // sequence: its items; map: key, value, key, value, …

  size_t pairs() const { return items.size() / 2; }
  const Node& key(size_t i) const { return *items[i * 2]; }
  const Node& value(size_t i) const { return *items[i * 2 + 1]; }
  const Node* find(std::string_view name) const;  // map: the first entry of that name
};

const char* describe(Node::Kind k);  // "a list", "a map", "a value", "nothing"

class Document {
 public:
  static constexpr uint32_t kMaxNodes = 1'000'000;
  static constexpr unsigned kMaxDepth = 32;

  explicit Document(std::string file_name) : file_(std::move(file_name)) {}
  Document(const Document&) = delete;

  // Parses; false: not one sound YAML document, and `mistakes` says why.
  bool parse(const std::string& text, std::vector<Mistake>& mistakes);
  // Puts a value given as path=YAML into the tree; missing maps on the way are made.
  bool set(const std::string& path, const std::string& value, std::vector<Mistake>& mistakes);

  const Node* root() const { return root_; }
  const std::string& file() const { return file_; }
  // The place of a mistake at this node.
  Mistake at(const Node* n, std::string path, std::string message) const;
  // The node that a path ("filter.rules[3].to") names, or the deepest one on the way that exists.
  const Node* locate(std::string_view path) const;

  Node* make(Node::Kind kind) {
    arena_.emplace_back().kind = kind;
    return &arena_.back();
  }

 private:
  uint32_t column_at(uint32_t line, uint32_t byte_column) const;
  bool parse_tree(const std::string& text, const std::string& file, bool override_value, Node*& root,
                  std::vector<Mistake>& mistakes);

  std::string file_;
  std::string text_;  // the file's, for columns
  std::vector<size_t> line_start_;
  std::deque<Node> arena_;
  Node* root_ = nullptr;
};

// One step of a path: a key, or an index in brackets.
struct Step {
  std::string key;
  int64_t index = -1;
};
// False: not a path. "routes[0].via" → routes, 0, via.
bool split_path(std::string_view path, std::vector<Step>& steps);

// What the bytes themselves say: UTF-8, no control characters, no tab in an indentation.
bool scan_text(std::string_view text, const std::string& file, std::vector<Mistake>& mistakes);
// The column of a byte of a line, in characters as editors count them; all 1-based.
uint32_t column_of(std::string_view line, uint32_t byte_column);

}  // namespace sluice::config
