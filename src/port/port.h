// A port: what carries mbufs between the box and a network. DPDK, AF_XDP, pcap, generator and the wrappers
// around them are all one of these, and nothing above can tell them apart.
//
// Threads: a queue's burst calls belong to one lcore. Everything else is for the control thread, while the
// lcores may be running, unless said otherwise.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "maps.h"

#include "base/drop_reason.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/result.h"
#include "packet/pool.h"
#include "packet/tx_offloads.h"
#include "wire/addr.h"

namespace sluice::port {

struct Info {
  std::string name;       // of the port in the configuration
  std::string driver;     // "dpdk", "af_xdp", "pcap", "generator", "tap"
  std::string device;     // netdev, PCI address, vdev string, file
  std::string mode;       // for people: "native copy", "zero-copy", "net_ixgbe", …
  std::string reason;     // why this driver and this mode
  Mac mac;
  uint16_t mtu = 1500;
  unsigned rx_queues = 1, tx_queues = 1;
  int numa_node = -1;
  bool symmetric_rss = false;       // both directions of a flow arrive at the same queue number
  bool partial_checksums = false;   // senders may leave L4 checksums to a device that is not there (veth)
  TxOffloads tx;
};

struct EarlyCount {  // bpf/maps.h
  sluice_outcome outcome;
  sluice_class cls;
  uint64_t frames;
};

struct Occupancy {  // of a queue of frames or of free buffers
  unsigned used = 0, size = 0;  // size 0: not known
};

struct Stats {  // since the port was opened
  bool link_up = false;
  uint64_t link_changes = 0;
  // below the driver: never reached rx_burst, so not part of the audit's received
  uint64_t missed = 0;      // imissed; XDP_STATISTICS rx_dropped + rx_ring_full; netdev rx_dropped
  uint64_t errors = 0;      // ierrors, invalid descriptors
  uint64_t no_mbuf = 0;     // allocation failures; fill ring empty
  uint64_t kernel_passed = 0;  // frames that `kernel:` left to the kernel
  uint64_t tx_errors = 0;   // accepted by tx_burst, then refused below (also counted in tx_packets)
  uint64_t rx_rejected = 0; // received, but not an mbuf the path can take (snapped, chained, too long): freed here
  std::vector<std::pair<DropReason, uint64_t>> rejected;  // rx_rejected and early drops, by reason
  // Of the port's early-drop program. Frames that it dropped are in `rejected`; so that the accounting closes down to it:
  //   seen = early_dropped + answered + kernel_passed + handed_up (redirected),
  //   handed_up = frames that rx_burst gave + missed_in_socket + what waits in the socket.
  bool early = false;         // there is one
  uint64_t early_seen = 0, early_dropped = 0, answered = 0, handed_up = 0, missed_in_socket = 0;
  std::vector<EarlyCount> early_counts;  // by outcome and class; zeros left out
  unsigned held = 0;        // mbufs in the port's rings now: fill, receive, transmit, completion
  unsigned held_untold = 0; // that a device's descriptors hold besides, at most: drivers do not say how many they do
  std::vector<std::pair<std::string, uint64_t>> extended;
};

struct Event {  // something an operator wants to know
  enum class Level : uint8_t { info, warning, error } level;
  std::string text;
};

class Port {
 public:
  virtual ~Port() = default;

  // --- the queue's lcore
  // At most n ≤ kMaxBurst frames that are there at `now`. Each is one segment with mbuf->port = the port's
  // index. Reads no clock.
  virtual unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) = 0;
  // Takes ownership of the first `returned` frames; the rest stay the caller's (queue full, link down).
  virtual unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) = 0;
  // Work that must be done although nothing is sent or received: completions, a late kick. Cheap.
  virtual void turn(unsigned queue, Instant now) { (void)queue, (void)now; }
  // Before sleeping: a descriptor that becomes readable when frames arrive, or -1 (then the lcore polls).
  virtual int wait_fd(unsigned queue) { (void)queue; return -1; }
  // Arms the descriptor. false: frames are there already, do not sleep.
  virtual bool arm(unsigned queue) { (void)queue; return true; }
  virtual void disarm(unsigned queue) { (void)queue; }
  // The next moment at which rx_burst will have something by itself (replayed or delayed frames).
  virtual Instant next_event() const { return Instant::never(); }
  virtual bool exhausted() const { return false; }  // a capture that is read to its end
  // Frames that wait for rx_burst; buffers that the device may still receive into. A few memory reads.
  virtual Occupancy rx_waiting(unsigned queue) { (void)queue; return {}; }
  virtual Occupancy rx_buffers(unsigned queue) { (void)queue; return {}; }
  // Where the queue's shed level is written for the verdict in front of this port; null: there is none, and the worker
  // runs the verdict itself. Constant from start() to stop().
  virtual sluice_queue* early_drop(unsigned queue) { (void)queue; return nullptr; }

  // --- control thread
  virtual const Info& info() const = 0;
  virtual Stats stats() const = 0;
  virtual Status start() = 0;
  virtual void stop() = 0;  // no burst call runs any more; gives all mbufs back
  // Called every 200 ms or so: link state, a device that vanished or came back. `quiesce` returns after
  // every lcore has left its current turn, so that what a queue used may be destroyed.
  virtual std::vector<Event> maintain(const std::function<void()>& quiesce) { (void)quiesce; return {}; }
  virtual bool link_up() const = 0;  // any thread
  // Asks the NIC itself to drop what comes from these prefixes, instead of those of the call before (rte_flow). Returns
  // how many it took: the first so many; the verdict drops the rest.
  virtual size_t drop_in_hardware(std::span<const Prefix> blocked) { (void)blocked; return 0; }
};

}  // namespace sluice::port
