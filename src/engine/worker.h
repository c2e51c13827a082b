// A worker engine: runs packets to completion. It owns receive queues, transmit queues and a pipeline with
// its flow table, and shares nothing with other workers but rings.
//
// A poll, in order: packets from the stack and from other workers; a burst from each receive queue, starting
// where the last poll ended, so that a flooded port gets its quota and no more; then everything that the
// pipeline put out leaves; then upkeep.
//
// Overload: every receive queue has a governor (intake.h), which is told once a poll how full the queue and the rings
// behind it are. The verdict runs here for ports without an early-drop program, and only if there is something to check
// or to shed.
//
// Full queues: a transmit queue that takes no more is tried kTries times with a chance to complete old
// frames in between, then the rest is dropped (tx_full, or port_down). A full ring is a drop at once. Nothing
// ever waits.
#pragma once

#include <deque>

#include "base/account.h"
#include "engine/engine.h"
#include "engine/intake.h"
#include "engine/wiring.h"
#include "path/pipeline.h"

namespace sluice::engine {

class Worker final : public Engine, private path::Out {
 public:
  // `timed`: polls take time, and a long one is a sign of overload; not so in virtual time.
  Worker(unsigned id, Wiring& wiring, const path::PipelineConfig& c, NeighborTable& neighbors, rte_mempool* pool,
         shed::Shed& shed, bool timed);

  unsigned poll(Instant now, unsigned quota) override;
  Instant next_deadline() const override;
  bool arm(WaitSet& set) override;
  void disarm() override;

  // Any thread: from now on, take nothing from the ports (the box drains), or do again.
  void receive_from_ports(bool yes) { receiving_.store(yes, std::memory_order_relaxed); }
  // Any thread; the queues themselves never change.
  const std::deque<Intake>& intakes() const { return rx_; }
  std::deque<Intake>& intakes() { return rx_; }
  void govern(bool yes) { governed_.store(yes, std::memory_order_relaxed); }
  void reset_levels();  // when the lcore stands
  uint64_t false_hints() const { return pipeline_.false_hints(); }
  Instant shed_deadline() const;  // the governors' part of next_deadline()

  path::Pipeline& pipeline() { return pipeline_; }  // between turns only
  const Account& account() const { return account_; }
  Account& account() { return account_; }

 private:
  static constexpr unsigned kTries = 4;
  // The whole flow table is visited in about this time, in steps of at most so many slots a turn.
  static constexpr Duration kSweepPeriod = Duration::seconds(5), kSweepTick = Duration::millis(1),
                            kSweepEvery = Duration::millis(100);  // at least, while idle
  static constexpr unsigned kSweepStep = 4096;

  void flush_tx(uint16_t port) override;
  void flush_stack() override;
  void send_to_stack(unsigned engine, rte_mbuf** pkts, unsigned n);
  void flush_worker(unsigned w) override;

  unsigned take_from_rings(const path::Snapshot& s, Instant now);
  unsigned take_from_ports(const path::Snapshot& s, Instant now, unsigned quota);
  void send_answers(uint16_t port, rte_mbuf** pkts, unsigned n);
  void govern_intakes(Instant now, Duration turn);
  unsigned handed_on() const;
  void note_ring(const Handoff& ring, unsigned room);
  void transmit_all();
  unsigned try_transmit(port::Port& p, uint16_t queue, rte_mbuf** pkts, unsigned n);
  // What the books need of a burst, read before a port owns its frames.
  struct Sizes {
    unsigned n = 0;
    uint16_t port[kRoom];
    uint32_t length[kRoom];
    void add(const rte_mbuf* m) {
      port[n] = m->port;
      length[n++] = m->pkt_len;
    }
  };
  void count_sent(uint16_t port, const Sizes& s, unsigned sent);
  void drop(rte_mbuf** pkts, unsigned n, DropReason r);
  void sweep(Instant now);

  const unsigned id_;
  Wiring& wiring_;
  Account account_;
  path::Pipeline pipeline_;
  std::vector<Handoff*> rings_;  // to this worker, from stack engines and from other workers
  shed::Shed& shed_;
  std::deque<Intake> rx_;
  std::vector<Wiring::PortQueue> upkeep_;
  std::vector<Wiring::Egress> egress_;
  struct Proxy {
    uint16_t port;
    Handoff* ring;
  };
  std::vector<uint16_t> by_proxy_;  // ports whose transmit queues are other workers'
  std::vector<Proxy> proxies_;  // other workers' packets for our transmit queues
  size_t next_rx_ = 0, armed_ = 0;
  Instant now_{};               // of this poll, for the flushes that the pipeline causes
  Instant swept_ = Instant::never();

  // Overload, of this poll.
  const bool timed_;
  bool opened_ = false;          // the intakes, after the ports have started
  bool native_ = false;          // some port's verdict runs here
  bool busy_ = false;            // the last poll handled packets: the lcore has not slept since
  float fullest_ring_ = 0;       // of those that something was sent to
  unsigned ring_sends_ = 0;      // packets sent to rings
  std::atomic<bool> governed_{true};
  std::atomic<bool> receiving_{true};
};

}  // namespace sluice::engine
