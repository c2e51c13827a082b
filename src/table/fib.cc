#include "table/fib.h"

#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/limits.h"

// How a table is made, for both families:
//
//   1. sort by (address, length), so that a prefix comes before everything inside it. rte_fib then writes each
//      range once (parents first), which is six times faster than random order; equal neighbours are duplicates;
//   2. leave out what changes no answer: a route whose closest covering route has the same group;
//   3. the default route becomes the table's default value: it costs no entry;
//   4. count the tbl8 groups that rte_fib will reserve, and choose the entry size;
//   5. create and add. rte_fib keeps its own tree of the routes (two nodes a route), needed for changes alone;
//      it cannot be dropped, and is most of the memory of a large table.

namespace sluice {
namespace {

constexpr uint32_t kSmallMax = (1u << 15) - 1;  // rte_fib: a 2-byte entry holds 15 bits, tbl8 numbers too
constexpr uint32_t kTbl24 = 1u << 24;
constexpr size_t kTreeNode = 192;               // rte_rib's mempool: object, header and spread between channels
constexpr size_t kTreeNode6 = 192;

struct Key {  // an address as two big numbers
  uint64_t hi, lo;
  auto operator<=>(const Key&) const = default;
};

Key key_of(const IpAddr& a) {
  Ip6 b{a.b};
  return {byte_swapped(b.hi()), byte_swapped(b.lo())};
}

// How many leading bits two addresses share.
unsigned common_bits(const Key& a, const Key& b) {
  if (a.hi != b.hi) return static_cast<unsigned>(__builtin_clzll(a.hi ^ b.hi));
  return a.lo == b.lo ? 128 : 64 + static_cast<unsigned>(__builtin_clzll(a.lo ^ b.lo));
}

struct Route {
  Key key;
  uint8_t len;
  uint32_t group;
  auto order() const { return std::tuple(key, len); }
};

struct Plan {
  std::vector<Route> routes;      // sorted, without the default route and without what changes nothing
  uint32_t other = UINT32_MAX;    // the default route's group
  uint32_t max_group = 0;
  uint32_t tbl8 = 0;              // what rte_fib reserves at most
  bool small = true;
  size_t given = 0;
};

Error duplicate(const FibRoute& r) { return {"the route " + to_string(r.prefix) + " is there twice; remove one"}; }

Result<std::vector<Route>> sorted(std::vector<FibRoute>& in, unsigned family) {
  std::vector<Route> out;
  out.reserve(in.size());
  for (const FibRoute& r : in) {
    if (r.prefix.addr.family != family || r.prefix.len > r.prefix.addr.bits())
      return Error{"the route " + to_string(r.prefix) + " is not of this table's family"};
    if (r.group >= Fib4::kMiss) return Error{"the route " + to_string(r.prefix) + " has a group out of range"};
    out.push_back({key_of(r.prefix.addr), r.prefix.len, r.group});
  }
  auto less = [](const Route& a, const Route& b) { return a.order() < b.order(); };
  if (!std::is_sorted(out.begin(), out.end(), less)) std::sort(out.begin(), out.end(), less);
  auto twin = std::adjacent_find(out.begin(), out.end(),
                                 [](const Route& a, const Route& b) { return a.order() == b.order(); });
  if (twin != out.end())
    for (const FibRoute& r : in)
      if (key_of(r.prefix.addr) == twin->key && r.prefix.len == twin->len) return duplicate(r);
  return out;
}

// Drops the default route and what its closest covering route answers alike.
void prune(std::vector<Route>& all, Plan& plan) {
  std::vector<const Route*> cover;  // the kept routes that hold the current one, outermost first
  plan.routes.reserve(all.size());
  for (const Route& r : all) {
    plan.max_group = std::max(plan.max_group, r.group);
    if (r.len == 0) {
      plan.other = r.group;
      continue;
    }
    while (!cover.empty() && common_bits(cover.back()->key, r.key) < cover.back()->len) cover.pop_back();
    if (r.group == (cover.empty() ? plan.other : cover.back()->group)) continue;
    cover.push_back(&r);
    plan.routes.push_back(r);
  }
}

// DIR-24-8: one group per /24 with something longer inside.
uint32_t count_tbl8_v4(const std::vector<Route>& routes) {
  uint32_t n = 0;
  uint64_t last = UINT64_MAX;
  for (const Route& r : routes) {
    if (r.len <= 24 || r.key.hi >> 40 == last) continue;
    last = r.key.hi >> 40;
    n++;
  }
  return n + 2;  // adding a range wants two free ones at hand
}

// rte_fib6 reserves for each route the levels of eight bits between it and its covering route, unless
// something is already inside its last level. (It counts a level again for each route that shares it.)
uint32_t count_tbl8_v6(const std::vector<Route>& routes) {
  auto up8 = [](unsigned v) { return (v + 7) & ~7u; };
  uint64_t n = 0;
  std::vector<const Route*> cover;
  const Route* before = nullptr;
  for (const Route& r : routes) {
    while (!cover.empty() && common_bits(cover.back()->key, r.key) < cover.back()->len) cover.pop_back();
    unsigned level = r.len & ~7u;
    bool shared = before && before->len > level && common_bits(before->key, r.key) >= level;
    unsigned above = cover.empty() ? 24u : std::max<unsigned>(cover.back()->len, 24);
    if (r.len > 24 && !shared) n += (up8(r.len) - up8(above)) / 8;
    cover.push_back(&r);
    before = &r;
  }
  return static_cast<uint32_t>(std::min<uint64_t>(n + 16, UINT32_MAX));
}

Result<Plan> make_plan(std::vector<FibRoute> routes, unsigned family) {
  Plan plan;
  plan.given = routes.size();
  auto all = sorted(routes, family);
  if (!all) return Error{all.error()};
  std::vector<FibRoute>().swap(routes);
  prune(*all, plan);
  plan.tbl8 = family == 4 ? count_tbl8_v4(plan.routes) : count_tbl8_v6(plan.routes);
  plan.small = plan.max_group < kSmallMax && plan.tbl8 <= kSmallMax;
  return plan;
}

size_t bytes_of(const Plan& p, size_t node) {
  if (p.routes.empty()) return 0;
  size_t entry = p.small ? 2 : 4;
  return (kTbl24 + (p.tbl8 + size_t{65}) * 256) * entry + p.routes.size() * 2 * (node + 8) + (size_t{1} << 20);
}

std::string unique_name(const char* what) {
  static std::atomic<unsigned> next{0};
  return std::string(what) + std::to_string(next.fetch_add(1));
}

Error no_memory(const Plan& p, unsigned family, size_t bytes) {
  return {"no memory for " + std::to_string(p.given) + " IPv" + std::to_string(family) + " routes: the table takes " +
          std::to_string((bytes >> 20) + 1) +
          " MiB, which the memory set aside at start does not hold; restart with this configuration, or give "
          "hugepages"};
}

}  // namespace

Result<std::unique_ptr<const Fib4>> Fib4::build(std::vector<FibRoute> routes, int numa_node) {
  auto plan = make_plan(std::move(routes), 4);
  if (!plan) return Error{plan.error()};
  std::unique_ptr<Fib4> f(new Fib4);
  f->size_ = plan->given;
  f->other_ = plan->other == UINT32_MAX ? kMiss : plan->other;
  if (plan->routes.empty()) return std::unique_ptr<const Fib4>(std::move(f));

  f->none_ = plan->small ? kSmallMax : kMiss;
  rte_fib_conf conf{};
  conf.type = RTE_FIB_DIR24_8;
  conf.default_nh = f->other_ == kMiss ? f->none_ : f->other_;
  conf.max_routes = static_cast<int>(plan->routes.size());
  conf.dir24_8.nh_sz = plan->small ? RTE_FIB_DIR24_8_2B : RTE_FIB_DIR24_8_4B;
  conf.dir24_8.num_tbl8 = plan->tbl8;
  f->fib_ = rte_fib_create(unique_name("fib4-").c_str(), numa_node, &conf);
  if (!f->fib_) return no_memory(*plan, 4, bytes_of(*plan, kTreeNode));
  for (const Route& r : plan->routes) {
    int rc = rte_fib_add(f->fib_, static_cast<uint32_t>(r.key.hi >> 32), r.len, r.group);
    if (rc < 0) return no_memory(*plan, 4, bytes_of(*plan, kTreeNode));
  }
  return std::unique_ptr<const Fib4>(std::move(f));
}

Fib4::~Fib4() { rte_fib_free(fib_); }

void Fib4::lookup_bulk(const uint32_t* host_order, uint32_t* group, unsigned n) const {
  if (!fib_) {
    std::fill_n(group, n, other_);
    return;
  }
  uint64_t value[kMaxBurst];
  for (unsigned done = 0; done < n;) {
    unsigned k = std::min(n - done, kMaxBurst);
    // The library takes the addresses as mutable, and does not change them.
    rte_fib_lookup_bulk(fib_, const_cast<uint32_t*>(host_order + done), value, static_cast<int>(k));
    for (unsigned i = 0; i < k; i++)
      group[done + i] = value[i] == none_ ? kMiss : static_cast<uint32_t>(value[i]);
    done += k;
  }
}

uint32_t Fib4::lookup(const Ip4& a) const {
  uint32_t host = a.host(), group;
  lookup_bulk(&host, &group, 1);
  return group;
}

size_t Fib4::memory_needed(std::vector<FibRoute> routes) {
  auto plan = make_plan(std::move(routes), 4);
  return plan ? bytes_of(*plan, kTreeNode) : 0;
}

size_t Fib4::memory_estimate(size_t routes) {
  if (routes == 0) return 0;
  Plan p;
  p.routes.resize(0);
  p.small = routes < kSmallMax;
  p.tbl8 = static_cast<uint32_t>(std::min<size_t>(routes, 1024 + routes / 8));
  return (kTbl24 + p.tbl8 * size_t{256}) * (p.small ? 2 : 4) + routes * 2 * (kTreeNode + 8) + (size_t{1} << 20);
}

Result<std::unique_ptr<const Fib6>> Fib6::build(std::vector<FibRoute> routes, int numa_node) {
  auto plan = make_plan(std::move(routes), 6);
  if (!plan) return Error{plan.error()};
  std::unique_ptr<Fib6> f(new Fib6);
  f->size_ = plan->given;
  f->other_ = plan->other == UINT32_MAX ? kMiss : plan->other;
  if (plan->routes.empty()) return std::unique_ptr<const Fib6>(std::move(f));

  f->none_ = plan->small ? kSmallMax : kMiss;
  rte_fib6_conf conf{};
  conf.type = RTE_FIB6_TRIE;
  conf.default_nh = f->other_ == kMiss ? f->none_ : f->other_;
  conf.max_routes = static_cast<int>(plan->routes.size());
  conf.trie.nh_sz = plan->small ? RTE_FIB6_TRIE_2B : RTE_FIB6_TRIE_4B;
  conf.trie.num_tbl8 = plan->tbl8;
  f->fib_ = rte_fib6_create(unique_name("fib6-").c_str(), numa_node, &conf);
  if (!f->fib_) return no_memory(*plan, 6, bytes_of(*plan, kTreeNode6));
  for (const Route& r : plan->routes) {
    uint64_t address[2] = {byte_swapped(r.key.hi), byte_swapped(r.key.lo)};
    uint8_t bytes[16];
    std::memcpy(bytes, address, 16);
    if (rte_fib6_add(f->fib_, bytes, r.len, r.group) < 0) return no_memory(*plan, 6, bytes_of(*plan, kTreeNode6));
  }
  return std::unique_ptr<const Fib6>(std::move(f));
}

Fib6::~Fib6() { rte_fib6_free(fib_); }

void Fib6::lookup_bulk(const Ip6* a, uint32_t* group, unsigned n) const {
  if (!fib_) {
    std::fill_n(group, n, other_);
    return;
  }
  uint64_t value[kMaxBurst];
  uint8_t bytes[kMaxBurst][16];
  for (unsigned done = 0; done < n;) {
    unsigned k = std::min(n - done, kMaxBurst);
    std::memcpy(bytes, a + done, k * sizeof *a);
    rte_fib6_lookup_bulk(fib_, bytes, value, static_cast<int>(k));
    for (unsigned i = 0; i < k; i++)
      group[done + i] = value[i] == none_ ? kMiss : static_cast<uint32_t>(value[i]);
    done += k;
  }
}

uint32_t Fib6::lookup(const Ip6& a) const {
  uint32_t group;
  lookup_bulk(&a, &group, 1);
  return group;
}

size_t Fib6::memory_needed(std::vector<FibRoute> routes) {
  auto plan = make_plan(std::move(routes), 6);
  return plan ? bytes_of(*plan, kTreeNode6) : 0;
}

size_t Fib6::memory_estimate(size_t routes) {
  if (routes == 0) return 0;
  size_t tbl8 = routes * 2 + 16;
  return (kTbl24 + tbl8 * 256) * (tbl8 <= kSmallMax ? 2 : 4) + routes * 2 * (kTreeNode6 + 8) + (size_t{1} << 20);
}

}  // namespace sluice
