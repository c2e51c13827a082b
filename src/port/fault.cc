#include "port/open.h"
namespace sluice::port {
std::unique_ptr<Port> wrap_fault(std::unique_ptr<Port> inner, const Options&, PacketPool&) { return inner; }
}  // namespace sluice::port
