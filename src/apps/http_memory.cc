#include "apps/http_memory.h"

#include <algorithm>

namespace sluice::apps {

namespace {

constexpr std::string_view kDate = "\r\nDate: ";

}  // namespace

HttpLeads::HttpLeads() : version_(kVersions) {
  for (Version& v : version_) {
    for (unsigned line = 0; line < kHttpStatuses; line++) {
      for (bool last : {false, true}) {
        const std::string text = "HTTP/1.1 " + http_status_text(line) + std::string(kDate) + http_date(0) +
                                 (last ? "\r\nConnection: close\r\n" : "\r\nConnection: keep-alive\r\n");
        Version::Lead& l = v.lead_[line][last];
        l.n = static_cast<uint32_t>(text.copy(l.text.data(), kLongest));
      }
    }
  }
}

void HttpLeads::write(int64_t second) {
  for (unsigned k = 0; k < kVersions && version_[current_].users_ != 0; k++) current_ = (current_ + 1) % kVersions;
  Version& v = version_[current_];
  if (v.users_ != 0) return;
  second_ = second;
  std::array<char, kHttpDate> date;
  write_http_date(second, date);
  for (auto& line : v.lead_) {
    for (Version::Lead& l : line) {
      const size_t at = std::string_view(l.text.data(), l.n).find(kDate) + kDate.size();
      std::copy(date.begin(), date.end(), l.text.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
}

bool HttpLeads::idle() const {
  return std::all_of(version_.begin(), version_.end(), [](const Version& v) { return v.users_ == 0; });
}

HttpBlocks::HttpBlocks() : block_(kBlocks) {
  free_.reserve(kBlocks);
  for (Block& b : block_) {
    b.owner_ = this;
    free_.push_back(&b);
  }
}

HttpBlocks::Block* HttpBlocks::take() {
  if (free_.empty()) return nullptr;
  Block* b = free_.back();
  free_.pop_back();
  b->n = 0;
  b->users_ = 1;
  return b;
}

}  // namespace sluice::apps
