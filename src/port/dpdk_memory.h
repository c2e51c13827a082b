// Makes a packet pool usable by DPDK's drivers: its memory is ours (a memfd), not EAL's.
#pragma once

#include <rte_dev.h>

#include <memory>

#include "base/result.h"
#include "packet/pool.h"

namespace sluice::port {

// Known to EAL as external memory for as long as this lives; several ports share one.
class PoolRegistration {
 public:
  static Result<std::shared_ptr<PoolRegistration>> of(PacketPool& pool);
  ~PoolRegistration();
  PoolRegistration(const PoolRegistration&) = delete;

  // For devices that reach memory through an IOMMU. No device but a real one wants it.
  Status map(rte_device* device, bool real);
  void unmap(rte_device* device);

 private:
  explicit PoolRegistration(PacketPool& pool) : pool_(pool) {}
  PacketPool& pool_;
};

}  // namespace sluice::port
