#include "port/xdp_mirror.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "wire/headers.h"

namespace sluice::port {

namespace {

constexpr unsigned kFrameSize = 2048, kFrames = 128, kBlockSize = 65536;
constexpr size_t kRingSize = size_t{kFrameSize} * kFrames;

// ARP, and ICMPv6 types 133 to 137 right behind the IPv6 header. One VLAN tag is out of the bytes by then:
// the kernel has put it beside the frame. The same choice as `shared` in bpf/early_drop.bpf.c.
sock_filter kArpAndNd[] = {
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 7, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 6),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 58, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 40),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 133, 0, 1),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 137, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, 0xffff),
};

template <class T>
bool set(int fd, int option, const T& value) {
  return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0;
}

tpacket2_hdr* header_of(std::byte* frame) {
  return reinterpret_cast<tpacket2_hdr*>(frame);
}

uint32_t status_of(std::byte* frame) {
  return std::atomic_ref(header_of(frame)->tp_status).load(std::memory_order_acquire);
}

}  // namespace

Status XdpMirror::open(int ifindex, PacketPool& pool, uint16_t port_index) {
  pool_ = pool.mempool();
  port_index_ = port_index;
  next_ = 0;
  fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);  // protocol 0: receives nothing before bind
  const sock_fprog filter{static_cast<unsigned short>(std::size(kArpAndNd)), kArpAndNd};
  const tpacket_req request{kBlockSize, kRingSize / kBlockSize, kFrameSize, kFrames};
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  const bool ok = fd_ >= 0 && setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0 &&
                  set(fd_, PACKET_IGNORE_OUTGOING, 1) && set(fd_, PACKET_VERSION, int{TPACKET_V2}) &&
                  set(fd_, PACKET_RX_RING, request);
  void* ring =
      ok ? mmap(nullptr, kRingSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, 0) : MAP_FAILED;
  if (ring != MAP_FAILED) ring_ = static_cast<std::byte*>(ring);
  if (!ring_ || bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int e = errno;
    close();
    return Error{std::string("cannot listen to ARP and neighbour discovery beside the kernel: ") +
                 std::strerror(e)};
  }
  return {};
}

void XdpMirror::close() {
  if (ring_) munmap(std::exchange(ring_, nullptr), kRingSize);
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::byte* XdpMirror::frame(unsigned i) const {
  return ring_ + size_t{i} * kFrameSize;
}

bool XdpMirror::ready() const {
  return ring_ && (status_of(frame(next_)) & TP_STATUS_USER);
}

unsigned XdpMirror::poll(rte_mbuf** pkts, unsigned n) {
  unsigned got = 0;
  for (; got < n && ready(); next_ = (next_ + 1) % kFrames) {
    tpacket2_hdr* h = header_of(frame(next_));
    const unsigned tag = h->tp_status & TP_STATUS_VLAN_VALID ? sizeof(wire::VlanTag) : 0;
    constexpr unsigned kAddresses = 2 * sizeof(Mac);
    rte_mbuf* m = h->tp_snaplen > kAddresses ? rte_pktmbuf_alloc(pool_) : nullptr;
    if (!m) no_mbuf_.add(1);
    if (m) {
      const auto length = static_cast<uint16_t>(h->tp_snaplen + tag);
      auto* to = reinterpret_cast<std::byte*>(rte_pktmbuf_append(m, length));
      const std::byte* from = frame(next_) + h->tp_mac;
      std::memcpy(to, from, kAddresses);
      if (tag) {
        const auto tpid =
            be16::from(h->tp_status & TP_STATUS_VLAN_TPID_VALID ? h->tp_vlan_tpid : wire::kEthVlan);
        const auto tci = be16::from(h->tp_vlan_tci);
        std::memcpy(to + kAddresses, &tpid, sizeof tpid);
        std::memcpy(to + kAddresses + sizeof tpid, &tci, sizeof tci);
      }
      std::memcpy(to + kAddresses + tag, from + kAddresses, h->tp_snaplen - kAddresses);
      m->port = port_index_;
      pkts[got++] = m;
    }
    std::atomic_ref(h->tp_status).store(TP_STATUS_KERNEL, std::memory_order_release);
  }
  received_.add(got);
  return got;
}

uint64_t XdpMirror::dropped() {
  tpacket_stats s{};
  socklen_t length = sizeof s;
  if (fd_ >= 0 && getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &s, &length) == 0) dropped_ += s.tp_drops;
  return dropped_;
}

}  // namespace sluice::port
