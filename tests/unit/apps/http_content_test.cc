// What an HTTP service serves: files in memory, their types, their versions.
#include <gtest/gtest.h>

#include "apps/http_date.h"
#include "tests/unit/apps/http_fixture.h"

namespace sluice::apps {
namespace {

using test::HttpResponse;

class Files : public ::testing::Test {
 protected:
  Files() {
    folder_.write("index.html", "<h1>home</h1>");
    folder_.write("a.css", "body{}");
    folder_.write("sub/index.html", "sub");
    folder_.write("sub/data.JSON", "{}");
    folder_.write("with space/x y.txt", "spaced");
    folder_.write(".secret", "no");
    folder_.write(".git/config", "no");
    outside_.write("passwd", "no");
    std::filesystem::create_symlink(outside_.path() / "passwd", folder_.path() / "link");
    std::filesystem::create_symlink(outside_.path(), folder_.path() / "dir");
    std::filesystem::create_symlink("a.css", folder_.path() / "b.css");
    config_ = http_config();
    config_.http.body.reset();
    config_.http.files = folder_.path();
  }
  Folder folder_, outside_;
  ServiceConfig config_;
};

TEST_F(Files, AreServedWithTheirTypes) {
  HttpHarness h(config_);
  EXPECT_EQ(h.get(get("/")).body, "<h1>home</h1>");
  EXPECT_EQ(h.get(get("/index.html")).field.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(h.get(get("/a.css")).field.at("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(h.get(get("/b.css")).body, "body{}");
  EXPECT_EQ(h.get(get("/sub/data.JSON")).field.at("content-type"), "application/json");
  EXPECT_EQ(h.get(get("/sub/")).body, "sub");
  EXPECT_EQ(h.get(get("/with%20space/x%20y.txt")).body, "spaced");
  const HttpResponse moved = h.get(get("/sub"));
  EXPECT_EQ(moved.status, 301u);
  EXPECT_EQ(moved.field.at("location"), "/sub/");
}

TEST_F(Files, NoRequestLeadsOutOfTheDirectory) {
  HttpHarness h(config_);
  for (const char* path : {"/../passwd", "/sub/../a.css", "/%2e%2e/passwd", "/..%2fpasswd", "//a.css", "/./a.css",
                           "/link", "/dir/passwd", "/.secret", "/.git/config", "/sub/..", "/a.css/", "/A.CSS",
                           "/index.html%00", "/with", "/sub%2f..%2fa.css"}) {
    const HttpResponse r = h.get(get(path));
    EXPECT_TRUE(r.status == 404 || r.status == 400) << path << " " << r.status;
  }
}

TEST_F(Files, AFallbackAnswersWhatIsNoFile) {
  config_.http.body = "else";
  HttpHarness h(config_);
  EXPECT_EQ(h.get(get("/a.css")).body, "body{}");
  EXPECT_EQ(h.get(get("/nothing")).body, "else");
}

TEST_F(Files, AVersionThatTheClientHasIsNotSentAgain) {
  HttpHarness h(config_);
  const HttpResponse first = h.get(get("/a.css"));
  const std::string tag = first.field.at("etag"), date = first.field.at("last-modified");
  struct {
    std::string fields;
    unsigned status;
  } cases[] = {
      {"If-None-Match: " + tag + "\r\n", 304},
      {"If-None-Match: \"x\", W/" + tag + "\r\n", 304},
      {"If-None-Match: *\r\n", 304},
      {"If-None-Match: \"x\"\r\n", 200},
      {"If-Modified-Since: " + date + "\r\n", 304},
      {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200},
      {"If-Modified-Since: tomorrow\r\n", 200},
      {"If-None-Match: \"x\"\r\nIf-Modified-Since: " + date + "\r\n", 200},  // the tag counts alone
      {"If-None-Match: " + std::string(400, 'x') + "\r\n", 200},
  };
  for (const auto& k : cases) {
    for (int twice = 0; twice < 2; twice++) {
      const HttpResponse r = h.get(get("/a.css", k.fields));
      EXPECT_EQ(r.status, k.status) << k.fields;
      EXPECT_EQ(r.field.at("etag"), tag);
      EXPECT_EQ(r.body.empty(), k.status == 304) << k.fields;
    }
  }
}

// RFC 9110 13.2.2, in its order.
TEST_F(Files, ConditionsCountInTheirOrder) {
  HttpHarness h(config_);
  const HttpResponse first = h.get(get("/a.css"));
  const std::string tag = first.field.at("etag"), date = first.field.at("last-modified");
  const std::string old = "Sun, 06 Nov 1994 08:49:37 GMT";
  struct {
    std::string fields;
    unsigned status;
  } cases[] = {
      {"If-Match: " + tag + "\r\n", 200},
      {"If-Match: *\r\n", 200},
      {"If-Match: \"x\"\r\nIf-Match: " + tag + "\r\n", 200},                     // a list in two fields
      {"If-Match: \"x\"\r\n", 412},
      {"If-Match: W/" + tag + "\r\n", 412},                                        // a strong comparison
      {"If-Match: \"x\"\r\nIf-None-Match: " + tag + "\r\n", 412},                 // first
      {"If-Match: " + tag + "\r\nIf-None-Match: " + tag + "\r\n", 304},
      {"If-Match: " + tag + "\r\nIf-Unmodified-Since: " + old + "\r\n", 200},       // the tag counts alone
      {"If-Unmodified-Since: " + old + "\r\n", 412},
      {"If-Unmodified-Since: " + date + "\r\n", 200},
      {"If-Unmodified-Since: whenever\r\n", 200},
      {"If-Unmodified-Since: " + old + "\r\nIf-Modified-Since: " + date + "\r\n", 412},
      {"If-Modified-Since: Friday, 06-Nov-20 08:49:37 GMT\r\n", 200},
      {"If-Unmodified-Since: Friday, 06-Nov-20 08:49:37 GMT\r\n", 412},
      {"If-Unmodified-Since: Sun Nov  6 08:49:37 1994\r\n", 412},
      {"If-None-Match: " + tag + "\r\nRange: bytes=0-1\r\n", 304},
      {"If-Match: \"x\"\r\nRange: bytes=90-\r\n", 412},
  };
  for (const auto& k : cases)
    for (const char* method : {"GET", "HEAD"}) {
      const std::string s = h.api.received(
          h.ask(std::string(method) + " /a.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + k.fields + "\r\n"));
      EXPECT_TRUE(s.starts_with("HTTP/1.1 " + std::to_string(k.status))) << method << " " << k.fields << s;
    }
  EXPECT_EQ(h.get(get("/nothing", "If-Match: \"x\"\r\n")).status, 404u) << "conditions count where it would be 200";
}

TEST_F(Files, APartIsAPartOfTheWhole) {
  folder_.write("ten", "0123456789");
  folder_.write("empty", "");
  HttpHarness h(config_);
  struct {
    std::string range, body, content_range;
    unsigned status;
  } cases[] = {
      {"bytes=0-0", "0", "bytes 0-0/10", 206},
      {"bytes=2-4", "234", "bytes 2-4/10", 206},
      {"Bytes=7-", "789", "bytes 7-9/10", 206},
      {"bytes=7-99999999999999999999999", "789", "bytes 7-9/10", 206},
      {"bytes=-3", "789", "bytes 7-9/10", 206},
      {"bytes=-30", "0123456789", "bytes 0-9/10", 206},
      {"bytes=10-", "", "bytes */10", 416},
      {"bytes=99999999999999999999999-", "", "bytes */10", 416},
      {"bytes=-0", "", "bytes */10", 416},
      {"bytes=4-2", "0123456789", "", 200},
      {"bytes=", "0123456789", "", 200},
      {"bytes=-", "0123456789", "", 200},
      {"bytes=x-2", "0123456789", "", 200},
      {"bytes=1-2x", "0123456789", "", 200},
      {"bytes=0-1,3-4", "0123456789", "", 200},  // several: the whole
      {"lines=0-1", "0123456789", "", 200},
  };
  for (const auto& k : cases) {
    const HttpResponse r = h.get(get("/ten", "Range: " + k.range + "\r\n"));
    EXPECT_EQ(r.status, k.status) << k.range;
    EXPECT_EQ(r.body, k.status == 416 ? "416 Range Not Satisfiable\n" : k.body) << k.range;
    EXPECT_EQ(r.field.contains("content-range") ? r.field.at("content-range") : "", k.content_range) << k.range;
    EXPECT_EQ(r.field.contains("accept-ranges"), k.status != 416) << k.range;
    EXPECT_EQ(r.field.contains("etag"), k.status != 416) << k.range;
  }
  EXPECT_EQ(h.get(get("/ten", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n")).status, 200u);
  EXPECT_EQ(h.get(get("/empty", "Range: bytes=0-\r\n")).status, 416u);
  EXPECT_EQ(h.get(get("/empty", "Range: bytes=-5\r\n")).status, 200u);
  const std::string head = h.api.received(h.ask("HEAD /ten HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200")) << "RFC 9110 14.2: a range is GET's alone";
}

TEST_F(Files, APartOfAnOlderVersionIsTheWholeOfThis) {
  folder_.write("ten", "0123456789");
  HttpHarness h(config_);
  const HttpResponse first = h.get(get("/ten"));
  const std::string tag = first.field.at("etag"), date = first.field.at("last-modified");
  for (const auto& [condition, status] : std::vector<std::pair<std::string, unsigned>>{
           {tag, 206}, {date, 206}, {"W/" + tag, 200}, {"\"x\"", 200}, {"Sun, 06 Nov 1994 08:49:37 GMT", 200},
           {"Fri, 31 Dec 2094 08:49:37 GMT", 200}, {"soon", 200}})
    EXPECT_EQ(h.get(get("/ten", "Range: bytes=0-1\r\nIf-Range: " + condition + "\r\n")).status, status) << condition;
}

// A second that is not over: the file may change in it once more (RFC 9110 8.8.2.2). Nothing was modified in the future.
TEST_F(Files, AFileThatHasJustChangedIsKnownByItsTagAlone) {
  config_.http.body.reset();
  folder_.write("new", "0123456789");
  const auto c = *HttpContent::make("web", config_.http, 1000);
  const HttpValidators v = c->find("/new")->validators();
  EXPECT_EQ(v.modified, 1000);
  EXPECT_FALSE(v.modified_strong);
  HttpConditions ask;
  ask.range = "bytes=0-1";
  const std::string date = http_date(1000);
  ask.if_range = date;
  EXPECT_EQ(select_range(ask, v, 1000).kind, HttpRange::Kind::whole);
  ask.if_range = v.etag;
  EXPECT_EQ(select_range(ask, v, 1000).kind, HttpRange::Kind::part);
}

// Blocks for parts are bounded: with all of them in peers' hands, a part is answered with the whole.
TEST_F(Files, WithoutABlockAPartIsTheWhole) {
  folder_.write("ten", "0123456789");
  config_.connections = 2000;
  HttpHarness h(config_);
  std::vector<test::Conn> stalled;
  for (int i = 0; i < 1000; i++) {
    stalled.push_back(h.api.accept(80));
    h.api.deliver(stalled.back(), get("/ten", "Range: bytes=0-1\r\n"));
    h.api.run();
  }
  unsigned parts = 0, wholes = 0;
  for (test::Conn c : stalled) {
    h.settle(c);
    const auto all = test::responses(h.api.received(c));
    ASSERT_EQ(all.size(), 1u);
    (all[0].status == 206 ? parts : wholes)++;
    EXPECT_EQ(all[0].body, all[0].status == 206 ? "01" : "0123456789");
  }
  EXPECT_GT(parts, 400u);
  EXPECT_GT(wholes, 400u);
  EXPECT_EQ(h.get(get("/ten", "Range: bytes=0-1\r\n")).status, 206u);
}

TEST_F(Files, OfAServiceThatCannotHaveThemAreAClearError) {
  config_.http.files = "/nonexistent/here";
  auto r = HttpContent::make("web", config_.http, kLoaded);
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().find("service web: files: /nonexistent/here is not a directory"), std::string::npos) << r.error();
  config_.http.files = folder_.path();
  config_.http.files_most = 20;
  auto large = HttpContent::make("web", config_.http, kLoaded);
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().find("more than 20 bytes"), std::string::npos) << large.error();
}

TEST_F(Files, ChangesAreSeenWhenTheyAreReadAgain) {
  const auto a = HttpContent::make("web", config_.http, kLoaded), b = HttpContent::make("web", config_.http, kLoaded);
  EXPECT_TRUE((*a)->same(**b));
  folder_.write("a.css", "body{x}");
  EXPECT_FALSE((*a)->same(**HttpContent::make("web", config_.http, kLoaded)));
}

TEST(HttpDate, OfEveryForm) {
  for (const char* s : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    EXPECT_EQ(parse_http_date(s, 1700000000), 784111777) << s;  // in 2023
  EXPECT_EQ(parse_http_date("Friday, 06-Nov-73 00:00:00 GMT", 1700000000), 3277152000) << "50 years ahead: 2073";
  EXPECT_EQ(parse_http_date("Friday, 06-Nov-74 00:00:00 GMT", 1700000000), 152928000) << "51: 1974";
}

TEST(HttpDate, ThereAndBack) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 5.6.7's example
  for (int64_t t : {int64_t{0}, int64_t{951782400}, int64_t{1709164800}, int64_t{4102444799}})
    EXPECT_EQ(parse_http_date(http_date(t), kLoaded), t);
  for (const char* bad :
       {"", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sunday, 06-Nov-94", "Sun Nov 06", "Sun,", "Sun, 06 Nov 1994 28:49:37 GMT", "Sun, x6 Nov 1994 08:49:37 GMT"})
    EXPECT_EQ(parse_http_date(bad, kLoaded), -1) << bad;
}

}  // namespace
}  // namespace sluice::apps
