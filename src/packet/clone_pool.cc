#include "packet/clone_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

namespace sluice {

Result<std::unique_ptr<ClonePool>> ClonePool::create(const std::string& name, unsigned clones, unsigned cache) {
  // Devices read the bytes that a clone refers to, never the clone: any memory will do.
  rte_mempool* p = rte_mempool_create_empty(name.c_str(), clones, sizeof(rte_mbuf), cache, sizeof(rte_pktmbuf_pool_private),
                                            SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (!p) return Error{"cannot make the pool " + name + ": " + rte_strerror(rte_errno)};
  std::unique_ptr<ClonePool> self(new ClonePool(p));
  if (rte_mempool_set_ops_byname(p, "ring_mp_mc", nullptr) != 0)
    return Error{"DPDK's mempool driver 'ring_mp_mc' is missing"};
  rte_pktmbuf_pool_private no_room{};
  rte_pktmbuf_pool_init(p, &no_room);
  if (rte_mempool_populate_anon(p) != static_cast<int>(clones))
    return Error{"no memory for " + std::to_string(clones) + " references to packets: lower system.packets"};
  rte_mempool_obj_iter(p, rte_pktmbuf_init, nullptr);
  return self;
}

}  // namespace sluice
