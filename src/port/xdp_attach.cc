#include "port/xdp_attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef SLUICE_LIBXDP
#include <xdp/libxdp.h>
#endif

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

namespace sluice::port {

namespace {

constexpr const char* kProgram = "early_drop";
// As the kernel keeps them: 15 characters.
constexpr const char* kMaps[] = {"xsks", "kernel_addresse", "kernel_fragment"};

constexpr const char* kWithoutDispatcher = "take dispatcher out, and the port's program is attached alone";

thread_local std::string complaint;
thread_local bool by_verifier;  // the complaint: nothing that follows says more

// Of the verifier's log, the last line but the statistics; else all.
std::string gist(const std::string& text) {
  size_t end = text.find("-- END PROG LOAD LOG --");
  by_verifier = end != std::string::npos;
  if (!by_verifier) return text.substr(0, text.find_last_not_of('\n') + 1);
  if (const size_t n = text.rfind("\nprocessed ", end); n != std::string::npos) end = n + 1;
  if (end == 0) return {};
  const size_t start = text.rfind('\n', end - 2) + 1;
  return text.substr(start, end - 1 - start);
}

void keep(const char* format, va_list args) {
  if (by_verifier) return;
  va_list again;
  va_copy(again, args);
  const int n = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (n <= 0) return;
  std::string text(static_cast<size_t>(n) + 1, '\0');
  vsnprintf(text.data(), text.size(), format, args);
  text.pop_back();
  complaint = gist(text);
}

[[gnu::format(printf, 2, 0)]] int from_libbpf(libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_WARN) keep(format, args);
  return 0;
}

#ifdef SLUICE_LIBXDP
[[gnu::format(printf, 2, 0)]] int from_libxdp(libxdp_print_level level, const char* format, va_list args) {
  if (level == LIBXDP_WARN) keep(format, args);
  return 0;
}

xdp_attach_mode libxdp_mode(XdpAttach mode) {
  return mode == XdpAttach::native ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

// Where libxdp cannot build a dispatcher it attaches the program alone, and calls that a success.
bool has_dispatcher(int ifindex) {
  xdp_multiprog* all = xdp_multiprog__get_from_ifindex(ifindex);
  if (libxdp_get_error(all) != 0) return false;
  const bool has = !xdp_multiprog__is_legacy(all);
  xdp_multiprog__close(all);
  return has;
}
#endif

// A loaded program of this name that has these maps; what else has the name is not ours.
bool is_ours(int program) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0 || std::strcmp(info.name, kProgram) != 0) return false;
  std::vector<uint32_t> ids(info.nr_map_ids);
  bpf_prog_info again{};
  again.nr_map_ids = info.nr_map_ids;
  again.map_ids = reinterpret_cast<uintptr_t>(ids.data());
  size = sizeof again;
  if (bpf_obj_get_info_by_fd(program, &again, &size) != 0) return false;
  unsigned known = 0;
  for (uint32_t id : ids) {
    const int fd = bpf_map_get_fd_by_id(id);
    bpf_map_info map{};
    size = sizeof map;
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &map, &size) == 0)
      for (const char* name : kMaps) known += std::strcmp(map.name, name) == 0;
    if (fd >= 0) close(fd);
  }
  return known == std::size(kMaps);
}

// The sign that somebody lives for this device's program behind a dispatcher; -1: it is another's.
int claim(int ifindex) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  const int n = snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "sluice/xdp/%d", ifindex);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(n));
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&a), length) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// A program that the device has by netlink, without a link. The kernel refuses if it has come by a link since.
bool remove_single(int ifindex) {
  bpf_xdp_query_opts q{};
  q.sz = sizeof q;
  if (bpf_xdp_query(ifindex, 0, &q) != 0) return false;
  const std::pair<uint32_t, uint32_t> all[] = {{q.drv_prog_id, XDP_FLAGS_DRV_MODE}, {q.skb_prog_id, XDP_FLAGS_SKB_MODE}};
  bool removed = false;
  for (const auto& [id, mode] : all) {
    const int program = id ? bpf_prog_get_fd_by_id(id) : -1;
    if (program < 0) continue;
    LIBBPF_OPTS(bpf_xdp_attach_opts, o, .old_prog_fd = program);
    removed |= is_ours(program) && bpf_xdp_detach(ifindex, mode, &o) == 0;
    close(program);
  }
  return removed;
}

// Behind a dispatcher; the others stay.
bool remove_dispatched(int ifindex) {
  bool removed = false;
#ifdef SLUICE_LIBXDP
  xdp_multiprog* all = xdp_multiprog__get_from_ifindex(ifindex);
  if (libxdp_get_error(all) != 0) return false;
  std::vector<xdp_program*> ours;
  if (!xdp_multiprog__is_legacy(all))
    for (xdp_program* p = nullptr; (p = xdp_multiprog__next_prog(p, all)) != nullptr;)
      if (is_ours(xdp_program__fd(p))) ours.push_back(p);
  if (!ours.empty())
    removed = xdp_program__detach_multi(ours.data(), ours.size(), ifindex, xdp_multiprog__attach_mode(all), 0) == 0;
  xdp_multiprog__close(all);
#else
  (void)ifindex;
#endif
  return removed;
}

}  // namespace

void forget_complaint() {
  libbpf_set_print(from_libbpf);
#ifdef SLUICE_LIBXDP
  libxdp_set_print(from_libxdp);
#endif
  complaint.clear();
  by_verifier = false;
}

std::string reason_of_error(int error) {
  std::string text = std::strerror(error < 0 ? -error : error);
  if (!complaint.empty()) text += " (" + complaint + ")";
  return text;
}

Status XdpAttachment::alone(int program, int ifindex, XdpAttach mode) {
  end();
  forget_complaint();
  LIBBPF_OPTS(bpf_link_create_opts, opts);
  opts.flags = mode == XdpAttach::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int fd = bpf_link_create(program, ifindex, BPF_XDP, &opts);
  if (fd >= 0) {
    link_ = fd;
    return {};
  }
  const int e = errno;
  if (e == EBUSY || e == EEXIST)
    return Error{"another XDP program is attached to it (bpftool net; ip link set dev IF xdp off; or another sluice; or write "
                 "dispatcher: yes, if libxdp attached it)"};
  if (e == EPERM) return Error{"this user may not attach XDP programs: run as root, or with CAP_NET_ADMIN and CAP_BPF"};
  if (e == EINVAL && mode == XdpAttach::native)
    return Error{"the kernel or the driver refuses (its MTU, or a setting such as LRO)"};
  return Error{reason_of_error(e)};
}

Status XdpAttachment::beside_others(bpf_object* object, int ifindex, XdpAttach mode) {
  end();
  if (Status s = dispatcher_possible(); !s) return s;
#ifdef SLUICE_LIBXDP
  forget_complaint();
  owner_ = claim(ifindex);
  if (owner_ < 0) return Error{"another sluice has a program behind the device's dispatcher"};
  xdp_program* p = xdp_program__from_bpf_obj(object, "xdp");
  int e = static_cast<int>(libxdp_get_error(p));
  if (e == 0) {
    e = xdp_program__attach(p, ifindex, libxdp_mode(mode), 0);
    if (e == 0) {
      dispatched_ = p, ifindex_ = ifindex, mode_ = mode;
      if (has_dispatcher(ifindex)) return {};
    } else {
      xdp_program__close(p);
    }
  }
  const std::string why = e == 0 ? complaint : reason_of_error(e);
  end();
  if (e == 0)
    return Error{"libxdp could not build a dispatcher" + (why.empty() ? why : " (" + why + ")") + ": " + kWithoutDispatcher};
  const std::string advice = by_verifier ? std::string(": ") + kWithoutDispatcher : "";
  return Error{"libxdp's dispatcher does not take the program: " + why + advice};
#else
  (void)object, (void)ifindex, (void)mode;
  return {};
#endif
}

void XdpAttachment::end() {
  if (link_ >= 0) close(std::exchange(link_, -1));
#ifdef SLUICE_LIBXDP
  if (dispatched_) {
    forget_complaint();
    xdp_program__detach(dispatched_, ifindex_, libxdp_mode(mode_), 0);
    xdp_program__close(std::exchange(dispatched_, nullptr));
  }
#endif
  if (owner_ >= 0) close(std::exchange(owner_, -1));
}

// Asked beforehand, since libxdp would go back to a single program, and print a page on it.
Status dispatcher_possible() {
#ifdef SLUICE_LIBXDP
  forget_complaint();
  // An extension of nothing, as libbpf's own probe has it: a kernel that has the type finds fault with the target.
  const bpf_insn nothing[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
                              {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, o, .attach_btf_id = 1);
  const int fd = bpf_prog_load(BPF_PROG_TYPE_EXT, nullptr, "GPL", nothing, std::size(nothing), &o);
  const int e = fd < 0 ? errno : 0;
  if (fd >= 0) close(fd);
  if (e == 0 || e == EINVAL) return {};
  const std::string refused = "dispatcher: the kernel refuses programs of the type EXT, which libxdp's dispatcher is built of (" +
                              std::string(std::strerror(e));
  if (e == EPERM)
    return Error{refused + ": this user lacks CAP_PERFMON, or the kernel's own policy forbids them even to root): " +
                 kWithoutDispatcher};
  return Error{refused + "): " + kWithoutDispatcher + "; or run a kernel that has them (Linux 5.10, with BTF)"};
#else
  return Error{std::string("dispatcher: this sluice is built without libxdp: ") + kWithoutDispatcher};
#endif
}

std::string remove_leftover_xdp(int ifindex, const std::string& device) {
  forget_complaint();
  const int mine = claim(ifindex);
  if (mine < 0) return {};
  const bool removed = remove_dispatched(ifindex) | remove_single(ifindex);
  close(mine);
  if (!removed) return {};
  return "removed the XDP program that a killed sluice had left on " + device;
}

}  // namespace sluice::port
