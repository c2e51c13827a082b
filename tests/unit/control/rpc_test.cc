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

// Answers when it is asked for the second time.
json slow(Context& c, Params& p) {
  const bool fails = p.flag("fails");
  p.finish();
  throw Unfinished{[&c, fails, left = 1]() mutable -> std::optional<json> {
    if (left-- > 0) return std::nullopt;
    c.calls++;
    if (fails) throw RpcError{kRefused, "slow: no"};
    return "done";
  }};
}

const std::vector<Verb> kVerbs = {{"add", "", add}, {"echo", "", echo}, {"broken", "", broken}, {"slow", "", slow}};

json ask(const std::string& line) {
  Context c;
  std::string a = answer_line(c, kVerbs, line).text;
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
  EXPECT_EQ(answer_line(c, kVerbs, R"({"jsonrpc":"2.0","method":"add"})").text, "");
  EXPECT_EQ(c.calls, 1);
}

// What it says in the end, and that it said nothing before.
std::string awaited(const char* line, Context& c) {
  const Reply r = answer_line(c, kVerbs, line);
  EXPECT_TRUE(r.later) << r.text;
  EXPECT_EQ(r.later(), std::nullopt);
  return r.later().value_or("nothing");
}

TEST(Rpc, SomeAnswersComeLater) {
  Context c;
  EXPECT_EQ(json::parse(awaited(R"({"jsonrpc":"2.0","id":1,"method":"slow"})", c)), json::parse(R"({"jsonrpc":"2.0","id":1,"result":"done"})"));
  const json failed = json::parse(awaited(R"({"jsonrpc":"2.0","id":2,"method":"slow","params":{"fails":true}})", c));
  EXPECT_EQ(failed["error"]["message"], "slow: no");
  EXPECT_EQ(failed["id"], 2);
  EXPECT_EQ(c.calls, 2);
  EXPECT_EQ(awaited(R"({"jsonrpc":"2.0","method":"slow"})", c), "") << "a notification";
  EXPECT_EQ(c.calls, 3);
}

TEST(Rpc, ABatchIsAnsweredWhenItsLastRequestIs) {
  Context c;
  const json r = json::parse(awaited(R"([{"jsonrpc":"2.0","id":1,"method":"slow"},{"jsonrpc":"2.0","id":2,"method":"add","params":{"a":1}}])", c));
  ASSERT_EQ(r.size(), 2u);
  EXPECT_EQ(r[0]["result"], "done");
  EXPECT_EQ(r[1]["id"], 2);
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
  std::string a = answer_line(c, verbs, R"({"jsonrpc":"2.0","id":1,"method":"raw"})").text;
  EXPECT_FALSE(json::parse(a, nullptr, false).is_discarded());
}

}  // namespace
}  // namespace sluice::control
