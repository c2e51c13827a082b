#include "port/dpdk_setup.h"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>

#include <algorithm>
#include <cstring>

#include "port/eal.h"

namespace sluice::port {

namespace {

constexpr uint64_t kHash = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
// Redirection tables have 64 entries or a multiple: the same pattern in each makes a hash mean the same
// queue on every port, whatever the size of its table.
constexpr unsigned kPattern = 64;

std::string said(int rc) {
  std::string log = eal_log(2);
  return std::string(rte_strerror(rc < 0 ? -rc : rc)) + (log.empty() ? "" : " (" + log + ")");
}

Status spread_queues(const DpdkSetup& s, unsigned queues) {
  const unsigned size = s.device.reta_size;
  if (size == 0 || size % kPattern != 0) return Error{"no redirection table"};
  std::vector<rte_eth_rss_reta_entry64> table(size / RTE_ETH_RETA_GROUP_SIZE);
  for (auto& group : table) {
    group.mask = UINT64_MAX;
    for (unsigned i = 0; i < RTE_ETH_RETA_GROUP_SIZE; i++)
      group.reta[i] = static_cast<uint16_t>(i % kPattern % queues);
  }
  if (rte_eth_dev_rss_reta_update(s.id, table.data(), static_cast<uint16_t>(size)) != 0)
    return Error{"its redirection table cannot be set"};
  return {};
}

Status check_limits(const DpdkSetup& s, const Options& o, const PacketPool& pool) {
  const unsigned most = std::min(s.device.max_rx_queues, s.device.max_tx_queues);
  if (o.queues > most)
    return Error{"it has " + std::to_string(most) + " queues, not " + std::to_string(o.queues) +
                 ": set queues: " + std::to_string(most) +
                 (dpdk_is_real(s) ? "" : " or give it more in the device string")};
  const unsigned room = rte_pktmbuf_data_room_size(pool.mempool()) - RTE_PKTMBUF_HEADROOM;
  const unsigned largest = std::min<unsigned>(s.device.max_mtu, room - 26);  // Ethernet, two tags, FCS
  if (o.mtu && (*o.mtu > largest || *o.mtu < s.device.min_mtu))
    return Error{"its MTU can be " + std::to_string(s.device.min_mtu) + " to " + std::to_string(largest) +
                 ", not " + std::to_string(*o.mtu)};
  return {};
}

// net_tap sums chains wrongly behind an odd number of bytes, loses IPv6 packets that it should cut, and refuses IPv4 ones
// whose pieces fill its MTU.
bool chains_work(const rte_eth_dev_info& d) { return !d.driver_name || std::strcmp(d.driver_name, "net_tap") != 0; }

// Fills in s.tx. Returns what the device is to be configured with.
uint64_t choose_tx_offloads(DpdkSetup& s) {
  uint64_t usable = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
  if (chains_work(s.device)) usable |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
  uint64_t chosen = s.device.tx_offload_capa & usable;
  constexpr uint64_t kCutting = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if ((chosen & kCutting) != kCutting) chosen &= ~(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  // Some drivers leave out a limit that they do not have.
  const auto limit = [](uint16_t told) { return told ? unsigned{told} : unsigned{UINT16_MAX}; };
  s.tx = {.tcp_checksum = (chosen & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0,
          .segments = chosen & RTE_ETH_TX_OFFLOAD_MULTI_SEGS ? limit(s.device.tx_desc_lim.nb_mtu_seg_max) : 1,
          .tso_segments = chosen & RTE_ETH_TX_OFFLOAD_TCP_TSO ? limit(s.device.tx_desc_lim.nb_seg_max) : 0};
  s.ip4_checksum = chosen & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
  return chosen;
}

rte_eth_conf configuration(DpdkSetup& s, const Options& o, std::array<uint8_t, 64>& key) {
  rte_eth_conf c{};
  const uint64_t hash = kHash & s.device.flow_type_rss_offloads;
  if (o.queues > 1 && hash != 0) {
    c.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    c.rx_adv_conf.rss_conf.rss_hf = hash;
    // A driver that does not say how long its key is (net_null) does not hash.
    if (s.device.hash_key_size > 0 && s.device.hash_key_size <= key.size()) {
      c.rx_adv_conf.rss_conf.rss_key = key.data();
      c.rx_adv_conf.rss_conf.rss_key_len = s.device.hash_key_size;
    }
  }
  if (o.mtu) c.rxmode.mtu = *o.mtu;
  c.txmode.offloads = choose_tx_offloads(s);
  return c;
}

Status set_up_queues(DpdkSetup& s, const Options& o, PacketPool& pool) {
  auto rx = static_cast<uint16_t>(o.rx_descriptors), tx = static_cast<uint16_t>(o.tx_descriptors);
  if (int rc = rte_eth_dev_adjust_nb_rx_tx_desc(s.id, &rx, &tx); rc != 0)
    return Error{"descriptors: " + said(rc)};
  s.rx_descriptors = rx;
  s.tx_descriptors = tx;
  if (pool.size() <= o.queues * rx)
    return Error{"its " + std::to_string(o.queues) + " receive queues of " + std::to_string(rx) +
                 " descriptors would take the whole packet pool (" + std::to_string(pool.size()) +
                 "): raise system.packets"};
  const auto node = static_cast<unsigned>(rte_eth_dev_socket_id(s.id));
  for (uint16_t q = 0; q < o.queues; q++) {
    if (int rc = rte_eth_rx_queue_setup(s.id, q, rx, node, nullptr, pool.mempool()); rc != 0)
      return Error{"receive queue " + std::to_string(q) + ": " + said(rc)};
    if (int rc = rte_eth_tx_queue_setup(s.id, q, tx, node, nullptr); rc != 0)
      return Error{"transmit queue " + std::to_string(q) + ": " + said(rc)};
  }
  return {};
}

}  // namespace

std::array<uint8_t, 64> symmetric_rss_key() {
  std::array<uint8_t, 64> k{};
  for (size_t i = 0; i < k.size(); i++) k[i] = i % 2 ? 0x5a : 0x6d;
  return k;
}

bool dpdk_is_real(const DpdkSetup& s) {
  const rte_bus* bus = s.device.device ? rte_bus_find_by_device(s.device.device) : nullptr;
  return bus && std::strcmp(rte_bus_name(bus), "vdev") != 0;
}

Result<DpdkSetup> dpdk_probe(const Options& o) {
  DpdkSetup s;
  std::string name = o.device.substr(0, o.device.find(','));
  if (is_pci_address(name) && std::count(name.begin(), name.end(), ':') == 1) name = "0000:" + name;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &s.id) != 0) {
    if (int rc = rte_dev_probe(o.device.c_str()); rc != 0)
      return Error{"DPDK cannot open " + o.device + ": " + said(rc)};
    s.probed = true;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &s.id) != 0)
      return Error{"DPDK opened " + o.device + ", but it is no network device"};
  }
  rte_eth_dev_owner owner{};
  if (rte_eth_dev_owner_get(s.id, &owner) == 0 && owner.id != RTE_ETH_DEV_NO_OWNER)
    return Error{o.device + " is used by another port"};
  owner.id = RTE_ETH_DEV_NO_OWNER;
  rte_eth_dev_owner_new(&owner.id);
  std::strncpy(owner.name, o.name.c_str(), sizeof owner.name - 1);
  rte_eth_dev_owner_set(s.id, &owner);
  if (int rc = rte_eth_dev_info_get(s.id, &s.device); rc != 0) {
    dpdk_close(s);
    return Error{"DPDK knows nothing about " + o.device + ": " + said(rc)};
  }
  return s;
}

Status dpdk_configure(DpdkSetup& s, const Options& o, PacketPool& pool) {
  if (Status st = check_limits(s, o, pool); !st) return st;
  auto key = symmetric_rss_key();
  rte_eth_conf c = configuration(s, o, key);
  const auto n = static_cast<uint16_t>(o.queues);
  // Whether a driver has receive interrupts shows only when it is asked for them.
  c.intr_conf.rxq = dpdk_is_real(s);
  s.rx_interrupts = c.intr_conf.rxq;
  int rc = rte_eth_dev_configure(s.id, n, n, &c);
  if (rc != 0 && c.intr_conf.rxq) {
    c.intr_conf.rxq = 0;
    s.rx_interrupts = false;
    rc = rte_eth_dev_configure(s.id, n, n, &c);
  }
  if (rc != 0) return Error{"it does not take the configuration: " + said(rc)};
  if (Status st = set_up_queues(s, o, pool); !st) return st;
  if (o.mtu) {
    if (rc = rte_eth_dev_set_mtu(s.id, *o.mtu); rc != 0 && rc != -ENOTSUP)
      return Error{"it does not take an MTU of " + std::to_string(*o.mtu) + ": " + said(rc)};
  }
  if (rte_eth_dev_get_mtu(s.id, &s.mtu) != 0 || s.mtu == 0) s.mtu = o.mtu.value_or(1500);
  if (o.mac) {
    rte_ether_addr a{};
    std::copy_n(o.mac->b.data(), 6, a.addr_bytes);
    if (rc = rte_eth_dev_default_mac_addr_set(s.id, &a); rc != 0 && dpdk_is_real(s))
      return Error{"it does not take the address " + to_string(*o.mac) + ": " + said(rc)};
    s.mac = *o.mac;
  } else {
    rte_ether_addr a{};
    if (rte_eth_macaddr_get(s.id, &a) == 0) std::copy_n(a.addr_bytes, 6, s.mac.b.data());
  }
  s.symmetric_rss =
      o.queues == 1 || (c.rx_adv_conf.rss_conf.rss_key != nullptr && spread_queues(s, o.queues).ok());
  // Neighbour discovery comes as multicast; not every driver filters, so not every driver can be told.
  rte_eth_allmulticast_enable(s.id);
  return {};
}

void dpdk_close(DpdkSetup& s) {
  if (s.id == RTE_MAX_ETHPORTS) return;
  rte_eth_dev_close(s.id);
  if (s.device.device && s.probed) rte_dev_remove(s.device.device);
  s.id = RTE_MAX_ETHPORTS;
}

}  // namespace sluice::port
