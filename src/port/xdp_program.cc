#include "port/xdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "early_drop.skel.h"
#pragma GCC diagnostic pop

namespace sluice::port {

namespace {

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

// Opened, with its constants; not loaded.
early_drop* XdpProgram::open() const {
  early_drop* s = early_drop__open();
  if (!s) return nullptr;
  std::copy(rules_.begin(), rules_.end(), s->rodata->kernel_rules);
  s->rodata->kernel_rule_count = static_cast<uint32_t>(rules_.size());
  return s;
}

Status XdpProgram::use(const ShedMaps& shed) {
  const auto& own = skeleton_->maps;
  const std::pair<bpf_map*, int> all[] = {
      {own.control, shed.control}, {own.policy, shed.policy},   {own.hints, shed.hints},
      {own.sources, shed.sources}, {own.destinations, shed.destinations}, {own.syns, shed.syns},
      {own.slots4, shed.slots4},   {own.groups, shed.groups},   {own.list6, shed.list6}};
  for (const auto& [map, fd] : all)
    if (fd >= 0)
      if (const int e = bpf_map__reuse_fd(map, fd); e != 0)
        return Error{std::string("the XDP program does not take the box's map '") + bpf_map__name(map) +
                     "': " + reason_of_error(e)};
  return {};
}

Status XdpProgram::map_queues() {
  void* at = mmap(nullptr, SLUICE_MAX_QUEUES * sizeof(sluice_queue), PROT_READ | PROT_WRITE, MAP_SHARED,
                  bpf_map__fd(skeleton_->maps.queues), 0);
  if (at == MAP_FAILED)
    return Error{std::string("cannot map the shed levels of the port's queues: ") + std::strerror(errno)};
  queues_ = static_cast<sluice_queue*>(at);
  return {};
}

Result<std::unique_ptr<XdpProgram>> XdpProgram::load(const std::vector<KernelMatch>& kernel, const ShedMaps& shed) {
  if (kernel.size() > SLUICE_MAX_KERNEL_RULES)
    return Error{"kernel: has " + std::to_string(kernel.size()) + " entries, the XDP program takes at most " +
                 std::to_string(SLUICE_MAX_KERNEL_RULES) + ": join prefixes"};
  // Kernels before 5.11 charge maps to RLIMIT_MEMLOCK. Where it cannot be raised, loading says what is
  // missing.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);

  forget_complaint();
  std::unique_ptr<XdpProgram> self(new XdpProgram);
  for (const KernelMatch& m : kernel) self->rules_.push_back(compile(m));
  self->skeleton_ = self->open();
  if (!self->skeleton_) return Error{"cannot read the built-in XDP program: " + reason_of_error(errno)};
  if (Status s = self->use(shed); !s) return Error{s.error()};
  if (const int e = early_drop__load(self->skeleton_); e != 0) {
    if (e == -EPERM)
      return Error{
          "the kernel does not let this user load an XDP program: run as root, or with CAP_BPF, "
          "CAP_NET_ADMIN "
          "and CAP_NET_RAW"};
    if (e == -ENOMEM)
      return Error{"no memory for the maps of the XDP program: free some, or raise the memory limit of the service"};
    return Error{"the kernel refused the XDP program (Linux 5.10 or later takes it): " + reason_of_error(e)};
  }
  if (Status s = self->map_queues(); !s) return Error{s.error()};
  return self;
}

XdpProgram::~XdpProgram() {
  detach();
  if (queues_) munmap(queues_, SLUICE_MAX_QUEUES * sizeof(sluice_queue));
  early_drop__destroy(skeleton_);
}

void XdpProgram::answer_syns(bool yes) {
  for (unsigned q = 0; q < SLUICE_MAX_QUEUES; q++) std::atomic_ref(queues_[q].no_answers).store(yes ? 0 : 1, std::memory_order_relaxed);
}

int XdpProgram::program_fd() const {
  return bpf_program__fd(skeleton_->progs.early_drop);
}

Status XdpProgram::attach(int ifindex, XdpAttach mode, bool beside_others) {
  detach();
  if (!beside_others) return attachment_.alone(program_fd(), ifindex, mode);
  // libxdp loads it itself, as a part of the dispatcher: a copy, so that the counters outlive this attachment.
  dispatched_ = open();
  if (!dispatched_) return Error{"cannot read the built-in XDP program: " + reason_of_error(errno)};
  bpf_map* copy;
  bpf_object__for_each_map(copy, dispatched_->obj) {
    const bpf_map* first = bpf_object__find_map_by_name(skeleton_->obj, bpf_map__name(copy));
    if (!bpf_map__is_internal(copy) && first) bpf_map__reuse_fd(copy, bpf_map__fd(first));
  }
  Status s = attachment_.beside_others(dispatched_->obj, ifindex, mode);
  if (!s) detach();
  return s;
}

void XdpProgram::detach() {
  attachment_.end();
  if (dispatched_) early_drop__destroy(std::exchange(dispatched_, nullptr));
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

XdpProgram::Counts XdpProgram::counts() const {
  Counts sum{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return sum;
  std::vector<uint64_t> each(static_cast<size_t>(cpus));
  const int map = bpf_map__fd(skeleton_->maps.counts);
  for (uint32_t slot = 0; slot < SLUICE_COUNTS; slot++) {
    if (bpf_map_lookup_elem(map, &slot, each.data()) != 0) continue;
    for (uint64_t n : each) sum[slot] += n;
  }
  return sum;
}

uint64_t XdpProgram::of(const Counts& c, sluice_outcome o) {
  uint64_t n = 0;
  for (unsigned cls = 0; cls < SLUICE_CLASSES; cls++) n += c[o * unsigned{SLUICE_CLASSES} + cls];
  return n;
}

}  // namespace sluice::port
