// What an HTTP service answers, prepared before it runs: each response's fields and body lie side by side. Made on the control thread, immutable, shared by the engines' instances.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apps/http_select.h"
#include "apps/service_config.h"
#include "base/result.h"

namespace sluice::apps {

// A response's status is a line of a table, so that what depends on it can lie side by side.
inline constexpr unsigned kHttpStatuses = 18;
unsigned http_status_line(unsigned status);      // of 400 where there is none
std::string http_status_text(unsigned line);     // "404 Not Found"

// A response, ready to be sent behind the lines that begin it (http_memory.h): fields and body.
struct Response {
  uint16_t status = 0;
  uint8_t line = 0;
  uint32_t length_field = 0;      // bytes in front that are Content-Length, which a part of the body has its own of
  uint32_t fields = 0, body = 0;  // bytes; fields: with Content-Length, and the empty line
  std::string text;

  const uint8_t* at(size_t offset) const { return reinterpret_cast<const uint8_t*>(text.data()) + offset; }
};

// `fields`: further header fields, each with its CRLF. Neither 204 nor 304 has a body and a Content-Length.
Response make_response(unsigned status, std::string_view content_type, std::string_view body,
                       std::string_view fields = "");

struct Resource {
  Response ok;
  Response not_modified, unsatisfiable;  // 304, 416; only where there is an entity tag
  std::string etag;                      // quoted, strong; "": none
  int64_t modified = -1;                 // seconds since 1970; -1: not known
  bool modified_strong = false;          // its second was over when the file was read

  HttpValidators validators() const { return {etag, modified, modified_strong, ok.body}; }
};

class HttpContent {
 public:
  // Error: the directory cannot be read, is larger than files_most, or has too many files.
  // `now`: seconds since 1970.
  static Result<std::shared_ptr<const HttpContent>> make(const std::string& service, const HttpOptions& o, int64_t now);

  // The resource of a path, percent-decoded and without its query; null: none.
  const Resource* find(std::string_view path) const {
    const auto it = by_path_.find(path);
    return it != by_path_.end() ? it->second : fallback_.get();
  }
  // Of a status that says all by itself: 204, 304, 4xx, 5xx.
  const Response& plain(unsigned status) const { return plain_[http_status_line(status)]; }

  // The same bytes for the same paths: a service with it need not be replaced.
  bool same(const HttpContent& o) const;
  size_t files() const { return by_path_.size(); }

 private:
  Status load(const std::string& service, const HttpOptions& o, int64_t now);
  void put(std::string path, std::unique_ptr<Resource> r);
  void alias(std::string path, const Resource* r);

  std::vector<std::unique_ptr<Resource>> resources_;
  std::vector<std::unique_ptr<std::string>> paths_;
  std::unordered_map<std::string_view, const Resource*> by_path_;  // of the service's own making: nothing to flood
  std::unique_ptr<Resource> fallback_;
  std::vector<Response> plain_;  // by line
};

std::string_view mime_type(std::string_view path);

}  // namespace sluice::apps
