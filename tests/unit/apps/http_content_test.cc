// What an HTTP service serves: files in memory, their types, their versions.
#include <gtest/gtest.h>

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

TEST_F(Files, OfAServiceThatCannotHaveThemAreAClearError) {
  config_.http.files = "/nonexistent/here";
  auto r = HttpContent::make("web", config_.http);
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().find("service web: files: /nonexistent/here is not a directory"), std::string::npos) << r.error();
  config_.http.files = folder_.path();
  config_.http.files_most = 20;
  auto large = HttpContent::make("web", config_.http);
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().find("more than 20 bytes"), std::string::npos) << large.error();
}

TEST_F(Files, ChangesAreSeenWhenTheyAreReadAgain) {
  const auto a = HttpContent::make("web", config_.http), b = HttpContent::make("web", config_.http);
  EXPECT_TRUE((*a)->same(**b));
  folder_.write("a.css", "body{x}");
  EXPECT_FALSE((*a)->same(**HttpContent::make("web", config_.http)));
}

TEST(HttpDate, ThereAndBack) {
  EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // RFC 9110 5.6.7's example
  for (int64_t t : {int64_t{0}, int64_t{951782400}, int64_t{1709164800}, int64_t{4102444799}})
    EXPECT_EQ(parse_http_date(http_date(t)), t);
  for (const char* bad :
       {"", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 28:49:37 GMT", "Sun, x6 Nov 1994 08:49:37 GMT"})
    EXPECT_EQ(parse_http_date(bad), -1) << bad;
}

}  // namespace
}  // namespace sluice::apps
