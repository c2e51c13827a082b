// What must hold of the packets that a host sends, judged from outside by a tap at the host's own network
// card: it sees what leaves and what arrives, nothing else.
#pragma once

#include <optional>
#include <string>

#include "tests/sim/packet.h"

namespace sluice::sim {

class Tap {
 public:
  // `mtu`: of the host's link.
  explicit Tap(uint16_t mtu = 1500) : mtu_(mtu) {}
  // The host sends `p`: nothing, or what is wrong with it.
  std::optional<std::string> sent(const Packet& p);
  void arrived(const Packet& p);
  // Not the peer's: an answer to its SYN is not the connection's.
  void forged(const Packet& p) {
    if (p.has(wire::kTcpSyn)) forged_syn_ = p.seq;
  }
  bool new_connection(const Packet& syn) const { return !started_ || (syn.seq != iss_); }

 private:
  std::optional<std::string> check_window(const Packet& p);
  std::optional<std::string> check_data(const Packet& p);
  unsigned our_shift() const { return scaled_ && peer_scaled_ ? shift_ : 0; }
  unsigned peer_shift() const { return scaled_ && peer_scaled_ ? peer_shift_ : 0; }

  uint16_t mtu_;
  bool started_ = false, scaled_ = false, peer_scaled_ = false;
  bool edge_known_ = false, ack_known_ = false, peer_edge_known_ = false, peer_end_known_ = false,
       una_known_ = false;
  uint8_t shift_ = 0, peer_shift_ = 0;
  uint16_t peer_mss_ = 0;  // 0: no option seen
  std::optional<tcp::Seq> forged_syn_, peer_iss_;
  tcp::Seq iss_, edge_, ack_;            // announced: the window's right edge, what is acknowledged
  tcp::Seq peer_edge_, peer_end_, una_;  // arrived: right edge, end of data, what is acknowledged
};

}  // namespace sluice::sim
