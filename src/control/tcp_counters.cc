#include "control/tcp_counters.h"

#include "tcp/core.h"

namespace sluice::control {

std::vector<TcpCounter> tcp_counters(engine::Box& box) {
  std::vector<TcpCounter> list = {
#define COUNT(name, text) {#name, text, 0},
#include "tcp/counters.def"
#undef COUNT
  };
  for (unsigned k = 0; k < box.stacks(); k++)
    box.run_on_stack(k, [&](stack::HostStack& h, apps::Host&) {
      const tcp::Counters& from = h.tcp().stack().counters();
      size_t i = 0;
#define COUNT(name, text) list[i++].value += from.name;
#include "tcp/counters.def"
#undef COUNT
    });
  return list;
}

}  // namespace sluice::control
