// Neighbour unreachability detection (RFC 4861 7.2, 7.3), for ARP and neighbour discovery alike, and the
// packets that wait for an address.
//
// Theory of operation
//
//                  packet                 answer, advertisement
//   (no entry) ─────────────► incomplete ───────────────────────► reachable / stale
//        │ request heard          │ max_multicast_solicit × retrans        │
//        └───────► stale          ▼                                       │ reachable time (jittered)
//                               failed ◄──────────┐                       ▼
//      probe ◄── delay ◄── used ── stale ◄────────│──────────────────── stale
//        │  └─ answer: reachable                  │
//        └─ max_unicast_solicit probes ──► incomplete (asks everybody again)
//
// Packets flow in reachable, stale, delay and probe: the table's word is usable. In incomplete they come here
// and wait, a few each and a bounded number in all; the oldest gives way. In failed they are refused at once
// during a hold-down of one retransmission interval; the first packet after that starts anew. So a host that
// comes to life is found within retrans × 2, and a dead one draws at most one request per interval.
//
// Scans: at most `max_incomplete` entries are incomplete or failed, the oldest makes room. Requests take
// tokens of one bucket; first requests may use it up, repeated ones leave half of it to them, and unicast
// probes of live neighbours have a bucket of their own. An entry that was never used goes first when the
// table is full.
//
// Workers tell of use by NeighborTable::touch. A sweep looks at every live entry once a second, a slice at a
// time: it turns reachable into stale and used stale into delay, and forgets what was long unused. Entries
// with a precise deadline (incomplete, delay, probe, failed) stand in a heap.
#pragma once

#include <optional>
#include <vector>

#include "stack/deadline_heap.h"
#include "stack/turn.h"
#include "table/token_bucket.h"

namespace sluice::stack {

class Neighbors {
 public:
  explicit Neighbors(Core& core);
  ~Neighbors();
  Neighbors(const Neighbors&) = delete;

  // After a change of interfaces: static entries, and those that make no sense any more.
  void configure(Turn& t);

  // Sends `m` (stash.egress, stash.next_hop; Ethernet header in front) now or when its next hop is known.
  void output(Turn& t, rte_mbuf* m);

  // A request or solicitation that was for us told of its sender: learnt (RFC 826, RFC 4861 7.2.3).
  void heard_request(Turn& t, uint16_t port, const IpAddr& addr, const Mac& mac);
  // An advertisement or ARP reply: only updates (RFC 4861 7.2.5). false: nobody of that address is known.
  struct Advert {
    std::optional<Mac> mac;
    bool solicited = false, override_mac = false;
  };
  bool heard_advert(Turn& t, uint16_t port, const IpAddr& addr, const Advert& a);

  void tick(Turn& t);
  Instant next_deadline() const { return std::min(heap_.next(), next_sweep_); }
  unsigned held() const { return queued_; }

 private:
  uint32_t epoch_[kMaxPorts]{};  // Interface::link_epoch as last seen
  static constexpr uint32_t kNone = NeighborTable::kNone;
  enum class Limbo : uint8_t { none, incomplete, failed };
  struct Entry {
    rte_mbuf* head = nullptr;      // waiting packets, linked by mbuf->next
    rte_mbuf* tail = nullptr;
    Instant until{};               // reachable: until then; failed: hold-down
    Instant last_used{};
    uint32_t live_at = 0;          // position in live_
    uint32_t used_seen = 0;        // the table's used_ms when last looked at
    uint32_t prev = kNone, next = kNone;
    uint16_t waiting = 0;
    uint8_t probes = 0;
    Limbo limbo = Limbo::none;
  };
  struct List {
    uint32_t head = kNone, tail = kNone;
    unsigned n = 0;
  };

  uint32_t create(Turn& t, uint16_t port, const IpAddr& addr);
  void erase(Turn& t, uint32_t i);
  bool make_room(Turn& t);
  void start(Turn& t, uint32_t i);
  void fail(Turn& t, uint32_t i);
  void settle(Turn& t, uint32_t i, NeighborState s, const Mac& mac);
  void used(Turn& t, uint32_t i);
  void solicit(Turn& t, uint32_t i);
  void due(Turn& t, uint32_t i);
  void sweep(Turn& t);
  void look_at(Turn& t, uint32_t i);
  void enqueue(Turn& t, uint32_t i, rte_mbuf* m);
  rte_mbuf* dequeue(Entry& e);
  void send(Turn& t, uint32_t i, rte_mbuf* m);
  void enter(uint32_t i, Limbo l);
  void leave(uint32_t i);
  List& list(Limbo l) { return l == Limbo::incomplete ? incomplete_ : failed_; }
  Duration reachable_time(Turn& t);

  Core& core_;
  NeighborTable& table_;
  std::vector<Entry> entry_;       // parallel to the table's slots
  std::vector<uint32_t> live_;     // indices of occupied slots
  size_t permanent_ = 0;           // of them
  size_t cursor_ = 0;              // of the sweep, downwards
  DeadlineHeap heap_;
  List incomplete_, failed_;
  Instant next_sweep_ = Instant::never();
  TokenBucket requests_, probes_;
  unsigned queued_ = 0, queue_bound_;
};

}  // namespace sluice::stack
