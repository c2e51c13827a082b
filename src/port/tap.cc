#include "port/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/counter.h"
#include "port/netdev.h"

namespace sluice::port {

namespace {

constexpr Duration kIdleRead = Duration::micros(50);

class TapPort final : public Port {
 public:
  TapPort(PacketPool& pool, NetdevControl control) : pool_(pool.mempool()), control_(std::move(control)) {}
  ~TapPort() override {
    stop();
    if (fd_ >= 0) close(fd_);
  }

  Status open(const std::string& name, const Mac& mac, uint16_t mtu);

  unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  int wait_fd(unsigned) override { return fd_; }
  bool arm(unsigned) override {
    quiet_since_ = {INT64_MIN};
    return true;  // level-triggered: a frame that is there wakes at once
  }

  const Info& info() const override { return info_; }
  Stats stats() const override;
  Status start() override;
  void stop() override;
  bool link_up() const override { return up_.load(std::memory_order_relaxed); }

 private:
  rte_mempool* const pool_;
  NetdevControl control_;
  Info info_;
  int fd_ = -1;
  std::atomic<bool> up_{false};
  rte_mbuf* spare_ = nullptr;  // what the next frame is read into
  Instant quiet_since_{INT64_MIN};
  Counter no_mbuf_, tx_errors_;
};

Status TapPort::open(const std::string& name, const Mac& mac, uint16_t mtu) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return Error{"a TAP interface cannot be called '" + name +
                 "': a port with an exception path needs a name of at most " + std::to_string(IFNAMSIZ - 1) +
                 " characters"};
  if (control_.link(name))
    return Error{"there is an interface called " + name +
                 " already: a port with an exception path must not be called like "
                 "its device"};
  fd_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0)
    return Error{std::string("cannot open /dev/net/tun: ") + std::strerror(errno) +
                 " (modprobe tun; CAP_NET_ADMIN)"};
  ifreq r{};
  name.copy(r.ifr_name, IFNAMSIZ - 1);
  r.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(fd_, TUNSETIFF, &r) != 0)
    return Error{"cannot make the TAP interface " + name + ": " + std::strerror(errno)};
  if (Status s = control_.set_mac(name, mac); !s) return s;
  if (Status s = control_.set_mtu(name, mtu); !s) return s;
  info_.name = info_.device = name;
  info_.driver = "tap";
  info_.mode = "tap";
  info_.mac = mac;
  info_.mtu = mtu;
  return {};
}

Status TapPort::start() {
  if (Status s = control_.set_up(info_.device); !s) return s;
  up_ = true;
  return {};
}

void TapPort::stop() {
  up_ = false;
  if (spare_) rte_pktmbuf_free(std::exchange(spare_, nullptr));
}

unsigned TapPort::rx_burst(unsigned, Instant now, rte_mbuf** pkts, unsigned n) {
  if (!link_up() || (now >= quiet_since_ && now < quiet_since_ + kIdleRead)) return 0;
  unsigned got = 0;
  while (got < n) {
    if (!spare_ && !(spare_ = rte_pktmbuf_alloc(pool_))) {
      no_mbuf_.add(1);
      break;
    }
    const ssize_t size = read(fd_, rte_pktmbuf_mtod(spare_, void*), rte_pktmbuf_tailroom(spare_));
    if (size <= 0) {
      quiet_since_ = now;
      break;
    }
    rte_pktmbuf_append(spare_, static_cast<uint16_t>(size));
    pkts[got++] = std::exchange(spare_, nullptr);
  }
  return got;
}

unsigned TapPort::tx_burst(unsigned, Instant, rte_mbuf** pkts, unsigned n) {
  if (!link_up()) return 0;
  for (unsigned i = 0; i < n; i++) {
    const rte_mbuf* m = pkts[i];
    if (m->nb_segs != 1 || write(fd_, rte_pktmbuf_mtod(m, const void*), m->data_len) < 0) {
      if (m->nb_segs == 1 && errno == EAGAIN) return i;
      tx_errors_.add(1);  // the host has it down, or the frame is none
    }
    rte_pktmbuf_free(pkts[i]);
  }
  return n;
}

Stats TapPort::stats() const {
  Stats s;
  s.link_up = link_up();
  s.no_mbuf = no_mbuf_.get();
  s.tx_errors = tx_errors_.get();
  s.held = spare_ ? 1 : 0;
  return s;
}

}  // namespace

Result<std::unique_ptr<Port>> open_tap(const std::string& name, const Mac& mac, uint16_t mtu,
                                       PacketPool& pool) {
  auto control = NetdevControl::open();
  if (!control) return Error{control.error()};
  auto port = std::make_unique<TapPort>(pool, std::move(*control));
  if (Status s = port->open(name, mac, mtu); !s) return Error{s.error()};
  return std::unique_ptr<Port>(std::move(port));
}

}  // namespace sluice::port
