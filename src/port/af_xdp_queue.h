// The data path of one AF_XDP queue: mbufs in, mbufs out, nothing copied.
//
// Theory. The packet pool is the UMEM of every socket, so a frame's address in a ring is the offset of its
// bytes in the pool, and the chunk that holds it holds the mbuf too:
//   receive:  raw mbufs go into `fill` as chunk addresses; the kernel writes a frame into one and gives it
//             back in `receive`; the mbuf in front of the bytes is completed and handed up.
//   transmit: the frame's address goes into `transmit`; the kernel sends it and gives the chunk back in
//             `completion`; the mbuf's reference is dropped. A frame from another port needs no more than
//             this, whichever port it came from.
// What cannot be sent by address (chains, other pools, external buffers) is copied into a mbuf of the pool. A
// clone is sent by its data's address, with a reference on the mbuf that owns the data. A mbuf that others
// hold too (refcnt > 1) is sent as it is: the ring's reference is dropped on completion.
//
// The ledger. When a socket is closed, frames can be in a ring, in the driver or in an skb, and the kernel
// does not say which. So the queue keeps a byte per chunk for what `fill` was given, and one for what
// `transmit` was given; close() gives back what is still marked. They also catch an address that was never
// given.
//
// Sleeping. wait_fd is an epoll descriptor that lives as long as the queue, while sockets come and go behind
// it. The socket is in it only while the lcore sleeps: one that is watched costs the kernel a locked wake-up
// for each batch received and each frame sent, a quarter of the throughput.
//
// Threads: rx_burst, tx_burst, turn, arm are the lcore's; everything else is the control thread's, and what
// frees the rings runs only while no lcore can be inside (set_up(false), then the quiesce of maintain).
#pragma once

#include <rte_mbuf.h>

#include <memory>
#include <vector>

#include "base/counter.h"
#include "base/limits.h"
#include "port/port.h"
#include "port/xdp_socket.h"

namespace sluice::port {

class alignas(64) AfXdpQueue {
 public:
  AfXdpQueue(PacketPool& pool, uint16_t port_index);
  ~AfXdpQueue();
  AfXdpQueue(const AfXdpQueue&) = delete;

  // --- lcore
  unsigned rx_burst(rte_mbuf** pkts, unsigned n);
  unsigned tx_burst(rte_mbuf** pkts, unsigned n);
  void turn();
  bool arm();
  void disarm();

  // Also the control thread's.
  Occupancy waiting() const;  // frames in the receive ring
  Occupancy buffers() const;  // chunks in the fill ring

  // --- control thread
  Status open(const XdpSocket::Options& o);  // bound, but without frames
  void prime();  // gives the kernel frames to receive into, and watches the socket
  void set_up(bool up) { up_.store(up, std::memory_order_release); }
  bool is_up() const { return up_.load(std::memory_order_acquire); }
  void drain();  // waits a moment for what was accepted to be sent
  void close();  // every mbuf back in the pool
  void set_busy_polling(bool on) { busy_polling_.store(on, std::memory_order_relaxed); }

  int wait_fd() const { return wait_fd_; }
  const XdpSocket& socket() const { return socket_; }
  unsigned held() const {
    return posted_.load(std::memory_order_relaxed) + sending_.load(std::memory_order_relaxed);
  }
  struct Counters {
    Counter rx_packets, no_mbuf, tx_refused, copied, bad_address;
    Counter kicks;
  };
  const Counters& counters() const { return counters_; }

 private:
  void refill();
  void reap();
  void kick();
  void watch(bool on);
  struct Sendable {
    rte_mbuf* owner = nullptr;  // whose chunk it is; the ring holds one reference
    uint64_t address = 0;
    uint32_t length = 0;
  };
  enum class Adopted : uint8_t { yes, refused, no_memory };
  Adopted adopt(rte_mbuf* m, Sendable& out);
  Adopted adopt_slow(rte_mbuf* m, Sendable& out);
  size_t chunk_of(uint64_t address) const { return address / PacketPool::kChunk; }
  uint64_t offset_of(const void* p) const {
    return static_cast<uint64_t>(static_cast<const std::byte*>(p) - memory_);
  }
  static void add(std::atomic<uint32_t>& n, uint32_t by) {  // one writer
    n.store(n.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  XdpSocket socket_;
  PacketPool& pool_;
  rte_mempool* const mempool_;
  std::byte* const memory_;
  const uint64_t data_offset_;
  const uint16_t port_index_;
  uint32_t ring_size_ = 0;
  const int wait_fd_;
  bool watched_ = false;
  std::atomic<bool> up_{false};
  std::atomic<bool> busy_polling_{false};
  std::atomic<uint32_t> posted_{0};   // mbufs in fill, in the kernel's hands, or in receive
  std::atomic<uint32_t> sending_{0};  // references in transmit, in the kernel's hands, or in completion
  std::vector<uint8_t> posted_chunks_, sending_chunks_;
  Counters counters_;
};

}  // namespace sluice::port
