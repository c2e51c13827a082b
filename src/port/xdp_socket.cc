#include "port/xdp_socket.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::port {

namespace {

// Newer than the libc and kernel headers that Debian 12 builds with.
#ifndef SO_PREFER_BUSY_POLL
constexpr int SO_PREFER_BUSY_POLL = 69;
#endif
#ifndef SO_BUSY_POLL_BUDGET
constexpr int SO_BUSY_POLL_BUDGET = 70;
#endif
constexpr int kMaxTxBudget =
    9;  // XDP_MAX_TX_SKB_BUDGET, Linux 6.17: frames a sendto takes in copy mode, instead of 32

bool set(int fd, int level, int option, const void* value, size_t size) {
  return setsockopt(fd, level, option, value, static_cast<socklen_t>(size)) == 0;
}
bool set(int fd, int level, int option, int value) {
  return set(fd, level, option, &value, sizeof value);
}

}  // namespace

Status XdpSocket::fail(const char* step) {
  error_ = errno;
  return Error{std::string(step) + ": " + std::strerror(error_)};
}

Status XdpSocket::open(const Options& o, const PacketPool& pool) {
  error_ = 0;
  fd_ = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    const Status why = fail("no AF_XDP socket");
    if (error_ == EAFNOSUPPORT) return Error{"this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)"};
    if (error_ == EPERM)
      return Error{"this user may not open AF_XDP sockets: run as root, or with CAP_NET_RAW"};
    return why;
  }
  Status s = configure(o, pool);
  if (!s) {
    const int e = error_;
    close();
    error_ = e;
  }
  return s;
}

Status XdpSocket::configure(const Options& o, const PacketPool& pool) {
  xdp_umem_reg umem{};
  umem.addr = reinterpret_cast<uintptr_t>(pool.memory());
  umem.len = pool.memory_size();
  umem.chunk_size = PacketPool::kChunk;
  // The kernel leaves XDP_PACKET_HEADROOM (256 bytes) behind it: the headroom of the mbuf.
  umem.headroom = static_cast<uint32_t>(pool.data_offset());
  if (!set(fd_, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem)) {
    Status why = fail("cannot register the packet pool as UMEM");
    rlimit limit{};
    if (error_ == ENOBUFS && getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
      return Error{"the packet pool (" + std::to_string(umem.len >> 20) +
                   " MiB) is over the limit on locked memory (" + std::to_string(limit.rlim_cur >> 20) +
                   " MiB): run as root, give CAP_IPC_LOCK, or raise RLIMIT_MEMLOCK"};
    return why;
  }
  const auto size = static_cast<int>(o.ring_size);
  for (int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING})
    if (!set(fd_, SOL_XDP, ring, size)) return fail("cannot make the socket's rings");
  if (Status s = map_rings(o.ring_size); !s) return s;

  // In copy mode each frame sent is an skb on this socket's account until the other side took it.
  const int send_buffer = static_cast<int>(o.ring_size * PacketPool::kChunk);
  if (!set(fd_, SOL_SOCKET, SO_SNDBUFFORCE, send_buffer)) set(fd_, SOL_SOCKET, SO_SNDBUF, send_buffer);
  set(fd_, SOL_XDP, kMaxTxBudget, std::min(size, 256));
  if (o.busy_poll) {
    const bool ok = set(fd_, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1) && set(fd_, SOL_SOCKET, SO_BUSY_POLL, 20) &&
                    set(fd_, SOL_SOCKET, SO_BUSY_POLL_BUDGET, 64);
    if (!ok) return fail("this kernel has no busy polling for AF_XDP (Linux 5.11): take busy-poll out");
  }

  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<uint32_t>(o.ifindex);
  address.sxdp_queue_id = o.queue;
  address.sxdp_flags = static_cast<uint16_t>(XDP_USE_NEED_WAKEUP | (o.zero_copy ? XDP_ZEROCOPY : XDP_COPY));
  // A queue that another socket had a moment ago is given free by a kernel worker, a little later.
  for (int tries = 0; bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0; tries++) {
    if (errno != EBUSY || tries == 200) return fail("bind");
    usleep(5000);
  }
  return {};
}

Status XdpSocket::map_rings(uint32_t ring_size) {
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd_, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) return fail("XDP_MMAP_OFFSETS");
  const auto map = [&](Map& m, uint64_t where, const xdp_ring_offset& o, size_t entry) {
    m.size = o.desc + ring_size * entry;
    m.at = mmap(nullptr, m.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_,
                static_cast<off_t>(where));
    if (m.at == MAP_FAILED) m.at = nullptr;
    return static_cast<std::byte*>(m.at);
  };
  std::byte* fr = map(maps_[0], XDP_UMEM_PGOFF_FILL_RING, offsets.fr, sizeof(uint64_t));
  std::byte* cr = map(maps_[1], XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, sizeof(uint64_t));
  std::byte* rx = map(maps_[2], XDP_PGOFF_RX_RING, offsets.rx, sizeof(xdp_desc));
  std::byte* tx = map(maps_[3], XDP_PGOFF_TX_RING, offsets.tx, sizeof(xdp_desc));
  if (!fr || !cr || !rx || !tx) return fail("cannot map the socket's rings");
  fill.attach(fr, offsets.fr, ring_size);
  completion.attach(cr, offsets.cr, ring_size);
  receive.attach(rx, offsets.rx, ring_size);
  transmit.attach(tx, offsets.tx, ring_size);
  return {};
}

void XdpSocket::close() {
  for (Map& m : maps_)
    if (m.at) munmap(std::exchange(m.at, nullptr), m.size);
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int XdpSocket::kick_transmit() {
  return sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0;
}

void XdpSocket::kick_receive() {
  recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

bool XdpSocket::zero_copy() const {
  xdp_options o{};
  socklen_t length = sizeof o;
  return getsockopt(fd_, SOL_XDP, XDP_OPTIONS, &o, &length) == 0 && (o.flags & XDP_OPTIONS_ZEROCOPY);
}

xdp_statistics XdpSocket::statistics() const {
  xdp_statistics s{};
  socklen_t length = sizeof s;
  getsockopt(fd_, SOL_XDP, XDP_STATISTICS, &s, &length);
  return s;
}

unsigned XdpSocket::napi_id() const {
  unsigned id = 0;
  socklen_t length = sizeof id;
  return getsockopt(fd_, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length) == 0 ? id : 0;
}

}  // namespace sluice::port
