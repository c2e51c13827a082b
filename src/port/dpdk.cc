#include "port/open.h"
namespace sluice::port {
Result<std::unique_ptr<Port>> open_dpdk(const Options& o, PacketPool&) {
  return Error{"port " + o.name + ": DPDK ports are not built yet"};
}
}  // namespace sluice::port
