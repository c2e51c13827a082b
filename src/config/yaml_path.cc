// Paths into the tree: where a mistake is, and what --set changes.
#include <charconv>

#include "config/yaml.h"

namespace sluice::config {
namespace {

Node* own_copy(Document& doc, const Node* n) {  // children stay shared: an alias elsewhere must not change
  Node* copy = doc.make(n->kind);
  *copy = *n;
  return copy;
}

}  // namespace

bool split_path(std::string_view path, std::vector<Step>& steps) {
  size_t i = 0;
  while (i < path.size()) {
    if (path[i] == '[') {
      int64_t index = -1;
      auto [end, error] = std::from_chars(path.data() + i + 1, path.data() + path.size(), index);
      i = static_cast<size_t>(end - path.data());
      if (error != std::errc() || index < 0 || i >= path.size() || path[i] != ']') return false;
      i++;
      steps.push_back({"", index});
      if (i < path.size() && path[i] == '.' && ++i == path.size()) return false;
      continue;
    }
    const size_t end = std::min(path.find_first_of(".[", i), path.size());
    if (end == i) return false;
    steps.push_back({std::string(path.substr(i, end - i)), -1});
    i = end;
    if (i < path.size() && path[i] == '.' && ++i == path.size()) return false;
  }
  return !steps.empty() && steps[0].index < 0;
}

const Node* Document::locate(std::string_view path) const {
  std::vector<Step> steps;
  const Node* n = root_;
  if (!n || !split_path(path, steps)) return n;
  for (const Step& s : steps) {
    const Node* next = nullptr;
    if (s.index < 0)
      next = n->find(s.key);
    else if (n->kind == Node::Kind::sequence && static_cast<size_t>(s.index) < n->items.size())
      next = n->items[static_cast<size_t>(s.index)];
    if (!next) break;
    n = next;
  }
  return n;
}

bool Document::set(const std::string& path, const std::string& value, std::vector<Mistake>& mistakes) {
  auto fail = [&](std::string message) {
    mistakes.push_back({"--set", 0, 0, path, std::move(message)});
    return false;
  };
  std::vector<Step> steps;
  if (!split_path(path, steps))
    return fail("not a path; expected one such as ports.lan.device or routes[0].via");
  if (steps.size() > kMaxDepth) return fail("the path is nested too deeply");
  std::vector<Mistake> inner;
  Node* leaf = nullptr;
  if (!scan_text(value, "--set", inner) || !parse_tree(value, "--set", true, leaf, inner))
    return fail(inner.front().message);
  if (!leaf) leaf = make(Node::Kind::null), leaf->from_override = true;

  Node** slot = &root_;
  std::string so_far;
  for (const Step& s : steps) {
    const Node::Kind wanted = s.index < 0 ? Node::Kind::map : Node::Kind::sequence;
    if (!*slot || (*slot)->kind == Node::Kind::null) {
      *slot = make(wanted);
      (*slot)->from_override = true;
    }
    if ((*slot)->kind != wanted)
      return fail("'" + so_far + "' is " + describe((*slot)->kind) + ", not " + describe(wanted));
    Node* n = *slot = own_copy(*this, *slot);
    if (s.index >= 0) {
      const auto i = static_cast<size_t>(s.index);
      if (i > n->items.size())
        return fail("'" + so_far + "' has " + std::to_string(n->items.size()) + " items; [" +
                    std::to_string(n->items.size()) + "] would add one");
      if (i == n->items.size()) n->items.push_back(nullptr);
      slot = &n->items[i];
      so_far += "[" + std::to_string(s.index) + "]";
      continue;
    }
    slot = nullptr;
    for (size_t i = 0; i < n->pairs() && !slot; i++)
      if (n->key(i).kind == Node::Kind::scalar && n->key(i).text == s.key) slot = &n->items[i * 2 + 1];
    if (!slot) {
      Node* key = make(Node::Kind::scalar);
      key->text = s.key;
      key->from_override = true;
      n->items.push_back(key);
      n->items.push_back(nullptr);
      slot = &n->items.back();
    }
    so_far += (so_far.empty() ? "" : ".") + s.key;
  }
  *slot = leaf;
  return true;
}

}  // namespace sluice::config
