// The schema says what the parser does: it comes from the same tables. Here a validator that is not ours judges it.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support.h"

namespace sluice::config {
namespace {

// 0: valid, 1: invalid, anything else: no validator.
int validate(const std::string& schema_file, const std::string& yaml_file) {
  const std::string script =
      "import sys\n"
      "try:\n"
      " import json, yaml, jsonschema\n"
      "except ImportError:\n"
      " sys.exit(3)\n"
      "s = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft202012Validator.check_schema(s)\n"
      "e = list(jsonschema.Draft202012Validator(s).iter_errors(yaml.safe_load(open(sys.argv[2]))))\n"
      "[print(x.json_path, x.message[:200]) for x in e] if len(sys.argv) > 3 else None\n"
      "sys.exit(1 if e else 0)\n";
  const std::string file = ::testing::TempDir() + "/sluice_validate.py";
  std::ofstream(file) << script;
  const int status = std::system(("/usr/bin/python3 " + file + " " + schema_file + " " + yaml_file).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

class Schema : public ::testing::Test {
 protected:
  void SetUp() override {
    schema_file_ = ::testing::TempDir() + "/sluice_schema.json";
    std::ofstream(schema_file_) << schema();
    if (const int rc = judge("version: 1\nports: {lan: {device: v0}}\n"); rc > 1)
      GTEST_SKIP() << "needs /usr/bin/python3 with yaml and jsonschema (Debian: python3-yaml, python3-jsonschema)";
  }
  int judge(const std::string& text) {
    const std::string file = ::testing::TempDir() + "/sluice_schema_case.yaml";
    std::ofstream(file) << text;
    return validate(schema_file_, file);
  }
  std::string schema_file_;
};

TEST_F(Schema, EveryExampleIsValid) {
  for (const char* name : kExamples) EXPECT_EQ(validate(schema_file_, std::string(SOURCE_ROOT) + "/" + name), 0) << name;
}

TEST_F(Schema, UnknownKeysAndWrongValuesAreNot) {
  for (const char* text : {
           "ports: {lan: {device: v0}}\n",
           "version: 2\nports: {lan: {device: v0}}\n",
           "version: 1\n",
           "version: 1\nports: {}\n",
           "version: 1\nports: {9: {device: v0}}\n",
           "version: 1\nports: {lan: {device: v0}}\nsytem: {}\n",
           "version: 1\nports: {lan: {devise: v0}}\n",
           "version: 1\nports: {lan: {device: v0, mtu: 70000}}\n",
           "version: 1\nports: {lan: {device: v0, driver: xdp}}\n",
           "version: 1\nports: {lan: {device: v0, fault: {loss: 1}}}\n",
           "version: 1\nports: {lan: {device: v0}}\nneighbors: {reachable: 30}\n",
           "version: 1\nports: {lan: {device: v0}}\nroutes: [{via: 192.0.2.1}]\n",
           "version: 1\nports: {lan: {device: v0}}\nfilter: {rules: [{in: lan}]}\n",
           "version: 1\nports: {lan: {device: v0}}\nfilter: {rules: [{action: permit, form: 10.0.0.0/8}]}\n",
           "version: 1\nports: {lan: {device: v0}}\nfilter: {sets: {a: []}}\n",
       })
    EXPECT_EQ(judge(text), 1) << text;
}

// Every key has a sentence that an editor can show.
void described(const nlohmann::json& s, const std::string& path) {
  if (s.is_array())
    for (const auto& x : s) described(x, path);
  if (!s.is_object()) return;
  if (s.contains("properties"))
    for (const auto& [key, sub] : s["properties"].items()) {
      EXPECT_TRUE(sub.contains("description")) << path << "." << key;
      described(sub, path + "." + key);
    }
  for (const char* inner : {"items", "anyOf", "additionalProperties"})
    if (s.contains(inner)) described(s[inner], path);
}

TEST(SchemaText, EveryKeyIsDescribed) {
  const auto s = nlohmann::json::parse(schema());
  EXPECT_EQ(s["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_TRUE(s["properties"]["ports"]["additionalProperties"]["properties"].contains("reverse-path"));
  described(s, "");
}

}  // namespace
}  // namespace sluice::config
