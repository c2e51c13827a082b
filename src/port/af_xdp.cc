#include "port/af_xdp.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "port/af_xdp_port.h"

namespace sluice::port {

namespace {

bool leaves_partial_checksums(const Netdev& d) {
  return d.kind == "veth" || d.kind == "tun" || d.driver == "virtio_net" || d.driver == "vif";
}

// Every group's frames, as the box's own IPv6 addresses need (their solicited-node groups are not the
// kernel's). A membership ends with its socket, so nothing stays behind.
int join_all_groups(int ifindex) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  packet_mreq request{};
  request.mr_ifindex = ifindex;
  request.mr_type = PACKET_MR_ALLMULTI;
  if (fd >= 0) setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
  return fd;
}

}  // namespace

Result<std::unique_ptr<Port>> open_af_xdp(const Options& o, PacketPool& pool) {
  auto control = NetdevControl::open();
  if (!control) return Error{control.error()};
  auto port = std::make_unique<AfXdpPort>(o, pool, std::move(*control));
  if (Status s = port->open(); !s) return Error{"port " + o.name + ": " + s.error()};
  return std::unique_ptr<Port>(std::move(port));
}

AfXdpPort::AfXdpPort(const Options& o, PacketPool& pool, NetdevControl control)
    : o_(o), pool_(pool), control_(std::move(control)) {
  for (unsigned q = 0; q < o.queues; q++) queues_.push_back(std::make_unique<AfXdpQueue>(pool, o.index));
}

AfXdpPort::~AfXdpPort() {
  stop();
  program_.reset();
  queues_.clear();
  if (vlan_stripping_was_on_) (void)control_.set_offload(o_.device, Offload::rx_vlan, true).ok();
}

Status AfXdpPort::open() {
  if (o_.ring_size < 64 || o_.ring_size > 32768 || !std::has_single_bit(o_.ring_size))
    return Error{"ring-size must be a power of two from 64 to 32768"};
  if (o_.queues < 1 || o_.queues > SLUICE_MAX_QUEUES)
    return Error{"queues must be from 1 to " + std::to_string(SLUICE_MAX_QUEUES)};
  const auto d = control_.find(o_.device);
  if (!d) return Error{"there is no network device '" + o_.device + "' (ip link shows what there is)"};
  if (Status s = examine(*d); !s) return s;
  auto program = XdpProgram::load(o_.kernel, o_.shed);
  if (!program) return Error{program.error()};
  program_ = std::move(*program);
  return bind(*d);
}

// ---- what only the machine can tell

Status AfXdpPort::examine(const Netdev& d) {
  if (d.mac.zero() || d.mac.group())
    return Error{o_.device + " is not an Ethernet device: sluice needs one with a MAC address"};
  if (!o_.allow_default_route && control_.carries_default_route(d.ifindex))
    return Error{default_route_refusal(o_.device)};
  if (d.mtu > kXdpMaxMtu)
    return Error{o_.device + " has an MTU of " + std::to_string(d.mtu) + ", and an AF_XDP frame holds " +
                 std::to_string(kXdpMaxMtu) + " at most: ip link set dev " + o_.device + " mtu " +
                 std::to_string(kXdpMaxMtu)};
  if (o_.mtu && *o_.mtu > d.mtu)
    return Error{"mtu: " + std::to_string(*o_.mtu) + " is above the " + std::to_string(d.mtu) + " of " +
                 o_.device + ": ip link set dev " + o_.device + " mtu " + std::to_string(*o_.mtu)};
  if (Status s = check_queues(d); !s) return s;
  if (o_.checksum == Options::Checksum::refuse && leaves_partial_checksums(d))
    notes_.push_back(
        {Event::Level::warning,
         "checksum: refuse, and " + o_.device + " is a " + (d.kind.empty() ? d.driver : d.kind) +
             ", whose peer leaves L4 checksums to a device that is not there: ethtool -K PEER tx off"});
  return check_vlan_stripping(d);
}

Status AfXdpPort::check_queues(const Netdev& d) const {
  const std::string n = std::to_string(o_.queues);
  const std::string have =
      std::to_string(d.rx_queues) + " receive and " + std::to_string(d.tx_queues) + " transmit queues";
  const std::string channels = d.combined ? " combined " + n : " rx " + n + " tx " + n;
  if (d.rx_queues < o_.queues || d.tx_queues < o_.queues) {
    if (d.max_rx_queues >= o_.queues && d.max_tx_queues >= o_.queues)
      return Error{"queues: " + n + ", but " + o_.device + " has " + have + ": ethtool -L " + o_.device +
                   channels};
    if (d.kind == "veth")
      return Error{"queues: " + n + ", but " + o_.device + " has " + have +
                   ": make both ends of the pair with them (ip link add " + o_.device + " numrxqueues " + n +
                   " numtxqueues " + n + " type veth peer name PEER numrxqueues " + n + " numtxqueues " + n +
                   ")"};
    return Error{"queues: " + n + ", but " + o_.device + " has no more than " +
                 std::to_string(std::min(d.max_rx_queues, d.max_tx_queues)) + ": lower queues"};
  }
  // Frames of a queue without a socket would go to the kernel, past the box.
  if (d.rx_queues > o_.queues)
    return Error{o_.device + " spreads frames over " + std::to_string(d.rx_queues) +
                 " receive queues, and queues: " + n + " would miss the others: write queues: " +
                 std::to_string(d.rx_queues) + ", or ethtool -L " + o_.device + channels};
  return {};
}

Status AfXdpPort::check_vlan_stripping(const Netdev& d) {
  // On a veth the flag strips nothing: the tag is where the sender left it.
  if (d.kind == "veth" || !control_.offload(o_.device, Offload::rx_vlan).value_or(false)) return {};
  if (Status s = control_.set_offload(o_.device, Offload::rx_vlan, false); !s)
    return Error{o_.device +
                 " strips VLAN tags before XDP sees them, and that cannot be switched off (ethtool -K " +
                 o_.device + " rxvlan off: " + s.error() + "): take another interface, or driver: dpdk"};
  vlan_stripping_was_on_ = true;
  notes_.push_back(
      {Event::Level::info, "switched VLAN stripping off (ethtool -K " + o_.device + " rxvlan off)"});
  return {};
}

// ---- sockets and program

Status AfXdpPort::bind_as(const Netdev& d, XdpAttach attach, bool zero_copy) {
  if (Status s = program_->attach(d.ifindex, attach, o_.dispatcher); !s) return s;
  for (unsigned q = 0; q < o_.queues; q++) {
    XdpSocket::Options so{d.ifindex, q, o_.ring_size, zero_copy, o_.busy_poll};
    if (Status s = queues_[q]->open(so); !s) {
      const int error = queues_[q]->socket().error();
      for (const auto& opened : queues_) opened->close();
      program_->detach();
      if (error == EOPNOTSUPP && zero_copy)
        return Error{"the driver" + (d.driver.empty() ? "" : " " + d.driver) + " does not offer it"};
      if (error == EBUSY)
        return Error{"queue " + std::to_string(q) + " is taken by another AF_XDP socket (another sluice?)"};
      return s;
    }
  }
  return {};
}

// Zero-copy, else native copy, else generic; info_.reason says what stood in the way of the better ones.
Status AfXdpPort::bind(const Netdev& d) {
  using Mode = Options::XdpMode;
  struct Way {
    Mode mode;
    XdpAttach attach;
    bool zero_copy;
    const char* name;
  };
  constexpr Way kWays[] = {{Mode::zero_copy, XdpAttach::native, true, "zero-copy"},
                           {Mode::native, XdpAttach::native, false, "native copy"},
                           {Mode::generic, XdpAttach::generic, false, "generic"}};
  if (std::string done = remove_leftover_xdp(d.ifindex, o_.device); !done.empty())
    notes_.push_back({Event::Level::warning, std::move(done)});
  if (o_.dispatcher)
    if (Status s = dispatcher_possible(); !s) return s;
  std::string failures;
  for (const Way& w : kWays) {
    if (o_.xdp_mode != Mode::automatic && o_.xdp_mode != w.mode) continue;
    Status s = bind_as(d, w.attach, w.zero_copy);
    if (s) {
      info_.mode = w.name;
      info_.reason = o_.xdp_mode != Mode::automatic ? std::string("as configured")
                     : failures.empty()             ? std::string("the driver offers it")
                                                    : "no " + failures;
      if (w.attach == XdpAttach::generic && leaves_partial_checksums(d))
        notes_.push_back({Event::Level::warning, "in generic mode " + o_.device +
                                                     " loses what its peer does not cut into "
                                                     "frames: ethtool -K PEER tso off gso off"});
      describe(d);
      return {};
    }
    failures += (failures.empty() ? "" : "; no ") + std::string(w.name) + ": " + s.error();
  }
  return Error{o_.device + " takes no AF_XDP socket (no " + failures + ")"};
}

void AfXdpPort::describe(const Netdev& d) {
  ifindex_ = d.ifindex;
  base_ = device_seen_ = d.stats;
  info_.name = o_.name;
  info_.driver = "af_xdp";
  info_.device = o_.device;
  info_.mac = d.mac;
  info_.mtu = o_.mtu.value_or(static_cast<uint16_t>(d.mtu));
  info_.rx_queues = info_.tx_queues = o_.queues;
  info_.numa_node = d.numa_node;
  info_.symmetric_rss = o_.queues == 1;
  info_.partial_checksums = leaves_partial_checksums(d);
  mtu_seen_ = d.mtu;
  carrier_changes_seen_ = d.carrier_changes;
}

// The sockets are bound: gives them frames, then sends them the device's traffic.
Status AfXdpPort::activate() {
  if (Status s = control_.set_up(o_.device); !s) return s;
  membership_ = join_all_groups(ifindex_);
  if (program_->has_rules()) {
    program_->set_kernel_addresses(control_.addresses());
    if (Status s = mirror_.open(ifindex_, pool_, o_.index); !s) return s;
    epoll_event e{};
    e.events = EPOLLIN;
    epoll_ctl(queues_[0]->wait_fd(), EPOLL_CTL_ADD, mirror_.fd(), &e);
  }
  const XdpProgram::Counts counts = program_->counts();
  missed_before_ = XdpProgram::of(counts, SLUICE_OUT_REDIRECTED) - given();
  answers_seen_ = answers(counts);
  for (unsigned q = 0; q < o_.queues; q++) {
    AfXdpQueue& queue = *queues_[q];
    queue.prime();
    if (queue.held() == 0)
      return Error{"the packet pool (" + std::to_string(pool_.size()) + " packets) is too small for " +
                   std::to_string(o_.queues) + " queues of " + std::to_string(o_.ring_size) +
                   ": raise system.packets or lower ring-size"};
    queue.set_up(true);
    if (Status s = program_->bind_queue(q, queue.socket().fd()); !s) return s;
  }
  moderation_.emplace(o_.device);
  state_ = State::running;
  if (const auto d = control_.link(o_.device)) link_up_ = d->running();
  return {};
}

// No lcore is inside a queue. Keeps the sockets' counters; gives all mbufs back.
void AfXdpPort::deactivate() {
  link_up_ = false;
  moderation_.reset();
  program_->detach();
  retired_ = kernel_counts();
  mirror_.close();
  for (const auto& q : queues_) q->close();
  if (membership_ >= 0) close(std::exchange(membership_, -1));
}

Status AfXdpPort::start() {
  if (state_ == State::running) return {};
  const auto d = control_.find(o_.device);
  if (!d) return Error{"port " + o_.name + ": " + o_.device + " is gone"};
  Status s;
  if (!program_->attached() || d->ifindex != ifindex_) s = bind(*d);  // after stop(), or made anew
  if (s) s = activate();
  if (!s) {
    deactivate();
    return Error{"port " + o_.name + ": " + s.error()};
  }
  return {};
}

void AfXdpPort::stop() {
  if (state_ == State::running) {
    for (unsigned q = 0; q < o_.queues; q++) program_->unbind_queue(q);
    if (link_up())
      for (const auto& q : queues_) q->drain();
    deactivate();
  }
  state_ = State::bound;
}

// ---- the queues' lcores

unsigned AfXdpPort::rx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) {
  unsigned got = 0;
  AfXdpQueue& q = *queues_[queue];
  if (queue == 0 && program_->has_rules() && q.is_up()) got = mirror_.poll(pkts, n);
  got += q.rx_burst(pkts + got, n - got);
  // For the program's gate. What it has counted and not brought to the ring yet is taken for taken until the next burst.
  sluice_queue& seen = *program_->queue(queue);
  const uint64_t taken = __atomic_load_n(&seen.handed, __ATOMIC_RELAXED) - q.waiting().used;
  if (taken != seen.taken) __atomic_store_n(&seen.taken, taken, __ATOMIC_RELAXED);
  return got;
}

unsigned AfXdpPort::tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) {
  return link_up() ? queues_[queue]->tx_burst(pkts, n) : 0;
}

void AfXdpPort::turn(unsigned queue, Instant) {
  queues_[queue]->turn();
}

bool AfXdpPort::arm(unsigned queue) {
  AfXdpQueue& q = *queues_[queue];
  if (queue == 0 && program_->has_rules() && q.is_up() && mirror_.ready()) return false;
  return q.arm();
}

}  // namespace sluice::port
