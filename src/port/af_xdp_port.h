// The port behind open_af_xdp: a state machine over one device.
//
//   bound   -- start() -->  running  -- device gone -->  absent
//     ^                        |  ^                         |
//     '------- stop() ---------'  '---- device is back -----'
//
// maintain() alone moves between running and absent: it takes the queues out of service, waits until no
// lcore is inside one (quiesce), closes the sockets, which brings all mbufs back, and builds everything anew
// when a device of that name appears. Link up and down need none of this: the sockets stay, tx_burst refuses.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "port/af_xdp_queue.h"
#include "port/moderation.h"
#include "port/netdev.h"
#include "port/options.h"
#include "port/xdp_mirror.h"
#include "port/xdp_program.h"

namespace sluice::port {

class AfXdpPort final : public Port {
 public:
  AfXdpPort(const Options& o, PacketPool& pool, NetdevControl control);
  ~AfXdpPort() override;
  Status open();

  unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  void turn(unsigned queue, Instant now) override;
  int wait_fd(unsigned queue) override { return queues_[queue]->wait_fd(); }
  bool arm(unsigned queue) override;
  void disarm(unsigned queue) override { queues_[queue]->disarm(); }
  Occupancy rx_waiting(unsigned queue) override { return queues_[queue]->waiting(); }
  Occupancy rx_buffers(unsigned queue) override { return queues_[queue]->buffers(); }
  sluice_queue* early_drop(unsigned queue) override { return program_->queue(queue); }

  const Info& info() const override { return info_; }
  Stats stats() const override;
  Status start() override;
  void stop() override;
  std::vector<Event> maintain(const std::function<void()>& quiesce) override;
  bool link_up() const override { return link_up_.load(std::memory_order_relaxed); }

 private:
  enum class State : uint8_t { bound, running, absent };
  // What the kernel counts, and forgets with the socket or the device.
  struct KernelCounts {
    uint64_t dropped = 0, ring_full = 0, fill_empty = 0, rx_invalid = 0, tx_invalid = 0;
    NetdevStats device;
  };
  KernelCounts kernel_counts() const;
  uint64_t given() const;  // frames that rx_burst has given from the sockets
  uint64_t missed_in_sockets(uint64_t redirected, const KernelCounts& k) const;
  void add_early(Stats& s, const XdpProgram::Counts& c, const KernelCounts& k) const;
  struct Answers {  // of SYNs in their place
    uint64_t made = 0, sent = 0, failed = 0;
  };
  Answers answers(const XdpProgram::Counts& c) const;

  Status examine(const Netdev& d);
  Status check_queues(const Netdev& d) const;
  Status check_vlan_stripping(const Netdev& d);
  Status bind(const Netdev& d);
  Status bind_as(const Netdev& d, XdpAttach attach, bool zero_copy);
  void describe(const Netdev& d);
  Status activate();
  void deactivate();

  void lose(const std::function<void()>& quiesce, std::vector<Event>& events);
  void regain(std::vector<Event>& events);
  void follow_link(const Netdev& d, std::vector<Event>& events);
  void follow_settings(const Netdev& d, std::vector<Event>& events);
  void follow_busy_polling(std::vector<Event>& events);
  void follow_answers(const XdpProgram::Counts& c, std::vector<Event>& events);
  void say(std::vector<Event>& events, Event::Level level, const std::string& text) const;

  const Options o_;
  PacketPool& pool_;
  mutable NetdevControl control_;
  Info info_;
  std::unique_ptr<XdpProgram> program_;
  std::vector<std::unique_ptr<AfXdpQueue>> queues_;
  mutable XdpMirror mirror_;  // PACKET_STATISTICS resets what it tells
  std::optional<Moderation> moderation_;  // while running
  State state_ = State::bound;
  std::atomic<bool> link_up_{false};
  int ifindex_ = 0;
  int membership_ = -1;  // a packet socket that keeps the device in all-multicast mode
  bool vlan_stripping_was_on_ = false;
  bool busy_polling_said_ = false;
  std::string last_failure_;  // of coming back, so that it is said once
  std::vector<Event> notes_;  // from open(), said by the first maintain()
  uint32_t mtu_seen_ = 0, carrier_changes_seen_ = 0;
  uint64_t link_changes_ = 0;
  KernelCounts retired_;             // of sockets and devices that are gone
  uint64_t missed_before_ = 0;       // redirected to sockets that are gone, and never given
  Answers answers_seen_;
  unsigned answers_off_ = 0;         // calls of maintain() until answers are tried again; 0: they are made
  bool answers_said_ = false;
  NetdevStats base_;                 // the device's counters when it was taken
  mutable NetdevStats device_seen_;  // and when they were last read: a device that is gone does not say
};

}  // namespace sluice::port
