// One direction of one queue of the fault port: decides each frame's fate and holds those that are late.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <vector>

#include "base/counter.h"
#include "base/instant.h"
#include "port/options.h"

namespace sluice::port {

class alignas(64) FaultLane {
 public:
  static constexpr unsigned kRoom = 4096;  // frames held at most
  static constexpr unsigned kMostDisplaced = 32;

  FaultLane(const FaultOptions& o, uint64_t stream, rte_mempool* pool);
  ~FaultLane() { drop_all(); }
  FaultLane(const FaultLane&) = delete;

  // How many frames admit() can take: each may become two.
  unsigned room() const { return (kRoom - held_) / 2; }
  void admit(Instant now, rte_mbuf* m);                     // takes ownership
  unsigned due(Instant now, rte_mbuf** pkts, unsigned n);   // gives it
  void put_back(Instant now, rte_mbuf** pkts, unsigned n);  // what due() gave and nobody took, in its order
  Instant next() const { return {next_.load(std::memory_order_relaxed)}; }
  unsigned held() const { return static_cast<unsigned>(holding_.load(std::memory_order_relaxed)); }
  unsigned drop_all();

  Counter lost, duplicated, reordered, corrupted, delayed;

 private:
  struct Entry {
    int64_t at;
    int64_t order;
    rte_mbuf* m;
    // A heap with the earliest on top.
    bool operator<(const Entry& o) const { return at != o.at ? at > o.at : order > o.order; }
  };
  struct Displaced {
    rte_mbuf* m = nullptr;
    unsigned passes = 0;  // that many frames overtake it
    int64_t give_up = 0;  // or it goes now
  };

  double draw();  // [0, 1)
  void schedule(Instant now, rte_mbuf* m);
  void push(int64_t at, rte_mbuf* m);
  void overtaken(int64_t at);
  rte_mbuf* corrupt(rte_mbuf* m);
  void settle();

  const FaultOptions o_;
  rte_mempool* pool_;
  uint64_t random_;
  std::vector<Entry> heap_;
  std::array<Displaced, kMostDisplaced> displaced_{};
  unsigned held_ = 0;
  int64_t order_ = 0, front_ = -1;
  std::atomic<int64_t> next_{INT64_MAX};
  std::atomic<uint64_t> holding_{0};
};

}  // namespace sluice::port
