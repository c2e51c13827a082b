#include "config/yaml_reader.h"

#include <algorithm>
#include <cctype>

namespace sluice::config {

std::string At::path() const {
  std::string above = up ? up->path() : "";
  if (index >= 0) return above + "[" + std::to_string(index) + "]";
  if (key.empty()) return above;
  return above + (above.empty() ? "" : ".") + std::string(key);
}

bool Reader::mistake(const At& at, std::string message) {
  return mistake_at(at.node, at.path(), std::move(message));
}

bool Reader::mistake_at(const Node* where, std::string path, std::string message) {
  if (mistakes_.size() < kMaxMistakes && seen_.emplace(where, message).second)
    mistakes_.push_back(doc_.at(where, std::move(path), std::move(message)));
  return false;
}

bool Reader::expected(const At& at, const std::string& what) {
  return mistake(at, "found " + found(*at.node) + ", expected " + what);
}

std::string found(const Node& n) {
  if (n.kind == Node::Kind::scalar) {
    constexpr size_t kShown = 60;
    std::string s = n.text;
    if (s.size() > kShown) {
      size_t cut = kShown;
      while (cut > 0 && (static_cast<uint8_t>(s[cut]) & 0xc0) == 0x80) cut--;
      s = s.substr(0, cut) + "…";
    }
    for (char& c : s)
      if (static_cast<uint8_t>(c) < 0x20) c = ' ';
    return "'" + s + "'";
  }
  if (n.kind == Node::Kind::sequence && n.items.empty()) return "an empty list";
  if (n.kind == Node::Kind::map && n.items.empty()) return "an empty map";
  if (n.kind == Node::Kind::null && !n.text.empty()) return "'" + n.text + "'";
  return describe(n.kind);
}

unsigned edit_distance(std::string_view a, std::string_view b) {
  std::vector<unsigned> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (unsigned j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    next[0] = static_cast<unsigned>(i);
    for (size_t j = 1; j <= b.size(); j++) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row[b.size()];
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 64;  // nobody misspells a key into more
  if (word.size() > kLongest) return "";
  auto plain = [](std::string_view s) {
    std::string p;
    for (char c : s) p += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return p;
  };
  const std::string w = plain(word);
  const std::string* best = nullptr;
  unsigned best_distance = 0;
  for (const std::string& c : candidates) {
    const unsigned d = edit_distance(w, plain(c));
    const unsigned tolerated = std::max<unsigned>(1, static_cast<unsigned>(std::max(w.size(), c.size()) / 3));
    if (d <= tolerated && (!best || d < best_distance)) best = &c, best_distance = d;
  }
  return best ? "; did you mean '" + *best + "'?" : "";
}

bool needs_scalar(Reader& r, const At& at, const std::string& what) {
  return at.node->kind == Node::Kind::scalar || r.expected(at, what);
}

void check_map_keys(Reader& r, const At& at, const std::string& what, const std::vector<std::string>* known) {
  std::map<std::string_view, const Node*> first;
  for (size_t i = 0; i < at.node->pairs(); i++) {
    const Node& key = at.node->key(i);
    if (key.kind != Node::Kind::scalar) {
      r.mistake_at(&key, at.path(), "found " + found(key) + " as a key, expected a word");
      continue;
    }
    const std::string path = at.in(key.text, &key).path();
    auto [it, fresh] = first.emplace(key.text, &key);
    if (!fresh) {
      r.mistake_at(&key, path,
                   "the key '" + key.text + "' occurs twice" +
                       (it->second->line ? "; it is already in line " + std::to_string(it->second->line)
                                         : std::string()));
      continue;
    }
    if (!known || std::find(known->begin(), known->end(), key.text) != known->end()) continue;
    std::string hint = did_you_mean(key.text, *known);
    if (key.text == "<<") hint = "; merge keys are not supported: write the values out";
    if (hint.empty()) {
      hint = "; " + what + " has";
      for (size_t k = 0; k < known->size(); k++) hint += (k ? ", " : " ") + (*known)[k];
    }
    r.mistake_at(&key, path, "found the unknown key " + found(key) + hint);
  }
}

}  // namespace sluice::config
