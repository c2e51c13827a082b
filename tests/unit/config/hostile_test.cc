// Texts that are damaged, or made to hurt: a clear mistake, never a crash, soon.
#include <random>

#include "support.h"

namespace sluice::config {
namespace {

std::string repeat(const std::string& s, size_t n) {
  std::string out;
  out.reserve(s.size() * n);
  while (n--) out += s;
  return out;
}

struct Case {
  std::string text;
  unsigned line, column;
  const char* says;
};

TEST(Hostile, DamagedTextsAreRefusedAtTheirPlace) {
  const Case cases[] = {
      {"", 0, 0, "the file is empty"},
      {"# nothing\n", 0, 0, "the file is empty"},
      {"\n\n---\n", 0, 0, "the file is empty"},
      {"just words\n", 1, 1, "expected a map"},
      {"- version: 1\n", 1, 1, "expected a map"},
      {"version: 1\n\tports: {}\n", 2, 1, "a tab in the indentation"},
      {"version: 1\nports:\n  \tlan: {}\n", 3, 3, "a tab in the indentation"},
      {"version: 1\nname: \xff\n", 2, 7, "not UTF-8"},
      {"version: 1\nname: \xc0\xaf\n", 2, 7, "not UTF-8"},
      {"version: 1\nname: \xed\xa0\x80\n", 2, 7, "not UTF-8"},
      {std::string("version: 1\nx: a\0b\n", 18), 2, 5, "control character (code 0)"},
      {"version: 1\nx: \x04\n", 2, 4, "control character (code 4)"},
      {std::string("v\0e\0r\0", 6), 1, 2, "control character (code 0)"},
      {"version: 1\n---\nversion: 1\n", 2, 1, "a second document"},
      {"version: 1\nports: [a, b\n", 3, 1, "not valid YAML"},
      {"version: 1\nports: {lan: {device: \"v0}}\n", 2, 23, "no counterpart"},
      {"version: 1\nports: *none\n", 2, 8, "anchor that does not exist"},
      {"version: !!int 1\n", 1, 10, "the tag 'tag:yaml.org,2002:int'"},
      {"version: 1\nports: &p {lan: *p}\n", 2, 17, "contains itself"},
      {"version: 1\n  ports: {}\n", 2, 8, "same column"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const Loaded l = load_text(c.text, "f");
    ASSERT_FALSE(l.ok());
    EXPECT_EQ(l.mistakes[0].line, c.line) << all(l);
    EXPECT_EQ(l.mistakes[0].column, c.column) << all(l);
    EXPECT_NE(l.mistakes[0].message.find(c.says), std::string::npos) << all(l);
  }
}

TEST(Hostile, NestingIsBounded) {
  for (const char* s : {"[", "{", "- ", "? ", "{a: ", "[a: "}) {
    const Loaded l = load_text(repeat(s, 50'000), "f");
    ASSERT_EQ(l.mistakes.size(), 1u) << s;
    EXPECT_NE(l.mistakes[0].message.find("nested too deeply"), std::string::npos) << s << all(l);
  }
}

TEST(Hostile, AliasesThatMultiplyAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; i++) {
    const std::string above = "*a" + std::to_string(i - 1);
    bomb +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + repeat(above + ", ", 9) + above + "]\n";
  }
  const Loaded l = load_text(bomb, "f");
  ASSERT_EQ(l.mistakes.size(), 1u);
  EXPECT_NE(l.mistakes[0].message.find("aliases count as often as they are used"), std::string::npos)
      << all(l);
}

TEST(Hostile, AliasesReportAMistakeOnce) {
  const Loaded l = load_text(
      "version: 1\nports:\n  a: {device: x, fault: &f {los: 1%}}\n  b: {device: y, fault: *f}\n", "f");
  EXPECT_EQ(l.mistakes.size(), 1u) << all(l);
}

TEST(Hostile, MistakesAreCounted) {
  const Loaded l = load_text(
      kPorts + "system:\n" +
          [] {
            std::string s;
            for (int i = 0; i < 5000; i++) s += "  unknown" + std::to_string(i) + ": 1\n";
            return s;
          }(),
      "f");
  EXPECT_EQ(l.mistakes.size(), 1001u);
  EXPECT_NE(l.mistakes.back().message.find("there are more mistakes"), std::string::npos);
}

TEST(Hostile, SizeIsBounded) {
  const Loaded l = load_text(std::string(kMaxFileSize + 1, '#'), "f");
  ASSERT_EQ(l.mistakes.size(), 1u);
  EXPECT_NE(l.mistakes[0].message.find("16 MiB"), std::string::npos);
  EXPECT_FALSE(load_file("/dev/zero").ok());
}

TEST(Hostile, FilesThatCannotBeRead) {
  EXPECT_NE(all(load_file("/nonexistent/f.yaml")).find("cannot be read: No such file"), std::string::npos);
  EXPECT_NE(all(load_file("/tmp")).find("a folder"), std::string::npos);
  const Loaded l = load_file("/dev/null", {{"x", "y"}});
  EXPECT_NE(all(l).find("the file is empty"), std::string::npos);
}

// Every cut of an example, and examples with bytes changed at random: no crash, no hang, and a mistake for
// each cut that is not whole lines.
TEST(Hostile, CutAndChangedExamples) {
  std::mt19937 random(1);
  for (const char* name : kExamples) {
    const std::string text = example(name);
    ASSERT_FALSE(text.empty()) << name;
    for (size_t n = 0; n < text.size(); n += 13) (void)load_text(text.substr(0, n), name);
    for (int i = 0; i < 200; i++) {
      std::string changed = text;
      for (int k = 0; k < 4; k++) changed[random() % changed.size()] = static_cast<char>(random());
      (void)load_text(changed, name);
    }
  }
}

}  // namespace
}  // namespace sluice::config
