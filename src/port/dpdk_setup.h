// Configures an ethdev for sluice: what it can do is asked first, and what it cannot is a sentence.
#pragma once

#include <rte_ethdev.h>

#include <array>

#include "packet/pool.h"
#include "port/options.h"

namespace sluice::port {

struct DpdkSetup {
  uint16_t id = RTE_MAX_ETHPORTS;
  rte_eth_dev_info device{};
  bool probed = false;  // by us: removed again when the port goes
  bool symmetric_rss = false;
  bool rx_interrupts = false;
  TxOffloads tx;
  bool ip4_checksum = false;  // cut IPv4 packets want RTE_MBUF_F_TX_IP_CKSUM; other devices do it unasked, from a valid one
  uint16_t mtu = 1500;
  uint16_t rx_descriptors = 0, tx_descriptors = 0;  // of each queue
  Mac mac;
};

// Finds the device, or plugs it in.
Result<DpdkSetup> dpdk_probe(const Options& o);
// Configures it and its queues; it is not started.
Status dpdk_configure(DpdkSetup& s, const Options& o, PacketPool& pool);
void dpdk_close(DpdkSetup& s);

// 0x6d5a repeated: swapping addresses or ports leaves a Toeplitz hash unchanged (Woo and Park 2012).
std::array<uint8_t, 64> symmetric_rss_key();

bool dpdk_is_real(const DpdkSetup& s);  // on a bus that does DMA

}  // namespace sluice::port
