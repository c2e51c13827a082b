// A port in memory: what the test feeds is received, what the box sends is kept. Link, queue room and
// descriptors follow a script. Its queues are locked, so that a test may feed a box that runs in threads.
#pragma once

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "packet/buf.h"
#include "port/port.h"
#include "wire/checksum.h"

namespace sluice::test {

using Frame = std::vector<uint8_t>;

class FakePort final : public port::Port {
 public:
  FakePort(uint16_t index, const std::string& name, const Mac& mac, unsigned rx_queues, unsigned tx_queues,
           PacketPool& pool)
      : index_(index), pool_(pool), rx_(rx_queues), tx_(tx_queues) {
    info_.name = name;
    info_.driver = "fake";
    info_.mac = mac;
    info_.rx_queues = rx_queues;
    info_.tx_queues = tx_queues;
    for (Rx& q : rx_) q.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  }
  ~FakePort() override {
    stop();
    for (Rx& q : rx_) close(q.fd);
  }

  // ---- the script, for the test
  std::atomic<bool> sleepable{true};  // false: no descriptors
  std::atomic<bool> up{true};
  unsigned room = UINT32_MAX;     // frames that one tx_burst takes at most
  unsigned ring_size = 0;         // receive ring, by queue; 0: rx_waiting says nothing, and feed() never overflows it
  uint64_t overflowed = 0;        // frames that found it full
  std::atomic<port::Occupancy> buffers{};  // what rx_buffers says
  sluice_queue* program = nullptr;  // its early-drop program's, of all queues
  unsigned started = 0, stopped = 0;
  std::string start_error;        // start() fails with it
  std::function<void(rte_mbuf**, unsigned)> on_rx;  // on the queue's lcore
  std::function<void(const rte_mbuf*)> on_tx;       // … of a frame that is taken
  std::function<std::vector<port::Event>(const std::function<void()>&)> on_maintain;
  port::Info& mutable_info() { return info_; }

  void feed(const Frame& f, unsigned queue = 0) {
    if (ring_size && waiting(queue) >= ring_size) return void(++overflowed);
    rte_mbuf* m = rte_pktmbuf_alloc(pool_.mempool());
    ASSERT_NE(m, nullptr);
    std::copy(f.begin(), f.end(), reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(f.size()))));
    m->port = index_;
    std::lock_guard lock(mutex_);
    rx_[queue].frames.push_back(m);
    if (rx_[queue].armed) ring(rx_[queue]);
  }
  // The oldest frame sent and not yet taken; empty: none.
  Frame take(unsigned queue = 0) {
    std::lock_guard lock(mutex_);
    return take_locked(queue);
  }
  // Waits for a frame; empty: none came in ten seconds, which only a broken box needs.
  Frame wait(unsigned queue = 0) {
    std::unique_lock lock(mutex_);
    sent_.wait_for(lock, std::chrono::seconds(10), [&] { return !tx_[queue].empty(); });
    return take_locked(queue);
  }
  size_t sent(unsigned queue = 0) {
    std::lock_guard lock(mutex_);
    return tx_[queue].size();
  }
  size_t waiting(unsigned queue = 0) {
    std::lock_guard lock(mutex_);
    return rx_[queue].frames.size();
  }

  // ---- Port
  unsigned rx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override {
    unsigned got = 0;
    {
      std::lock_guard lock(mutex_);
      auto& q = rx_[queue].frames;
      for (; got < n && !q.empty(); q.pop_front()) pkts[got++] = q.front();
    }
    if (got && on_rx) on_rx(pkts, got);
    return got;
  }
  unsigned tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override {
    std::lock_guard lock(mutex_);
    if (!up) return 0;
    n = std::min(n, room);
    for (unsigned i = 0; i < n; ++i) {
      Frame& f = tx_[queue].emplace_back();
      for (const rte_mbuf* m = pkts[i]; m; m = m->next) f.insert(f.end(), bytes_of(m).begin(), bytes_of(m).end());
      complete(f, *pkts[i]);
      if (on_tx) on_tx(pkts[i]);
      rte_pktmbuf_free(pkts[i]);
    }
    if (n) sent_.notify_all();
    return n;
  }
  int wait_fd(unsigned queue) override { return sleepable ? rx_[queue].fd : -1; }
  bool arm(unsigned queue) override {
    std::lock_guard lock(mutex_);
    rx_[queue].armed = true;
    return rx_[queue].frames.empty();
  }
  void disarm(unsigned queue) override {
    std::lock_guard lock(mutex_);
    rx_[queue].armed = false;
    uint64_t n;
    [[maybe_unused]] auto got = read(rx_[queue].fd, &n, sizeof n);
  }
  port::Occupancy rx_waiting(unsigned queue) override {
    std::lock_guard lock(mutex_);
    return {static_cast<unsigned>(ring_size ? rx_[queue].frames.size() : 0), ring_size};
  }
  port::Occupancy rx_buffers(unsigned) override { return buffers; }
  sluice_queue* early_drop(unsigned) override { return program; }
  Instant next_event() const override { return Instant::never(); }
  const port::Info& info() const override { return info_; }
  port::Stats stats() const override {
    port::Stats s;
    s.link_up = up;
    std::lock_guard lock(mutex_);
    for (const Rx& q : rx_) s.held += static_cast<unsigned>(q.frames.size());
    return s;
  }
  Status start() override {
    if (!start_error.empty()) return Error{start_error};
    return ++started, Status();
  }
  void stop() override {
    ++stopped;
    std::lock_guard lock(mutex_);
    for (Rx& q : rx_) {
      for (rte_mbuf* m : q.frames) rte_pktmbuf_free(m);
      q.frames.clear();
    }
  }
  std::vector<port::Event> maintain(const std::function<void()>& quiesce) override {
    return on_maintain ? on_maintain(quiesce) : std::vector<port::Event>{};
  }
  bool link_up() const override { return up; }

 private:
  struct Rx {
    std::deque<rte_mbuf*> frames;
    int fd = -1;
    bool armed = false;
  };
  // As a device with TxOffloads::tcp_checksum. What is to be cut stays whole, and as it was given.
  static void complete(Frame& f, const rte_mbuf& m) {
    if (!(m.ol_flags & RTE_MBUF_F_TX_TCP_CKSUM) || (m.ol_flags & RTE_MBUF_F_TX_TCP_SEG)) return;
    uint8_t* tcp = f.data() + m.l2_len + m.l3_len;
    wire::at<wire::TcpHdr>(tcp)->checksum = wire::finish(wire::sum_bytes(tcp, f.size() - m.l2_len - m.l3_len));
  }
  static void ring(Rx& q) {
    const uint64_t one = 1;
    [[maybe_unused]] auto n = write(q.fd, &one, sizeof one);
  }
  Frame take_locked(unsigned queue) {
    if (tx_[queue].empty()) return {};
    Frame f = std::move(tx_[queue].front());
    tx_[queue].pop_front();
    return f;
  }

  uint16_t index_;
  PacketPool& pool_;
  port::Info info_;
  mutable std::mutex mutex_;
  std::condition_variable sent_;
  std::vector<Rx> rx_;
  std::vector<std::deque<Frame>> tx_;
};

}  // namespace sluice::test
