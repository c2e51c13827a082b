// TCP to the box while nobody listens: the rules of the CLOSED state (RFC 9293 3.10.7.1).
#pragma once

#include "stack/datagram.h"
#include "stack/send.h"
#include "table/token_bucket.h"

namespace sluice::stack {

class TcpReset {
 public:
  explicit TcpReset(Sender& s) : sender_(s) {}
  void receive(Turn& t, Datagram& d);

 private:
  static constexpr unsigned kPerSecond = 1000, kBurst = 500;
  Sender& sender_;
  TokenBucket rate_;
};

}  // namespace sluice::stack
