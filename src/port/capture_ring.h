// Frames on their way from an lcore to the capture's writer: a ring of bytes with one producer and one
// consumer. The producer copies and never waits; what does not fit is counted as lost. Records are written
// first and published afterwards, so that those of frames which a device did not take can be left out.
#pragma once

#include <rte_mbuf.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/counter.h"
#include "base/instant.h"
#include "wire/headers.h"

namespace sluice::port {

class alignas(64) CaptureRing {
 public:
  static constexpr size_t kSize = 4u << 20;

  struct Record {
    uint32_t length = 0;  // of the frame; kSkip: the rest of the ring is unused
    uint32_t outbound = 0;
    int64_t time = 0;
  };

  // --- producer
  // Appends behind `at`, a position from begin() or an earlier put(); the same `at` where there is no room.
  uint64_t begin() const { return head_.load(std::memory_order_relaxed); }
  uint64_t put(uint64_t at, const rte_mbuf* m, Instant time, bool outbound) {
    const uint64_t need = step(m->pkt_len), to_end = kSize - at % kSize;
    const uint64_t start = need <= to_end ? at : at + to_end;
    if (start + need - tail_.load(std::memory_order_acquire) > kSize) {
      lost_.add(1);
      return at;
    }
    if (start != at) write(at, {kSkip, 0, 0});
    write(start, {m->pkt_len, outbound, time.ns});
    uint8_t* to = bytes_.get() + start % kSize + sizeof(Record);
    for (; m; m = m->next) {
      std::memcpy(to, rte_pktmbuf_mtod(m, const uint8_t*), m->data_len);
      to += m->data_len;
    }
    return start + need;
  }
  void publish(uint64_t at) { head_.store(at, std::memory_order_release); }

  // --- consumer
  template <class F>  // f(const Record&, wire::ConstBytes)
  void drain(F&& f) {
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    const uint64_t head = head_.load(std::memory_order_acquire);
    while (tail != head) {
      Record r;
      std::memcpy(&r, bytes_.get() + tail % kSize, sizeof r);
      if (r.length == kSkip) {
        tail += kSize - tail % kSize;
      } else {
        f(r, wire::ConstBytes{bytes_.get() + tail % kSize + sizeof r, r.length});
        tail += step(r.length);
      }
      tail_.store(tail, std::memory_order_release);
    }
  }
  uint64_t lost() const { return lost_.get(); }

 private:
  static constexpr uint32_t kSkip = UINT32_MAX;
  // Records are 16 bytes and start at multiples of 16, so that one always fits before the ring's end.
  static uint64_t step(uint32_t length) { return (sizeof(Record) + uint64_t{length} + 15) & ~uint64_t{15}; }
  static_assert(sizeof(Record) == 16);
  void write(uint64_t at, const Record& r) { std::memcpy(bytes_.get() + at % kSize, &r, sizeof r); }

  std::unique_ptr<uint8_t[]> bytes_ = std::make_unique<uint8_t[]>(kSize);
  alignas(64) std::atomic<uint64_t> head_{0};
  Counter lost_;
  alignas(64) std::atomic<uint64_t> tail_{0};
};

}  // namespace sluice::port
