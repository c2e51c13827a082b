// JSON-RPC 2.0: what is answered to good and bad lines. The verbs here are the test's own.
#include "control/rpc.h"

#include <gtest/gtest.h>

#include "sluice/control.h"

namespace sluice::control {

struct Context {
  int calls = 0;
};

namespace {

json add(Context& c, Params& p) {
  c.calls++;
  const uint64_t a = p.number("a", 0, 0, 100), b = p.number("b", 5, 0, 100);
  p.finish();
  return a + b;
}
json echo(Context&, Params& p) {
  std::string s = p.text("text");
  bool twice = p.flag("twice");
  p.finish();
  return twice ? s + s : s;
}
json broken(Context&, Params&) {
  throw std::runtime_error("out of luck");
}

const std::vector<Verb> kVerbs = {{"add", "", add}, {"echo", "", echo}, {"broken", "", broken}};

json ask(const std::string& line) {
  Context c;
  std::string a = answer_line(c, kVerbs, line);
  return a.empty() ? json() : json::parse(a);
}
int code(const std::string& line) {
  return ask(line)["error"]["code"];
}
std::string message(const std::string& line) {
  return ask(line)["error"]["message"];
}

TEST(Rpc, AnswersWithTheSameId) {
  json r = ask(R"({"jsonrpc":"2.0","id":"x7","method":"add","params":{"a":2}})");
  EXPECT_EQ(r["result"], 7);
  EXPECT_EQ(r["id"], "x7");
  EXPECT_EQ(r["jsonrpc"], "2.0");
}

TEST(Rpc, ANotificationIsDoneAndNotAnswered) {
  Context c;
  EXPECT_EQ(answer_line(c, kVerbs, R"({"jsonrpc":"2.0","method":"add"})"), "");
  EXPECT_EQ(c.calls, 1);
}

TEST(Rpc, BadLines) {
  EXPECT_EQ(code("{"), kParseError);
  EXPECT_EQ(code("\xff\xfe"), kParseError);
  EXPECT_EQ(code("3"), kInvalidRequest);
  EXPECT_EQ(code("[]"), kInvalidRequest);
  EXPECT_EQ(code("{}"), kInvalidRequest);
  EXPECT_EQ(code(R"({"jsonrpc":"1.0","id":1,"method":"add"})"), kInvalidRequest);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":{},"method":"add"})"), kInvalidRequest);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":7})"), kInvalidRequest);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"add","extra":1})"), kInvalidRequest);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"add","params":[1]})"), kInvalidParams);
  EXPECT_EQ(code(std::string(100'000, '[')), kParseError);
}

TEST(Rpc, ErrorsNameMethodAndField) {
  std::string m = message(R"({"jsonrpc":"2.0","id":1,"method":"add","params":{"a":101}})");
  EXPECT_NE(m.find("add: field 'a'"), std::string::npos) << m;
  EXPECT_NE(m.find("0 to 100"), std::string::npos) << m;
  for (const char* bad : {"-1", "1.5", "\"1\"", "null", "true", "1e300", "99999999999999999999"})
    EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"add","params":{"a":)" + std::string(bad) + "}}"),
              kInvalidParams)
        << bad;
  m = message(R"({"jsonrpc":"2.0","id":1,"method":"add","params":{"c":1}})");
  EXPECT_NE(m.find("'c'"), std::string::npos) << m;
  EXPECT_NE(m.find("known are a, b"), std::string::npos) << m;
  m = message(R"({"jsonrpc":"2.0","id":1,"method":"ehco"})");
  EXPECT_NE(m.find("did you mean 'echo'"), std::string::npos) << m;
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"echo","params":{"text":"a","twice":1}})"),
            kInvalidParams);
}

TEST(Rpc, AVerbThatFailsIsAnInternalError) {
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"broken"})"), kInternalError);
}

TEST(Rpc, Batches) {
  json r = ask(R"([{"jsonrpc":"2.0","id":1,"method":"add"},{"jsonrpc":"2.0","method":"add"},7])");
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[0]["result"], 5);
  EXPECT_EQ(r[1]["error"]["code"], kInvalidRequest);
  std::string many = "[0";
  for (int i = 0; i < 100; i++) many += ",0";
  EXPECT_EQ(code(many + "]"), kInvalidRequest);
}

TEST(Rpc, AnAnswerIsAlwaysUtf8) {
  Context c;
  std::vector<Verb> verbs = {{"raw", "", [](Context&, Params&) { return json(std::string("a\xff") + "b"); }}};
  std::string a = answer_line(c, verbs, R"({"jsonrpc":"2.0","id":1,"method":"raw"})");
  EXPECT_FALSE(json::parse(a, nullptr, false).is_discarded());
}

}  // namespace
}  // namespace sluice::control
