// An engine: a single-threaded, stateful unit that an lcore turns over and over (architecture: engines on
// lcores). It owns what it works on, learns the time from its argument, and states its next deadline
// instead of owning a timer, so that an idle lcore and a simulator make the same call.
#pragma once

#include <poll.h>

#include <vector>

#include "base/instant.h"

namespace sluice::engine {

// What an lcore sleeps on.
struct WaitSet {
  std::vector<pollfd> fds;
  bool must_poll = false;  // a queue has no descriptor: the lcore must look for itself every now and then

  void add(int fd) {
    if (fd < 0) must_poll = true;
    else fds.push_back({fd, POLLIN, 0});
  }
};

inline constexpr unsigned kQuota = 256;  // packets per engine and turn

class Engine {
 public:
  virtual ~Engine() = default;

  // Handles what is there at `now`: about `quota` packets, and never unbounded work. Returns packets handled.
  virtual unsigned poll(Instant now, unsigned quota) = 0;
  // When poll is to be called although nothing has arrived.
  virtual Instant next_deadline() const = 0;
  // Before the lcore sleeps: arms and adds its descriptors. false: there is work already, do not sleep.
  // disarm() follows either way.
  virtual bool arm(WaitSet& set) = 0;
  virtual void disarm() = 0;
};

}  // namespace sluice::engine
