// What the parts of the stack share: Core lives as long as the stack, a Turn as long as one call of
// receive() or tick(). Every packet leaves through one of Turn's verbs, which keep the audit's books
// (base/account.h): a packet that came in is dropped, consumed, refused, handed on, or becomes the box's own.
#pragma once

#include <rte_mbuf.h>

#include <cstring>

#include "packet/buf.h"
#include "stack/host_stack.h"
#include "wire/headers.h"

namespace sluice::stack {

inline constexpr unsigned kEthRoom = sizeof(wire::EthHdr);
// In front of an upper-layer message: Ethernet and the larger IP header.
inline constexpr unsigned kHeaderRoom = kEthRoom + sizeof(wire::Ip6Hdr);

struct Core {
  StackConfig config;
  NeighborTable& table;
  Account& account;
  rte_mempool* pool;
  HostStack::Stats stats{};
  uint64_t random_state = 0;

  uint64_t random() {  // SplitMix64: jitter and identifications, never secrets
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

class Turn {
 public:
  Turn(Core& c, const Interfaces& i, Instant t, StackOut& o) : core(c), ifs(i), now(t), out_(o) {}

  Core& core;
  const Interfaces& ifs;
  const Instant now;

  // Null: there is no such port (any more).
  const Interface* port(uint16_t p) const {
    return p < ifs.port.size() && ifs.port[p].configured ? &ifs.port[p] : nullptr;
  }

  void drop(rte_mbuf* m, DropReason why) {
    core.account.row(m->port).drop(why);
    rte_pktmbuf_free(m);
  }
  void consume(rte_mbuf* m) {
    core.account.row(m->port).consumed.add(1);
    rte_pktmbuf_free(m);
  }
  // To be answered with an ICMP error by the worker, who then drops it for `why`. Of the box's own packets
  // (and there is nobody to tell) it is dropped here.
  void refuse(rte_mbuf* m, uint8_t type, uint8_t code, uint32_t info, DropReason why) {
    Meta& meta = stash(m);
    if (meta.has(kMetaLocalOrigin)) return drop(m, why);
    meta.kind = RingKind::refuse;
    meta.icmp_type = type;
    meta.icmp_code = code;
    meta.icmp_info = info;
    meta.reason = why;
    out_.emit(m);
  }
  // A received packet has been answered; its mbuf is reused for what the box sends.
  void make_own(rte_mbuf* m) {
    core.account.row(m->port).consumed.add(1);
    core.account.box.created.add(1);
    m->port = RTE_MBUF_PORT_INVALID;
  }
  // A packet of the box's own with `bytes` of data, undefined contents and an empty stash. Null: no buffer (or
  // no room), counted as a packet that was made and lost.
  rte_mbuf* make(unsigned bytes) {
    core.account.box.created.add(1);
    rte_mbuf* m = rte_pktmbuf_alloc(core.pool);
    if (m && rte_pktmbuf_append(m, static_cast<uint16_t>(bytes))) {
      stash(m) = Meta{};
      return m;
    }
    core.account.box.drop(DropReason::no_buffer);
    rte_pktmbuf_free(m);
    return nullptr;
  }
  // A whole frame, to leave through `egress`.
  void transmit(rte_mbuf* m, uint16_t egress) {
    stash(m).kind = RingKind::transmit;
    stash(m).egress = egress;
    out_.emit(m);
  }
  void route(rte_mbuf* m) {
    stash(m).kind = RingKind::route;
    out_.emit(m);
  }
  // Where another stack engine has the TCP connection: true, and the packet is on its way to it.
  bool hand_over(const tcp::Tuple& tuple, rte_mbuf* m) { return out_.hand_over(tuple, m); }
  // To the host's TAP interface of stash.in_port. The engine counts what becomes of it.
  void exception(rte_mbuf* m) { out_.exception(m); }
  // The host behind the TAP wants to see the answers that its own ARP requests and solicitations draw.
  void copy_to_exception(const rte_mbuf* m) {
    const Interface* ifc = port(stash(m).in_port);
    if (!ifc || ifc->exception.empty()) return;
    rte_mbuf* copy = make(m->data_len);
    if (!copy) return;
    std::memcpy(bytes_of(copy).data(), bytes_of(m).data(), m->data_len);
    stash(copy) = stash(m);
    exception(copy);
  }

 private:
  static const Meta& stash(const rte_mbuf* m) { return sluice::stash(const_cast<rte_mbuf*>(m)); }
  static Meta& stash(rte_mbuf* m) { return sluice::stash(m); }

  StackOut& out_;
};

}  // namespace sluice::stack
