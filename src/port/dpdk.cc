// The DPDK port: any ethdev, by PCI address or vdev string.
//
// Life: probed and configured by open, started by start(). maintain() looks at the link, and notices a device
// that was pulled out: its queues are closed once no lcore is in them, and it is plugged in again when it
// reappears in sysfs. In between, rx_burst finds nothing and tx_burst takes nothing.
//
// Receive interrupts: arm() asks for one and then looks whether frames came before it was on, so that none is
// slept over.
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "port/dpdk_flow.h"
#include "port/dpdk_memory.h"
#include "port/dpdk_setup.h"
#include "port/eal.h"
#include "port/open.h"

namespace sluice::port {

namespace {

struct alignas(64) QueueCounters {
  Counter rejected, tx_lost;
};

class DpdkPort final : public Port {
 public:
  DpdkPort(const Options& o, PacketPool& pool) : o_(o), pool_(pool), queues_(o.queues) {}
  ~DpdkPort() override {
    DpdkPort::stop();
    shut();
  }
  Status open();

  unsigned rx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override;
  unsigned tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override;
  Occupancy rx_waiting(unsigned queue) override;
  int wait_fd(unsigned queue) override;
  bool arm(unsigned queue) override;
  void disarm(unsigned queue) override;
  const Info& info() const override { return info_; }
  Stats stats() const override;
  Status start() override;
  void stop() override;
  std::vector<Event> maintain(const std::function<void()>& quiesce) override;
  bool link_up() const override { return link_.load(std::memory_order_relaxed); }
  size_t drop_in_hardware(std::span<const Prefix> blocked) override;

 private:
  void shut();
  void drain();
  void describe();
  void look_at_link(std::vector<Event>& events);
  bool there() const;
  unsigned prepare(unsigned queue, rte_mbuf** pkts, unsigned n);

  const Options o_;
  PacketPool& pool_;
  Info info_;
  DpdkSetup dev_;
  std::shared_ptr<PoolRegistration> memory_;
  std::vector<QueueCounters> queues_;
  HardwareDrops hardware_;
  std::vector<Prefix> blocked_;  // what hardware_ was last asked for: a device that starts again has no rules
  std::atomic<bool> running_{false}, link_{false};
  bool started_ = false, gone_ = false, said_why_ = false;
  uint64_t link_changes_ = 0;
  unsigned in_use_before_ = 0;   // of the pool
  bool keeps_mbufs_ = false;     // in its descriptors, as NICs do; most software devices do not
  rte_eth_stats before_{};  // of devices that were closed meanwhile
};

Status DpdkPort::open() {
  auto memory = PoolRegistration::of(pool_);
  if (!memory) return Error{"port " + o_.name + ": " + memory.error()};
  memory_ = *memory;
  in_use_before_ = pool_.in_use();
  auto probed = dpdk_probe(o_);
  if (!probed) return Error{"port " + o_.name + ": " + probed.error()};
  dev_ = *probed;
  Status s = memory_->map(dev_.device.device, dpdk_is_real(dev_));
  if (s) s = dpdk_configure(dev_, o_, pool_);
  if (!s) {
    shut();
    return Error{"port " + o_.name + " (" + o_.device + "): " + s.error()};
  }
  describe();
  return {};
}

void DpdkPort::describe() {
  info_.name = o_.name;
  info_.driver = "dpdk";
  info_.device = o_.device;
  info_.mode = dev_.device.driver_name ? dev_.device.driver_name : "";
  if (dev_.rx_interrupts) info_.mode += ", interrupts when idle";
  info_.reason = o_.reason.empty() ? "driver: dpdk" : o_.reason;
  info_.mac = dev_.mac;
  info_.mtu = dev_.mtu;
  info_.rx_queues = info_.tx_queues = o_.queues;
  info_.numa_node = rte_eth_dev_socket_id(dev_.id);
  info_.symmetric_rss = dev_.symmetric_rss;
  info_.tx = dev_.tx;
}

unsigned DpdkPort::rx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) {
  if (!running_.load(std::memory_order_acquire)) [[unlikely]]
    return 0;
  const unsigned got =
      rte_eth_rx_burst(dev_.id, static_cast<uint16_t>(queue), pkts, static_cast<uint16_t>(n));
  unsigned kept = 0;
  for (unsigned i = 0; i < got; i++) {
    rte_mbuf* m = pkts[i];
    if (m->nb_segs != 1) [[unlikely]] {
      queues_[queue].rejected.add(1);
      rte_pktmbuf_free(m);
      continue;
    }
    m->port = o_.index;
    // What the device said about the frame, but for who owns its buffer: the path reads none of it.
    m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
    pkts[kept++] = m;
  }
  return kept;
}

// Many virtual devices cannot say. A real one looks through its descriptors.
Occupancy DpdkPort::rx_waiting(unsigned queue) {
  if (!running_.load(std::memory_order_acquire)) return {};
  const int n = rte_eth_rx_queue_count(dev_.id, static_cast<uint16_t>(queue));
  if (n < 0) return {};
  return {static_cast<unsigned>(n), dev_.rx_descriptors};
}

unsigned DpdkPort::tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) {
  if (!running_.load(std::memory_order_acquire)) [[unlikely]]
    return 0;
  const unsigned ready = prepare(queue, pkts, n);
  if (ready > 0 || n == 0) [[likely]]
    return rte_eth_tx_burst(dev_.id, static_cast<uint16_t>(queue), pkts, static_cast<uint16_t>(ready));
  queues_[queue].tx_lost.add(1);
  rte_pktmbuf_free(pkts[0]);
  return 1;
}

// How many of the first the device can send; the one behind them is not for it, and is first next time.
unsigned DpdkPort::prepare(unsigned queue, rte_mbuf** pkts, unsigned n) {
  uint64_t asked = 0;
  for (unsigned i = 0; i < n; i++) {
    rte_mbuf* m = pkts[i];
    if (dev_.tx.segments == 1 && m->nb_segs != 1 && rte_pktmbuf_linearize(m) != 0) [[unlikely]]
      n = i;  // ends the loop
    asked |= m->ol_flags;
    if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && (m->ol_flags & RTE_MBUF_F_TX_IPV4) && dev_.ip4_checksum)
      m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
  }
  if (!(asked & RTE_MBUF_F_TX_OFFLOAD_MASK)) return n;
  return rte_eth_tx_prepare(dev_.id, static_cast<uint16_t>(queue), pkts, static_cast<uint16_t>(n));
}

int DpdkPort::wait_fd(unsigned queue) {
  if (!running_ || !dev_.rx_interrupts) return -1;
  return rte_eth_dev_rx_intr_ctl_q_get_fd(dev_.id, static_cast<uint16_t>(queue));
}

bool DpdkPort::arm(unsigned queue) {
  if (!running_) return true;
  const auto q = static_cast<uint16_t>(queue);
  if (!dev_.rx_interrupts || rte_eth_dev_rx_intr_enable(dev_.id, q) != 0) return false;
  if (rte_eth_rx_queue_count(dev_.id, q) <= 0) return true;
  rte_eth_dev_rx_intr_disable(dev_.id, q);
  return false;
}

void DpdkPort::disarm(unsigned queue) {
  if (!running_ || !dev_.rx_interrupts) return;
  rte_eth_dev_rx_intr_disable(dev_.id, static_cast<uint16_t>(queue));
  uint64_t fired;
  if (int fd = wait_fd(queue); fd >= 0) (void)!read(fd, &fired, sizeof fired);
}

Status DpdkPort::start() {
  if (started_) return {};
  if (int rc = rte_eth_dev_start(dev_.id); rc != 0) {
    std::string log = eal_log(2);
    return Error{"port " + o_.name + " (" + o_.device + ") does not start: " + rte_strerror(-rc) +
                 (log.empty() ? "" : " (" + log + ")")};
  }
  started_ = true;
  keeps_mbufs_ = pool_.in_use() >= in_use_before_ + o_.queues;
  drop_in_hardware(std::vector(blocked_));
  std::vector<Event> unheard;
  look_at_link(unheard);
  link_changes_ = 0;
  running_.store(true, std::memory_order_release);
  return {};
}

void DpdkPort::stop() {
  running_.store(false, std::memory_order_release);
  link_ = false;
  if (!std::exchange(started_, false)) return;
  drain();
  FlowRules nic(dev_.id);
  hardware_.clear(nic);
  rte_eth_dev_stop(dev_.id);
}

size_t DpdkPort::drop_in_hardware(std::span<const Prefix> blocked) {
  blocked_.assign(blocked.begin(), blocked.end());
  if (!started_) return 0;
  FlowRules nic(dev_.id);
  return hardware_.set(nic, blocked_);
}

// What the device had received but nobody fetched. Some drivers (net_ring) leave it where it lies.
void DpdkPort::drain() {
  rte_mbuf* pkts[kMaxBurst];
  for (uint16_t q = 0; q < o_.queues; q++) {
    // Bounded: a device may go on receiving, and some make packets for ever.
    for (unsigned left = o_.rx_descriptors + kMaxBurst; left >= kMaxBurst; left -= kMaxBurst) {
      const uint16_t n = rte_eth_rx_burst(dev_.id, q, pkts, kMaxBurst);
      if (n == 0) break;
      rte_pktmbuf_free_bulk(pkts, n);
    }
    rte_eth_tx_done_cleanup(dev_.id, q, 0);
  }
}

void DpdkPort::shut() {
  if (dev_.id == RTE_MAX_ETHPORTS) return;
  rte_eth_stats now{};
  if (rte_eth_stats_get(dev_.id, &now) == 0) {
    before_.imissed += now.imissed;
    before_.ierrors += now.ierrors;
    before_.rx_nombuf += now.rx_nombuf;
    before_.oerrors += now.oerrors;
  }
  if (dpdk_is_real(dev_)) memory_->unmap(dev_.device.device);
  dpdk_close(dev_);
}

bool DpdkPort::there() const {
  std::string name = o_.device.substr(0, o_.device.find(','));
  if (name.size() < 12) name = "0000:" + name;
  struct stat st {};
  return stat(("/sys/bus/pci/devices/" + name).c_str(), &st) == 0;
}

void DpdkPort::look_at_link(std::vector<Event>& events) {
  rte_eth_link l{};
  const bool up = rte_eth_link_get_nowait(dev_.id, &l) == 0 && l.link_status == RTE_ETH_LINK_UP;
  if (up == link_up()) return;
  link_ = up;
  link_changes_++;
  events.push_back({up ? Event::Level::info : Event::Level::warning,
                    "port " + o_.name + (up ? ": link up" : ": link down")});
}

std::vector<Event> DpdkPort::maintain(const std::function<void()>& quiesce) {
  std::vector<Event> events;
  if (started_ && rte_eth_dev_is_removed(dev_.id)) {
    running_.store(false, std::memory_order_release);
    link_ = false;
    link_changes_++;
    started_ = false;
    gone_ = true;
    said_why_ = false;
    hardware_.forget();
    quiesce();
    rte_eth_dev_stop(dev_.id);
    shut();
    events.push_back(
        {Event::Level::error, "port " + o_.name + ": " + o_.device + " is gone; waiting for its return"});
  } else if (gone_ && there()) {
    Status s = open();
    if (s) s = start();
    if (s) gone_ = false;
    if (s || !std::exchange(said_why_, true))
      events.push_back({s ? Event::Level::info : Event::Level::error,
                        s ? "port " + o_.name + ": " + o_.device + " is back" : s.error()});
  } else if (started_) {
    look_at_link(events);
  }
  return events;
}

Stats DpdkPort::stats() const {
  Stats s;
  s.link_up = link_up();
  s.link_changes = link_changes_;
  rte_eth_stats now{};
  if (dev_.id != RTE_MAX_ETHPORTS) rte_eth_stats_get(dev_.id, &now);
  if (keeps_mbufs_) s.held_untold = o_.queues * (dev_.rx_descriptors + dev_.tx_descriptors);
  s.missed = before_.imissed + now.imissed;
  s.errors = before_.ierrors + now.ierrors;
  s.no_mbuf = before_.rx_nombuf + now.rx_nombuf;
  s.tx_errors = before_.oerrors + now.oerrors;
  for (const QueueCounters& q : queues_) {
    s.rx_rejected += q.rejected.get();
    s.tx_errors += q.tx_lost.get();
  }
  if (s.rx_rejected > 0) s.rejected.emplace_back(DropReason::frame_long, s.rx_rejected);
  if (started_ && !blocked_.empty()) {
    FlowRules nic(dev_.id);
    s.extended = {{"hardware_drop_rules", hardware_.size()}, {"hardware_dropped", hardware_.dropped(nic)}};
  }
  const int n = dev_.id == RTE_MAX_ETHPORTS ? 0 : rte_eth_xstats_get_names(dev_.id, nullptr, 0);
  if (n <= 0) return s;
  std::vector<rte_eth_xstat_name> names(static_cast<size_t>(n));
  std::vector<rte_eth_xstat> values(static_cast<size_t>(n));
  if (rte_eth_xstats_get_names(dev_.id, names.data(), static_cast<unsigned>(n)) != n ||
      rte_eth_xstats_get(dev_.id, values.data(), static_cast<unsigned>(n)) != n)
    return s;
  for (const rte_eth_xstat& v : values)
    if (v.value != 0 && v.id < static_cast<uint64_t>(n)) s.extended.emplace_back(names[v.id].name, v.value);
  return s;
}

}  // namespace

Result<std::unique_ptr<Port>> open_dpdk(const Options& o, PacketPool& pool) {
  auto port = std::make_unique<DpdkPort>(o, pool);
  if (Status s = port->open(); !s) return Error{s.error()};
  return std::unique_ptr<Port>(std::move(port));
}

}  // namespace sluice::port
