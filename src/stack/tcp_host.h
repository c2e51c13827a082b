// One stack engine's TCP as applications see it: the library, the buffers that it and they keep, and the way out to a
// remote address. It knows nothing of packets: tcp_ip.h feeds it and carries its segments away. A test makes one with
// a sink and routes of its own.
//
// Threads: the engine's alone.
#pragma once

#include <optional>

#include "packet/buffers.h"
#include "tcp/stack.h"

namespace sluice::stack {

// Where packets of the box's own to some address start from.
struct Way {
  IpAddr local;        // the address to speak from
  tcp::Path path;
  uint16_t mtu = 1500; // of the link that they leave through
};

// What the routes in force say.
class RouteQuery {
 public:
  // None: no route, nothing on its link to speak from, or the box itself.
  virtual std::optional<Way> towards(const IpAddr& remote) const = 0;
  virtual bool own(const IpAddr& address) const = 0;  // one of the box's addresses
  // Do this connection's segments come to this stack engine? There may be several, each with its share. With local
  // port 0: whatever the port.
  virtual bool comes_here(const tcp::Tuple& t) const = 0;

 protected:
  ~RouteQuery() = default;
};

class TcpHost {
 public:
  // `most_buffers`: how many mbufs of the pool TCP and its applications may keep. All references outlive it.
  TcpHost(const tcp::Config& c, const tcp::Secrets& s, rte_mempool* pool, uint32_t most_buffers, tcp::Sink& sink,
          const RouteQuery& routes)
      : buffers_(pool, most_buffers), stack_(c, s, buffers_, sink), routes_(routes), random_(s.seed) {}

  tcp::Stack& stack() { return stack_; }
  const tcp::Stack& stack() const { return stack_; }
  Buffers& buffers() { return buffers_; }
  const Buffers& buffers() const { return buffers_; }
  const RouteQuery& routes() const { return routes_; }

  // Opens a connection. Of `o`, the remote end must be set; the local address is the route's unless it is given, the
  // local port an ephemeral one whose answers come to this engine unless it is given; path and MTU are filled in.
  // Outcome invalid: no route, or `o` names an address that is not the box's.
  tcp::Outcome connect(Instant now, tcp::ConnectOptions o, tcp::ConnId& id);

 private:
  tcp::Outcome connect_somewhere(Instant now, tcp::ConnectOptions& o, tcp::ConnId& id);

  Buffers buffers_;
  tcp::Stack stack_;
  const RouteQuery& routes_;
  uint64_t random_;    // of ephemeral ports (SplitMix64)
};

}  // namespace sluice::stack
