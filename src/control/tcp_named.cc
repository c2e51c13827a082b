#include "control/tcp_named.h"

namespace sluice::control {

namespace {

std::vector<ConnName> with_remote(Context& c, const Params& p, const AddressPort& remote) {
  std::vector<ConnName> found;
  struct Search {
    const AddressPort& remote;
    unsigned stack;
    std::vector<ConnName>& found;
  };
  constexpr unsigned kSlice = 512, kEnough = 2;
  for (unsigned k = 0; k < c.box.stacks(); k++) {
    Search s{remote, k, found};
    uint32_t cursor = 0;
    do {
      on_stack(c, p, k, [&](tcp::Stack& t) {
        cursor = t.list(c.box.now(), cursor, kSlice, &s, [](void* to, const tcp::Info& i) {
          auto& search = *static_cast<Search*>(to);
          if (i.tuple.remote == search.remote.address && i.tuple.remote_port == search.remote.port)
            search.found.push_back({search.stack, i.id});
        });
      });
    } while (cursor != 0 && found.size() < kEnough);
  }
  return found;
}

}  // namespace

void on_stack(Context& c, const Params& p, unsigned stack, const std::function<void(tcp::Stack&)>& f) {
  if (!c.box.run_on_stack(stack, [&](stack::HostStack& h, apps::Host&) { f(h.tcp().stack()); }))
    throw RpcError{kBusy, p.method() + ": stack engine " + std::to_string(stack) + " does not answer"};
}

ConnName connection_named(Context& c, Params& p) {
  const std::string id = p.text("id"), remote = p.text("remote");
  p.finish();
  if (id.empty() == remote.empty()) p.invalid("id", "expected either id, or remote: the peer's ADDRESS:PORT");
  if (!id.empty()) {
    const auto n = parse_conn_name(id);
    if (!n && parse_ip(id))
      p.invalid("remote", "'" + id.substr(0, 64) + "' has no port; expected the peer's ADDRESS:PORT, such as " +
                              (id.find(':') == id.npos ? id + ":41000" : "[" + id + "]:41000"));
    if (!n || n->stack >= c.box.stacks())
      p.invalid("id", "'" + id.substr(0, 64) + "' is no connection; tcp.list names them, such as 0.17.2");
    return *n;
  }
  const auto a = parse_address_port(remote);
  if (!a) p.invalid("remote", "'" + remote.substr(0, 64) + "' is no ADDRESS:PORT, such as 192.0.2.7:41000");
  const std::vector<ConnName> found = with_remote(c, p, *a);
  if (found.empty()) throw RpcError{kRefused, p.method() + ": no connection with " + remote};
  if (found.size() > 1)
    throw RpcError{kRefused, p.method() + ": several connections with " + remote + ": name one by its id, such as " +
                                 to_string(found[0])};
  return found[0];
}

}  // namespace sluice::control
