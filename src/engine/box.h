// The running dataplane: pools, ports, workers, stack engines, lcore threads. What the control side
// holds, and all it may do to it.
//
// Threads: every call here is for one control thread, unless said otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/account.h"
#include "base/result.h"
#include "packet/pool.h"
#include "path/pipeline.h"
#include "path/snapshot.h"
#include "port/options.h"
#include "port/port.h"
#include "shed/shed.h"
#include "stack/host_stack.h"

namespace sluice::apps {
class Host;
}

namespace sluice::engine {

enum class IdlePolicy : uint8_t { busy, adaptive };

struct BoxOptions {
  std::vector<port::Options> ports;      // index = position
  std::vector<unsigned> worker_cpus;     // one worker lcore each
  std::vector<unsigned> stack_cpus;      // a stack engine each; empty: one, on the first worker's lcore
  IdlePolicy idle = IdlePolicy::adaptive;
  unsigned packets = 16384;              // packet pool
  unsigned ring_size = 4096;             // hand-off and stack rings; a power of two
  unsigned neighbors = 65536;
  path::PipelineConfig pipeline;         // template: worker, workers, steer and keys are filled in
  stack::StackConfig stack;              // template of the stack engines': index and keys are filled in
  shed::Policy shed;                     // to begin with: Box::set_shed_policy
  bool huge_pages = true;
  bool virtual_time = false;             // replay: no threads, the caller turns the box
  uint64_t seed = 0;                     // 0: secrets from getrandom
  // How ports and the exception path's TAP interfaces are opened; empty: by port::open and port::open_tap.
  // For tests, which bring their own.
  std::function<Result<std::unique_ptr<port::Port>>(const port::Options&, PacketPool&)> open_port;
  std::function<Result<std::unique_ptr<port::Port>>(const std::string& name, const Mac&, uint16_t mtu, PacketPool&)>
      open_tap;
};

struct LcoreView {
  unsigned cpu;
  std::string role;                      // "worker 0, stack"
  uint64_t turns, busy_turns, sleeps, wakeups;
  uint64_t packets;
  double busy_share;                     // of the last second, by TSC
  int64_t wake_p50_ns, wake_p99_ns;      // from the event at the descriptor to the first turn (idle.h); -1: none yet
  int64_t last_turn_age_ns;
  uint64_t tid;
  struct Engine {
    std::string name;                    // "worker 0"
    double share;                        // of the last second, by TSC; idle turns count
  };
  std::vector<Engine> engines;
};

// Shedding at one receive queue.
struct ShedQueueView {
  uint16_t port, queue;
  unsigned worker;
  bool native;                           // the verdict runs on the worker; else in the port's program
  uint32_t level;
  int32_t held;                          // by hand; -1: by load
  port::Occupancy waiting, buffers;      // receive ring (used 0: the last burst was not full), fill ring; size 0: not known
  double handoff;                        // what this queue has to answer for of the fullest ring behind it: 0 to 1
  std::vector<port::EarlyCount> counts;  // of the native verdict; zeros left out
};

class Box {
 public:
  // Opens ports, makes pools, tables and engines; nothing runs yet.
  static Result<std::unique_ptr<Box>> create(const BoxOptions& o);
  ~Box();

  // The first snapshot must be there before start(). Returns when no engine uses the old one; where an lcore
  // does not turn for a second, the old one is kept until maintain() finds that it has. No packet is lost.
  void publish(std::shared_ptr<const path::Snapshot> s);
  std::shared_ptr<const path::Snapshot> snapshot() const;

  // Starts ports and lcore threads. A box starts once; after stop() its books can still be read.
  Status start();
  // Ends TCP's connections (end_connections(), at most a second), drains for at most 200 ms, stops lcores, then ports;
  // all mbufs back in the pool. With virtual time, and with lcores that do not turn, peers are told nothing.
  void stop();
  bool running() const;
  // Listeners close at once. Connections that have nothing under way get a FIN, what is left after 300 ms a reset.
  // Returns before they have; the box goes on turning. For good: what remains is to stop().
  void end_connections();
  bool connections_ended() const;

  // One turn of all engines at `now`, on the caller's thread (virtual_time only). Returns packets handled.
  unsigned turn(Instant now);
  Instant next_deadline() const;

  // Early drop. Its lists and services may be changed at any time; the policy through here, which knows the queues and
  // tells the governors.
  shed::Shed& shed();
  Status set_shed_policy(const shed::Policy& p);
  // The level of a port's queues by hand, or of all ports'; nullopt: by load again. false: there is no such port.
  bool hold_level(std::optional<uint16_t> port, std::optional<uint32_t> level);
  std::vector<ShedQueueView> shed_queues() const;  // any thread
  // Packets that came in while something was shed, taken for an established flow's, of which no worker knew: any thread.
  uint64_t false_hints() const;

  // Port upkeep, early drop's and the watchdog; the control thread calls it about every 200 ms.
  std::vector<port::Event> maintain();

  // Runs `f` on the lcore of worker `w` between two turns and waits for it (control-plane reads of
  // single-threaded state). With virtual_time, or when stopped: at once. false: the lcore did not answer within
  // a second.
  bool run_on_worker(unsigned w, const std::function<void(path::Pipeline&)>& f);

  // The same on the lcore of stack engine `e`: TCP's views, services, UDP services. What `f` has TCP send leaves in the
  // turn that follows. After stop(), `f` does not run.
  bool run_on_stack(unsigned e, const std::function<void(stack::HostStack&, apps::Host&)>& f);

  // Runs `f` while every lcore stands between two turns, so that what it reads is of one moment. Ports' rings go
  // on filling meanwhile: tens of microseconds. false: an lcore did not answer within a second, `f` did not run.
  bool at_rest(const std::function<void()>& f);
  Instant now() const;           // the lcores' clock; with virtual_time, the last turn's

  unsigned workers() const;
  unsigned stacks() const;       // stack engines
  const std::vector<std::unique_ptr<port::Port>>& ports() const;
  const Account& worker_account(unsigned w) const;   // any thread
  const Account& stack_account(unsigned e = 0) const;
  PacketPool& pool();
  NeighborTable& neighbors();
  std::vector<LcoreView> lcores() const;
  unsigned queued() const;       // packets in rings between engines now, and held by the stack engines
  unsigned chained() const;      // buffers that those in rings take beside their first; at rest only
  unsigned held_by_taps() const; // mbufs in the exception path's TAP interfaces
  unsigned held_by_tcp() const;  // mbufs that TCP and applications keep: consumed by the books, still out of the pool
  stack::HostStack::Stats stack_stats() const;  // of all stack engines

 private:
  Box();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::engine
