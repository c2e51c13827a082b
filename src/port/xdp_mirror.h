// The port's copy of the frames that the XDP program leaves to the kernel AND the box needs: ARP and IPv6
// neighbour discovery, while `kernel:` has rules. XDP cannot duplicate a frame, but a packet socket sees what
// XDP passed, before the kernel's own protocols take it.
//
// The socket's ring is shared memory: poll() costs one load when nothing is there, and no system call ever.
// Control thread: open, close. The rest: lcore of the port's first queue.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/counter.h"
#include "base/result.h"
#include "packet/pool.h"

namespace sluice::port {

class XdpMirror {
 public:
  XdpMirror() = default;
  XdpMirror(const XdpMirror&) = delete;
  ~XdpMirror() { close(); }

  Status open(int ifindex, PacketPool& pool, uint16_t port_index);
  void close();
  int fd() const { return fd_; }

  unsigned poll(rte_mbuf** pkts, unsigned n);
  bool ready() const;

  uint64_t dropped();  // control thread: frames that found the ring full, since open
  uint64_t received() const { return received_.get(); }
  uint64_t no_mbuf() const { return no_mbuf_.get(); }

 private:
  std::byte* frame(unsigned i) const;
  rte_mempool* pool_ = nullptr;
  uint16_t port_index_ = 0;
  int fd_ = -1;
  std::byte* ring_ = nullptr;
  unsigned next_ = 0;
  uint64_t dropped_ = 0;
  Counter received_, no_mbuf_;
};

}  // namespace sluice::port
