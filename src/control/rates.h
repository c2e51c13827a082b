// Packets and bits per second of each port, from two readings of the books about a second apart.
#pragma once

#include <vector>

#include "control/audit.h"

namespace sluice::control {

class Rates {
 public:
  struct Rate {
    double rx_pps = 0, tx_pps = 0, rx_bps = 0, tx_bps = 0;
  };
  // Called by the control loop; `seconds` from any steady clock. Takes a reading once a second.
  void sample(const engine::Box& box, double seconds);
  Rate port(size_t index) const { return index < rate_.size() ? rate_[index] : Rate{}; }

 private:
  double last_ = -1;
  std::vector<PortTotals> previous_;
  std::vector<Rate> rate_;
};

}  // namespace sluice::control
