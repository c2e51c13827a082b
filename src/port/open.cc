#include "port/open.h"

#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "port/eal.h"
#ifdef SLUICE_AF_XDP
#include "port/af_xdp.h"
#endif

namespace sluice::port {

namespace {

bool ends_with(const std::string& s, std::string_view end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}

std::string bound_driver(const std::string& pci) {
  std::string link = "/sys/bus/pci/devices/" + (pci.size() < 12 ? "0000:" + pci : pci) + "/driver";
  std::array<char, PATH_MAX> target{};
  ssize_t n = readlink(link.c_str(), target.data(), target.size() - 1);
  if (n <= 0) return "";
  std::string path(target.data(), static_cast<size_t>(n));
  return path.substr(path.rfind('/') + 1);
}

Choice choose_pci(const std::string& device) {
  const std::string driver = bound_driver(device);
  for (const char* d : {"vfio-pci", "uio_pci_generic", "igb_uio"})
    if (driver == d) return {Driver::dpdk, device + " is bound to " + driver};
  if (driver.empty()) return {Driver::dpdk, device + " is a PCI address"};
  return {Driver::dpdk, device + " is a PCI address, though bound to the kernel's " + driver +
                            " (DPDK needs vfio-pci, or a bifurcated driver such as mlx5_core)"};
}

Result<std::unique_ptr<Port>> open_xdp(const Options& o, PacketPool& pool) {
#ifdef SLUICE_AF_XDP
  return open_af_xdp(o, pool);
#else
  (void)pool;
  return Error{"port " + o.name + ": this sluice was built without AF_XDP, which " + o.device +
               " needs: rebuild with -Dbpf=enabled, or give a DPDK device"};
#endif
}

Result<std::unique_ptr<Port>> open_driver(Driver d, const Options& o, PacketPool& pool) {
  switch (d) {
    case Driver::af_xdp:
      return open_xdp(o, pool);
    case Driver::dpdk:
      return open_dpdk(o, pool);
    case Driver::pcap:
      return open_pcap(o, pool);
    case Driver::generator:
      return open_generator(o, pool);
    case Driver::null:
      return open_null(o, pool);
    case Driver::automatic:
      break;
  }
  return Error{"port " + o.name + ": no driver chosen"};
}

}  // namespace

Choice choose_driver(const std::string& device) {
  if (device.empty())
    return {Driver::automatic, "no device is given: name an interface, a PCI address or a capture"};
  if (device.rfind("net_", 0) == 0 || device.rfind("eth_", 0) == 0)
    return {Driver::dpdk, device + " is a DPDK virtual device"};
  if (is_pci_address(device)) return choose_pci(device);
  if (ends_with(device, ".pcap") || ends_with(device, ".pcapng"))
    return {Driver::pcap, device + " is a capture"};
  if (device.size() < IFNAMSIZ && if_nametoindex(device.c_str()) != 0)
    return {Driver::af_xdp, device + " is a network interface with a kernel driver"};
  if (device.find('/') == std::string::npos && device.size() < IFNAMSIZ)
    return {Driver::automatic, "there is no network interface " + device + " (see ip link)"};
  return {Driver::automatic,
          device +
              " is neither a network interface, nor a PCI address, nor a DPDK virtual device "
              "(net_…), nor a capture (.pcap, .pcapng): give driver: as well"};
}

Result<std::unique_ptr<Port>> open(const Options& given, PacketPool& pool) {
  Options o = given;
  if (o.queues < 1 || o.queues > kMaxWorkers)
    return Error{"port " + o.name + ": 1 to " + std::to_string(kMaxWorkers) + " queues, not " +
                 std::to_string(o.queues)};
  if (o.driver == Driver::automatic) {
    Choice c = choose_driver(o.device);
    if (c.driver == Driver::automatic) return Error{"port " + o.name + ": " + c.reason};
    o.driver = c.driver;
    o.reason = c.reason;
  }
  auto port = open_driver(o.driver, o, pool);
  if (!port) return port;
  // Faults lie below the capture: it shows what the box sees.
  if (o.fault.any()) port = wrap_fault(std::move(*port), o, pool);
  if (!o.capture.empty()) port = wrap_capture(std::move(*port), o);
  return port;
}

}  // namespace sluice::port
