// One test for each file in scripts/: SLUICE_SCRIPTS names another folder.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/sim/script.h"

namespace sluice::sim {
namespace {

class ScriptTest : public ::testing::Test {
 public:
  explicit ScriptTest(std::filesystem::path file) : file_(std::move(file)) {}

  void TestBody() override {
    std::ifstream in(file_);
    std::stringstream text;
    text << in.rdbuf();
    Script s;
    s.name = file_.filename();
    if (auto wrong = parse_script(text.str(), s)) {
      FAIL() << *wrong;
    }
    auto failure = run_script(s);
    if (!s.known_failure) {
      if (failure) FAIL() << *failure;
    } else if (!failure) {
      FAIL() << s.name << " passes now: take its known-failure line away (" << *s.known_failure << ")";
    } else {
      GTEST_SKIP() << "known failure:" << *s.known_failure << "\n" << *failure;
    }
  }

 private:
  std::filesystem::path file_;
};

std::string test_name(std::string stem) {
  for (char& c : stem)
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  return stem;
}

unsigned register_scripts() {
  const char* folder = std::getenv("SLUICE_SCRIPTS");
  std::vector<std::filesystem::path> files;
  for (const auto& e : std::filesystem::directory_iterator(folder ? folder : SCRIPTS))
    if (e.path().extension() == ".pkt") files.push_back(e.path());
  std::sort(files.begin(), files.end());
  for (const auto& f : files)
    ::testing::RegisterTest("Scripts", test_name(f.stem()).c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [f]() -> ScriptTest* { return new ScriptTest(f); });
  return static_cast<unsigned>(files.size());
}

unsigned registered = 0;

TEST(ScriptFolder, HoldsAHundredAndFifty) {
  if (std::getenv("SLUICE_SCRIPTS")) GTEST_SKIP() << "another folder";
  EXPECT_GE(registered, 150u);
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  sluice::sim::registered = sluice::sim::register_scripts();
  return RUN_ALL_TESTS();
}
