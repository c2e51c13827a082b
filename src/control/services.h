// Services on the control side: brings those of a model into the box, as one change or not at all.
//
// It outlives the box, whose stack engines let go of the services when they are released.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "apps/service_set.h"
#include "base/result.h"
#include "config/model.h"
#include "engine/box.h"
#include "port/port.h"

namespace sluice::control {

class ServiceControl {
 public:
  // How long the connections of a service that is removed or changed may take to finish.
  static constexpr Duration kDrain = Duration::seconds(10);

  explicit ServiceControl(engine::Box& box);

  struct Prepared {
    apps::Services::Prepared services;
    std::vector<stack::UdpBinding> udp;
    bool changes = false;
  };
  // Reads files and checks everything; nothing has changed yet.
  Result<Prepared> prepare(const config::Model& m);
  // Of the last prepare() before it. Services that did not change are not touched.
  void commit(Prepared p);
  // Every 200 ms or so. Returns what backends did.
  std::vector<port::Event> maintain();
  // Access records since the last call, in sentences; at most a few thousand.
  std::vector<std::string> access_log();

  apps::Services& set() { return set_; }

 private:
  void serve_udp();
  std::vector<port::Event> watch_backends();

  engine::Box& box_;
  apps::Services set_;
  std::vector<stack::UdpBinding> udp_;
  std::map<std::pair<uint16_t, size_t>, bool> backend_up_;  // by service's number and place in its list
  uint64_t suppressed_ = 0;
  bool udp_pending_ = false;  // the engine did not answer: tried again
};

}  // namespace sluice::control
