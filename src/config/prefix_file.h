// Lists of prefixes, a line each: what feeds and scripts write.
//
//   192.0.2.0/24
//   2001:db8::/32     # a comment, to the end of the line; ';' begins one, too
//   198.51.100.7      ; an address: itself alone
//
// Read piece by piece, so that neither a file nor a request has to be in memory as a whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/addr.h"

namespace sluice::config {

struct PrefixMistake {
  unsigned line = 0, column = 0;  // 1-based
  std::string message;
};

struct PrefixFile {
  std::vector<Prefix> prefixes;
  std::vector<unsigned> lines;  // of each prefix
  std::vector<PrefixMistake> mistakes;
};

class PrefixReader {
 public:
  static constexpr size_t kMaxMistakes = 20;  // then reading stops
  static constexpr size_t kMaxLine = 1024;    // bytes

  // More prefixes than `most` are a mistake.
  explicit PrefixReader(size_t most) : most_(most) {}

  // Pieces may end anywhere. false: reading has stopped, mistakes() say why.
  bool feed(std::string_view piece);
  bool finish();  // the last line may lack its line feed
  PrefixFile take() { return {std::move(prefixes_), std::move(lines_), std::move(mistakes_)}; }

  size_t size() const { return prefixes_.size(); }
  const std::vector<PrefixMistake>& mistakes() const { return mistakes_; }

 private:
  bool line(std::string_view s);
  bool word(std::string_view w, size_t offset);
  bool mistake(size_t offset, std::string message);

  const size_t most_;
  std::vector<Prefix> prefixes_;
  std::vector<unsigned> lines_;
  std::vector<PrefixMistake> mistakes_;
  std::string begun_;  // of a line whose end has not come yet
  unsigned line_ = 0;
};

// A file that cannot be read at all has one mistake, in line 0.
PrefixFile read_prefix_file(const std::string& path, size_t most);

}  // namespace sluice::config
