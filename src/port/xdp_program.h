// The XDP program of one AF_XDP port (bpf/early_drop.bpf.c): loaded with the port's `kernel:` rules, attached
// by a BPF link. The link is a descriptor of this process: when the process dies, however it dies, the kernel
// closes it and the program is gone. Control thread only.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "maps.h"
#include "port/options.h"

struct early_drop;  // the skeleton

namespace sluice::port {

enum class XdpAttach : uint8_t { none, native, generic };

class XdpProgram {
 public:
  static Result<std::unique_ptr<XdpProgram>> load(const std::vector<KernelMatch>& kernel);
  ~XdpProgram();
  XdpProgram(const XdpProgram&) = delete;

  Status attach(int ifindex, XdpAttach mode);  // native or generic
  void detach();
  bool attached() const { return link_ >= 0; }

  Status bind_queue(unsigned queue, int socket);  // frames of the queue go to the socket from now on
  void unbind_queue(unsigned queue);
  void set_kernel_addresses(const std::vector<IpAddr>& all);

  std::array<uint64_t, SLUICE_XDP_COUNTS> counts() const;  // summed over the CPUs
  int program_fd() const;
  bool has_rules() const { return rules_ > 0; }

 private:
  XdpProgram() = default;
  early_drop* skeleton_ = nullptr;
  int link_ = -1;
  size_t rules_ = 0;
  std::vector<IpAddr> addresses_;
};

}  // namespace sluice::port
