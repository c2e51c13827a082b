// Where benchmark traffic ends: frees bursts with one mempool call where the mbufs allow it.
#pragma once

#include <rte_mbuf.h>

#include <vector>

#include "base/counter.h"
#include "base/limits.h"

namespace sluice::port {

class alignas(64) Sink {
 public:
  void take(rte_mbuf** pkts, unsigned n) {
    taken_.add(n);
    rte_mbuf* spare[kMaxBurst];
    unsigned k = 0;
    rte_mempool* pool = n > 0 ? pkts[0]->pool : nullptr;
    for (unsigned i = 0; i < n; i++) {
      rte_mbuf* m = pkts[i];
      // Sole owner, direct, unchained, of the same pool: goes back with the others in one call.
      if (rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) && !m->next && m->pool == pool && k < kMaxBurst)
          [[likely]]
        spare[k++] = m;
      else
        rte_pktmbuf_free(m);
    }
    if (k > 0) rte_mempool_put_bulk(pool, reinterpret_cast<void**>(spare), k);
  }
  uint64_t taken() const { return taken_.get(); }

 private:
  Counter taken_;
};

inline uint64_t sunk(const std::vector<Sink>& sinks) {
  uint64_t n = 0;
  for (auto& s : sinks) n += s.taken();
  return n;
}

}  // namespace sluice::port
