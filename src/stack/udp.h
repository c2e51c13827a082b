// UDP to the box: the small services that are bound (RFC 862, 863, 864), and port unreachable for the rest
// (RFC 1122 4.1.3.1, RFC 4443 3.1). What is not sound is dropped silently (RFC 768, RFC 8200 8.1).
//
// No loops, no floods: a datagram from port 0, from a small service's well-known port or from a port that is bound
// here is not answered, an answer is never longer than its question, and all answers together have a rate.
#pragma once

#include <vector>

#include "stack/datagram.h"
#include "stack/send.h"
#include "table/token_bucket.h"

namespace sluice::stack {

class Udp {
 public:
  explicit Udp(Sender& s) : sender_(s) {}

  void serve(std::vector<UdpBinding> bindings) { bindings_ = std::move(bindings); }
  void receive(Turn& t, Datagram& d);

 private:
  const UdpBinding* bound(const IpAddr& address, uint16_t port) const;
  bool answerable(Turn& t, uint16_t source_port);
  void chargen(Turn& t, Datagram& d);
  void answer(Turn& t, Datagram& d, unsigned length);

  Sender& sender_;
  TokenBucket rate_;
  std::vector<UdpBinding> bindings_;
};

}  // namespace sluice::stack
