// One worker's way of a packet: parse → (steer) → flow lookup → hit: rewrite and transmit; miss: slow path,
// which decides, compiles a FlowAction and replays it. Single-threaded; owns its flow tables.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/account.h"
#include "base/hash.h"
#include "base/instant.h"
#include "packet/meta.h"
#include "path/out.h"
#include "path/snapshot.h"
#include "table/flow_hints.h"
#include "table/neighbor_table.h"

namespace sluice::path {

struct PipelineConfig {
  unsigned worker = 0, workers = 1;
  bool steer = false;           // send packets to their flow's owner (no symmetric RSS in hardware)
  unsigned flows4 = 1u << 20;   // bounds; a session takes one entry per direction
  unsigned flows6 = 1u << 18;
  Duration idle_tcp = Duration::seconds(7440), idle_tcp_closing = Duration::seconds(120),
           idle_udp = Duration::seconds(180), idle_other = Duration::seconds(60);
  HashKey flow_key{}, steer_key{};  // steer_key is the same on all workers
  int numa_node = -1;
  FlowHints* hints = nullptr;   // where flows that answer are marked; null: nobody asks
};

// For replay's verdicts: what became of a packet. Called where `verdicts` is set, which the live box never does.
struct Verdict {
  const char* what;        // "forward", "local", "drop", "resolve"
  DropReason reason;       // drop
  uint16_t in_port, egress;
  const std::string* rule; // null: none asked, or default
  Prefix route;            // family 0: none
  bool slow_path;
};

struct FlowView {          // a flow for people
  uint8_t family, proto;
  IpAddr src, dst;
  uint16_t sport, dport, in_port, egress;
  bool reply;              // compiled as the reply direction of a session
  uint64_t packets, bytes;
  Duration idle;
  std::string rule;
};

class Pipeline {
 public:
  Pipeline(const PipelineConfig& c, NeighborTable& neighbors, Account& account, rte_mempool* pool);
  ~Pipeline();

  // Frames from a port. Takes ownership of all n ≤ kMaxBurst.
  void receive(const Snapshot& s, Instant now, uint16_t in_port, rte_mbuf** pkts, unsigned n, Out& out);
  // Packets from rings, stash filled in: transmit, route, refuse, steer.
  void from_ring(const Snapshot& s, Instant now, rte_mbuf** pkts, unsigned n, Out& out);
  // Ages flows, at most `budget` slots a call.
  void sweep(Instant now, unsigned budget);

  // Whether something is shed in front of what receive() is given next: then hints that are wrong are counted.
  void shedding(bool yes);
  // Packets that came in meanwhile under a tuple that the hints call established, and that is no flow here: any thread.
  uint64_t false_hints() const;

  size_t flows() const;
  size_t flow_capacity() const;
  size_t memory_bytes() const;
  static size_t memory_estimate(const PipelineConfig& c);
  // Calls `f` for flows from position `cursor` on, at most `budget` slots; returns the next cursor, 0 at the end.
  // Runs on the worker's lcore.
  uint64_t visit_flows(Instant now, const Snapshot& s, uint64_t cursor, unsigned budget,
                       const std::function<void(const FlowView&)>& f) const;

  std::function<void(const rte_mbuf*, const Verdict&)> verdicts;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::path
