// One AF_XDP socket: a UMEM over the packet pool's memory, its four rings, bound to one queue of a device.
//
// The rings are the kernel's own (net/xdp/xsk_queue.h): single producer, single consumer, free-running 32-bit
// indices; the producer's index is stored with release after the entries, and loaded with acquire before
// they are read. `fill` and `transmit` are ours to produce, `receive` and `completion` ours to consume.
//
// open and close belong to the control thread, the rings to the queue's lcore.
#pragma once

#include <linux/if_xdp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/result.h"
#include "packet/pool.h"

namespace sluice::port {

template <class Entry>
class XdpRing {
 public:
  void attach(std::byte* map, const xdp_ring_offset& o, uint32_t size) {
    producer_ = reinterpret_cast<uint32_t*>(map + o.producer);
    consumer_ = reinterpret_cast<uint32_t*>(map + o.consumer);
    flags_ = reinterpret_cast<uint32_t*>(map + o.flags);
    entries_ = reinterpret_cast<Entry*>(map + o.desc);
    mask_ = size - 1;
    mine_ = theirs_ = 0;
  }

  Entry& operator[](uint32_t i) { return entries_[(mine_ + i) & mask_]; }
  bool needs_wakeup() const {
    return std::atomic_ref(*flags_).load(std::memory_order_relaxed) & XDP_RING_NEED_WAKEUP;
  }

  // Producer: room for at least `n` entries if there is; looks at the kernel's index only when it must.
  uint32_t room(uint32_t n) {
    uint32_t free = mask_ + 1 - (mine_ - theirs_);
    if (free < n) {
      theirs_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
      free = mask_ + 1 - (mine_ - theirs_);
    }
    return free;
  }
  void submit(uint32_t n) {  // the entries [0, n) are written
    mine_ += n;
    std::atomic_ref(*producer_).store(mine_, std::memory_order_release);
  }
  // Entries that are there for whoever consumes them. Any thread, while the ring is mapped.
  uint32_t filled() const {
    const uint32_t taken = std::atomic_ref(*consumer_).load(std::memory_order_relaxed);
    return std::min(std::atomic_ref(*producer_).load(std::memory_order_relaxed) - taken, mask_ + 1);
  }
  uint32_t pending() {  // submitted, not yet taken by the kernel
    theirs_ = std::atomic_ref(*consumer_).load(std::memory_order_acquire);
    return mine_ - theirs_;
  }

  // Consumer: how many entries, at most n, are there.
  uint32_t available(uint32_t n) {
    uint32_t there = theirs_ - mine_;
    if (there < n) {
      theirs_ = std::atomic_ref(*producer_).load(std::memory_order_acquire);
      there = theirs_ - mine_;
    }
    return there < n ? there : n;
  }
  void release(uint32_t n) {  // the entries [0, n) are read
    mine_ += n;
    std::atomic_ref(*consumer_).store(mine_, std::memory_order_release);
  }

 private:
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  Entry* entries_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t mine_ = 0, theirs_ = 0;  // free-running; `theirs_` as last seen
};

class XdpSocket {
 public:
  struct Options {
    int ifindex = 0;
    unsigned queue = 0;
    uint32_t ring_size = 2048;  // each ring; a power of two
    bool zero_copy = false;
    bool busy_poll = false;
  };
  XdpSocket() = default;
  XdpSocket(const XdpSocket&) = delete;
  ~XdpSocket() { close(); }

  Status open(const Options& o, const PacketPool& pool);
  void close();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  int error() const { return error_; }  // errno of the failed open

  // Tells the kernel to take what lies in `transmit`; returns errno.
  int kick_transmit();
  // Tells the driver that `fill` has entries again (and, busy polling, to look for frames).
  void kick_receive();

  bool zero_copy() const;  // what the kernel says it does
  xdp_statistics statistics() const;
  unsigned napi_id() const;  // 0: frames carry none, busy polling has nothing to poll

  XdpRing<uint64_t> fill, completion;
  XdpRing<xdp_desc> receive, transmit;

 private:
  Status configure(const Options& o, const PacketPool& pool);
  Status map_rings(uint32_t ring_size);
  Status fail(const char* step);
  struct Map {
    void* at = nullptr;
    size_t size = 0;
  };
  Map maps_[4];
  int fd_ = -1;
  int error_ = 0;
};

}  // namespace sluice::port
