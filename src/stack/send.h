// What the box says for itself: an upper-layer message gets its IP header, and leaves to be routed, or
// straight to the neighbour where its addresses are of one link. IPv6 is fragmented at its source, which
// is here (RFC 8200 4.5); IPv4 by whom its link is too small for, or here if it does not fit a buffer.
#pragma once

#include "stack/neighbors.h"
#include "stack/path_mtu.h"

namespace sluice::stack {

struct Header {
  IpAddr src, dst;
  uint8_t proto;
  uint8_t traffic_class = 0;
  uint8_t hops = 64;
  bool dont_fragment = false;   // IPv4
  uint16_t in_port;             // where what is answered came in
  uint8_t worker = 0;
};

// What fits behind the Ethernet header of a fresh buffer.
inline unsigned buffer_room(const rte_mempool* pool) {
  return rte_pktmbuf_data_room_size(const_cast<rte_mempool*>(pool)) - RTE_PKTMBUF_HEADROOM - kEthRoom;
}
// Ethernet and IP header in front of `payload` bytes, without options. The worker fills in the MACs.
void write_headers(uint8_t* frame, const Header& h, size_t payload, uint16_t id = 0);
// The stash of a packet of the box's own, whose upper-layer header is at `l4`.
Meta own_meta(const Header& h, unsigned l4, size_t payload);

class Sender {
 public:
  Sender(Core& core, Neighbors& n) : neighbors_(n), path_mtu_(core.config.key), key_(core.config.key) {}

  // `m` is the box's own and holds the message alone; in front of it is room for an IP and an Ethernet
  // header. `options`: IPv4 options, padded to 4 bytes. Takes ownership.
  void send(Turn& t, const Header& h, rte_mbuf* m, wire::ConstBytes options = {});
  // The same from a flat message of any length up to what IP can carry; copies.
  void send(Turn& t, const Header& h, wire::ConstBytes message);

  PathMtu& path_mtu() { return path_mtu_; }

 private:
  unsigned mtu_towards(Turn& t, const Header& h);
  void fragments4(Turn& t, const Header& h, wire::ConstBytes message, unsigned mtu);
  void fragments6(Turn& t, const Header& h, wire::ConstBytes message, unsigned mtu);
  void finish(Turn& t, const Header& h, rte_mbuf* m, unsigned l4, uint16_t flags, uint16_t frag_offset);
  uint16_t next_id(const Header& h);

  Neighbors& neighbors_;
  PathMtu path_mtu_;
  HashKey key_;
  uint16_t ids_[256]{};  // IPv4 identifications, by hash of the addresses (RFC 7739's advice for IPv6, too)
};

}  // namespace sluice::stack
