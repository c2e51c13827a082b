// The parts of a box, in the order in which they depend on each other: what stands below is destroyed first.
#pragma once

#include <deque>

#include "engine/box.h"
#include "engine/lcore.h"
#include "engine/secrets.h"
#include "engine/stack_engine.h"
#include "engine/wiring.h"
#include "engine/worker.h"
#include "packet/clone_pool.h"

namespace sluice::engine {

struct Box::Impl {
  BoxOptions options;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<ClonePool> clones;              // of packets in it; null: the ports take no chains
  TxOffloads offloads;                            // what every port can
  std::unique_ptr<NeighborTable> neighbors;
  std::unique_ptr<shed::Shed> shed;               // ports' programs share its maps
  std::vector<std::unique_ptr<port::Port>> ports;
  std::vector<std::unique_ptr<port::Port>> taps;  // by port; null: none wanted
  std::unique_ptr<Qsbr> qsbr;
  std::vector<std::unique_ptr<Lcore>> lcores;     // a worker each, then those of stack engines that have their own
  std::unique_ptr<Wiring> wiring;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<StackEngine>> stacks;

  std::shared_ptr<const path::Snapshot> snapshot;
  struct Retired {
    Qsbr::Token token;
    std::shared_ptr<const path::Snapshot> snapshot;
  };
  std::deque<Retired> retired;  // could not be proven unused in time
  enum class State : uint8_t { made, running, stopped } state = State::made;
  std::vector<port::Event> events;                // for the next maintain()
  std::string tap_error;                          // why start() must fail
  struct Watch {
    bool stalled = false;
    Instant tested{};                             // when the wake-up latency was last tested
  };
  std::vector<Watch> watch;                       // by lcore

  std::vector<size_t> stack_lcore;                // by stack engine: where it turns
  struct Keys {
    Secrets table;            // of tables and rings
    HashKey share;            // connections among stack engines
    tcp::Secrets tcp;         // those that all stack engines have in common, and the programs' SYN cookies
    Secrets tcp_tables;       // a sequence of its own, so that a seeded run without TCP gives the same bytes whatever
                              // TCP draws
  };
  std::optional<Keys> keys;
  struct Hardware {
    Instant offered = Instant::never();    // when the list was last compared
    std::vector<Prefix> blocked;           // what the NICs were asked to drop
  } hardware;
  Instant virtual_now{};                          // of the last turn, with virtual_time
  bool threads() const { return state == State::running && !options.virtual_time; }

  // create
  Status make_keys();
  Status choose_offloads();
  Status make_shed();
  Status open_ports();
  void make_engines();
  void place_lcores();
  void make_stacks();
  void warn_about_far_memory();
  // running
  Status start_ports();
  Status start_lcores();
  void drain();
  void empty_rings();
  void stop_all();
  void sync_taps(const path::Snapshot& s);
  void open_tap(uint16_t port, const Interface& i);
  void wake_all();
  // Returns when every lcore has ended the turn it was in, and the sleep after it; false: one did not in time.
  bool all_turned(Duration at_most);
  void quiesce();  // waits for that as long as it takes
  void watch_lcores();
  void set_wall_clocks();
  void upkeep_ports();
  void upkeep_shed();
  Instant now() const { return options.virtual_time ? virtual_now : Clock::get().now(); }
  void release_retired();
};

}  // namespace sluice::engine
