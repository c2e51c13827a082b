// Requests that were answered before, by their bytes. What was asked often is found with one comparison; what is not
// here is parsed. The answer is a function of the bytes and of what never changes, so that nothing goes stale; with the
// lines that begin it, it is copied into a block once a second, so that it is one slice. A hash may be chosen to collide: then requests displace each other here, and are parsed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "apps/http_content.h"
#include "apps/http_memory.h"

namespace sluice::apps {

class HttpMemo {
 public:
  static constexpr size_t kLongest = 1000;

  struct Entry {
    uint32_t length = 0;               // of the request; 0: free
    bool head_only = false;
    const Response* response = nullptr;
    int64_t second = -1;               // of the block, or when there was none
    HttpBlocks::Block* block = nullptr;  // the whole answer, counted once
    std::array<uint8_t, kLongest> bytes;

    std::string_view target() const {
      const std::string_view line(reinterpret_cast<const char*>(bytes.data()), length);
      const size_t at = line.find(' ') + 1;
      return line.substr(at, line.find(' ', at) - at);
    }
  };

  HttpMemo() : entry_(kEntries) {}

  // The entry whose request `bytes` begins with; null: none. `hint`, which it updates, is tried first.
  Entry* find(std::span<const uint8_t> bytes, uint16_t& hint) {
    if (Entry& e = entry_[hint % kEntries]; match(e, bytes)) return &e;
    const size_t n = head_length(bytes);
    if (n == 0) return nullptr;
    const auto i = static_cast<uint16_t>(index(bytes.first(n)));
    if (!match(entry_[i], bytes)) return nullptr;
    hint = i;
    return &entry_[i];
  }

  static void drop_block(Entry& e) {
    if (e.block) e.block->release();
    e.block = nullptr;
  }
  void drop_blocks() {
    for (Entry& e : entry_) drop_block(e);
  }

  // `request`: from its first byte to the last, without a body.
  void remember(std::span<const uint8_t> request, const Response& r, bool head_only) {
    if (request.size() != head_length(request)) return;  // too long, or with bare line feeds
    Entry& e = entry_[index(request)];
    e.length = static_cast<uint32_t>(request.size());
    e.head_only = head_only;
    e.response = &r;
    drop_block(e);
    e.second = -1;
    std::copy(request.begin(), request.end(), e.bytes.begin());
  }

 private:
  static constexpr size_t kEntries = 64;

  static bool match(const Entry& e, std::span<const uint8_t> b) {
    return e.length != 0 && b.size() >= e.length && std::memcmp(b.data(), e.bytes.data(), e.length) == 0;
  }
  // Up to the first empty line; 0: none within kLongest.
  static size_t head_length(std::span<const uint8_t> b) {
    const std::string_view s(reinterpret_cast<const char*>(b.data()), std::min(b.size(), kLongest));
    const size_t at = s.find("\r\n\r\n");
    return at == s.npos ? 0 : at + 4;
  }
  static size_t index(std::span<const uint8_t> b) {
    uint64_t h = b.size();
    for (size_t i = 0; i < b.size(); i += 8) {
      uint64_t w = 0;
      std::memcpy(&w, b.data() + i, std::min<size_t>(8, b.size() - i));
      h = (h ^ w) * 0x9e3779b97f4a7c15;
      h ^= h >> 29;
    }
    return (h ^ h >> 32) % kEntries;
  }

  std::vector<Entry> entry_;
};

}  // namespace sluice::apps
