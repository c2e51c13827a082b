#include "packet/pool.h"

#include <fcntl.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "packet/meta.h"

namespace sluice {

namespace {

constexpr size_t kHugePage = 2u << 20;

struct Region {
  void* p = MAP_FAILED;
  int fd = -1;
  bool huge = false;
};

// What can be had without pushing other programs out (MemAvailable); all there is where the kernel does not say.
size_t available_memory() {
  std::ifstream f("/proc/meminfo");
  for (std::string word; f >> word;) {
    size_t kib = 0;
    if (word == "MemAvailable:" && f >> kib) return kib << 10;
  }
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Every page is there on return, so that none is missing later, in the middle of a packet.
bool populate(void* p, size_t size) {
  madvise(p, size, MADV_HUGEPAGE);
  if (madvise(p, size, MADV_POPULATE_WRITE) == 0) return true;
  if (errno != EINVAL) return false;  // EINVAL: a kernel before 5.14
  for (size_t i = 0; i < size; i += 4096) static_cast<volatile char*>(p)[i] = 0;
  return true;
}

Region map_region(const std::string& name, size_t size, bool want_huge) {
  Region r;
  if (want_huge) {
    r.fd = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_HUGETLB);
    if (r.fd >= 0 && ftruncate(r.fd, static_cast<off_t>(size)) == 0)
      r.p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r.fd, 0);
    r.huge = r.p != MAP_FAILED;
    if (!r.huge && r.fd >= 0) close(r.fd);
  }
  if (!r.huge) {
    // Asked first: the kernel would hand out what it does not have, and kill somebody for it.
    r.fd = -1;
    if (size > available_memory()) return r;
    r.fd = memfd_create(name.c_str(), MFD_CLOEXEC);
    if (r.fd < 0 || ftruncate(r.fd, static_cast<off_t>(size)) != 0) return r;
    r.p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
    if (r.p != MAP_FAILED && !populate(r.p, size)) {
      munmap(r.p, size);
      r.p = MAP_FAILED;
    }
  }
  return r;
}

}  // namespace

Result<std::unique_ptr<PacketPool>> PacketPool::create(const std::string& name, const Options& o) {
  std::unique_ptr<PacketPool> self(new PacketPool);
  const size_t size = (size_t{o.packets} * kChunk + kHugePage - 1) / kHugePage * kHugePage;
  Region r = map_region("sluice-" + name, size, o.huge_pages);
  if (r.p == MAP_FAILED) {
    if (r.fd >= 0) close(r.fd);
    return Error{"no memory for " + std::to_string(o.packets) + " packets (" + std::to_string(size >> 20) +
                 " MiB): lower memory.packets"};
  }
  self->fd_ = r.fd;
  self->huge_ = r.huge;
  self->memory_ = static_cast<std::byte*>(r.p);
  self->size_ = size;
  self->packets_ = o.packets;

  // NO_SPREAD keeps DPDK from padding objects over memory channels: each must fill one chunk exactly.
  rte_mempool_objsz sz;
  rte_mempool_calc_obj_size(static_cast<uint32_t>(sizeof(rte_mbuf)), RTE_MEMPOOL_F_NO_SPREAD, &sz);
  const uint32_t elt = static_cast<uint32_t>(kChunk - sz.header_size - sz.trailer_size);
  self->pool_ = rte_mempool_create_empty(name.c_str(), o.packets, elt, o.cache, sizeof(rte_pktmbuf_pool_private),
                                         o.numa_node, RTE_MEMPOOL_F_NO_SPREAD);
  if (!self->pool_) return Error{"cannot make the packet pool " + name + ": " + rte_strerror(rte_errno)};
  rte_pktmbuf_pool_private priv{};
  priv.mbuf_data_room_size = static_cast<uint16_t>(elt - sizeof(rte_mbuf) - kMbufPrivate);
  priv.mbuf_priv_size = kMbufPrivate;
  if (rte_mempool_set_ops_byname(self->pool_, "ring_mp_mc", nullptr) != 0)
    return Error{"DPDK's mempool driver 'ring_mp_mc' is missing"};
  rte_pktmbuf_pool_init(self->pool_, &priv);
  int n = rte_mempool_populate_iova(self->pool_, reinterpret_cast<char*>(self->memory_), RTE_BAD_IOVA,
                                    size_t{o.packets} * kChunk, nullptr, nullptr);
  if (n != static_cast<int>(o.packets))
    return Error{"the packet pool took " + std::to_string(n) + " of " + std::to_string(o.packets) + " packets"};
  rte_mempool_obj_iter(self->pool_, rte_pktmbuf_init, nullptr);
  self->mbuf_offset_ = sz.header_size;
  return self;
}

PacketPool::~PacketPool() {
  rte_mempool_free(pool_);
  if (memory_) munmap(memory_, size_);
  if (fd_ >= 0) close(fd_);
}

size_t PacketPool::data_offset() const { return mbuf_offset_ + sizeof(rte_mbuf) + kMbufPrivate; }

}  // namespace sluice
