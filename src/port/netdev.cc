#include "port/netdev.h"

#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "port/netdev_netlink.h"

namespace sluice::port {

namespace {

std::string text(const char* data, size_t size) {
  return {data, strnlen(data, size)};
}

std::string system_error(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

Netdev parse_link(const char* p, size_t size) {
  Netdev d;
  const auto info = value<ifinfomsg>(p, size);
  d.ifindex = info.ifi_index;
  d.up = info.ifi_flags & IFF_UP;
  d.carrier = info.ifi_flags & IFF_LOWER_UP;
  const size_t fixed = NLMSG_ALIGN(sizeof info);
  attributes(p + fixed, size - fixed, [&](uint16_t type, const char* data, size_t n) {
    switch (type) {
      case IFLA_IFNAME:
        d.name = text(data, n);
        break;
      case IFLA_ADDRESS:
        if (n == 6) std::memcpy(d.mac.b.data(), data, 6);
        break;
      case IFLA_MTU:
        d.mtu = value<uint32_t>(data, n);
        break;
      case IFLA_CARRIER:
        d.carrier = d.carrier && value<uint8_t>(data, n);
        break;
      case IFLA_CARRIER_CHANGES:
        d.carrier_changes = value<uint32_t>(data, n);
        break;
      case IFLA_LINKINFO:
        attributes(data, n, [&](uint16_t t, const char* v, size_t l) {
          if (t == IFLA_INFO_KIND) d.kind = text(v, l);
        });
        break;
      case IFLA_XDP:
        attributes(data, n, [&](uint16_t t, const char* v, size_t l) {
          if (t == IFLA_XDP_ATTACHED) d.xdp_attached = value<uint8_t>(v, l);
          if (t == IFLA_XDP_PROG_ID) d.xdp_program = value<uint32_t>(v, l);
        });
        break;
      case IFLA_STATS64: {
        const auto s = value<rtnl_link_stats64>(data, n);
        d.stats = {s.rx_packets, s.tx_packets, s.rx_dropped, s.rx_missed_errors + s.rx_over_errors,
                   s.rx_errors,  s.tx_dropped, s.tx_errors};
        break;
      }
      default:
        break;
    }
  });
  return d;
}

ifreq request_for(const std::string& name) {
  ifreq r{};
  name.copy(r.ifr_name, IFNAMSIZ - 1);
  return r;
}

bool ethtool(int fd, const std::string& name, void* command) {
  ifreq r = request_for(name);
  r.ifr_data = static_cast<char*>(command);
  return ioctl(fd, SIOCETHTOOL, &r) == 0;
}

struct OffloadCommand {
  uint32_t get, set;
  uint32_t flag;  // of ETHTOOL_GFLAGS; 0: a command of its own
};
constexpr OffloadCommand kOffloadCommands[] = {  // in the order of Offload
    {ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM, 0},
    {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM, 0},
    {ETHTOOL_GGSO, ETHTOOL_SGSO, 0},
    {ETHTOOL_GGRO, ETHTOOL_SGRO, 0},
    {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO},
    {ETHTOOL_GTSO, ETHTOOL_STSO, 0},
    {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_RXVLAN},
    {ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_TXVLAN}};

void read_channels(int fd, Netdev& d) {
  ethtool_channels c{};
  c.cmd = ETHTOOL_GCHANNELS;
  if (!ethtool(fd, d.name, &c)) return;
  d.combined = c.max_combined > 0;
  d.rx_queues = std::max(1u, c.rx_count + c.combined_count);
  d.tx_queues = std::max(1u, c.tx_count + c.combined_count);
  d.max_rx_queues = std::max(d.rx_queues, c.max_rx + c.max_combined);
  d.max_tx_queues = std::max(d.tx_queues, c.max_tx + c.max_combined);
}

}  // namespace

Result<NetdevControl> NetdevControl::open() {
  NetdevControl c;
  c.netlink_ = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  c.ioctl_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (c.netlink_ < 0 || c.ioctl_ < 0)
    return Error{system_error("cannot ask the kernel about network devices")};
  const int on = 1;
  setsockopt(c.netlink_, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return c;
}

NetdevControl::NetdevControl(NetdevControl&& o) noexcept
    : netlink_(std::exchange(o.netlink_, -1)), ioctl_(std::exchange(o.ioctl_, -1)), sequence_(o.sequence_) {}

NetdevControl& NetdevControl::operator=(NetdevControl&& o) noexcept {
  std::swap(netlink_, o.netlink_);
  std::swap(ioctl_, o.ioctl_);
  std::swap(sequence_, o.sequence_);
  return *this;
}

NetdevControl::~NetdevControl() {
  if (netlink_ >= 0) close(netlink_);
  if (ioctl_ >= 0) close(ioctl_);
}

std::optional<Netdev> NetdevControl::link(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  Request<ifinfomsg> r(RTM_GETLINK, 0);
  r.body.ifi_family = AF_UNSPEC;
  r.add(IFLA_IFNAME, name.c_str(), name.size() + 1);
  std::optional<Netdev> found;
  netlink_request(netlink_, ++sequence_, r, [&](uint16_t type, const char* body, size_t size) {
    if (type == RTM_NEWLINK && size >= sizeof(ifinfomsg)) found = parse_link(body, size);
  });
  return found;
}

std::optional<Netdev> NetdevControl::find(const std::string& name) {
  auto d = link(name);
  if (!d) return d;
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (ethtool(ioctl_, name, &driver)) d->driver = text(driver.driver, sizeof driver.driver);
  read_channels(ioctl_, *d);
  std::ifstream node("/sys/class/net/" + name + "/device/numa_node");
  if (int n = -1; node >> n) d->numa_node = n;
  return d;
}

std::vector<std::string> NetdevControl::names() {
  Request<ifinfomsg> r(RTM_GETLINK, NLM_F_DUMP);
  std::vector<std::string> all;
  netlink_request(netlink_, ++sequence_, r, [&](uint16_t type, const char* body, size_t size) {
    if (type == RTM_NEWLINK && size >= sizeof(ifinfomsg)) all.push_back(parse_link(body, size).name);
  });
  return all;
}

std::optional<bool> NetdevControl::offload(const std::string& name, Offload o) {
  const OffloadCommand& c = kOffloadCommands[static_cast<size_t>(o)];
  ethtool_value v{c.get, 0};
  if (!ethtool(ioctl_, name, &v)) return std::nullopt;
  return c.flag ? (v.data & c.flag) != 0 : v.data != 0;
}

Status NetdevControl::set_offload(const std::string& name, Offload o, bool on) {
  const OffloadCommand& c = kOffloadCommands[static_cast<size_t>(o)];
  ethtool_value v{c.get, 0};
  if (c.flag) {
    if (!ethtool(ioctl_, name, &v)) return Error{system_error("ethtool cannot read the flags of " + name)};
    v.data = on ? v.data | c.flag : v.data & ~c.flag;
  } else {
    v.data = on;
  }
  v.cmd = c.set;
  if (!ethtool(ioctl_, name, &v)) return Error{system_error("ethtool refuses the change at " + name)};
  if (offload(name, o) != on) return Error{"the setting is fixed at " + name};
  return {};
}

std::vector<std::pair<std::string, uint64_t>> NetdevControl::counters(const std::string& name) {
  uint64_t question[sizeof(ethtool_sset_info) / 8 + 1] = {};  // ends with an array, of one
  auto* ask = reinterpret_cast<ethtool_sset_info*>(question);
  ask->cmd = ETHTOOL_GSSET_INFO, ask->sset_mask = 1ull << ETH_SS_STATS;
  if (!ethtool(ioctl_, name, ask) || ask->sset_mask == 0) return {};
  const uint32_t length = ask->data[0];
  // Both end with an array of that length; words, so that they are aligned.
  std::vector<uint64_t> names((sizeof(ethtool_gstrings) + size_t{length} * ETH_GSTRING_LEN) / 8 + 1);
  std::vector<uint64_t> values(sizeof(ethtool_stats) / 8 + length);
  auto* strings = reinterpret_cast<ethtool_gstrings*>(names.data());
  auto* stats = reinterpret_cast<ethtool_stats*>(values.data());
  strings->cmd = ETHTOOL_GSTRINGS, strings->string_set = ETH_SS_STATS, strings->len = length;
  stats->cmd = ETHTOOL_GSTATS, stats->n_stats = length;
  if (!ethtool(ioctl_, name, strings) || !ethtool(ioctl_, name, stats)) return {};
  std::vector<std::pair<std::string, uint64_t>> all;
  for (uint32_t i = 0; i < std::min({length, strings->len, stats->n_stats}); i++)
    all.emplace_back(text(reinterpret_cast<const char*>(strings->data) + size_t{i} * ETH_GSTRING_LEN, ETH_GSTRING_LEN),
                     stats->data[i]);
  return all;
}

Status NetdevControl::set_up(const std::string& name) {
  ifreq r = request_for(name);
  if (ioctl(ioctl_, SIOCGIFFLAGS, &r) != 0) return Error{system_error("cannot read the flags of " + name)};
  if (r.ifr_flags & IFF_UP) return {};
  r.ifr_flags = static_cast<short>(r.ifr_flags | IFF_UP);
  if (ioctl(ioctl_, SIOCSIFFLAGS, &r) != 0)
    return Error{system_error("cannot bring " + name + " up (ip link set " + name + " up)")};
  return {};
}

Status NetdevControl::set_mtu(const std::string& name, unsigned mtu) {
  ifreq r = request_for(name);
  r.ifr_mtu = static_cast<int>(mtu);
  if (ioctl(ioctl_, SIOCSIFMTU, &r) != 0)
    return Error{system_error("cannot set the MTU of " + name + " to " + std::to_string(mtu))};
  return {};
}

Status NetdevControl::set_mac(const std::string& name, const Mac& mac) {
  ifreq r = request_for(name);
  r.ifr_hwaddr.sa_family = 1;  // ARPHRD_ETHER
  std::memcpy(r.ifr_hwaddr.sa_data, mac.b.data(), 6);
  if (ioctl(ioctl_, SIOCSIFHWADDR, &r) != 0)
    return Error{system_error("cannot set the MAC of " + name + " to " + to_string(mac))};
  return {};
}

bool NetdevControl::carries_default_route(int ifindex) {
  bool found = false;
  for (uint8_t family : {uint8_t{AF_INET}, uint8_t{AF_INET6}}) {
    // The kernel filters by device, also by the devices of a multipath route: a full table is not read.
    Request<rtmsg> r(RTM_GETROUTE, NLM_F_DUMP);
    r.body.rtm_family = family;
    const auto oif = static_cast<uint32_t>(ifindex);
    r.add(RTA_OIF, &oif, sizeof oif);
    netlink_request(netlink_, ++sequence_, r, [&](uint16_t type, const char* body, size_t size) {
      if (type != RTM_NEWROUTE || size < sizeof(rtmsg)) return;
      const auto m = value<rtmsg>(body, size);
      if (m.rtm_dst_len != 0 || m.rtm_type != RTN_UNICAST || m.rtm_family != family) return;
      bool through = false;
      const size_t fixed = NLMSG_ALIGN(sizeof m);
      attributes(body + fixed, size - fixed, [&](uint16_t t, const char* v, size_t n) {
        if (t == RTA_OIF) through = through || value<int>(v, n) == ifindex;
        if (t == RTA_MULTIPATH) through = true;
      });
      found = found || through;
    });
  }
  return found;
}

std::optional<XdpFeatures> NetdevControl::xdp_features(int ifindex) {
  // The numbers of <linux/netdev.h>, which is newer than Debian 12's headers.
  constexpr uint8_t kDevGet = 1;
  constexpr uint16_t kDevIfindex = 1, kDevXdpFeatures = 3;
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) return std::nullopt;
  uint16_t family = 0;
  Request<genlmsghdr> ask(GENL_ID_CTRL, 0);
  ask.body = {CTRL_CMD_GETFAMILY, 1, 0};
  ask.add(CTRL_ATTR_FAMILY_NAME, "netdev", sizeof "netdev");
  netlink_request(fd, 1, ask, [&](uint16_t, const char* body, size_t size) {
    attributes(body + GENL_HDRLEN, size - GENL_HDRLEN, [&](uint16_t t, const char* v, size_t n) {
      if (t == CTRL_ATTR_FAMILY_ID) family = value<uint16_t>(v, n);
    });
  });
  std::optional<XdpFeatures> found;
  if (family) {
    Request<genlmsghdr> get(family, 0);
    get.body = {kDevGet, 1, 0};
    const auto index = static_cast<uint32_t>(ifindex);
    get.add(kDevIfindex, &index, sizeof index);
    netlink_request(fd, 2, get, [&](uint16_t, const char* body, size_t size) {
      attributes(body + GENL_HDRLEN, size - GENL_HDRLEN, [&](uint16_t t, const char* v, size_t n) {
        if (t != kDevXdpFeatures) return;
        const auto bits = value<uint64_t>(v, n);
        found = XdpFeatures{(bits & 1) != 0, (bits & 2) != 0, (bits & 8) != 0, (bits & 32) != 0};
      });
    });
  }
  close(fd);
  return found;
}

std::vector<IpAddr> NetdevControl::addresses() {
  Request<ifaddrmsg> r(RTM_GETADDR, NLM_F_DUMP);
  std::vector<IpAddr> all;
  netlink_request(netlink_, ++sequence_, r, [&](uint16_t type, const char* body, size_t size) {
    if (type != RTM_NEWADDR || size < sizeof(ifaddrmsg)) return;
    const auto m = value<ifaddrmsg>(body, size);
    const size_t fixed = NLMSG_ALIGN(sizeof m);
    attributes(body + fixed, size - fixed, [&](uint16_t t, const char* v, size_t n) {
      // IFA_LOCAL is the own end of a point-to-point address; IPv6 has it in IFA_ADDRESS unless peered.
      const bool wanted =
          t == IFA_LOCAL || t == IFA_BROADCAST || (t == IFA_ADDRESS && m.ifa_family == AF_INET6);
      if (!wanted) return;
      if (m.ifa_family == AF_INET && n == 4) {
        const auto a = value<Ip4>(v, n);
        if (!a.loopback()) all.emplace_back(a);
      } else if (m.ifa_family == AF_INET6 && n == 16) {
        const auto a = value<Ip6>(v, n);
        if (!a.loopback()) all.emplace_back(a);
      }
    });
  });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::string default_route_refusal(const std::string& name) {
  return name +
         " carries the machine's default route, so taking it would cut the machine off: name another "
         "interface, or write 'take-default-route: yes' at the port (and 'kernel:' for what must still reach "
         "the "
         "machine)";
}

}  // namespace sluice::port
