// Lists of prefixes, a line each, in pieces that may end anywhere.
#include "config/prefix_file.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

PrefixFile read(const std::string& text, size_t piece = 1 << 20, size_t most = 1000) {
  PrefixReader r(most);
  bool go_on = true;
  for (size_t i = 0; go_on && i < text.size(); i += piece) go_on = r.feed(std::string_view(text).substr(i, piece));
  if (go_on) r.finish();
  return r.take();
}

TEST(PrefixFile, LinesCommentsAndFamilies) {
  const PrefixFile f = read(
      "# head\n\n 192.0.2.0/24\t# why\r\n198.51.100.7;x\n2001:db8::/32 ; y\n2001:db8::1\n0.0.0.0/0\n255.255.255.255/32");
  EXPECT_TRUE(f.mistakes.empty());
  std::string all;
  for (const Prefix& p : f.prefixes) all += to_string(p) + " ";
  EXPECT_EQ(all, "192.0.2.0/24 198.51.100.7/32 2001:db8::/32 2001:db8::1/128 0.0.0.0/0 255.255.255.255/32 ");
  EXPECT_EQ(f.lines, (std::vector<unsigned>{3, 4, 5, 6, 7, 8}));
}

TEST(PrefixFile, PiecesMayEndAnywhere) {
  const std::string text = "10.0.0.0/8\n\n# a\n2001:db8::/32\nbad\n198.51.100.0/24";
  for (size_t piece = 1; piece < text.size(); piece++) {
    const PrefixFile f = read(text, piece);
    EXPECT_EQ(f.prefixes.size(), 3u) << piece;
    EXPECT_EQ(f.lines, (std::vector<unsigned>{1, 4, 6})) << piece;
    ASSERT_EQ(f.mistakes.size(), 1u) << piece;
    EXPECT_EQ(f.mistakes[0].line, 5u) << piece;
  }
}

TEST(PrefixFile, MistakesSayWhereAndWhatIsRight) {
  const struct {
    const char* line;
    unsigned column;
    const char* says;
  } cases[] = {
      {"ten", 1, "expected a prefix such as"},
      {"192.0.2.0/33", 1, "expected a prefix such as"},
      {"192.0.2.0/-1", 1, "expected a prefix such as"},
      {"192.0.2.0/", 1, "expected a prefix such as"},
      {"192.0.2/24", 1, "expected a prefix such as"},
      {"192.0.2.256", 1, "expected a prefix such as"},
      {"192.0.02.1", 1, "expected a prefix such as"},
      {"192.0.2.1/024", 1, "expected a prefix such as"},
      {"2001:db8::/129", 1, "expected a prefix such as"},
      {"  192.0.2.1/24", 3, "did you mean '192.0.2.0/24', or the single address '192.0.2.1'"},
      {"2001:db8::1/32", 1, "did you mean '2001:db8::/32'"},
      {"192.0.2.0/24 block", 14, "expected the end of the line"},
      {"192.0.2.0/24,198.51.100.0/24", 1, "expected a prefix such as"},
  };
  for (const auto& c : cases) {
    const PrefixFile f = read(std::string("10.0.0.0/8\n") + c.line + "\n");
    ASSERT_EQ(f.mistakes.size(), 1u) << c.line;
    EXPECT_EQ(f.mistakes[0].line, 2u) << c.line;
    EXPECT_EQ(f.mistakes[0].column, c.column) << c.line;
    EXPECT_NE(f.mistakes[0].message.find(c.says), std::string::npos) << c.line << ": " << f.mistakes[0].message;
    EXPECT_EQ(f.prefixes.size(), 1u);
  }
}

TEST(PrefixFile, MistakesAndPrefixesAreBounded) {
  std::string bad, good;
  for (int i = 0; i < 100; i++) bad += "x\n", good += "10.0.0." + std::to_string(i) + "\n";
  EXPECT_EQ(read(bad).mistakes.size(), PrefixReader::kMaxMistakes);
  const PrefixFile f = read(good, 1 << 20, 10);
  EXPECT_EQ(f.prefixes.size(), 10u);
  ASSERT_EQ(f.mistakes.size(), 1u);
  EXPECT_EQ(f.mistakes[0].line, 11u);
  EXPECT_NE(f.mistakes[0].message.find("more than 10 prefixes"), std::string::npos);
}

TEST(PrefixFile, ALineWithoutAnEndIsRefusedWithoutBeingKept) {
  const PrefixFile f = read(std::string(10'000'000, '1'), 1000);
  ASSERT_EQ(f.mistakes.size(), 1u);
  EXPECT_NE(f.mistakes[0].message.find("more than 1024 bytes"), std::string::npos);
}

TEST(PrefixFile, OnlyRegularFilesAreRead) {
  for (const char* name : {"/dev/zero", "/proc", "/nonexistent"}) {
    const PrefixFile f = read_prefix_file(name, 10);
    ASSERT_EQ(f.mistakes.size(), 1u) << name;
    EXPECT_EQ(f.mistakes[0].line, 0u);
    EXPECT_NE(f.mistakes[0].message.find("cannot be read"), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice::config
