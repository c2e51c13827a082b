#include "port/doctor.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "port/af_xdp.h"

namespace sluice::port {

namespace {

std::string read_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line == "(null)" ? "" : line;
}

// Where the kernel cannot be asked (before 6.3): drivers of mainline with native XDP, and those with AF_XDP
// zero-copy. A list goes out of date; it is named as the source wherever it is used.
constexpr const char* kNative[] = {
    "bnxt_en",   "ena",      "enetc", "fsl_dpaa2_eth", "gve",       "hv_netvsc",  "i40e",
    "iavf",      "ice",      "igb",   "igc",           "ixgbe",     "ixgbevf",    "mlx4_en",
    "mlx5_core", "mvneta",   "mvpp2", "nfp",           "octeontx2", "qede",       "sfc",
    "stmmac",    "thunderx", "tsnep", "tun",           "veth",      "virtio_net", "vmxnet3"};
constexpr const char* kZeroCopy[] = {"gve",   "i40e",      "ice", "igb",    "igc",
                                     "ixgbe", "mlx5_core", "nfp", "stmmac", "tsnep"};

template <size_t N>
bool listed(const char* const (&list)[N], const std::string& driver) {
  return std::find(std::begin(list), std::end(list), driver) != std::end(list);
}

void examine_xdp(InterfaceReport& r, NetdevControl& control) {
  if (const auto f = control.xdp_features(r.device.ifindex)) {
    r.native_xdp =
        f->native && f->redirect ? "yes (the driver says so)" : "no (the driver says so): generic mode";
    r.zero_copy =
        f->zero_copy ? "yes (the driver says so; tried when the port is opened)" : "no (the driver says so)";
    return;
  }
  const std::string& driver = r.device.driver;
  if (driver.empty()) {
    r.native_xdp = r.zero_copy = "unknown (neither kernel nor driver say)";
    return;
  }
  r.native_xdp =
      listed(kNative, driver) ? "yes (by a table of drivers)" : "unlikely (not in the table of drivers)";
  r.zero_copy =
      listed(kZeroCopy, driver) ? "yes (by a table of drivers)" : "unlikely (not in the table of drivers)";
}

void examine_offloads(InterfaceReport& r, NetdevControl& control) {
  constexpr std::pair<Offload, const char*> kShown[] = {{Offload::rx_checksum, "rx-checksum"},
                                                        {Offload::tx_checksum, "tx-checksum"},
                                                        {Offload::tso, "tso"},
                                                        {Offload::gso, "gso"},
                                                        {Offload::gro, "gro"},
                                                        {Offload::lro, "lro"},
                                                        {Offload::rx_vlan, "rx-vlan"},
                                                        {Offload::tx_vlan, "tx-vlan"}};
  for (const auto& [offload, name] : kShown) {
    const auto on = control.offload(r.device.name, offload);
    if (on) r.offloads.push_back(std::string(name) + (*on ? " on" : " off"));
  }
  r.vlan_stripping =
      r.device.kind != "veth" && control.offload(r.device.name, Offload::rx_vlan).value_or(false);
}

void advise(InterfaceReport& r, NetdevControl& control) {
  const Netdev& d = r.device;
  const auto say = [&](std::string text) { r.advice.push_back(std::move(text)); };
  if (r.default_route)
    say("It carries the machine's default route: sluice refuses it unless the port says 'take-default-route: "
        "yes'.");
  if (!d.up)
    say("It is down; sluice brings it up.");
  else if (!d.carrier)
    say("It has no carrier: look at the cable, or at the other end.");
  if (d.mtu > kXdpMaxMtu)
    say("Its MTU is above what an AF_XDP frame holds: ip link set dev " + d.name + " mtu " +
        std::to_string(kXdpMaxMtu) + ".");
  if (d.rx_queues > 1)
    say("It spreads frames over " + std::to_string(d.rx_queues) +
        " receive queues: write 'queues: " + std::to_string(d.rx_queues) + "', or ethtool -L " + d.name +
        (d.combined ? " combined 1" : " rx 1") + ".");
  if (r.vlan_stripping)
    say("It strips VLAN tags before XDP sees them: sluice switches that off (ethtool -K " + d.name +
        " rxvlan off).");
  if (control.offload(d.name, Offload::lro).value_or(false))
    say("Large receive offload keeps native XDP from being attached: ethtool -K " + d.name + " lro off.");
  if (d.kind == "veth")
    say("Its peer leaves L4 checksums unfinished; sluice repairs them, or: ethtool -K PEER tx off. A peer "
        "with VLAN "
        "interfaces on it also needs: ethtool -K PEER txvlan off.");
  if (d.driver == "virtio_net" || d.kind == "tun")
    say("Frames may come with unfinished L4 checksums (the other end is on this machine, or its host); "
        "sluice "
        "repairs them.");
  if (d.xdp_attached)
    say("An XDP program (id " + std::to_string(d.xdp_program) +
        ") is attached to it: unless that is a running sluice, "
        "ip link set dev " +
        d.name + " xdp off.");
}

std::vector<MachineReport::HugePages> huge_pages() {
  std::vector<MachineReport::HugePages> all;
  std::error_code none;
  for (const auto& e : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", none)) {
    MachineReport::HugePages h;
    if (sscanf(e.path().filename().c_str(), "hugepages-%ukB", &h.kib) != 1) continue;
    std::istringstream(read_line(e.path() / "nr_hugepages")) >> h.total;
    std::istringstream(read_line(e.path() / "free_hugepages")) >> h.free;
    all.push_back(h);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.kib < b.kib; });
  return all;
}

void advise(MachineReport& m) {
  const auto say = [&](std::string text) { m.advice.push_back(std::move(text)); };
  uint64_t free = 0;
  for (const auto& h : m.huge_pages) free += h.free * h.kib;
  if (!m.af_xdp) say("This kernel has no AF_XDP (CONFIG_XDP_SOCKETS): only DPDK and pcap ports work.");
  if (!m.privileged)
    say("Not root: AF_XDP needs root, or CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK.");
  if (m.memlock && !m.privileged)
    say("At most " + std::to_string(*m.memlock >> 20) +
        " MiB of memory can be locked: raise LimitMEMLOCK, or give CAP_IPC_LOCK.");
  if (free == 0)
    say("No hugepages are free; sluice works without, a little slower: echo 512 > "
        "/proc/sys/vm/nr_hugepages.");
  if (m.cpus > 1 && m.isolated.empty())
    say("No CPU is isolated: for even latency boot with isolcpus=managed_irq,domain,N nohz_full=N and give N "
        "to a worker.");
  if (m.cpus == 1) say("One CPU: workers and the control side share it; idle: adaptive is the right policy.");
}

}  // namespace

std::vector<InterfaceReport> examine(const std::vector<std::string>& names) {
  auto control = NetdevControl::open();
  if (!control) return {};
  std::vector<InterfaceReport> all;
  const auto wanted = names.empty() ? control->names() : names;
  for (const std::string& name : wanted) {
    if (names.empty() && name == "lo") continue;
    InterfaceReport r;
    if (const auto d = control->find(name)) {
      r.found = true;
      r.device = *d;
      r.default_route = control->carries_default_route(d->ifindex);
      examine_xdp(r, *control);
      examine_offloads(r, *control);
      advise(r, *control);
    } else {
      r.device.name = name;
      r.advice.push_back("There is no such interface (ip link shows what there is).");
    }
    all.push_back(std::move(r));
  }
  return all;
}

MachineReport examine_machine() {
  MachineReport m;
  utsname name{};
  uname(&name);
  m.kernel = name.release;
  m.btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
  const int probe = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  m.af_xdp = probe >= 0 || errno == EPERM;
  if (probe >= 0) close(probe);
  m.privileged = geteuid() == 0;
  m.cpus = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN));
  m.isolated = read_line("/sys/devices/system/cpu/isolated");
  m.nohz_full = read_line("/sys/devices/system/cpu/nohz_full");
  m.huge_pages = huge_pages();
  std::ifstream memory("/proc/meminfo");
  for (std::string key; memory >> key;) {
    if (key == "MemTotal:") memory >> m.memory_kib;
    if (key == "MemAvailable:") memory >> m.available_kib;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) m.memlock = limit.rlim_cur;
  advise(m);
  return m;
}

namespace {

void row(std::ostream& out, const char* key, const std::string& value) {
  char head[32];
  snprintf(head, sizeof head, "  %-15s ", key);
  out << head << value << '\n';
}

void print_advice(std::ostream& out, const std::vector<std::string>& advice) {
  for (const std::string& a : advice) out << "  - " << a << '\n';
}

void print(std::ostream& out, const InterfaceReport& r) {
  const Netdev& d = r.device;
  out << '\n' << d.name;
  if (!r.found) {
    out << '\n';
    return print_advice(out, r.advice);
  }
  out << " (" << (d.driver.empty() ? d.kind.empty() ? "driver unknown" : d.kind : d.driver) << ")\n";
  row(out, "link",
      std::string(d.up ? "up" : "down") + (d.up && !d.carrier ? ", no carrier" : "") + ", " +
          to_string(d.mac) + (d.numa_node >= 0 ? ", NUMA node " + std::to_string(d.numa_node) : ""));
  row(out, "mtu", std::to_string(d.mtu) + " (AF_XDP carries at most " + std::to_string(kXdpMaxMtu) + ")");
  row(out, "queues",
      std::to_string(d.rx_queues) + " receive, " + std::to_string(d.tx_queues) + " transmit (at most " +
          std::to_string(d.max_rx_queues) + ", " + std::to_string(d.max_tx_queues) + ")");
  row(out, "native XDP", r.native_xdp);
  row(out, "zero-copy", r.zero_copy);
  std::string offloads;
  for (const std::string& o : r.offloads) offloads += (offloads.empty() ? "" : ", ") + o;
  row(out, "offloads", offloads.empty() ? "unknown" : offloads);
  row(out, "VLAN stripping", r.vlan_stripping ? "yes" : "no");
  row(out, "default route", r.default_route ? "yes" : "no");
  print_advice(out, r.advice);
}

}  // namespace

void print(std::ostream& out, const MachineReport& m, const std::vector<InterfaceReport>& interfaces) {
  out << "machine\n";
  row(out, "kernel", m.kernel + ", AF_XDP " + (m.af_xdp ? "yes" : "no") + ", BTF " + (m.btf ? "yes" : "no"));
  row(out, "CPUs",
      std::to_string(m.cpus) + ", isolated " + (m.isolated.empty() ? "none" : m.isolated) + ", nohz_full " +
          (m.nohz_full.empty() ? "none" : m.nohz_full));
  row(out, "memory",
      std::to_string(m.memory_kib >> 10) + " MiB, available " + std::to_string(m.available_kib >> 10) +
          " MiB");
  for (const auto& h : m.huge_pages)
    row(out, "hugepages",
        std::to_string(h.kib >> 10) + " MiB: " + std::to_string(h.free) + " free of " +
            std::to_string(h.total));
  row(out, "locked memory",
      m.memlock
          ? std::to_string(*m.memlock >> 20) + " MiB" + (m.privileged ? " (root is not bound by it)" : "")
          : "no limit");
  print_advice(out, m.advice);
  for (const InterfaceReport& r : interfaces) print(out, r);
}

int print_doctor(const std::vector<std::string>& names) {
  const auto interfaces = examine(names);
  print(std::cout, examine_machine(), interfaces);
  return std::all_of(interfaces.begin(), interfaces.end(), [](const auto& r) { return r.found; }) ? 0 : 1;
}

}  // namespace sluice::port
