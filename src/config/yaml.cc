#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>

namespace sluice::config {
namespace {

struct Abort {  // ends a parse from inside an event
  uint32_t line, byte_column;
  std::string message;
};

// yaml-cpp counts from 0, and has -1 for no place.
uint32_t from_one(int n) {
  return n < 0 ? 1 : static_cast<uint32_t>(n) + 1;
}

// Builds nodes from events. The stack holds the open collections.
class Builder : public YAML::EventHandler {
 public:
  Builder(Document& doc, std::string_view text, bool override_value)
      : doc_(doc), text_(text), override_(override_value) {}

  Node* root() const { return root_; }
  void next_document() { closed_ = true; }
  bool started() const { return started_; }
  void OnDocumentStart(const YAML::Mark& m) override {
    if (closed_)
      stop(m,
           "found a second document; the configuration is one YAML document, so remove the '---' "
           "and what follows");
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& m, YAML::anchor_t anchor) override {
    Node* n = add(m, Node::Kind::null, anchor);
    for (const char* word : {"null", "Null", "NULL", "~"})
      if (source(m).starts_with(word)) n->text = word;
    // An empty value's mark is that of whatever comes next: its key says better where it is.
    if (n->text.empty() && !open_.empty() && open_.back()->kind == Node::Kind::map &&
        open_.back()->items.size() % 2 == 0 && open_.back()->items.size() >= 2) {
      const Node* key = open_.back()->items[open_.back()->items.size() - 2];
      n->line = key->line, n->byte_column = key->byte_column;
    }
    leave(n);
  }

  void OnAlias(const YAML::Mark& m, YAML::anchor_t anchor) override {
    if (anchor >= anchors_.size() || !anchors_[anchor])
      stop(m, "found an alias of something that is not complete");
    Node* target = anchors_[anchor];
    for (const Node* n : open_)
      if (n == target) stop(m, "found an alias that contains itself");
    attach(m, target);
    leave(target);
  }

  void OnScalar(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(m, tag);
    Node* n = add(m, Node::Kind::scalar, anchor);
    n->text = value;
    n->quoted = tag == "!";
    if (n->quoted) check_quotes(m);
    leave(n);
  }

  void OnSequenceStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    refuse_tag(m, tag);
    enter(m, add(m, Node::Kind::sequence, anchor));
  }
  void OnMapStart(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_tag(m, tag);
    enter(m, add(m, Node::Kind::map, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] void stop(const YAML::Mark& m, std::string message) const {
    throw Abort{from_one(m.line), from_one(m.column), std::move(message)};
  }
  std::string_view source(const YAML::Mark& m) const {
    return m.pos >= 0 && static_cast<size_t>(m.pos) < text_.size() ? text_.substr(static_cast<size_t>(m.pos))
                                                                   : std::string_view();
  }

  // "?" is a plain scalar or collection, "!" a quoted scalar.
  void refuse_tag(const YAML::Mark& m, const std::string& tag) const {
    if (tag != "?" && tag != "!" && !tag.empty())
      stop(m, "found the tag '" + tag + "'; tags have no meaning here: write the plain value");
  }

  // yaml-cpp lets a forgotten quote run over the lines that follow.
  void check_quotes(const YAML::Mark& m) const {
    std::string_view s = source(m);
    if (s.empty() || (s[0] != '"' && s[0] != '\'')) return;  // a block scalar, or after an anchor
    const char quote = s[0];
    for (size_t i = 1; i < s.size() && s[i] != '\n'; i++) {
      if (quote == '"' && s[i] == '\\')
        i++;
      else if (s[i] == quote && quote == '\'' && i + 1 < s.size() && s[i + 1] == '\'')
        i++;
      else if (s[i] == quote)
        return;
    }
    stop(m, std::string("this ") + quote + " has no counterpart on its line; close the quotes");
  }

  Node* add(const YAML::Mark& m, Node::Kind kind, YAML::anchor_t anchor) {
    Node* n = doc_.make(kind);
    n->line = from_one(m.line);
    n->byte_column = from_one(m.column);
    n->from_override = override_;
    if (anchor) {
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
      anchors_[anchor] = n;
    }
    attach(m, n);
    return n;
  }

  void attach(const YAML::Mark& m, Node* n) {
    total_ += n->weight;
    if (total_ > Document::kMaxNodes)
      stop(m, "found more than " + std::to_string(Document::kMaxNodes) +
                  " values (aliases count as often as they are used); the file is too large");
    if (open_.empty())
      root_ = n;
    else
      open_.back()->items.push_back(n);
  }

  void enter(const YAML::Mark& m, Node* n) {
    if (open_.size() >= Document::kMaxDepth)
      stop(m, "nested too deeply: " + std::to_string(Document::kMaxDepth) +
                  " levels are more than any setting needs");
    open_.push_back(n);
  }
  void leave(const Node* n) {
    if (!open_.empty()) open_.back()->weight += n->weight;
  }
  void close() {
    const Node* n = open_.back();
    open_.pop_back();
    leave(n);
  }

  Document& doc_;
  std::string_view text_;
  const bool override_;
  std::vector<Node*> open_, anchors_;
  Node* root_ = nullptr;
  uint64_t total_ = 0;
  bool closed_ = false, started_ = false;
};

// The parser's messages, in words that say what to do.
std::string explain(const std::string& msg) {
  struct Hint {
    const char* begins;
    const char* says;
  };
  static const Hint hints[] = {
      {"illegal map value",
       "keys of one map start in the same column, and a value that holds ': ' needs quotes"},
      {"end of map not found", "a line is indented differently from its neighbours, or a key lacks its ':'"},
      {"end of sequence not found", "the items of a list start in the same column, each with '- '"},
      {"end of map flow not found", "a '{' is not closed, or a ',' is missing"},
      {"end of sequence flow not found", "a '[' is not closed, or a ',' is missing"},
      {"illegal block entry", "a '- ' stands where no list item can be"},
      {"illegal flow end", "there is a ']' or '}' too many"},
      {"illegal EOF in scalar", "a quote is not closed"},
      {"the referenced anchor", "the alias names an anchor that does not exist"},
      {"unknown token", "a value that starts with @, ` or % needs quotes"},
      {"bad file", "it is nested too deeply"},
  };
  for (const Hint& h : hints)
    if (msg.starts_with(h.begins)) return "not valid YAML (" + msg + "): " + h.says;
  return "not valid YAML: " + msg;
}

}  // namespace

const char* describe(Node::Kind k) {
  switch (k) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

const Node* Node::find(std::string_view name) const {
  if (kind != Kind::map) return nullptr;
  for (size_t i = 0; i < pairs(); i++)
    if (key(i).kind == Kind::scalar && key(i).text == name) return &value(i);
  return nullptr;
}

bool Document::parse_tree(const std::string& text, const std::string& file, bool override_value, Node*& root,
                          std::vector<Mistake>& mistakes) {
  Builder builder(*this, text, override_value);
  auto fail = [&](uint32_t line, uint32_t byte_column, std::string message) {
    if (override_value)
      mistakes.push_back({file, 0, 0, "", std::move(message)});
    else
      mistakes.push_back({file, line, column_at(line, byte_column), "", std::move(message)});
    return false;
  };
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    const bool found = parser.HandleNextDocument(builder);
    root = builder.root();
    builder.next_document();
    if (found) parser.HandleNextDocument(builder);
    return true;
  } catch (const Abort& a) {
    return fail(a.line, a.byte_column, a.message);
  } catch (const YAML::Exception& e) {
    return fail(from_one(e.mark.line), from_one(e.mark.column), explain(e.msg));
  }
}

bool Document::parse(const std::string& text, std::vector<Mistake>& mistakes) {
  static constexpr std::string_view kBom = "\xef\xbb\xbf";
  text_ = text.starts_with(kBom) ? text.substr(kBom.size()) : text;
  line_start_.assign(1, 0);
  for (size_t i = 0; i < text_.size(); i++)
    if (text_[i] == '\n') line_start_.push_back(i + 1);
  if (!scan_text(text_, file_, mistakes)) return false;
  if (!parse_tree(text_, file_, false, root_, mistakes)) return false;
  if (!root_ || (root_->kind == Node::Kind::null && root_->text.empty())) {
    mistakes.push_back({file_, 0, 0, "", "the file is empty; a configuration starts with 'version: 1'"});
    return false;
  }
  return true;
}

uint32_t Document::column_at(uint32_t line, uint32_t byte_column) const {
  if (line == 0 || line > line_start_.size()) return byte_column;
  const std::string_view rest = std::string_view(text_).substr(line_start_[line - 1]);
  return column_of(rest.substr(0, rest.find('\n')), byte_column);
}

Mistake Document::at(const Node* n, std::string path, std::string message) const {
  if (!n) return {file_, 0, 0, std::move(path), std::move(message)};
  if (n->from_override) return {"--set", 0, 0, std::move(path), std::move(message)};
  return {file_, n->line, column_at(n->line, n->byte_column), std::move(path), std::move(message)};
}

}  // namespace sluice::config
