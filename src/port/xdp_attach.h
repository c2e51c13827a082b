// One XDP program on one device: alone, by a BPF link, or beside others behind libxdp's dispatcher. And what processes that
// were killed have left there.
//
// A link is a descriptor of this process: however the process dies, the kernel closes it, and the program is gone. The dispatcher's
// attachment is the device's and stays; so is one that an older libxdp made where it could not build a dispatcher. Both
// are looked for when a port starts. A program is ours if it has the name and the maps of bpf/early_drop.bpf.c; that no
// living process uses it is told by an abstract socket, named after the device, that whoever attaches behind the
// dispatcher holds as long as he lives. Nobody else's program is touched. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

struct bpf_object;
struct xdp_program;

namespace sluice::port {

enum class XdpAttach : uint8_t { none, native, generic };

class XdpAttachment {
 public:
  XdpAttachment() = default;
  XdpAttachment(const XdpAttachment&) = delete;
  ~XdpAttachment() { end(); }

  Status alone(int program, int ifindex, XdpAttach mode);
  // `object` is open, not loaded, and must live until end().
  Status beside_others(bpf_object* object, int ifindex, XdpAttach mode);
  void end();
  bool there() const { return link_ >= 0 || dispatched_; }

 private:
  int link_ = -1;
  int owner_ = -1;                 // the abstract socket
  xdp_program* dispatched_ = nullptr;
  int ifindex_ = 0;
  XdpAttach mode_{};
};

// Whether this kernel lets several programs share a device; else why not.
Status dispatcher_possible();

// Takes our own programs off that nobody lives for any more. Returns what was done, in a sentence; empty: nothing.
std::string remove_leftover_xdp(int ifindex, const std::string& device);

// libbpf and libxdp would print pages to standard error: the last thing that one of them complained of is kept for our own
// errors. forget_complaint() also takes their output over.
void forget_complaint();
std::string reason_of_error(int error);

}  // namespace sluice::port
