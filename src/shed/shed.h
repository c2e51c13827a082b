// Early drop of one box: the memory that verdicts read, wherever they run, and who may change it.
//
// Threads: control thread, unless said otherwise.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "port/options.h"
#include "shed/policy.h"
#include "shed/prefix_list.h"
#include "table/flow_hints.h"
#include "verdict.h"

namespace sluice::shed {

struct Keys {                      // of one process; cookie and timestamp are the TCP stack's
  uint64_t hint[2]{}, table[2]{}, list[2]{}, cookie[2]{}, timestamp[2]{};
};

class Shed {
 public:
  // kernel: some port is an AF_XDP one, so the memory is that of BPF maps; an error says which map, and what to do.
  static Result<std::unique_ptr<Shed>> create(const Keys& keys, bool kernel);
  ~Shed();

  // Whole or not at all. Entries of `lists` replace those of Origin::file. `queues`: by which rates of classes are
  // divided: the most receive queues that a port has.
  Status set_policy(const Policy& p, unsigned queues = 1);
  const Policy& policy() const;
  // What SYN cookies may be given for; at most SLUICE_MAX_SERVICES, the rest is answered by the stack alone.
  void set_services(const std::vector<Service>& all);

  PrefixList& lists();
  FlowHints& hints();              // marks: any lcore
  port::ShedMaps maps() const;     // for port::Options
  bool in_kernel() const;

  // What returns after every lcore has left its current turn: called before memory is changed that a verdict in user space
  // may still read. Without it, nobody may be in one while lists or policy change.
  void set_quiesce(std::function<void()> f);

  // About every 200 ms: ends entries, turns generations of hints, keeps the programs' clock. `kernel_now`: what
  // bpf_ktime_get_ns() says at `now`.
  void maintain(Instant now, Instant kernel_now);

  // For the verdict in user space, any lcore: the environment as it is now, but for time and queue. Rates are counted
  // apart from the kernel's.
  sluice_env environment();

 private:
  struct Impl;
  explicit Shed(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::shed
