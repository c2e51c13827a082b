// The mbufs that TCP and its applications keep: received ones until the application is done with them, made ones
// until they are acknowledged. Each is counted from the moment it is kept until it is freed, so that the audit can
// compare the pool's occupancy with what its users say they hold. One stack engine's; single-threaded.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace sluice {

class Buffers {
 public:
  // `most`: how many may be kept; the rest of the pool stays for ports and rings.
  Buffers(rte_mempool* pool, uint32_t most) : pool_(pool), most_(most) {}

  // Null: as many are kept as may be, or the pool is empty.
  rte_mbuf* make() {
    if (held_ >= most_) return nullptr;
    rte_mbuf* m = rte_pktmbuf_alloc(pool_);
    held_ += m != nullptr;
    return m;
  }
  // A received mbuf is kept from now on. false: the limit is reached, and it is not.
  bool adopt(const rte_mbuf*) {
    if (held_ >= most_) return false;
    held_++;
    return true;
  }
  void free(rte_mbuf* m) {
    held_--;
    rte_pktmbuf_free(m);
  }

  uint32_t held() const { return held_; }
  uint32_t most() const { return most_; }
  rte_mempool* pool() const { return pool_; }

 private:
  rte_mempool* pool_;
  uint32_t most_, held_ = 0;
};

}  // namespace sluice
