// A stack engine: joins the host stack (pure: packets in, packets out) to the workers' rings, to the applications on
// its TCP connections, and, the first of them, to the host's TAP interfaces of the exception path.
//
// A poll, in order: packets from the rings, timers, applications, what TCP owes and may send, and all that came of it
// leaves for the workers. Each step has its quota, so that a flood in one leaves time for the others.
//
// Books: a frame that a TAP takes was consumed; one that it refuses is a drop (exception_full). A frame from
// a TAP counts as created by the box: no port has received it.
#pragma once

#include <array>
#include <atomic>
#include <functional>

#include "apps/host.h"
#include "base/account.h"
#include "engine/ending.h"
#include "engine/engine.h"
#include "engine/published.h"
#include "engine/wiring.h"
#include "stack/host_stack.h"

namespace sluice::engine {

class StackEngine final : public Engine, private stack::StackOut, private stack::RouteQuery {
 public:
  // c.index: which of the box's.
  StackEngine(Wiring& wiring, const stack::StackConfig& c, NeighborTable& neighbors, rte_mempool* pool,
              bool host_is_simulated);

  unsigned poll(Instant now, unsigned quota) override;
  Instant next_deadline() const override;
  bool arm(WaitSet& set) override;
  void disarm() override;

  // The TAP of a port, or null. Control thread; what it replaces may be used until the turn ends.
  void set_tap(uint16_t port, port::Port* tap) { tap_[port].store(tap, std::memory_order_release); }

  // Listeners close at once, and connections end within half a second: see ending.h. Control thread, before release().
  void end_connections() { ending_.begin(); }
  bool connections_ended() const { return ending_.over(); }

  // Any thread.
  void set_wall_offset(Duration d) { host_->set_wall_offset(d); }  // not after release()
  const Account& account() const { return account_; }
  unsigned held() const { return held_.load(std::memory_order_relaxed); }
  unsigned held_by_tcp() const { return held_by_tcp_.load(std::memory_order_relaxed); }
  stack::HostStack::Stats stats() const { return stats_.get(); }

  // Between two turns: what the control side reads, and changes of services.
  void execute(const std::function<void(stack::HostStack&, apps::Host&)>& f);

  // Control thread, when nothing runs any more: gives back what waits in neighbour queues and in reassembly, and ends
  // TCP without a word. The engine is not polled again.
  void release();
  void count_lost(rte_mbuf* m);  // a packet that was still on a ring

 private:
  void emit(rte_mbuf* m) override;
  void exception(rte_mbuf* m) override;
  bool hand_over(const tcp::Tuple& t, rte_mbuf* m) override;

  std::optional<stack::Way> towards(const IpAddr& remote) const override;
  bool own(const IpAddr& address) const override;
  bool comes_here(const tcp::Tuple& t) const override;

  unsigned take_from_rings(const Interfaces& ifs, Instant now, unsigned quota);
  unsigned take_from_taps(Instant now);
  void give(unsigned engine, rte_mbuf* m);
  void flush(unsigned w);
  unsigned room() const;
  void publish();

  struct Batch {
    unsigned n = 0;
    rte_mbuf* pkt[kMaxBurst];
  };

  Wiring& wiring_;
  const unsigned index_;
  std::vector<Handoff*> rings_;  // to this engine
  Account account_;
  const bool host_is_simulated_;
  std::unique_ptr<stack::HostStack> stack_;
  std::unique_ptr<apps::Host> host_;
  Ending ending_;
  std::array<std::atomic<port::Port*>, kMaxPorts> tap_{};
  std::array<Batch, kMaxWorkers> to_worker_;
  Instant now_{};
  uint32_t seen_generation_ = UINT32_MAX;
  size_t next_ring_ = 0;
  std::atomic<unsigned> held_{0}, held_by_tcp_{0};
  Published<stack::HostStack::Stats> stats_;
};

}  // namespace sluice::engine
