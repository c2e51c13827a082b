#include "apps/http_content.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "apps/http_date.h"

namespace sluice::apps {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostFiles = 65536;

struct StatusLine {
  unsigned status;
  const char* text;
  const char* fields;
};
constexpr StatusLine kStatuses[kHttpStatuses] = {
    {200, "OK", ""},
    {204, "No Content", "Allow: GET, HEAD, OPTIONS\r\n"},
    {206, "Partial Content", ""},
    {301, "Moved Permanently", ""},
    {304, "Not Modified", ""},
    {400, "Bad Request", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", "Allow: GET, HEAD, OPTIONS\r\n"},
    {408, "Request Timeout", ""},
    {412, "Precondition Failed", ""},
    {413, "Content Too Large", ""},
    {414, "URI Too Long", ""},
    {416, "Range Not Satisfiable", ""},
    {417, "Expectation Failed", ""},
    {431, "Request Header Fields Too Large", ""},
    {501, "Not Implemented", ""},
    {503, "Service Unavailable", ""},
    {505, "HTTP Version Not Supported", ""},
};

constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
    {"html", "text/html; charset=utf-8"}, {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},   {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"}, {"json", "application/json"},
    {"txt", "text/plain; charset=utf-8"}, {"md", "text/markdown; charset=utf-8"},
    {"xml", "application/xml"},           {"csv", "text/csv; charset=utf-8"},
    {"svg", "image/svg+xml"},             {"png", "image/png"},
    {"jpg", "image/jpeg"},                {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},                 {"webp", "image/webp"},
    {"ico", "image/vnd.microsoft.icon"},  {"woff", "font/woff"},
    {"woff2", "font/woff2"},              {"ttf", "font/ttf"},
    {"pdf", "application/pdf"},           {"zip", "application/zip"},
    {"gz", "application/gzip"},           {"wasm", "application/wasm"},
    {"mp4", "video/mp4"},                 {"webm", "video/webm"},
    {"mp3", "audio/mpeg"},                {"yaml", "application/yaml"},
};

// FNV-1a: names a version of a file; nobody gains by a collision.
uint64_t fingerprint(std::string_view s) {
  uint64_t h = 0xcbf29ce484222325;
  for (char c : s) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return h;
}

Result<std::string> read_file(const fs::path& p, uint64_t most) {
  std::ifstream in(p, std::ios::binary);
  std::string s;
  std::array<char, 65536> piece;
  while (in.read(piece.data(), piece.size()) || in.gcount() > 0) {
    s.append(piece.data(), static_cast<size_t>(in.gcount()));
    if (s.size() > most) break;
  }
  if (in.bad() || !in.eof()) {
    if (s.size() > most) return s;
    return Error{"cannot read " + p.string() + ": check that it is a file and that sluiced may read it."};
  }
  return s;
}

int64_t modified_seconds(const fs::path& p) {
  std::error_code ec;
  const auto t = fs::last_write_time(p, ec);
  if (ec) return -1;
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::file_clock::to_sys(t).time_since_epoch()).count();
}

// What may not stand in a Location field as it is (RFC 3986 2.3), percent-encoded.
std::string encode_path(std::string_view path) {
  static constexpr std::string_view plain = "/-._~";
  std::string s;
  for (char c : path) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || plain.find(c) != plain.npos) {
      s += c;
      continue;
    }
    char hex[4];
    std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(static_cast<uint8_t>(c)));
    s += hex;
  }
  return s;
}

bool hidden(const fs::path& relative) {
  return std::any_of(relative.begin(), relative.end(),
                     [](const fs::path& part) { return part.string().starts_with("."); });
}

}  // namespace

std::string_view mime_type(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot != path.npos) {
    std::string ext(path.substr(dot + 1));
    std::transform(ext.begin(), ext.end(), ext.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    for (const auto& [e, type] : kTypes)
      if (e == ext) return type;
  }
  return "application/octet-stream";
}

unsigned http_status_line(unsigned status) {
  const auto line = [](unsigned of) {
    return static_cast<unsigned>(std::find_if(std::begin(kStatuses), std::end(kStatuses),
                                              [=](const StatusLine& s) { return s.status == of; }) -
                                 std::begin(kStatuses));
  };
  const unsigned found = line(status);
  return found < kHttpStatuses ? found : line(400);
}

std::string http_status_text(unsigned line) {
  return std::to_string(kStatuses[line].status) + " " + kStatuses[line].text;
}

Response make_response(unsigned status, std::string_view content_type, std::string_view body, std::string_view fields) {
  Response r;
  r.line = static_cast<uint8_t>(http_status_line(status));
  r.status = static_cast<uint16_t>(kStatuses[r.line].status);
  if (status != 204 && status != 304) {
    r.text = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    r.length_field = static_cast<uint32_t>(r.text.size());
    r.text += "Content-Type: " + std::string(content_type) + "\r\n";
  }
  r.text += "Server: sluice\r\n";
  r.text += kStatuses[r.line].fields;
  r.text += fields;
  r.text += "\r\n";
  r.fields = static_cast<uint32_t>(r.text.size());
  r.body = static_cast<uint32_t>(body.size());
  r.text += body;
  return r;
}

namespace {

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

// `modified`: -1: not known. `now`: when the bytes were read.
std::unique_ptr<Resource> make_resource(std::string_view type, std::string_view body, int64_t modified, int64_t now) {
  auto r = std::make_unique<Resource>();
  char tag[20];
  std::snprintf(tag, sizeof tag, "\"%016lx\"", fingerprint(body));
  r->etag = tag;
  r->modified = std::min(modified, now);  // RFC 9110 8.8.2.1: none that is to come
  r->modified_strong = modified >= 0 && modified < now;
  std::string fields = "ETag: " + r->etag + "\r\n";
  if (modified >= 0) fields += "Last-Modified: " + http_date(r->modified) + "\r\n";
  r->not_modified = make_response(304, "", "", fields);
  r->ok = make_response(200, type, body, fields + "Accept-Ranges: bytes\r\n");
  r->unsatisfiable = make_response(416, kPlain, http_status_text(http_status_line(416)) + "\n",
                                   "Content-Range: bytes */" + std::to_string(body.size()) + "\r\n");
  return r;
}

}  // namespace

void HttpContent::put(std::string path, std::unique_ptr<Resource> r) {
  resources_.push_back(std::move(r));
  alias(std::move(path), resources_.back().get());
}

void HttpContent::alias(std::string path, const Resource* r) {
  paths_.push_back(std::make_unique<std::string>(std::move(path)));
  by_path_.emplace(*paths_.back(), r);
}

// Only what lies here can be answered: no request reaches the file system. Hidden files, and links that lead out of the
// directory, are left out.
Status HttpContent::load(const std::string& service, const HttpOptions& o, int64_t now) {
  const std::string who = "service " + service + ": ";
  std::error_code ec;
  const fs::path root = fs::canonical(o.files, ec);
  if (ec || !fs::is_directory(root, ec))
    return Error{who + "files: " + o.files +
                 " is not a directory that sluiced can read: create it or correct the path."};
  uint64_t total = 0;
  size_t files = 0;
  auto it = fs::recursive_directory_iterator(root, ec);
  for (; !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
    const fs::path relative = it->path().lexically_relative(root);
    if (hidden(relative) || !it->is_regular_file(ec)) continue;
    const fs::path target = fs::canonical(it->path(), ec);
    if (ec) break;
    if (const fs::path inside = target.lexically_relative(root); inside.empty() || *inside.begin() == "..") continue;
    Result<std::string> bytes = read_file(target, o.files_most);
    if (!bytes) return Error{who + bytes.error()};
    total += bytes->size();
    if (total > o.files_most)
      return Error{who + "files: " + o.files + " holds more than " + std::to_string(o.files_most) +
                   " bytes: raise the limit or serve a smaller directory."};
    if (++files > kMostFiles)
      return Error{who + "files: " + o.files + " holds more than " + std::to_string(kMostFiles) +
                   " files: serve a smaller directory."};
    const std::string path = "/" + relative.generic_string();
    put(path, make_resource(mime_type(path), *bytes, modified_seconds(target), now));
    if (relative.filename() != "index.html") continue;
    const std::string folder = path.substr(0, path.size() - std::string_view("index.html").size());
    alias(folder, resources_.back().get());
    if (folder == "/") continue;
    auto moved = std::make_unique<Resource>();
    moved->ok = make_response(301, kPlain, "301 Moved Permanently\n",
                              "Location: " + encode_path(folder) + "\r\n");
    put(folder.substr(0, folder.size() - 1), std::move(moved));
  }
  if (ec) return Error{who + "files: " + o.files + ": " + ec.message() + ": check its permissions."};
  return {};
}

Result<std::shared_ptr<const HttpContent>> HttpContent::make(const std::string& service, const HttpOptions& o,
                                                             int64_t now) {
  auto c = std::make_shared<HttpContent>();
  for (unsigned line = 0; line < kHttpStatuses; line++) {
    const unsigned status = kStatuses[line].status;
    c->plain_.push_back(make_response(status, kPlain, status < 400 ? "" : http_status_text(line) + "\n"));
  }
  if (o.body) c->fallback_ = make_resource(o.content_type, *o.body, -1, now);
  if (!o.files.empty())
    if (Status s = c->load(service, o, now); !s) return Error{s.error()};
  return std::shared_ptr<const HttpContent>(std::move(c));
}

bool HttpContent::same(const HttpContent& o) const {
  if (by_path_.size() != o.by_path_.size()) return false;
  return std::all_of(by_path_.begin(), by_path_.end(), [&](const auto& mine) {
    const auto it = o.by_path_.find(mine.first);
    return it != o.by_path_.end() && it->second->ok.text == mine.second->ok.text;
  });
}

}  // namespace sluice::apps
