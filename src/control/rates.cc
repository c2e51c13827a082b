#include "control/rates.h"

namespace sluice::control {

void Rates::sample(const engine::Box& box, double seconds) {
  if (last_ >= 0 && seconds - last_ < 1.0) return;
  const size_t n = box.ports().size();
  std::vector<PortTotals> now(n);
  auto add = [&](const Account& a) {
    for (size_t p = 0; p < n; p++) {
      now[p].rx_packets += a.port[p].rx_packets.get();
      now[p].rx_bytes += a.port[p].rx_bytes.get();
      now[p].tx_packets += a.port[p].tx_packets.get();
      now[p].tx_bytes += a.port[p].tx_bytes.get();
    }
  };
  for (unsigned w = 0; w < box.workers(); w++) add(box.worker_account(w));
  add(box.stack_account());
  if (last_ >= 0) {
    const double dt = seconds - last_;
    rate_.resize(n);
    auto per_second = [dt](uint64_t a, uint64_t b) { return static_cast<double>(b - a) / dt; };
    for (size_t p = 0; p < n; p++)
      rate_[p] = {per_second(previous_[p].rx_packets, now[p].rx_packets),
                  per_second(previous_[p].tx_packets, now[p].tx_packets),
                  8 * per_second(previous_[p].rx_bytes, now[p].rx_bytes),
                  8 * per_second(previous_[p].tx_bytes, now[p].tx_bytes)};
  }
  previous_ = std::move(now);
  last_ = seconds;
}

}  // namespace sluice::control
