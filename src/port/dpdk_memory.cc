#include "port/dpdk_memory.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include <map>

namespace sluice::port {

namespace {

// Drivers hand buf_iova to the device. In VA mode an address is its own IOVA; the pool was filled before
// anybody knew.
void set_iova(rte_mempool*, void*, void* object, unsigned) {
  auto* m = static_cast<rte_mbuf*>(object);
  rte_mbuf_iova_set(m, reinterpret_cast<uintptr_t>(m->buf_addr));
}

std::map<const PacketPool*, std::weak_ptr<PoolRegistration>>& registrations() {
  static std::map<const PacketPool*, std::weak_ptr<PoolRegistration>> all;  // control thread only
  return all;
}

}  // namespace

Result<std::shared_ptr<PoolRegistration>> PoolRegistration::of(PacketPool& pool) {
  if (auto known = registrations()[&pool].lock()) return known;
  const size_t page = pool.huge() ? 2u << 20 : 4096;
  if (rte_extmem_register(pool.memory(), pool.memory_size(), nullptr,
                          static_cast<unsigned>(pool.memory_size() / page), page) != 0)
    return Error{std::string("DPDK does not take the packet pool's memory: ") + rte_strerror(rte_errno)};
  std::shared_ptr<PoolRegistration> self(new PoolRegistration(pool));
  rte_mempool_obj_iter(pool.mempool(), set_iova, nullptr);
  registrations()[&pool] = self;
  return self;
}

PoolRegistration::~PoolRegistration() {
  rte_extmem_unregister(pool_.memory(), pool_.memory_size());
  registrations().erase(&pool_);
}

Status PoolRegistration::map(rte_device* device, bool real) {
  if (!real) return {};
  if (rte_eal_iova_mode() != RTE_IOVA_VA)
    return Error{
        "it needs physical addresses, which sluice does not hand out: bind it to vfio-pci, with the IOMMU "
        "on (intel_iommu=on or amd_iommu=on) or vfio's enable_unsafe_noiommu_mode"};
  auto address = reinterpret_cast<uintptr_t>(pool_.memory());
  // ENOTSUP: the bus has no mapping of its own (a bifurcated driver registers memory by itself).
  if (rte_dev_dma_map(device, pool_.memory(), address, pool_.memory_size()) != 0 && rte_errno != ENOTSUP)
    return Error{std::string("the IOMMU does not take the packet pool's memory: ") + rte_strerror(rte_errno) +
                 " (see ulimit -l)"};
  return {};
}

void PoolRegistration::unmap(rte_device* device) {
  rte_dev_dma_unmap(device, pool_.memory(), reinterpret_cast<uintptr_t>(pool_.memory()), pool_.memory_size());
}

}  // namespace sluice::port
