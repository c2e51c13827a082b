// The block and allow list: prefixes of both families, with or without an end, in memory that the verdict reads
// (bpf/maps.h: DIR-24-8 for IPv4, fingerprints by length for IPv6).
//
// The longest prefix that holds the source decides, whichever its action; an address under none passes on. A prefix has
// one entry of each origin: what was given by command stands before what the file says, until it ends or is removed;
// bogons come last.
//
// Single changes are made in place: every packet sees the list before or after, for its own source. Many at once are built
// beside the list in force, which is then swapped. Threads: control thread alone.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/instant.h"
#include "base/result.h"
#include "shed/policy.h"

namespace sluice::shed {

class ListMemory;  // two slots of slots4, groups and list6: BPF maps, or plain memory

enum class Origin : uint8_t { command, file, bogon };

// Entries of one origin that come and go together, for all packets at one moment.
struct Batch {
  Origin from{};
  std::vector<ListEntry> come;       // of several for one prefix the last counts
  unsigned go = 0;                   // actions, a bit each: the entries that have one go
  Instant until = Instant::never();  // of what comes
};
inline constexpr unsigned kAllActions = (1u << SLUICE_ACTIONS) - 1;

class PrefixList {
 public:
  static constexpr size_t kMost = 2'000'000;  // entries; above, add and replace say so

  PrefixList(std::unique_ptr<ListMemory> memory, sluice_control* control, uint64_t k0, uint64_t k1);
  ~PrefixList();

  // Errors change nothing: full, no memory for a map, more than SLUICE_MAX_LENGTHS6 lengths of IPv6 prefixes.
  //
  // Changes are in force on return. Where a list of many entries has no room left in place, a larger one is built meanwhile
  // and add() says so; that is begun early, and seen only by who adds thousands during it.
  Status add(const ListEntry& e, Origin from, Instant until = Instant::never());
  bool remove(const Prefix& p, Origin from);  // false: there is none
  // Several batches at once, in force on return; takes about a second for a million entries.
  Status replace(std::vector<Batch> batches);
  Status replace(Origin from, std::vector<ListEntry> all, Instant until = Instant::never());

  // The same, without holding up the caller for long: what is large is built by a thread of its own. It is in force,
  // or has failed, when its outcome is done, which some later settle() sees to. Meanwhile add() and remove() count at once,
  // and after the batch. One at a time; else an error.
  struct Outcome {
    bool done = false;
    Status status;
  };
  Result<std::shared_ptr<const Outcome>> begin(Batch batch, Instant now);
  bool building() const;
  void settle(Instant now);

  size_t expire(Instant now);  // returns how many ended; of very many at once some end a moment later
  Instant next_expiry() const;  // or earlier, if what would have ended was removed

  struct View {
    ListEntry entry;
    Origin from;
    Instant until;  // never(): no end
  };
  size_t size() const;
  size_t size(Origin from, sluice_action a) const;
  size_t memory_bytes() const;
  // Called after a change, with whether there is any entry: the verdict looks into the list only then.
  void when_used(std::function<void(bool)> f);

  // In order of address, from position `from` on; at most `n`.
  void visit(size_t from, size_t n, const std::function<void(const View&)>& f) const;
  std::optional<View> find(const IpAddr& a) const;   // what the verdict says of this source, and why
  // Prefixes whose every address is blocked, the shortest first: for rte_flow.
  std::vector<Prefix> blocked(size_t at_most) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::shed
