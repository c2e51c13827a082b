#include "tests/sim/tap.h"

#include <algorithm>

namespace sluice::sim {

using tcp::Seq;

std::optional<std::string> Tap::sent(const Packet& p) {
  if (p.has(wire::kTcpRst)) return std::nullopt;
  // To a forged SYN that came when the connection was over.
  if (p.has(wire::kTcpAck) && forged_syn_ && p.ack == *forged_syn_ + 1) return std::nullopt;
  if (p.has(wire::kTcpSyn)) {
    if (new_connection(p)) {
      Tap fresh(mtu_);
      // A listener answers: what has arrived belongs to this connection.
      if (p.has(wire::kTcpAck)) fresh = *this;
      fresh.edge_known_ = fresh.ack_known_ = fresh.una_known_ = false;
      *this = fresh;
      started_ = true;
      iss_ = p.seq;
    }
    if (p.options.has_window_scale) scaled_ = true, shift_ = std::min<uint8_t>(p.options.window_scale, 14);
    if (p.ip_bytes() > mtu_) return "a SYN larger than the link's MTU";
    if (p.options.has_mss && p.options.mss + (p.tuple.local.family == 4 ? 40 : 60) > mtu_)
      return "an MSS that the link cannot carry";
  }
  if (auto wrong = check_window(p)) return wrong;
  return check_data(p);
}

std::optional<std::string> Tap::check_window(const Packet& p) {
  if (!p.has(wire::kTcpAck)) return std::nullopt;
  if (peer_end_known_ && p.ack > peer_end_) return "acknowledges what has not arrived";
  if (ack_known_ && p.ack < ack_) return "the acknowledgment goes back";
  ack_ = p.ack;
  ack_known_ = true;
  Seq edge = p.ack + (static_cast<uint32_t>(p.window) << (p.has(wire::kTcpSyn) ? 0 : our_shift()));
  if (edge_known_ && edge < edge_)
    return "the window's right edge moves left by " + std::to_string(edge_ - edge) +
           " (RFC 9293 3.8.6, MUST NOT shrink)";
  edge_ = edge;
  edge_known_ = true;
  return std::nullopt;
}

std::optional<std::string> Tap::check_data(const Packet& p) {
  if (!p.length()) return std::nullopt;
  if (p.ip_bytes() > mtu_) return "larger than the link's MTU";
  uint32_t mss = peer_mss_ ? peer_mss_ : p.tuple.local.family == 4 ? 536 : 1220;
  if (p.length() + p.options_length > mss) return "larger than the peer's MSS (RFC 9293 3.7.1)";
  Seq end = p.seq + p.length();
  if (una_known_ && p.length() > 1 && end <= una_) return "sends again what is acknowledged";
  // A zero-window probe is one byte.
  if (peer_edge_known_ && end > peer_edge_ && p.length() > 1)
    return "goes beyond the peer's window by " + std::to_string(end - peer_edge_);
  return std::nullopt;
}

void Tap::arrived(const Packet& p) {
  if (p.has(wire::kTcpRst)) return;
  if (p.has(wire::kTcpSyn)) {
    if (p.options.has_window_scale)
      peer_scaled_ = true, peer_shift_ = std::min<uint8_t>(p.options.window_scale, 14);
    else
      peer_scaled_ = false;
    if (peer_iss_ && p.seq != *peer_iss_ && !p.has(wire::kTcpAck))
      peer_end_known_ = false;  // another incarnation
    peer_iss_ = p.seq;
    peer_mss_ = p.options.has_mss ? p.options.mss : 0;
    if (!peer_end_known_) peer_edge_known_ = false;
  }
  Seq end = p.seq + p.seg_len();
  bool maybe_old = peer_end_known_ && p.seg_len() && end <= peer_end_;
  peer_end_ = peer_end_known_ ? tcp::later(peer_end_, end) : end;
  peer_end_known_ = true;
  if (!p.has(wire::kTcpAck)) return;
  Seq edge = p.ack + (static_cast<uint32_t>(p.window) << (p.has(wire::kTcpSyn) ? 0 : peer_shift()));
  peer_edge_ = peer_edge_known_ ? tcp::later(peer_edge_, edge) : edge;
  peer_edge_known_ = true;
  // What an old duplicate acknowledges is not looked at (RFC 9293 3.10.7.4, first).
  if (maybe_old || (ack_known_ && end < ack_)) return;
  una_ = una_known_ ? tcp::later(una_, p.ack) : p.ack;
  una_known_ = true;
}

}  // namespace sluice::sim
