// Quiescent-state based reclamation over rte_rcu_qsbr: readers (lcores) pay one store a turn, and the
// control thread learns when nobody can still hold what it has replaced.
//
// A reader holds a snapshot only within a turn. It reports once per turn, and goes offline around a sleep,
// so that nobody waits for a sleeper.
#pragma once

#include <rte_rcu_qsbr.h>

#include <memory>

#include "base/instant.h"

namespace sluice::engine {

class Qsbr {
 public:
  explicit Qsbr(unsigned readers);

  // --- reader `id`, on its own thread
  void join(unsigned id);
  void leave(unsigned id);
  void quiescent(unsigned id) { rte_rcu_qsbr_quiescent(v_.get(), id); }
  void offline(unsigned id) { rte_rcu_qsbr_thread_offline(v_.get(), id); }
  void online(unsigned id) { rte_rcu_qsbr_thread_online(v_.get(), id); }

  // --- control thread
  using Token = uint64_t;
  Token start() { return rte_rcu_qsbr_start(v_.get()); }
  // Has every reader passed a quiescent state since start() gave this token?
  bool passed(Token t) { return rte_rcu_qsbr_check(v_.get(), t, false) == 1; }
  // Waits for that, sleeping in between: the control thread may share a CPU with the reader it waits for.
  bool wait(Token t, Duration at_most);

 private:
  struct Free {
    void operator()(rte_rcu_qsbr* p) const;
  };
  std::unique_ptr<rte_rcu_qsbr, Free> v_;
};

}  // namespace sluice::engine
