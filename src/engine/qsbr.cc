#include "engine/qsbr.h"

#include <cstdlib>
#include <new>

#include "engine/clock.h"
#include "engine/nap.h"

namespace sluice::engine {

void Qsbr::Free::operator()(rte_rcu_qsbr* p) const { std::free(p); }

Qsbr::Qsbr(unsigned readers) {
  const size_t size = rte_rcu_qsbr_get_memsize(readers);
  v_.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, size)));
  if (!v_ || rte_rcu_qsbr_init(v_.get(), readers) != 0) throw std::bad_alloc();
}

void Qsbr::join(unsigned id) {
  rte_rcu_qsbr_thread_register(v_.get(), id);
  rte_rcu_qsbr_thread_online(v_.get(), id);
}

void Qsbr::leave(unsigned id) {
  rte_rcu_qsbr_thread_offline(v_.get(), id);
  rte_rcu_qsbr_thread_unregister(v_.get(), id);
}

bool Qsbr::wait(Token t, Duration at_most) {
  return nap_until([&] { return passed(t); }, at_most);
}

}  // namespace sluice::engine
