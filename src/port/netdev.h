// What the kernel knows of a network device, by rtnetlink and the ethtool ioctls, in the network namespace
// of the thread that made the object. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "wire/addr.h"

namespace sluice::port {

struct NetdevStats {  // since the device was made (IFLA_STATS64)
  uint64_t rx_packets = 0, tx_packets = 0;
  uint64_t rx_dropped = 0, rx_missed = 0, rx_errors = 0;
  uint64_t tx_dropped = 0, tx_errors = 0;
};

struct Netdev {
  int ifindex = 0;
  std::string name;
  std::string kind;    // rtnetlink's: "veth", "tun", "bridge"; empty for hardware
  std::string driver;  // ethtool's: "ixgbe", "veth"; empty where the device does not say
  Mac mac;
  uint32_t mtu = 0;
  bool up = false;  // by its administrator
  bool carrier = false;
  uint32_t carrier_changes = 0;
  unsigned rx_queues = 1, tx_queues = 1;  // in use now; combined channels count for both
  unsigned max_rx_queues = 1, max_tx_queues = 1;
  bool combined = false;  // channels come in pairs: ethtool -L IF combined N
  int numa_node = -1;
  uint8_t xdp_attached = 0;  // XDP_ATTACHED_…: 0 none, 1 native, 2 generic, 3 hardware, 4 several
  uint32_t xdp_program = 0;  // its id
  NetdevStats stats;

  bool running() const { return up && carrier; }
};

// What the driver says that it can do (netdev genetlink, Linux 6.3), without anything being tried.
struct XdpFeatures {
  bool native = false, redirect = false, zero_copy = false, multi_buffer = false;
};

// ethtool -k
enum class Offload : uint8_t { rx_checksum, tx_checksum, gso, gro, lro, tso, rx_vlan, tx_vlan };

// A set of sockets to ask with. They stay in the namespace they were opened in.
class NetdevControl {
 public:
  static Result<NetdevControl> open();
  NetdevControl(NetdevControl&& o) noexcept;
  NetdevControl& operator=(NetdevControl&& o) noexcept;
  ~NetdevControl();

  // None: there is no such device. link() leaves driver, queues and NUMA node out: one round trip.
  std::optional<Netdev> find(const std::string& name);
  std::optional<Netdev> link(const std::string& name);
  std::vector<std::string> names();

  // nullopt: the device does not say.
  std::optional<bool> offload(const std::string& name, Offload o);
  Status set_offload(const std::string& name, Offload o, bool on);

  // ethtool -S, by the driver's names; empty: it has none.
  std::vector<std::pair<std::string, uint64_t>> counters(const std::string& name);

  Status set_up(const std::string& name);
  Status set_mtu(const std::string& name, unsigned mtu);
  Status set_mac(const std::string& name, const Mac& mac);

  std::optional<XdpFeatures> xdp_features(int ifindex);  // none: the kernel is too old to tell

  // A default route of either family, in any table, leaves through it.
  bool carries_default_route(int ifindex);
  std::vector<IpAddr> addresses();  // of the whole namespace, loopback aside

 private:
  NetdevControl() = default;
  int netlink_ = -1, ioctl_ = -1;
  uint32_t sequence_ = 0;
};

// The reason why an interface must not be taken, or nothing.
std::string default_route_refusal(const std::string& name);

}  // namespace sluice::port
