// The stack engine: joins the host stack (pure: packets in, packets out) to the workers' rings, and to the
// host's TAP interfaces of the exception path.
//
// Books: a frame that a TAP takes was consumed; one that it refuses is a drop (exception_full). A frame from
// a TAP counts as created by the box: no port has received it.
#pragma once

#include <array>
#include <atomic>

#include "base/account.h"
#include "engine/engine.h"
#include "engine/published.h"
#include "engine/wiring.h"
#include "stack/host_stack.h"

namespace sluice::engine {

class StackEngine final : public Engine, private stack::StackOut {
 public:
  StackEngine(Wiring& wiring, const stack::StackConfig& c, NeighborTable& neighbors, rte_mempool* pool,
              bool host_is_simulated);

  unsigned poll(Instant now, unsigned quota) override;
  Instant next_deadline() const override;
  bool arm(WaitSet& set) override;
  void disarm() override;

  // The TAP of a port, or null. Control thread; what it replaces may be used until the turn ends.
  void set_tap(uint16_t port, port::Port* tap) { tap_[port].store(tap, std::memory_order_release); }

  // Any thread.
  const Account& account() const { return account_; }
  unsigned held() const { return held_.load(std::memory_order_relaxed); }
  stack::HostStack::Stats stats() const { return stats_.get(); }

  // Control thread, when nothing runs any more: gives back what waits in neighbour queues and in reassembly.
  // The engine is not polled again.
  void release();
  void count_lost(rte_mbuf* m);  // a packet that was still on a ring

 private:
  void emit(rte_mbuf* m) override;
  void exception(rte_mbuf* m) override;
  unsigned take_from_taps(Instant now);
  void flush(unsigned w);

  struct Batch {
    unsigned n = 0;
    rte_mbuf* pkt[kMaxBurst];
  };

  Wiring& wiring_;
  Account account_;
  const bool host_is_simulated_;
  std::unique_ptr<stack::HostStack> stack_;
  std::array<std::atomic<port::Port*>, kMaxPorts> tap_{};
  std::array<Batch, kMaxWorkers> to_worker_;
  Instant now_{};
  uint32_t seen_generation_ = UINT32_MAX;
  unsigned next_ring_ = 0;
  std::atomic<unsigned> held_{0};
  Published<stack::HostStack::Stats> stats_;
};

}  // namespace sluice::engine
