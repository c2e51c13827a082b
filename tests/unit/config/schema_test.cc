// The schema says what the parser does: it comes from the same tables. Here a validator that is not ours
// judges it.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "support.h"

namespace sluice::config {
namespace {

// 'v' or 'i' for each file, valid or not; empty where there is no validator. One process: Python starts
// slowly.
std::string judge(const std::vector<std::string>& files) {
  const std::string script = ::testing::TempDir() + "/sluice_validate.py", schema_file = script + ".json",
                    answer = script + ".out";
  std::ofstream(script) << "import sys\n"
                           "try:\n"
                           " import json, yaml, jsonschema\n"
                           "except ImportError:\n"
                           " sys.exit(3)\n"
                           "s = json.load(open(sys.argv[1]))\n"
                           "jsonschema.Draft202012Validator.check_schema(s)\n"
                           "v = jsonschema.Draft202012Validator(s)\n"
                           "print(''.join('v' if v.is_valid(yaml.safe_load(open(f))) else 'i' for f in "
                           "sys.argv[2:]), end='')\n";
  std::ofstream(schema_file) << schema();
  std::string command = "/usr/bin/python3 " + script + " " + schema_file;
  for (const std::string& f : files) command += " " + f;
  return std::system((command + " > " + answer).c_str()) == 0 ? slurp(answer) : "";
}

bool validator() {
  return std::system("/usr/bin/python3 -c 'import yaml, jsonschema' 2> /dev/null") == 0;
}
const char* const kNeeds =
    "needs /usr/bin/python3 with yaml and jsonschema (Debian: python3-yaml, python3-jsonschema)";

TEST(Schema, EveryExampleIsValid) {
  if (!validator()) GTEST_SKIP() << kNeeds;
  std::vector<std::string> files;
  for (const char* name : kExamples) files.push_back(std::string(SOURCE_ROOT) + "/" + name);
  EXPECT_EQ(judge(files), std::string(files.size(), 'v'));
}

TEST(Schema, UnknownKeysAndWrongValuesAreNot) {
  if (!validator()) GTEST_SKIP() << kNeeds;
  const char* const texts[] = {
      "ports: {lan: {device: v0}}\n",
      "version: 2\nports: {lan: {device: v0}}\n",
      "version: 1\n",
      "version: 1\nports: {}\n",
      "version: 1\nports: {9x: {device: v0}}\n",
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
      "version: 1\nports: {lan: {device: v0}}\nservices: [{name: e, ehco: yes, port: 7}]\n",
      "version: 1\nports: {lan: {device: v0}}\nservices: [{name: e, echo: yes}]\n",
      "version: 1\nports: {lan: {device: v0}}\nservices: [{name: p, port: 80, proxy: {backends: [x]}}]\n",
      "version: 1\nports: {lan: {device: v0}}\ntcp: {ecn: maybe}\n",
      "version: 1\nports: {lan: {device: v0}}\nshed: {blokc: []}\n",
      "version: 1\nports: {lan: {device: v0}}\nshed: {rates: {source: {rate: 10K}}}\n",
      "version: 1\nports: {lan: {device: v0}}\nshed: {block-ports: [icmp/3]}\n",
      "version: 1\nports: {lan: {device: v0}}\nshed: {classes: [{protocol: udp}]}\n",
  };
  std::vector<std::string> files;
  for (const char* text : texts) {
    files.push_back(::testing::TempDir() + "/sluice_schema_" + std::to_string(files.size()) + ".yaml");
    std::ofstream(files.back()) << text;
  }
  const std::string verdicts = judge(files);
  ASSERT_EQ(verdicts.size(), files.size());
  for (size_t i = 0; i < files.size(); i++) EXPECT_EQ(verdicts[i], 'i') << texts[i];
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
