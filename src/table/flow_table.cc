#include "table/flow_table.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace sluice {

namespace {

constexpr size_t kHugePage = 2u << 20;
constexpr int kPreferred = 1;  // MPOL_PREFERRED, from <linux/mempolicy.h>

// Preferred, not bound: a node that is full must not stop the box from starting.
void prefer_node(void* p, size_t size, int node) {
  if (node < 0 || node > 62) return;
  const unsigned long mask = 1ul << node;
  syscall(SYS_mbind, p, size, kPreferred, &mask, 64ul, 0ul);
}

}  // namespace

MappedMemory::MappedMemory(size_t bytes, int numa_node)
    : p_(nullptr), size_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
  // One page more, of which the unaligned ends are given back: huge pages need their alignment.
  void* raw = mmap(nullptr, size_ + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw std::bad_alloc();
  const uintptr_t start = reinterpret_cast<uintptr_t>(raw), aligned = (start + kHugePage - 1) & ~(kHugePage - 1);
  if (aligned > start) munmap(raw, aligned - start);
  if (start + kHugePage > aligned)
    munmap(reinterpret_cast<void*>(aligned + size_), start + kHugePage - aligned);
  p_ = reinterpret_cast<std::byte*>(aligned);

  prefer_node(p_, size_, numa_node);
  madvise(p_, size_, MADV_HUGEPAGE);
  if (madvise(p_, size_, MADV_POPULATE_WRITE) != 0) {  // Linux before 5.14
    for (size_t i = 0; i < size_; i += 4096) *static_cast<volatile std::byte*>(p_ + i) = std::byte{0};
  }
}

MappedMemory::~MappedMemory() { munmap(p_, size_); }

}  // namespace sluice
