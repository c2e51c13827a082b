#include "port/af_xdp_queue.h"

#include <rte_prefetch.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::port {

namespace {
constexpr unsigned kBulk = 64;  // mbufs taken from the pool, or given back, at a time
}

AfXdpQueue::AfXdpQueue(PacketPool& pool, uint16_t port_index)
    : pool_(pool),
      mempool_(pool.mempool()),
      memory_(pool.memory()),
      data_offset_(pool.data_offset()),
      port_index_(port_index),
      wait_fd_(epoll_create1(EPOLL_CLOEXEC)),
      posted_chunks_(pool.memory_size() / PacketPool::kChunk),
      sending_chunks_(pool.memory_size() / PacketPool::kChunk) {}

AfXdpQueue::~AfXdpQueue() {
  close();
  ::close(wait_fd_);
}

Status AfXdpQueue::open(const XdpSocket::Options& o) {
  ring_size_ = o.ring_size;
  return socket_.open(o, pool_);
}

// An lcore that went to sleep on the last socket must be woken by this one.
void AfXdpQueue::prime() {
  refill();
  watch(true);
}

void AfXdpQueue::watch(bool on) {
  if (watched_ == on) return;
  watched_ = on;
  epoll_event e{};
  e.events = EPOLLIN;
  epoll_ctl(wait_fd_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, socket_.fd(), &e);
}

unsigned AfXdpQueue::rx_burst(rte_mbuf** pkts, unsigned n) {
  if (!up_.load(std::memory_order_acquire)) return 0;
  auto& ring = socket_.receive;
  const uint32_t got = ring.available(std::min(n, kMaxBurst));
  if (got == 0) {
    if (busy_polling_.load(std::memory_order_relaxed) || socket_.fill.needs_wakeup()) socket_.kick_receive();
    return 0;
  }
  if (watched_) [[unlikely]]
    watch(false);
  for (uint32_t i = 0; i < got; i++) {
    pkts[i] = pool_.mbuf_at(ring[i].addr);
    rte_prefetch0(pkts[i]);
  }
  unsigned kept = 0;
  for (uint32_t i = 0; i < got; i++) {
    const xdp_desc d = ring[i];
    const size_t chunk = chunk_of(d.addr);
    if (chunk >= posted_chunks_.size() || !posted_chunks_[chunk]) [[unlikely]] {
      counters_.bad_address.add(1);
      continue;
    }
    posted_chunks_[chunk] = 0;
    rte_mbuf* m = pkts[i];  // raw from the pool: refcnt 1, one segment, no next
    m->data_off = static_cast<uint16_t>(d.addr % PacketPool::kChunk - data_offset_);
    m->port = port_index_;
    m->ol_flags = 0;
    m->packet_type = 0;
    m->data_len = static_cast<uint16_t>(d.len);
    m->pkt_len = d.len;
    pkts[kept++] = m;
  }
  ring.release(got);
  add(posted_, -kept);
  counters_.rx_packets.add(kept);
  refill();
  return kept;
}

// Keeps ring_size mbufs with the kernel. In bulk: small gaps wait.
void AfXdpQueue::refill() {
  auto& ring = socket_.fill;
  uint32_t gap = ring_size_ - posted_.load(std::memory_order_relaxed);
  if (gap < std::min(kBulk / 2, ring_size_ / 2)) return;
  while (gap > 0) {
    rte_mbuf* fresh[kBulk];
    const uint32_t want = std::min(gap, kBulk);
    if (ring.room(want) < want) break;
    if (rte_mempool_get_bulk(mempool_, reinterpret_cast<void**>(fresh), want) != 0) {
      counters_.no_mbuf.add(1);
      break;
    }
    for (uint32_t i = 0; i < want; i++) {
      const uint64_t chunk = chunk_of(offset_of(fresh[i]));
      posted_chunks_[chunk] = 1;
      ring[i] = chunk * PacketPool::kChunk;
    }
    ring.submit(want);
    add(posted_, want);
    gap -= want;
  }
  if (ring.needs_wakeup()) socket_.kick_receive();
}

unsigned AfXdpQueue::tx_burst(rte_mbuf** pkts, unsigned n) {
  if (!up_.load(std::memory_order_acquire)) return 0;
  if (watched_) [[unlikely]]
    watch(false);
  reap();
  auto& ring = socket_.transmit;
  n = std::min(n, ring.room(n));
  uint32_t described = 0;
  unsigned taken = 0;
  for (; taken < n; taken++) {
    Sendable s;
    const Adopted a = adopt(pkts[taken], s);
    if (a == Adopted::no_memory) break;
    if (a == Adopted::refused) continue;
    ring[described++] = {s.address, s.length, 0};
    sending_chunks_[chunk_of(s.address)]++;
  }
  if (described > 0) {
    ring.submit(described);
    add(sending_, described);
    kick();
  }
  return taken;
}

inline AfXdpQueue::Adopted AfXdpQueue::adopt(rte_mbuf* m, Sendable& out) {
  const bool plain = m->pool == mempool_ && RTE_MBUF_DIRECT(m) && m->nb_segs == 1;
  if (!plain || m->data_len == 0) [[unlikely]]
    return adopt_slow(m, out);
  const uint64_t address = offset_of(rte_pktmbuf_mtod(m, void*));
  // A byte counts the references that this ring holds on a chunk; who sends one mbuf 255 times at once gets
  // copies.
  if (sending_chunks_[chunk_of(address)] == UINT8_MAX) [[unlikely]]
    return adopt_slow(m, out);
  out = {m, address, m->data_len};
  return Adopted::yes;
}

AfXdpQueue::Adopted AfXdpQueue::adopt_slow(rte_mbuf* m, Sendable& out) {
  if (m->pkt_len == 0 || m->pkt_len > PacketPool::kChunk - data_offset_ - RTE_PKTMBUF_HEADROOM) {
    counters_.tx_refused.add(1);
    rte_pktmbuf_free(m);
    return Adopted::refused;
  }
  if (RTE_MBUF_CLONED(m) && m->nb_segs == 1) {
    rte_mbuf* owner = rte_mbuf_from_indirect(m);
    const uint64_t address = offset_of(rte_pktmbuf_mtod(m, void*));
    if (owner->pool == mempool_ && sending_chunks_[chunk_of(address)] < UINT8_MAX) {
      out = {owner, address, m->data_len};
      rte_mbuf_refcnt_update(owner, 1);
      rte_pktmbuf_free(m);
      return Adopted::yes;
    }
  }
  rte_mbuf* copy = rte_pktmbuf_alloc(mempool_);
  if (!copy) {
    counters_.no_mbuf.add(1);
    return Adopted::no_memory;
  }
  for (const rte_mbuf* s = m; s; s = s->next)
    std::memcpy(rte_pktmbuf_append(copy, s->data_len), rte_pktmbuf_mtod(s, const void*), s->data_len);
  counters_.copied.add(1);
  rte_pktmbuf_free(m);
  out = {copy, offset_of(rte_pktmbuf_mtod(copy, void*)), copy->data_len};
  return Adopted::yes;
}

// In copy mode one system call sends a batch (32 frames, or what the socket's budget says) and answers EAGAIN
// if there is more; EAGAIN without progress means that the other side is full, and turn() tries again.
void AfXdpQueue::kick() {
  if (!socket_.transmit.needs_wakeup()) return;
  for (uint32_t before = socket_.transmit.pending(); before > 0;) {
    counters_.kicks.add(1);
    if (socket_.kick_transmit() != EAGAIN) return;
    const uint32_t now = socket_.transmit.pending();
    if (now == before) return;
    before = now;
  }
}

void AfXdpQueue::reap() {
  auto& ring = socket_.completion;
  while (sending_.load(std::memory_order_relaxed) > 0) {
    const uint32_t n = ring.available(kBulk);
    if (n == 0) return;
    rte_mbuf* done[kBulk];
    unsigned kept = 0;
    for (uint32_t i = 0; i < n; i++) {
      const uint64_t address = ring[i];
      const size_t chunk = chunk_of(address);
      if (chunk >= sending_chunks_.size() || !sending_chunks_[chunk]) [[unlikely]] {
        counters_.bad_address.add(1);
        continue;
      }
      sending_chunks_[chunk]--;
      done[kept++] = pool_.mbuf_at(address);
    }
    ring.release(n);
    add(sending_, -kept);
    rte_pktmbuf_free_bulk(done, kept);
    if (n < kBulk) return;
  }
}

void AfXdpQueue::turn() {
  if (!up_.load(std::memory_order_acquire)) return;
  if (sending_.load(std::memory_order_relaxed) > 0) {
    reap();
    if (socket_.transmit.pending() > 0) kick();
  }
  refill();
}

bool AfXdpQueue::arm() {
  if (!up_.load(std::memory_order_acquire)) return true;
  turn();
  if (socket_.fill.needs_wakeup()) socket_.kick_receive();
  watch(true);
  return socket_.receive.available(1) == 0;
}

void AfXdpQueue::disarm() {
  if (up_.load(std::memory_order_acquire)) watch(false);
}

Occupancy AfXdpQueue::waiting() const {
  return is_up() ? Occupancy{socket_.receive.filled(), ring_size_} : Occupancy{};
}

Occupancy AfXdpQueue::buffers() const {
  return is_up() ? Occupancy{socket_.fill.filled(), ring_size_} : Occupancy{};
}

void AfXdpQueue::drain() {
  if (!socket_.is_open()) return;
  for (int tries = 0; tries < 50; tries++) {
    reap();
    if (sending_.load(std::memory_order_relaxed) == 0) return;
    kick();
    usleep(1000);
  }
}

void AfXdpQueue::close() {
  set_up(false);
  if (!socket_.is_open()) return;
  reap();
  watch(false);
  socket_.close();
  for (size_t chunk = 0; chunk < posted_chunks_.size(); chunk++) {
    rte_mbuf* m = pool_.mbuf_at(chunk * PacketPool::kChunk);
    if (posted_chunks_[chunk]) rte_mempool_put(mempool_, m);
    for (; sending_chunks_[chunk] > 0; sending_chunks_[chunk]--) rte_pktmbuf_free(m);
    posted_chunks_[chunk] = 0;
  }
  posted_.store(0);
  sending_.store(0);
}

}  // namespace sluice::port
