#include "config/yaml.h"

namespace sluice::config {
namespace {

// Bytes of the UTF-8 sequence at s[0], or 0 where there is none (RFC 3629).
size_t utf8_length(std::string_view s) {
  auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : 0u; };
  auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned c = byte(0);
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if ((c == 0xe0 && byte(1) < 0xa0) || (c == 0xed && byte(1) > 0x9f)) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if ((c == 0xf0 && byte(1) < 0x90) || (c == 0xf4 && byte(1) > 0x8f)) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// The tab's byte offset where the line's indentation holds one and something other than a comment follows.
size_t indentation_tab(std::string_view line) {
  const size_t text = line.find_first_not_of(" \t\r");
  if (text == line.npos || line[text] == '#') return line.npos;
  const size_t tab = line.find('\t');
  return tab < text ? tab : line.npos;
}

}  // namespace

uint32_t column_of(std::string_view line, uint32_t byte_column) {
  uint32_t column = 1;
  for (uint32_t i = 0; i + 1 < byte_column && i < line.size(); i++)
    if ((static_cast<uint8_t>(line[i]) & 0xc0) != 0x80) column++;  // not a byte inside a character
  return column;
}

bool scan_text(std::string_view text, const std::string& file, std::vector<Mistake>& mistakes) {
  constexpr size_t kEnough = 20;  // places of one kind of damage: more would not help
  const size_t before = mistakes.size();
  uint32_t number = 1;
  for (size_t start = 0; start < text.size() && mistakes.size() - before < kEnough; number++) {
    size_t end = text.find('\n', start);
    if (end == text.npos) end = text.size();
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (const size_t tab = indentation_tab(line); tab != line.npos)
      mistakes.push_back({file, number, column_of(line, static_cast<uint32_t>(tab + 1)), "",
                          "found a tab in the indentation; YAML takes spaces only"});
    for (size_t i = 0; i < line.size();) {
      const size_t n = utf8_length(line.substr(i));
      const uint8_t c = static_cast<uint8_t>(line[i]);
      const uint32_t column =
          n != 1 || c < 0x20 || c == 0x7f ? column_of(line, static_cast<uint32_t>(i + 1)) : 0;
      if (n == 0) {
        mistakes.push_back(
            {file, number, column, "", "found bytes that are not UTF-8; save the file as UTF-8"});
        break;
      }
      if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
        mistakes.push_back(
            {file, number, column, "",
             "found a control character (code " + std::to_string(c) + "); expected plain text"});
        break;
      }
      i += n;
    }
  }
  return mistakes.size() == before;
}

}  // namespace sluice::config
