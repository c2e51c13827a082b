// The XDP program of one AF_XDP port (bpf/early_drop.bpf.c), loaded with the port's `kernel:` rules and the box's shared maps;
// attached alone by a BPF link, or beside other programs. Control thread only, but for the words of queue().
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "maps.h"
#include "port/options.h"
#include "port/xdp_attach.h"

struct early_drop;  // the skeleton

namespace sluice::port {

class XdpProgram {
 public:
  // shed: descriptors that are not -1 take the place of the program's own maps.
  static Result<std::unique_ptr<XdpProgram>> load(const std::vector<KernelMatch>& kernel, const ShedMaps& shed = {});
  ~XdpProgram();
  XdpProgram(const XdpProgram&) = delete;

  Status attach(int ifindex, XdpAttach mode, bool beside_others = false);  // native or generic
  void detach();
  bool attached() const { return attachment_.there(); }

  Status bind_queue(unsigned queue, int socket);  // frames of the queue go to the socket from now on
  void unbind_queue(unsigned queue);
  void set_kernel_addresses(const std::vector<IpAddr>& all);

  // Frames by outcome and class (outcome * SLUICE_CLASSES + class), summed over the CPUs, since the program was loaded.
  using Counts = std::array<uint64_t, SLUICE_COUNTS>;
  Counts counts() const;
  static uint64_t of(const Counts& c, sluice_outcome o);  // all classes
  // Whether SYNs may be answered in their place (XDP_TX); if not, they go on to the stack.
  void answer_syns(bool yes);
  sluice_queue* queue(unsigned i) const { return &queues_[i]; }
  int program_fd() const;
  bool has_rules() const { return !rules_.empty(); }

 private:
  XdpProgram() = default;
  early_drop* open() const;
  Status use(const ShedMaps& shed);
  Status map_queues();
  early_drop* skeleton_ = nullptr;
  early_drop* dispatched_ = nullptr;  // a second copy, with the maps of the first, which libxdp loads
  XdpAttachment attachment_;
  sluice_queue* queues_ = nullptr;
  std::vector<sluice_kernel_rule> rules_;
  std::vector<IpAddr> addresses_;
};

}  // namespace sluice::port
