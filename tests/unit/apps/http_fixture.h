// An HTTP service in a FakeApi.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "apps/http.h"
#include "tests/unit/apps/fake_api.h"
#include "tests/unit/apps/http_client.h"

namespace sluice::apps {

// A directory for the test, gone with it.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-http-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline constexpr int64_t kLoaded = 4'000'000'000;  // when files are read: when the FakeApi begins

inline ServiceConfig http_config() {
  ServiceConfig c;
  c.name = "web";
  c.kind = ServiceKind::http;
  c.listen = {test::endpoint(0, 80)};
  c.connections = 64;
  c.http.body = "hello\n";
  return c;
}

struct HttpHarness {
  explicit HttpHarness(const ServiceConfig& c = http_config(), EventLog* log = nullptr)
      : pages(std::make_shared<HttpPages>()),
        http(std::make_unique<Http>(c, 1, log, std::move(HttpContent::make(c.name, c.http, kLoaded).value()), pages)) {
    api.add(*http);
  }
  ~HttpHarness() {
    http->drain(api, api.now());
    api.advance(test::FakeApi::kSecond);
    api.expect_clean();
    EXPECT_TRUE(http->finished());
  }
  test::Conn ask(const std::string& request, size_t piece = 1460) {
    const test::Conn c = api.accept(80);
    api.deliver(c, request, piece);
    settle(c);
    return c;
  }
  void settle(test::Conn c) {
    for (int i = 0; i < 10000; i++) {
      api.run();
      if (api.at(c).queue.empty()) break;
      api.acknowledge(c);
    }
    api.run();
  }
  // One request on a connection of its own; what came back.
  test::HttpResponse get(const std::string& request) {
    const test::Conn c = ask(request);
    const auto all = test::responses(api.received(c));
    EXPECT_EQ(all.size(), 1u) << request << "\n" << api.received(c);
    if (api.open(c)) api.fail(c);
    api.run();
    return all.empty() ? test::HttpResponse{} : all[0];
  }

  test::FakeApi api;
  std::shared_ptr<HttpPages> pages;
  std::unique_ptr<Http> http;
};

inline std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: box\r\n" + fields + "\r\n";
}

}  // namespace sluice::apps
