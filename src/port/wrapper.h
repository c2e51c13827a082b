// A port around another: passes everything on. Capture and fault change the parts that they are about.
#pragma once

#include <utility>

#include "port/port.h"

namespace sluice::port {

class Wrapper : public Port {
 public:
  explicit Wrapper(std::unique_ptr<Port> inner) : inner_(std::move(inner)) {}

  unsigned rx_burst(unsigned q, Instant now, rte_mbuf** p, unsigned n) override {
    return inner_->rx_burst(q, now, p, n);
  }
  unsigned tx_burst(unsigned q, Instant now, rte_mbuf** p, unsigned n) override {
    return inner_->tx_burst(q, now, p, n);
  }
  void turn(unsigned q, Instant now) override { inner_->turn(q, now); }
  int wait_fd(unsigned q) override { return inner_->wait_fd(q); }
  bool arm(unsigned q) override { return inner_->arm(q); }
  void disarm(unsigned q) override { inner_->disarm(q); }
  Instant next_event() const override { return inner_->next_event(); }
  bool exhausted() const override { return inner_->exhausted(); }
  Occupancy rx_waiting(unsigned q) override { return inner_->rx_waiting(q); }
  Occupancy rx_buffers(unsigned q) override { return inner_->rx_buffers(q); }
  sluice_queue* early_drop(unsigned q) override { return inner_->early_drop(q); }
  const Info& info() const override { return inner_->info(); }
  Stats stats() const override { return inner_->stats(); }
  Status start() override { return inner_->start(); }
  void stop() override { inner_->stop(); }
  std::vector<Event> maintain(const std::function<void()>& quiesce) override {
    return inner_->maintain(quiesce);
  }
  bool link_up() const override { return inner_->link_up(); }
  size_t drop_in_hardware(std::span<const Prefix> blocked) override { return inner_->drop_in_hardware(blocked); }

 protected:
  std::unique_ptr<Port> inner_;
};

}  // namespace sluice::port
