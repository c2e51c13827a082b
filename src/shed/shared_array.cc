#include "shed/shared_array.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#ifdef SLUICE_AF_XDP
#include <bpf/bpf.h>
#endif

namespace sluice::shed {

namespace {

std::string size_text(size_t bytes) {
  return bytes < 1 << 20 ? std::to_string((bytes + 1023) >> 10) + " KiB"
                         : std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

#ifdef SLUICE_AF_XDP
Error refused(const char* name, size_t bytes, int error) {
  const std::string what = "the kernel gives early drop no map '" + std::string(name) + "' of " + size_text(bytes);
  if (error == EPERM) {
    rlimit limit{};
    const bool tight = geteuid() == 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return Error{what + (tight ? ": raise RLIMIT_MEMLOCK (" + std::to_string(limit.rlim_cur >> 20) +
                                     " MiB), which kernels before 5.11 charge maps to"
                               : ": run as root, or with CAP_BPF and CAP_NET_ADMIN")};
  }
  if (error == ENOMEM)
    return Error{what + ": out of memory; free some, or raise the memory limit of the service (its cgroup)"};
  if (error == EINVAL || error == E2BIG)
    return Error{what + ": it is too old for maps that user space can map (Linux 5.10 can); take driver: dpdk, or a newer "
                        "kernel"};
  return Error{what + ": " + std::strerror(error)};
}

Result<int> make_map(bpf_map_type type, const char* name, uint32_t value_size, uint32_t entries,
                     const bpf_map_create_opts& o) {
  const int fd = bpf_map_create(type, name, sizeof(uint32_t), value_size, entries, &o);
  if (fd < 0) return refused(name, size_t{value_size} * entries, errno);
  return fd;
}
#endif

}  // namespace

SharedArray::~SharedArray() {
  if (data_) munmap(data_, bytes_);
  if (fd_ >= 0) close(fd_);
}

Result<SharedArray> SharedArray::make(const Shape& s, bool kernel) {
  SharedArray a;
  a.bytes_ = size_t{s.value_size} * s.entries;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
#ifdef SLUICE_AF_XDP
  if (kernel) {
    LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE | (s.any_length ? uint32_t{BPF_F_INNER_MAP} : 0u));
    auto fd = make_map(BPF_MAP_TYPE_ARRAY, s.name, s.value_size, s.entries, o);
    if (!fd) return Error{fd.error()};
    a.fd_ = *fd;
    flags = MAP_SHARED;
  }
#else
  if (kernel) return Error{"this sluice is built without XDP (-Dbpf=disabled)"};
#endif
  a.data_ = mmap(nullptr, a.bytes_, PROT_READ | PROT_WRITE, flags, a.fd_, 0);
  if (a.data_ == MAP_FAILED) {
    a.data_ = nullptr;
    return Error{"no room for early drop's '" + std::string(s.name) + "' (" + size_text(a.bytes_) +
                 "): " + std::strerror(errno) + "; free memory, or allow more address space (RLIMIT_AS, vm.overcommit_memory)"};
  }
  return a;
}

#ifdef SLUICE_AF_XDP
Result<SharedArray> SharedArray::make_outer(const char* name, const SharedArray& like) {
  LIBBPF_OPTS(bpf_map_create_opts, o, .inner_map_fd = static_cast<uint32_t>(like.fd_));
  auto fd = make_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, name, sizeof(uint32_t), 2, o);
  if (!fd) return Error{fd.error()};
  SharedArray a;
  a.fd_ = *fd;
  return a;
}

// The kernel waits for running programs before a change of an array-of-maps returns.
Status SharedArray::put(uint32_t slot, const SharedArray& inner) const {
  const int rc = inner.fd_ >= 0 ? bpf_map_update_elem(fd_, &slot, &inner.fd_, BPF_ANY) : bpf_map_delete_elem(fd_, &slot);
  if (rc != 0 && errno != ENOENT)
    return Error{std::string("the kernel does not take a prefix list: ") + std::strerror(errno)};
  return {};
}
#else
Result<SharedArray> SharedArray::make_outer(const char*, const SharedArray&) {
  return Error{"this sluice is built without XDP (-Dbpf=disabled)"};
}
Status SharedArray::put(uint32_t, const SharedArray&) const {
  return {};
}
#endif

}  // namespace sluice::shed
