// How much memory a configuration takes, before anything is allocated. Figures are those of the parts' own
// layouts, rounded up: an estimate that is too low kills the box hours later, one that is too high is a
// sentence the user can answer with memory-limit or smaller tables.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

constexpr uint64_t kPacketBytes = 4096;  // a chunk of the packet pool
constexpr uint64_t kMempoolBytes = 40;   // its place in the mempool's ring and caches
constexpr uint64_t kCloneBytes = 264;    // a reference to it, with its place, where ports take chains (ClonePool)
constexpr uint64_t kFlowBytes4 = 64, kFlowBytes6 = 128;
constexpr uint64_t kFlowIndexBytes = 8;  // tag and position, the index half full at most
constexpr uint64_t kNeighborBytes = 64, kNeighborIndexBytes = 16;
constexpr uint64_t kRuleBytes = 512, kRuleBytes6 = 1024;     // of one expanded rule in rte_acl's trie
constexpr uint64_t kCounterBytes = 16;                       // of a rule, for each worker
constexpr uint64_t kFib4Bytes = 64ull << 20;                 // DIR-24-8: the first 24 bits
constexpr uint64_t kFib6Bytes = 64ull << 20;                 // the trie's first level
constexpr uint64_t kRouteBytes4 = 512, kRouteBytes6 = 2700;  // second levels at random, tree and list entry
constexpr uint64_t kRingBytes = 8 * 4;                       // AF_XDP: a slot in each of the four rings
constexpr uint64_t kWorkerBytes = 4ull << 20;                // hand-off rings, pipeline scratch, stacks
constexpr uint64_t kConnectionBytes = 1024;                  // control block, its place in the table, timers
constexpr uint64_t kChunkBytes = 48, kRecordBytes = 64;      // of what is queued and in flight
constexpr uint64_t kShedBytes = 24ull << 20;                 // hints, rates, policy
constexpr uint64_t kShedListBytes = 2 * (64ull << 20);       // two slots of 2^24 IPv4 prefixes
constexpr uint64_t kShedPrefixBytes = 192;                   // of an entry: the control side's, and groups in both slots
constexpr uint64_t kBaseBytes = 96ull << 20;                 // EAL, libraries, control side
constexpr unsigned kSnapshots = 2;                           // while one replaces another both are there

// Combinations that a rule is multiplied out to, per family.
void expanded(const Rule& r, uint64_t& ip4, uint64_t& ip6) {
  auto count = [](const std::vector<Prefix>& list, unsigned family) {
    return list.empty() ? 1
                        : static_cast<uint64_t>(std::count_if(list.begin(), list.end(), [&](const Prefix& p) {
                            return p.addr.family == family;
                          }));
  };
  auto some = [](size_t n) { return static_cast<uint64_t>(std::max<size_t>(n, 1)); };
  const uint64_t common = some(r.in.size()) * some(r.out.size()) * some(r.protocols.size()) *
                          some(r.from_ports.size()) * some(r.to_ports.size());
  ip4 += count(r.from, 4) * count(r.to, 4) * common * some(r.icmp4.size());
  ip6 += count(r.from, 6) * count(r.to, 6) * common * some(r.icmp6.size());
}

uint64_t field(const std::string& text, const char* name) {  // "MemAvailable:   123 kB" → 123
  const size_t at = text.find(name);
  return at == text.npos ? 0 : std::strtoull(text.c_str() + at + std::string_view(name).size(), nullptr, 10);
}

std::string slurp(const char* path) {
  std::ifstream in(path);
  std::ostringstream s;
  s << in.rdbuf();
  return s.str();
}

}  // namespace

Budget memory_budget(const Model& m, const RouteCount& from_files) {
  Budget b;
  auto part = [&](const char* name, uint64_t bytes) {
    if (bytes) b.parts.emplace_back(name, bytes);
    b.total += bytes;
  };
  const uint64_t workers = std::max<uint64_t>(m.system.workers.size(), 1);
  RouteCount routes = from_files;
  for (const Route& r : m.routes) (r.to.addr.family == 6 ? routes.ip6 : routes.ip4)++;
  for (const Port& p : m.ports)
    for (const Prefix& a : p.addresses) (a.addr.family == 6 ? routes.ip6 : routes.ip4) += 2;
  uint64_t rules4 = 0, rules6 = 0, slots = 0;
  for (const Rule& r : m.filter.rules) expanded(r, rules4, rules6);
  for (const Port& p : m.ports) slots += static_cast<uint64_t>(p.queues) * p.ring_size;

  part("packets", m.system.packets * (kPacketBytes + kMempoolBytes + kCloneBytes));
  part("IPv4 flows", workers * m.flows.ip4 * (kFlowBytes4 + kFlowIndexBytes));
  part("IPv6 flows", workers * m.flows.ip6 * (kFlowBytes6 + kFlowIndexBytes));
  part("neighbors", m.neighbors.max_entries * (kNeighborBytes + kNeighborIndexBytes));
  part("IPv4 routes", routes.ip4 ? kSnapshots * (kFib4Bytes + routes.ip4 * kRouteBytes4) : 0);
  part("IPv6 routes", routes.ip6 ? kSnapshots * (kFib6Bytes + routes.ip6 * kRouteBytes6) : 0);
  part("rules", kSnapshots * (rules4 * kRuleBytes + rules6 * kRuleBytes6 +
                              m.filter.rules.size() * kCounterBytes * workers));
  part("port rings", slots * kRingBytes);
  part("workers", workers * kWorkerBytes);
  // Mapped at once, touched as connections come: without a service there are none.
  const uint64_t stacks = m.services.empty() ? 0 : std::max<uint64_t>(m.system.stacks.size(), 1);
  part("TCP connections", stacks * (m.tcp.connections * kConnectionBytes + m.tcp.chunks * kChunkBytes +
                                    m.tcp.records * kRecordBytes));
  const Shed& s = m.shed;
  const uint64_t listed = s.block.items.size() + s.block.from_files.size() + s.allow.items.size() + s.allow.from_files.size();
  const bool lists = listed || s.bogons != Shed::Bogons::no;
  part("early drop", kShedBytes + (lists ? kShedListBytes : 0) + listed * kShedPrefixBytes);
  part("program", kBaseBytes);
  std::stable_sort(b.parts.begin(), b.parts.end(), [](auto& x, auto& y) { return x.second > y.second; });
  return b;
}

std::string over_budget(const Budget& b, uint64_t limit, const std::string& what) {
  if (b.total <= limit) return "";
  std::string s = "the configuration needs about " + format_bytes(b.total) + ", but " + what + " is " +
                  format_bytes(limit) + "; its largest parts are ";
  constexpr size_t kNamed = 3;
  for (size_t i = 0; i < std::min(kNamed, b.parts.size()); i++)
    s += (i ? ", " : "") + b.parts[i].first + " (" + format_bytes(b.parts[i].second) + ")";
  return s;
}

uint64_t available_memory() {
  const std::string info = slurp("/proc/meminfo");
  if (info.find("MemAvailable:") == info.npos) return UINT64_MAX;
  const uint64_t own = field(slurp("/proc/self/status"), "VmRSS:") * 1024;
  uint64_t available = field(info, "MemAvailable:") * 1024 + own +
                       field(info, "HugePages_Free:") * field(info, "Hugepagesize:") * 1024;
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const std::string limit = slurp(file);
    if (!limit.empty() && limit[0] >= '1' && limit[0] <= '9')
      available = std::min<uint64_t>(available, std::strtoull(limit.c_str(), nullptr, 10));
  }
  return available;
}

bool count_routes(const std::string& path, RouteCount& count) {
  std::ifstream in(path);
  if (!in || in.peek() == std::ifstream::traits_type::eof()) return in.eof();
  for (std::string line; std::getline(in, line);) {
    const size_t start = line.find_first_not_of(" \t");
    if (start == line.npos || line[start] == '#') continue;
    const bool ip6 = line.find(':', start) < line.find_first_of(" \t", start);
    (ip6 ? count.ip6 : count.ip4)++;
  }
  return !in.bad();
}

}  // namespace sluice::config
