#include "control/tcp_named.h"

namespace sluice::control {

namespace {

// Both ways the service hears of it as of a peer's doing.
json end_connection(Context& c, Params& p, tcp::Outcome (tcp::Stack::*end)(Instant, tcp::ConnId)) {
  const ConnName n = connection_named(c, p);
  tcp::Outcome outcome = tcp::Outcome::stale;
  on_stack(c, p, n.stack, [&](tcp::Stack& t) { outcome = (t.*end)(c.box.now(), n.id); });
  if (outcome == tcp::Outcome::stale)
    throw RpcError{kRefused, p.method() + ": connection " + to_string(n) + " is gone"};
  if (outcome == tcp::Outcome::wrong_state)
    throw RpcError{kRefused, p.method() + ": connection " + to_string(n) + " is closing already"};
  return {{"id", to_string(n)}, {"done", true}};
}

}  // namespace

json run_tcp_close(Context& c, Params& p) { return end_connection(c, p, &tcp::Stack::shutdown); }
json run_tcp_abort(Context& c, Params& p) { return end_connection(c, p, &tcp::Stack::reset); }

}  // namespace sluice::control
