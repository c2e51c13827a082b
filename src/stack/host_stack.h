// The host side of IP for the box's own addresses: ARP, neighbour discovery, ICMP and ICMPv6, UDP, reassembly, and
// TCP's way in and out (tcp_host.h). Single-threaded, pure (now, packets in → packets out).
//
// A local packet comes from a worker with its stash filled in (RingKind::local, resolve) and leaves as
// RingKind::transmit, route or refuse towards stash.worker. See packet/meta.h.
//
// A box may have several, one for each stack engine. The first does all of it, and alone writes the neighbour table;
// the others get the segments of their share of the TCP connections, and ICMP errors about them. What reaches the
// wrong one (fragments that the first put together) is handed over (StackOut::hand_over).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/account.h"
#include "base/hash.h"
#include "base/instant.h"
#include "packet/meta.h"
#include "packet/tx_offloads.h"
#include "stack/tcp_host.h"
#include "table/flow_hints.h"
#include "table/interfaces.h"
#include "table/neighbor_table.h"

namespace sluice::stack {

// The small services over UDP (RFC 862, 863, 864). Datagrams from another such service are not answered, so that two of
// them cannot be set on each other, and all answers together are rate-limited.
enum class UdpService : uint8_t { echo, discard, chargen };
struct UdpBinding {
  IpAddr address;       // none(): any own one
  uint16_t port = 0;
  UdpService service = UdpService::echo;
};

struct StackConfig {
  unsigned arp_requests_per_second = 200;       // in all: bounds what a scan can draw
  unsigned max_incomplete = 512;                // neighbours being resolved at a time
  unsigned reassembly_datagrams = 256;          // in all
  unsigned reassembly_per_source = 16;
  unsigned announce = 3;                        // gratuitous ARP / unsolicited NA per address, a second apart
  HashKey key{};                                // for its own tables
  uint64_t seed = 1;                            // jitter
  tcp::Config tcp;                              // of each stack engine; limits are each one's, too
  uint32_t tcp_buffers = 0;                     // mbufs that TCP and its applications may keep, all engines together;
                                                // 0: half the packet pool
  unsigned udp_replies_per_second = 1000;       // of the UDP services
  // Filled in by the engine:
  unsigned index = 0, engines = 1;
  tcp::Secrets secrets{};
  TxOffloads tx;                                // what every port does: a route may change while a packet is under way
  rte_mempool* clones = nullptr;                // mbufs that refer to others' bytes; null: nothing is sent by reference
  FlowHints* hints = nullptr;                   // where TCP's open connections are marked; null: nobody asks
};

class StackOut {
 public:
  // A mbuf with its stash filled in, for worker stash.worker.
  virtual void emit(rte_mbuf* m) = 0;
  // A frame for the host's TAP interface of port stash.in_port (Interface::exception).
  virtual void exception(rte_mbuf* m) = 0;
  // A packet of a TCP connection, or an ICMP error about one. true: another stack engine has it, and got the packet.
  virtual bool hand_over(const tcp::Tuple& t, rte_mbuf* m) = 0;

 protected:
  ~StackOut() = default;
};

class HostStack {
 public:
  HostStack(const StackConfig& c, NeighborTable& neighbors, Account& account, rte_mempool* pool,
            const RouteQuery& routes);
  ~HostStack();

  // Takes ownership of all n ≤ kMaxBurst.
  void receive(const Interfaces& ifs, Instant now, rte_mbuf** pkts, unsigned n, StackOut& out);
  // Runs `f`, which gives TCP commands: applications' turn. Some of them send at once.
  void command(const Interfaces& ifs, Instant now, StackOut& out, const std::function<void()>& f);
  // Packets and commands are in: TCP sends what it owes and what it may.
  void flush(const Interfaces& ifs, Instant now, StackOut& out);
  // Timers: neighbour probes, reassembly time-outs, TCP's, announcements of new addresses (it compares `ifs` with
  // what it saw last, by Interfaces::generation).
  void tick(const Interfaces& ifs, Instant now, StackOut& out);
  Instant next_deadline() const;
  // mbufs waiting in neighbour queues and in reassembly: a term of the audit.
  unsigned held() const;
  // mbufs that TCP and its applications keep: consumed by the books, and still out of the pool.
  unsigned held_by_tcp() const;

  TcpHost& tcp();
  // The UDP services from now on.
  void serve_udp(std::vector<UdpBinding> bindings);

  struct Stats {
    uint64_t echo_requests, arp_requests_sent, ns_sent, neighbors_failed, reassembled, udp_replies;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::stack
