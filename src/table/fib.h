// Longest-prefix match on rte_fib (DIR-24-8) and rte_fib6 (trie), immutable once built: an owner that
// builds from sorted routes and looks up in bulk. Values are indices of next-hop groups.
// Errors: a prefix given twice, too many tbl8 groups, no memory. Build on the control thread, look up anywhere.
//
// Memory comes from the EAL heap, which is fixed at start where there are no hugepages: whoever starts EAL
// sizes it with memory_needed(). An entry takes 2 bytes while the groups are numbered below 32,767 and there
// are no more than 32,767 tbl8 groups, else 4: the first-level table is then 32 or 64 MiB. A table that holds
// a default route alone, or nothing, takes none.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/addr.h"

struct rte_fib;
struct rte_fib6;

namespace sluice {

struct FibRoute {
  Prefix prefix;   // masked; one family per table
  uint32_t group;  // < 2^30
};

class Fib4 {
 public:
  static constexpr uint32_t kMiss = 0x3fffffff;
  // `routes` may be unsorted; a prefix that occurs twice is an error. The result holds no reference to it.
  static Result<std::unique_ptr<const Fib4>> build(std::vector<FibRoute> routes, int numa_node = -1);
  ~Fib4();
  uint32_t lookup(const Ip4& a) const;
  void lookup_bulk(const uint32_t* host_order, uint32_t* group, unsigned n) const;
  size_t size() const { return size_; }
  static size_t memory_estimate(size_t routes);  // bytes, for the memory budget: BGP-like, few next hops
  static size_t memory_needed(std::vector<FibRoute> routes);  // bytes that build() will take

 private:
  Fib4() = default;
  rte_fib* fib_ = nullptr;  // null: `other_` is the answer to everything
  uint32_t other_ = kMiss;  // the group of the default route
  uint32_t none_ = 0;       // how the table spells kMiss
  size_t size_ = 0;
};

class Fib6 {
 public:
  static constexpr uint32_t kMiss = 0x3fffffff;
  static Result<std::unique_ptr<const Fib6>> build(std::vector<FibRoute> routes, int numa_node = -1);
  ~Fib6();
  uint32_t lookup(const Ip6& a) const;
  void lookup_bulk(const Ip6* a, uint32_t* group, unsigned n) const;
  size_t size() const { return size_; }
  static size_t memory_estimate(size_t routes);
  static size_t memory_needed(std::vector<FibRoute> routes);

 private:
  Fib6() = default;
  rte_fib6* fib_ = nullptr;
  uint32_t other_ = kMiss;
  uint32_t none_ = 0;
  size_t size_ = 0;
};

}  // namespace sluice
