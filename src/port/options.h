// What a port is opened with, as the configuration gives it: one flat struct for all drivers, filled by
// control/, so that port/ knows nothing of YAML. open() checks what only the machine can tell.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "port/port.h"

namespace sluice::port {

enum class Driver : uint8_t { automatic, af_xdp, dpdk, pcap, generator, null };

// Traffic that stays with the kernel (AF_XDP). Unset protocol and port match all. An unset prefix means what is
// addressed to the kernel itself: to an address of its own, now or later, or to a group or broadcast; so that
// {tcp, 22} is SSH to this machine, and not SSH through it. ARP and ND reach both while there are entries.
struct KernelMatch {
  std::optional<Prefix> prefix;  // destination or source, whichever the kernel's side is: either matches
  uint8_t proto = 0;          // 0: any
  uint16_t port = 0;          // either port, host order; 0: any
};

// The maps of the box that every port's early-drop program shares (bpf/maps.h): descriptors that src/shed owns and that
// live as long as the box. -1: the box has none, and the program makes empty ones of its own.
struct ShedMaps {
  int control = -1, policy = -1, hints = -1, sources = -1, destinations = -1, syns = -1;
  int slots4 = -1, groups = -1, list6 = -1;  // array-of-maps, two slots each
};

struct FaultOptions {         // share of packets, 0..1; seeded
  double loss = 0, duplicate = 0, reorder = 0, corrupt = 0;
  Duration delay{}, jitter{};
  uint64_t seed = 1;
  bool any() const { return loss > 0 || duplicate > 0 || reorder > 0 || corrupt > 0 || delay.ns > 0 || jitter.ns > 0; }
};

struct GeneratorOptions {
  uint64_t flows = 1;         // 1 to 10'000'000
  bool random = false;        // flows drawn at random, or one after the other
  unsigned size = 60;         // frame bytes without FCS; 0: IMIX (7:4:1 of 60, 590, 1514)
  unsigned burst = 32;        // frames a rx_burst returns
  uint64_t packets = 0;       // in all; 0: no end
  bool ip6 = false;
  uint8_t proto = 17;
  Prefix sources, destinations;  // addresses are drawn from them
  Mac to;                     // destination MAC
  uint64_t seed = 1;
};

struct Options {
  std::string name;
  uint16_t index = 0;
  Driver driver = Driver::automatic;
  std::string reason;         // why this driver; filled in by open() where it is automatic
  std::string device;         // netdev, PCI address, vdev string "net_null0,…", file
  unsigned queues = 1;
  std::optional<uint16_t> mtu;
  std::optional<Mac> mac;     // pcap, generator, null: the port's address
  // AF_XDP
  enum class XdpMode : uint8_t { automatic, zero_copy, native, generic } xdp_mode = XdpMode::automatic;
  bool busy_poll = false;
  bool allow_default_route = false;  // "take-default-route: yes" in the file
  unsigned ring_size = 2048;
  std::vector<KernelMatch> kernel;
  ShedMaps shed;
  bool dispatcher = false;    // attach through libxdp's dispatcher, beside other programs
  enum class Checksum : uint8_t { automatic, trust, repair, refuse } checksum = Checksum::automatic;
  // DPDK
  unsigned rx_descriptors = 1024, tx_descriptors = 1024;
  // pcap
  std::string pcap_out;       // pcapng; empty: what is sent is dropped after counting
  bool pcap_live = false;     // the box runs on the machine's clock: the capture starts with the first rx_burst
  // generator
  GeneratorOptions generator;
  // wrappers
  std::string capture;        // pcapng of both directions; empty: none
  FaultOptions fault;
};

// Opens a port; picks the driver where it is automatic and says why in info().reason. The pool is the only
// one the port may allocate from. EAL is up.
Result<std::unique_ptr<Port>> open(const Options& o, PacketPool& pool);

}  // namespace sluice::port
