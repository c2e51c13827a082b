// Tells the neighbours of the box's addresses when it starts and when they change: gratuitous ARP
// (RFC 5227 2.3) and unsolicited neighbour advertisements (RFC 4861 7.2.6), a few, a second apart.
#pragma once

#include <vector>

#include "stack/turn.h"

namespace sluice::stack {

class Announcer {
 public:
  // After a change of interfaces: what is new, or has moved to another MAC, is announced from now on.
  void configure(Turn& t);
  void tick(Turn& t);
  Instant next_deadline() const { return pending_.empty() ? Instant::never() : pending_.front().due; }

 private:
  struct Own {
    uint16_t port;
    Mac mac;
    IpAddr addr;
    uint32_t link_epoch;
    bool operator==(const Own&) const = default;
  };
  struct Pending {
    Instant due;
    unsigned left;
    Own own;
  };
  static std::vector<Own> all_of(const Interfaces& ifs);

  std::vector<Own> known_;
  std::vector<Pending> pending_;  // by due
};

}  // namespace sluice::stack
