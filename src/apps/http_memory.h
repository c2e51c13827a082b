// What an HTTP service makes while it runs: the lines that begin each answer, and blocks for answers that are its own
// to write. Both are counted by who refers to them and used again when nobody does. Of the service's lcore alone.
//
// Theory of operation. What is sent must stay unchanged until it is acknowledged, and Date changes each second. So the
// lines that begin an answer lie in a few versions; the first answer of a second writes the next one, all statuses at
// once. What is asked often is copied into a block, lines and all, once a second: it stays one slice. With every version
// in use (peers that acknowledge nothing for so many seconds) Date stays behind; without a block, an answer is sent from
// where its parts lie, and a range as the whole.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "apps/http_content.h"
#include "apps/http_date.h"
#include "apps/service.h"

namespace sluice::apps {

class HttpLeads {
 public:
  static constexpr size_t kLongest = 112;

  class Version final : public Counted {
   public:
    struct Lead {
      std::array<char, kLongest> text;
      uint32_t n = 0;
    };
    const Lead& lead(unsigned line, bool last) const { return lead_[line][last]; }
    void add() override { users_++; }
    void release() override { users_--; }

   private:
    friend class HttpLeads;
    uint64_t users_ = 0;
    std::array<std::array<Lead, 2>, kHttpStatuses> lead_;
  };

  HttpLeads();
  // Of this second since 1970, or of the last one that could be written.
  Version& at(int64_t second) {
    if (second != second_) [[unlikely]] write(second);
    return version_[current_];
  }
  bool idle() const;

 private:
  static constexpr unsigned kVersions = 40;  // more than an answer may wait to be acknowledged, in seconds
  void write(int64_t second);

  std::vector<Version> version_;
  unsigned current_ = 0;
  int64_t second_ = -1;
};

class HttpBlocks {
 public:
  static constexpr uint32_t kRoom = 1000;

  // Counted once for who took it.
  class Block final : public Counted {
   public:
    std::array<uint8_t, kRoom> bytes;
    uint32_t n = 0;

    void append(const void* from, size_t length) {
      std::memcpy(bytes.data() + n, from, length);
      n += static_cast<uint32_t>(length);
    }
    void add() override { users_++; }
    void release() override {
      if (--users_ == 0) owner_->free_.push_back(this);
    }

   private:
    friend class HttpBlocks;
    HttpBlocks* owner_ = nullptr;
    uint32_t users_ = 0;
  };

  HttpBlocks();
  HttpBlocks(const HttpBlocks&) = delete;
  Block* take();  // empty; null: all are in use
  bool idle() const { return free_.size() == block_.size(); }

 private:
  static constexpr unsigned kBlocks = 512;
  std::vector<Block> block_;
  std::vector<Block*> free_;
};

}  // namespace sluice::apps
