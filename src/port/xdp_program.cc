#include "port/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "early_drop.skel.h"
#pragma GCC diagnostic pop

namespace sluice::port {

namespace {

// libbpf would print pages to standard error. The last thing that it complained of is kept for our own
// errors.
thread_local std::string complaint;

[[gnu::format(printf, 2, 0)]] int keep_complaint(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  const int n = vsnprintf(line, sizeof line, format, args);
  complaint.assign(line, strnlen(line, sizeof line));
  while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
  return n;
}

std::string reason(int error) {
  std::string text = std::strerror(error < 0 ? -error : error);
  if (!complaint.empty()) text += " (" + complaint + ")";
  return text;
}

sluice_kernel_rule compile(const KernelMatch& m) {
  sluice_kernel_rule r{};
  r.proto = m.proto;
  r.port = be16::from(m.port).raw();
  if (m.prefix) {
    const Prefix p = m.prefix->masked();
    r.family = p.addr.family;
    std::memcpy(r.addr, p.addr.b.data(), sizeof r.addr);
    for (unsigned bit = 0; bit < p.len; bit++)
      r.mask[bit / 8] = static_cast<uint8_t>(r.mask[bit / 8] | 0x80u >> bit % 8);
  }
  return r;
}

sluice_address key_of(const IpAddr& a) {
  sluice_address k{};
  std::memcpy(k.addr, a.b.data(), sizeof k.addr);
  k.family = a.family;
  return k;
}

}  // namespace

Result<std::unique_ptr<XdpProgram>> XdpProgram::load(const std::vector<KernelMatch>& kernel) {
  if (kernel.size() > SLUICE_MAX_KERNEL_RULES)
    return Error{"kernel: has " + std::to_string(kernel.size()) + " entries, the XDP program takes at most " +
                 std::to_string(SLUICE_MAX_KERNEL_RULES) + ": join prefixes"};
  libbpf_set_print(keep_complaint);
  // Kernels before 5.11 charge maps to RLIMIT_MEMLOCK. Where it cannot be raised, loading says what is
  // missing.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);

  complaint.clear();
  std::unique_ptr<XdpProgram> self(new XdpProgram);
  self->skeleton_ = early_drop__open();
  if (!self->skeleton_) return Error{"cannot read the built-in XDP program: " + reason(errno)};
  auto* constants = self->skeleton_->rodata;
  for (size_t i = 0; i < kernel.size(); i++) constants->kernel_rules[i] = compile(kernel[i]);
  constants->kernel_rule_count = static_cast<uint32_t>(kernel.size());
  self->rules_ = kernel.size();
  if (const int e = early_drop__load(self->skeleton_); e != 0) {
    if (e == -EPERM)
      return Error{
          "the kernel does not let this user load an XDP program: run as root, or with CAP_BPF, "
          "CAP_NET_ADMIN "
          "and CAP_NET_RAW"};
    return Error{"the kernel refused the XDP program: " + reason(e)};
  }
  return self;
}

XdpProgram::~XdpProgram() {
  detach();
  early_drop__destroy(skeleton_);
}

int XdpProgram::program_fd() const {
  return bpf_program__fd(skeleton_->progs.early_drop);
}

Status XdpProgram::attach(int ifindex, XdpAttach mode) {
  detach();
  complaint.clear();
  LIBBPF_OPTS(bpf_link_create_opts, opts);
  opts.flags = mode == XdpAttach::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int fd = bpf_link_create(program_fd(), ifindex, BPF_XDP, &opts);
  if (fd < 0) {
    const int e = errno;
    if (e == EBUSY || e == EEXIST)
      return Error{
          "another XDP program is attached to it (bpftool net; ip link set dev IF xdp off; or another "
          "sluice)"};
    if (e == EPERM)
      return Error{"this user may not attach XDP programs: run as root, or with CAP_NET_ADMIN and CAP_BPF"};
    if (e == EINVAL && mode == XdpAttach::native)
      return Error{"the kernel or the driver refuses (its MTU, or a setting such as LRO)"};
    return Error{reason(e)};
  }
  link_ = fd;
  return {};
}

void XdpProgram::detach() {
  if (link_ >= 0) close(link_);
  link_ = -1;
}

Status XdpProgram::bind_queue(unsigned queue, int socket) {
  const int map = bpf_map__fd(skeleton_->maps.xsks);
  const uint32_t key = queue, fd = static_cast<uint32_t>(socket);
  if (bpf_map_update_elem(map, &key, &fd, BPF_ANY) != 0)
    return Error{"cannot hand queue " + std::to_string(queue) + " to its socket: " + std::strerror(errno)};
  return {};
}

void XdpProgram::unbind_queue(unsigned queue) {
  const uint32_t key = queue;
  bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.xsks), &key);
}

void XdpProgram::set_kernel_addresses(const std::vector<IpAddr>& all) {
  if (all == addresses_) return;
  const int map = bpf_map__fd(skeleton_->maps.kernel_addresses);
  for (const IpAddr& a : addresses_) {
    const auto k = key_of(a);
    if (std::find(all.begin(), all.end(), a) == all.end()) bpf_map_delete_elem(map, &k);
  }
  const uint8_t yes = 1;
  for (const IpAddr& a : all) {
    const auto k = key_of(a);
    bpf_map_update_elem(map, &k, &yes, BPF_ANY);
  }
  addresses_ = all;
}

std::array<uint64_t, SLUICE_XDP_COUNTS> XdpProgram::counts() const {
  std::array<uint64_t, SLUICE_XDP_COUNTS> sum{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return sum;
  std::vector<uint64_t> each(static_cast<size_t>(cpus));
  const int map = bpf_map__fd(skeleton_->maps.counts);
  for (uint32_t slot = 0; slot < SLUICE_XDP_COUNTS; slot++) {
    if (bpf_map_lookup_elem(map, &slot, each.data()) != 0) continue;
    for (uint64_t n : each) sum[slot] += n;
  }
  return sum;
}

}  // namespace sluice::port
