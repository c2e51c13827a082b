#include "engine/handoff.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "engine/clock.h"

namespace sluice::engine {

Bell::Bell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::bad_alloc();
}

Bell::~Bell() { close(fd_); }

void Bell::wake() {
  if (!asleep_.exchange(false, std::memory_order_relaxed)) return;
  rung_at_.store(Clock::get().now().ns, std::memory_order_relaxed);
  const uint64_t one = 1;
  [[maybe_unused]] auto n = write(fd_, &one, sizeof one);  // cannot fail: the counter is far from full
}

Instant Bell::awake(bool readable) {
  asleep_.store(false, std::memory_order_relaxed);
  uint64_t rings;
  if (!readable || read(fd_, &rings, sizeof rings) != sizeof rings) return Instant::never();
  return {rung_at_.load(std::memory_order_relaxed)};
}

void Handoff::Free::operator()(rte_ring* r) const { std::free(r); }

// The ring lies in memory of its own, not in a memzone: memzones have global names and a fixed number.
// Several writers use relaxed tail synchronisation: one that loses its CPU in the middle of an enqueue does
// not make the others spin.
Handoff::Handoff(unsigned size, Writers writers, Bell* bell) : bell_(bell) {
  const ssize_t bytes = rte_ring_get_memsize(size);
  if (bytes < 0) throw std::bad_alloc();
  ring_.reset(static_cast<rte_ring*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, static_cast<size_t>(bytes))));
  const unsigned flags = RING_F_SC_DEQ | (writers == Writers::one ? RING_F_SP_ENQ : RING_F_MP_RTS_ENQ);
  if (!ring_ || rte_ring_init(ring_.get(), "sluice", size, flags) != 0) throw std::bad_alloc();
}

std::vector<const rte_mbuf*> Handoff::contents() const {
  std::vector<void*> all(count());
  const unsigned n = rte_ring_sc_dequeue_burst(ring_.get(), all.data(), static_cast<unsigned>(all.size()), nullptr);
  rte_ring_enqueue_burst(ring_.get(), all.data(), n, nullptr);
  std::vector<const rte_mbuf*> out;
  for (unsigned i = 0; i < n; ++i) out.push_back(static_cast<const rte_mbuf*>(all[i]));
  return out;
}

}  // namespace sluice::engine
