// Longest-prefix match on rte_fib (DIR-24-8) and rte_fib6 (trie), immutable once built: an owner that
// builds from sorted routes and looks up in bulk. Values are indices of next-hop groups.
// Errors: too many routes or tbl8 groups, no memory. Build on the control thread, look up anywhere.
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
  static size_t memory_estimate(size_t routes);  // bytes, for the memory budget

 private:
  Fib4() = default;
  rte_fib* fib_ = nullptr;
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

 private:
  Fib6() = default;
  rte_fib6* fib_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sluice
