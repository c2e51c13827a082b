// The packet pool: one block of memory, mbufs that carry a Meta in their private area, and chunks laid
// out so that the block can serve as an AF_XDP UMEM (architecture: the mbuf pool IS the UMEM).
//
// Layout of a 4096-byte chunk: mempool object header · rte_mbuf · Meta (kMbufPrivate) · headroom · data.
// Chunks are aligned to their size, so chunk(address) = address & ~4095.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"

namespace sluice {

class PacketPool {
 public:
  static constexpr size_t kChunk = 4096;

  struct Options {
    unsigned packets = 8192;
    unsigned cache = 256;     // per lcore
    int numa_node = -1;       // -1: any
    bool huge_pages = true;   // try MAP_HUGETLB first, then MADV_HUGEPAGE
  };
  // EAL must be up. Control thread only.
  static Result<std::unique_ptr<PacketPool>> create(const std::string& name, const Options& o);
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;

  rte_mempool* mempool() const { return pool_; }
  std::byte* memory() const { return memory_; }  // chunk-aligned
  size_t memory_size() const { return size_; }   // a multiple of kChunk
  int memory_fd() const { return fd_; }          // the memfd behind it
  bool huge() const { return huge_; }
  // From the chunk's start to the mbuf, and from there to the end of the private area.
  size_t mbuf_offset() const { return mbuf_offset_; }
  size_t data_offset() const;       // from the chunk's start to buf_addr: what AF_XDP calls frame headroom
  unsigned size() const { return packets_; }
  unsigned in_use() const { return rte_mempool_in_use_count(pool_); }
  // The mbuf whose chunk holds this address of memory().
  rte_mbuf* mbuf_at(size_t offset_in_memory) const {
    return reinterpret_cast<rte_mbuf*>(memory_ + (offset_in_memory & ~(kChunk - 1)) + mbuf_offset_);
  }

 private:
  PacketPool() = default;
  rte_mempool* pool_ = nullptr;
  std::byte* memory_ = nullptr;
  size_t size_ = 0, mbuf_offset_ = 0;
  unsigned packets_ = 0;
  int fd_ = -1;
  bool huge_ = false;
};

}  // namespace sluice
