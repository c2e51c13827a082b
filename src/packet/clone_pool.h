// mbufs without bytes of their own, which refer to those of others (rte_pktmbuf_attach). A pool apart: they are an
// eighth of a packet's size, and what is sent by reference cannot take the buffers that receiving needs.
#pragma once

#include <rte_mempool.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace sluice {

class ClonePool {
 public:
  // EAL must be up. Control thread only.
  static Result<std::unique_ptr<ClonePool>> create(const std::string& name, unsigned clones, unsigned cache);
  ~ClonePool() { rte_mempool_free(pool_); }
  ClonePool(const ClonePool&) = delete;

  rte_mempool* mempool() const { return pool_; }
  unsigned in_use() const { return rte_mempool_in_use_count(pool_); }

 private:
  explicit ClonePool(rte_mempool* p) : pool_(p) {}
  rte_mempool* const pool_;
};

}  // namespace sluice
