// The ways between engines: a ring of mbufs, and the bell that wakes its reader.
//
// No wake-up is lost, and no system call is made while the reader is awake. The reader that wants to sleep
// writes "asleep" and then looks at its rings; the writer fills the ring and then looks for "asleep". A full
// fence stands between the two steps on both sides, so at least one of them sees the other's store
// (Dekker). Whoever takes the flag back writes the eventfd, once.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <atomic>
#include <memory>
#include <vector>

#include "base/instant.h"

namespace sluice::engine {

class Bell {
 public:
  Bell();
  ~Bell();
  Bell(const Bell&) = delete;

  // --- any thread: after something was left for the reader
  void ring() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed)) wake();
  }

  // --- the reader
  void going_to_sleep() {
    asleep_.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  // Back to work. Returns when the bell was rung, or never() if it was not. A ring is looked for only where the
  // descriptor was `readable`; one that is missed ends the next sleep at once, and does no harm.
  Instant awake(bool readable);
  int fd() const { return fd_; }
  bool asleep() const { return asleep_.load(std::memory_order_relaxed); }

 private:
  void wake();
  int fd_;
  std::atomic<bool> asleep_{false};
  std::atomic<int64_t> rung_at_{0};
};

class Handoff {
 public:
  enum class Writers : uint8_t { one, many };
  // `size` is a power of two, of which size - 1 slots are usable. The bell is the reader's, and may be null
  // where the reader never sleeps.
  Handoff(unsigned size, Writers writers, Bell* bell);

  // Takes the first `returned` of n; the rest stay the caller's. `room`: how many more it would have taken then.
  unsigned send(rte_mbuf* const* pkts, unsigned n, unsigned* room = nullptr) {
    const unsigned sent = rte_ring_enqueue_burst(ring_.get(), slots(pkts), n, room);
    if (sent && bell_) bell_->ring();
    return sent;
  }
  unsigned receive(rte_mbuf** pkts, unsigned n) {
    return rte_ring_sc_dequeue_burst(ring_.get(), reinterpret_cast<void**>(pkts), n, nullptr);
  }
  // What it holds, in order. While neither end is in use.
  std::vector<const rte_mbuf*> contents() const;
  unsigned count() const { return rte_ring_count(ring_.get()); }
  unsigned size() const { return rte_ring_get_capacity(ring_.get()); }
  bool empty() const { return rte_ring_empty(ring_.get()); }

 private:
  static void* const* slots(rte_mbuf* const* pkts) {
    return reinterpret_cast<void* const*>(const_cast<rte_mbuf**>(pkts));
  }
  struct Free {
    void operator()(rte_ring* r) const;
  };
  std::unique_ptr<rte_ring, Free> ring_;
  Bell* bell_;
};

}  // namespace sluice::engine
