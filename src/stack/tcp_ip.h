// TCP's way through IP: checks what comes, tells the library of it, books what became of it, and makes packets of what
// the library sends.
//
// Theory of operation. A segment for the box is checked here once (length, data offset, checksum unless the port has
// done that), and handed to the library as a value; its mbuf stays where it is, and is the library's if it keeps the
// payload. It counts as consumed from then on, and Buffers counts it until it is freed. A datagram that was put together
// from fragments lies in a flat buffer: it is cut into segments in buffers of their own, which are received like any.
//
// With several stack engines each has its share of the connections. What reaches one of them by another way than the
// workers' hash (fragments, ICMP errors) goes on to its owner before anything is done about it.
//
// Open connections are marked as established for the verdict in front of the ports (table/flow_hints.h): when they open,
// and in each generation once more, so many of the library's slots a flush.
//
// Out: one OutSegment becomes one packet by reference where the ports can cut it, else as many as its payload needs,
// copied and summed from where the application left it; it stays there until it is acknowledged (tcp_out.cc).
#pragma once

#include <algorithm>

#include "stack/datagram.h"
#include "stack/tcp_host.h"
#include "stack/tcp_payload.h"
#include "table/flow_hints.h"
#include "table/token_bucket.h"

namespace sluice::stack {

class TcpIp final : private tcp::Sink {
 public:
  TcpIp(Core& core, const RouteQuery& routes);

  // Proto TCP, for one of the box's addresses or (dropped here) a group.
  void receive(Turn& t, Datagram& d);
  // An ICMP or ICMPv6 error, checksum verified. false: it is not about TCP of the box's own, and still the caller's.
  bool icmp(Turn& t, Datagram& d);
  void command(Turn& t, const std::function<void()>& f);
  void flush(Turn& t);
  void tick(Turn& t);
  Instant next_deadline() const { return std::min(host_.stack().next_deadline(), mark_at_); }

  TcpHost& host() { return host_; }
  const TcpHost& host() const { return host_; }

 private:
  struct Scope;
  struct Shape;
  struct Part;
  bool send(const tcp::OutSegment& s) override;
  uint32_t by_reference(Payload payload, const tcp::OutSegment& s, uint32_t left) const;
  rte_mbuf* start(const Part& p, uint32_t room);
  static void leave_to_port(const Part& p, rte_mbuf* m);
  bool send_flat(const Part& p, Payload& payload);
  bool send_chain(const Part& p, Payload& payload);
  rte_mbuf* refer(const Payload::Piece& p);
  rte_mbuf* copied(const Payload::Piece& p);
  void expects(const tcp::Tuple& t) override;
  void opened(const tcp::Tuple& t) override;
  void mark_some(Instant now);
  void segment(Turn& t, Datagram& d, const wire::TcpHdr& h, const tcp::Tuple& tuple);
  void cut(Turn& t, const Datagram& whole, const wire::TcpHdr& h, const tcp::Tuple& tuple);
  rte_mbuf* piece(Turn& t, const Datagram& whole, uint32_t from, uint32_t n);
  uint16_t mtu_of(const Turn& t, const Datagram& d, const wire::TcpHdr& h) const;

  const TxOffloads tx_;
  rte_mempool* const clones_;
  const RouteQuery& routes_;
  FlowHints* const hints_;
  TokenBucket expected_;
  uint16_t marked_ = 0;    // the generation in which all slots below the cursor were marked
  uint32_t cursor_ = 0;
  Instant mark_at_ = Instant::never();  // there are slots left
  TcpHost host_;
  Turn* turn_ = nullptr;  // while the library may send
};

}  // namespace sluice::stack
