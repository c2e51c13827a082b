// What an HTTP service answers, prepared before it runs: each response's head and body lie side by side, so that a
// request is answered with one slice. Made on the control thread, immutable, shared by the engines' instances.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apps/service_config.h"
#include "base/result.h"

namespace sluice::apps {

// A response, ready to be sent: head and body with "Connection: keep-alive" (which HTTP/1.0 wants to see), and another
// head for the connection's last one.
struct Response {
  uint16_t status = 0;
  uint32_t head = 0, body = 0, close_head = 0;  // bytes
  std::string text;                             // head, body, close_head

  const uint8_t* at(size_t offset) const { return reinterpret_cast<const uint8_t*>(text.data()) + offset; }
};

// `fields`: further header fields, each with its CRLF. A 304 has no body and no Content-Length.
Response make_response(unsigned status, std::string_view content_type, std::string_view body,
                       std::string_view fields = "");

struct Resource {
  Response ok;
  Response not_modified;       // 304; only where there is an entity tag
  std::string etag;            // quoted; "": none
  int64_t modified = 0;        // seconds since 1970
};

class HttpContent {
 public:
  // Error: the directory cannot be read, is larger than files_most, or has too many files.
  static Result<std::shared_ptr<const HttpContent>> make(const std::string& service, const HttpOptions& o);

  // The resource of a path, percent-decoded and without its query; null: none.
  const Resource* find(std::string_view path) const {
    const auto it = by_path_.find(path);
    return it != by_path_.end() ? it->second : fallback_.get();
  }
  const Response& error(unsigned status) const;

  // The same bytes for the same paths: a service with it need not be replaced.
  bool same(const HttpContent& o) const;
  size_t files() const { return by_path_.size(); }

 private:
  Status load(const std::string& service, const HttpOptions& o);
  void put(std::string path, std::unique_ptr<Resource> r);
  void alias(std::string path, const Resource* r);

  std::vector<std::unique_ptr<Resource>> resources_;
  std::vector<std::unique_ptr<std::string>> paths_;
  std::unordered_map<std::string_view, const Resource*> by_path_;  // of the service's own making: nothing to flood
  std::unique_ptr<Resource> fallback_;
  std::vector<Response> errors_;
};

std::string_view mime_type(std::string_view path);
// RFC 9110 5.6.7's preferred form, and back; -1: another form or no date.
std::string http_date(int64_t seconds);
int64_t parse_http_date(std::string_view s);

}  // namespace sluice::apps
