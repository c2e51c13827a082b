#include "control/tcp_named.h"

namespace sluice::control {

json run_tcp_show(Context& c, Params& p) {
  const ConnName n = connection_named(c, p);
  std::optional<tcp::Info> info;
  on_stack(c, p, n.stack, [&](tcp::Stack& t) { info = t.info(c.box.now(), n.id); });
  if (!info) throw RpcError{kRefused, "tcp.show: connection " + to_string(n) + " is gone"};
  return connection_in_full(n, *info, service_of(c.running.model(), *info));
}

}  // namespace sluice::control
