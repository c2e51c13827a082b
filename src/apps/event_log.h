// Records of what services did, from one lcore to the control thread: a ring of fixed records with one writer and one
// reader. Limited in rate, and where it is full the record is counted and lost: no service waits for its log.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/counter.h"
#include "sluice/app.h"

namespace sluice::apps {

struct LogRecord {
  enum class Kind : uint8_t { request, session, backend_up, backend_down, refused } kind = Kind::session;
  app::Failure failure = app::Failure::none;  // session: how it ended
  uint16_t service = 0;        // its number (Service::number)
  uint16_t status = 0;         // request: HTTP status
  uint16_t attempts = 0;       // session: backends tried
  int64_t at = 0;              // nanoseconds of the lcore's clock
  int64_t duration = 0;        // session: nanoseconds
  app::Endpoint client, local, backend;
  uint64_t bytes_in = 0, bytes_out = 0;  // from and to the client
  char target[64]{};           // request: its beginning, as it came; not terminated where it is longer
};

class EventLog {
 public:
  static constexpr uint32_t kRecords = 4096;
  static constexpr unsigned kPerSecond = 1000, kBurst = 1000;

  // --- the lcore
  // Null: over the rate, or full. What is returned is filled in and then committed.
  LogRecord* begin(int64_t now) {
    if (now - refilled_ >= kNsPerRecord) {
      const int64_t n = (now - refilled_) / kNsPerRecord;
      tokens_ = static_cast<unsigned>(n > kBurst ? kBurst : tokens_ + n > kBurst ? kBurst : tokens_ + n);
      refilled_ += n * kNsPerRecord;
    }
    const uint32_t at = written_.load(std::memory_order_relaxed);
    if (tokens_ == 0 || at - read_.load(std::memory_order_acquire) == kRecords) {
      suppressed.add(1);
      return nullptr;
    }
    tokens_--;
    LogRecord& r = ring_[at % kRecords];
    r = LogRecord{};
    r.at = now;
    return &r;
  }
  void commit() { written_.store(written_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

  // --- the control thread
  unsigned drain(std::span<LogRecord> out) {
    const uint32_t from = read_.load(std::memory_order_relaxed), to = written_.load(std::memory_order_acquire);
    unsigned n = 0;
    for (; n < out.size() && from + n != to; n++) out[n] = ring_[(from + n) % kRecords];
    read_.store(from + n, std::memory_order_release);
    return n;
  }

  Counter suppressed;  // records that were not written

 private:
  static constexpr int64_t kNsPerRecord = 1'000'000'000 / kPerSecond;
  std::array<LogRecord, kRecords> ring_;
  alignas(64) std::atomic<uint32_t> written_{0};
  unsigned tokens_ = kBurst;
  int64_t refilled_ = 0;
  alignas(64) std::atomic<uint32_t> read_{0};
};

}  // namespace sluice::apps
