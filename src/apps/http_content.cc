#include "apps/http_content.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace sluice::apps {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostFiles = 65536;

struct Reason {
  unsigned status;
  const char* text;
  const char* fields;
};
constexpr Reason kReasons[] = {
    {200, "OK", ""},
    {301, "Moved Permanently", ""},
    {304, "Not Modified", ""},
    {400, "Bad Request", ""},
    {404, "Not Found", ""},
    {405, "Method Not Allowed", "Allow: GET, HEAD\r\n"},
    {408, "Request Timeout", ""},
    {413, "Content Too Large", ""},
    {414, "URI Too Long", ""},
    {417, "Expectation Failed", ""},
    {431, "Request Header Fields Too Large", ""},
    {501, "Not Implemented", ""},
    {503, "Service Unavailable", ""},
    {505, "HTTP Version Not Supported", ""},
};

const Reason& reason(unsigned status) {
  for (const Reason& r : kReasons)
    if (r.status == status) return r;
  return kReasons[3];
}

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

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

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
  if (ec) return 0;
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::file_clock::to_sys(t).time_since_epoch()).count();
}

std::string close_variant(const std::string& head) {
  static constexpr std::string_view keep = "Connection: keep-alive\r\n";
  std::string s = head;
  return s.replace(s.find(keep), keep.size(), "Connection: close\r\n");
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

std::string http_date(int64_t seconds) {
  const time_t t = seconds;
  tm u{};
  gmtime_r(&t, &u);
  char s[40];
  std::snprintf(s, sizeof s, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[u.tm_wday], u.tm_mday, kMonths[u.tm_mon],
                u.tm_year + 1900, u.tm_hour, u.tm_min, u.tm_sec);
  return s;
}

// "Sun, 06 Nov 1994 08:49:37 GMT". The days are counted by hand: no locale, no time zone, no allocation.
int64_t parse_http_date(std::string_view s) {
  if (s.size() != 29 || s.substr(3, 2) != ", " || s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || s[19] != ':' ||
      s[22] != ':' || s.substr(25) != " GMT")
    return -1;
  const auto number = [&](size_t at, size_t n) {
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
      if (s[i] < '0' || s[i] > '9') return -1;
      v = v * 10 + (s[i] - '0');
    }
    return v;
  };
  unsigned month = 0;
  while (month < 12 && s.substr(8, 3) != kMonths[month]) month++;
  const int day = number(5, 2), year = number(12, 4), h = number(17, 2), m = number(20, 2), sec = number(23, 2);
  if (month == 12 || day < 1 || day > 31 || year < 1970 || h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60)
    return -1;
  const std::chrono::sys_days days =
      std::chrono::year{year} / std::chrono::month{month + 1} / std::chrono::day{static_cast<unsigned>(day)};
  return int64_t{days.time_since_epoch().count()} * 86400 + h * 3600 + m * 60 + sec;
}

Response make_response(unsigned status, std::string_view content_type, std::string_view body, std::string_view fields) {
  const Reason& why = reason(status);
  std::string head = "HTTP/1.1 " + std::to_string(status) + " " + why.text + "\r\nServer: sluice\r\n";
  head += "Connection: keep-alive\r\n";
  if (status != 304) {
    head +=
        "Content-Type: " + std::string(content_type) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  head += why.fields;
  head += fields;
  head += "\r\n";
  Response r;
  const std::string last = close_variant(head);
  r.status = static_cast<uint16_t>(status);
  r.head = static_cast<uint32_t>(head.size());
  r.body = static_cast<uint32_t>(body.size());
  r.close_head = static_cast<uint32_t>(last.size());
  r.text.reserve(head.size() + body.size() + last.size());
  r.text += head;
  r.text += body;
  r.text += last;
  return r;
}

const Response& HttpContent::error(unsigned status) const {
  for (const Response& r : errors_)
    if (r.status == status) return r;
  return errors_.front();
}

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
Status HttpContent::load(const std::string& service, const HttpOptions& o) {
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
    auto r = std::make_unique<Resource>();
    char tag[20];
    std::snprintf(tag, sizeof tag, "\"%016lx\"", fingerprint(*bytes));
    r->etag = tag;
    r->modified = modified_seconds(target);
    const std::string fields = "ETag: " + r->etag + "\r\nLast-Modified: " + http_date(r->modified) + "\r\n";
    r->ok = make_response(200, mime_type(relative.string()), *bytes, fields);
    r->not_modified = make_response(304, "", "", fields);
    const std::string path = "/" + relative.generic_string();
    put(path, std::move(r));
    if (relative.filename() != "index.html") continue;
    const std::string folder = path.substr(0, path.size() - std::string_view("index.html").size());
    alias(folder, resources_.back().get());
    if (folder == "/") continue;
    auto moved = std::make_unique<Resource>();
    moved->ok = make_response(301, "text/plain; charset=utf-8", "301 Moved Permanently\n",
                              "Location: " + encode_path(folder) + "\r\n");
    put(folder.substr(0, folder.size() - 1), std::move(moved));
  }
  if (ec) return Error{who + "files: " + o.files + ": " + ec.message() + ": check its permissions."};
  return {};
}

Result<std::shared_ptr<const HttpContent>> HttpContent::make(const std::string& service, const HttpOptions& o) {
  auto c = std::make_shared<HttpContent>();
  for (const Reason& r : kReasons) {
    if (r.status < 400) continue;
    c->errors_.push_back(make_response(r.status, "text/plain; charset=utf-8",
                                       std::to_string(r.status) + " " + r.text + "\n"));
  }
  if (o.body) {
    c->fallback_ = std::make_unique<Resource>();
    c->fallback_->ok = make_response(200, o.content_type, *o.body);
  }
  if (!o.files.empty())
    if (Status s = c->load(service, o); !s) return Error{s.error()};
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
