// Interrupt moderation of a device under overload: its receive work is done every so often instead of at every frame, so
// that the core that it shares with a lcore is not spent on waking up for a frame or two.
//
// It is Linux's software deferral (Documentation/networking/napi.rst: napi_defer_hard_irqs, gro_flush_timeout), which a
// veth has as well as a NIC. Only where receive work has a thread of its own (`threaded`): a softirq that is overloaded
// runs in batches anyway, and deferring it costs a veth's small ring more than it saves. Control thread.
#pragma once

#include <string>

namespace sluice::port {

class Moderation {
 public:
  // Takes back at once what a killed process left behind: it is known by its odd time-out.
  explicit Moderation(const std::string& device);
  ~Moderation() { set(false); }
  Moderation(const Moderation&) = delete;

  // Called every time that the port is looked after. `shed`: frames that its program has dropped for overload so far.
  // true: it has changed.
  bool follow(uint64_t shed);
  bool on() const { return on_; }

 private:
  static constexpr unsigned kCalm = 10;  // calls without overload, until the device is as it was

  void set(bool on);

  const std::string folder_;
  std::string deferrals_, timeout_;  // as they were
  uint64_t seen_ = 0;
  unsigned calm_ = 0;
  bool on_ = false, refused_ = false;
};

}  // namespace sluice::port
