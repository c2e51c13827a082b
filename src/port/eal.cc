#include "port/eal.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <deque>
#include <fstream>
#include <mutex>

namespace sluice::port {

namespace {

constexpr size_t kKeptLines = 64;

// EAL logs from several threads.
class LogMemory {
 public:
  void add(const char* text, size_t n) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < n; i++) {
      if (text[i] != '\n') {
        if (partial_.size() < 512) partial_ += text[i];
      } else if (!partial_.empty()) {
        // Usage pages and repetitions explain nothing.
        if (partial_.rfind("Usage:", 0) != 0 && (lines_.empty() || lines_.back() != partial_))
          lines_.push_back(std::move(partial_));
        partial_.clear();
        if (lines_.size() > kKeptLines) lines_.pop_front();
      }
    }
  }
  std::string last(size_t n) const {
    std::lock_guard lock(mutex_);
    std::string all;
    for (size_t i = lines_.size() > n ? lines_.size() - n : 0; i < lines_.size(); i++)
      all += (all.empty() ? "" : "; ") + lines_[i];
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<std::string> lines_;
  std::string partial_;
};

LogMemory& log_memory() {
  static LogMemory* m = new LogMemory;  // EAL's threads may log until the process ends
  return *m;
}

FILE* log_stream() {
  cookie_io_functions_t io{};
  io.write = [](void*, const char* text, size_t n) -> ssize_t {
    log_memory().add(text, n);
    return static_cast<ssize_t>(n);
  };
  FILE* f = fopencookie(nullptr, "w", io);
  if (f) setvbuf(f, nullptr, _IOLBF, 1024);
  return f;
}

// EAL prints its usage and getopt's complaints past its log: while it starts, both standard streams end here.
class PrintTrap {
 public:
  PrintTrap() : catcher_(memfd_create("eal-prints", MFD_CLOEXEC)) {
    if (catcher_ < 0) return;
    for (int fd : {1, 2}) {
      fflush(fd == 1 ? stdout : stderr);
      saved_[fd - 1] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
      if (saved_[fd - 1] >= 0) dup2(catcher_, fd);
    }
  }
  ~PrintTrap() {
    if (catcher_ < 0) return;
    for (int fd : {1, 2}) {
      fflush(fd == 1 ? stdout : stderr);
      if (saved_[fd - 1] < 0) continue;
      dup2(saved_[fd - 1], fd);
      close(saved_[fd - 1]);
    }
    std::array<char, 4096> text{};
    ssize_t n = pread(catcher_, text.data(), text.size(), 0);
    // The first lines say what was wrong; a page of usage follows.
    size_t keep = 0;
    for (unsigned lines = 0; n > 0 && keep < static_cast<size_t>(n) && lines < 2; keep++)
      lines += text[keep] == '\n';
    if (keep > 0) log_memory().add(text.data(), keep);
    close(catcher_);
  }

 private:
  int catcher_;
  int saved_[2] = {-1, -1};
};

uint64_t read_number(const std::string& path) {
  std::ifstream f(path);
  uint64_t n = 0;
  f >> n;
  return n;
}

uint64_t free_huge_mb() {
  return read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") * 2 +
         read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") * 1024;
}

uint64_t machine_mb() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

// All CPUs that this thread may use, so that EAL leaves it where it was.
std::string unpinned_main_lcore() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::string list;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (unsigned c = 0; c < CPU_SETSIZE; c++)
      if (CPU_ISSET(c, &allowed)) list += (list.empty() ? "" : ",") + std::to_string(c);
  return "0@(" + (list.empty() ? "0" : list) + ")";
}

Status choose_memory(const EalOptions& o, EalReport& r) {
  const uint64_t free_mb = free_huge_mb();
  const std::string need = std::to_string(o.memory_mb) + " MiB", there = std::to_string(free_mb) + " MiB";
  r.huge_pages = o.huge_pages != EalOptions::HugePages::off && free_mb >= o.memory_mb;
  if (o.huge_pages == EalOptions::HugePages::required && !r.huge_pages)
    return Error{"hugepages are required, and " + need + " are needed, but " + there + " are free: echo " +
                 std::to_string((o.memory_mb + 1) / 2) + " > /proc/sys/vm/nr_hugepages"};
  if (!r.huge_pages && o.memory_mb > machine_mb())
    return Error{"the configuration needs " + need + " of table memory, more than the machine has (" +
                 std::to_string(machine_mb()) + " MiB)"};
  if (!r.huge_pages && o.huge_pages == EalOptions::HugePages::automatic)
    r.warning = "running without hugepages (" + need + " wanted, " + there +
                " free): slower table look-ups; reserve some with: echo " +
                std::to_string((o.memory_mb + 1) / 2) + " > /proc/sys/vm/nr_hugepages";
  return {};
}

std::vector<std::string> arguments_for(const EalOptions& o, bool huge) {
  std::vector<std::string> a = {"sluice",
                                "--no-telemetry",
                                "--log-level=5",
                                "--iova-mode=va",
                                "--file-prefix=sluice-" + std::to_string(getpid()),
                                "--lcores=" + unpinned_main_lcore(),
                                "-m",
                                std::to_string(o.memory_mb)};
  // --in-memory and --no-huge exclude each other; what the first implies, the second spells out.
  if (huge)
    a.push_back("--in-memory");
  else
    a.insert(a.end(), {"--no-huge", "--no-shconf"});
  bool pci = false;
  for (const std::string& d : o.devices)
    if (is_pci_address(d)) {
      a.insert(a.end(), {"-a", d});
      pci = true;
    }
  if (!pci) a.push_back("--no-pci");
  a.insert(a.end(), o.arguments.begin(), o.arguments.end());
  return a;
}

}  // namespace

bool is_pci_address(const std::string& device) {
  const std::string s = device.substr(0, device.find(','));
  unsigned domain, bus, dev, function;
  char rest;
  return std::sscanf(s.c_str(), "%4x:%2x:%2x.%1x%c", &domain, &bus, &dev, &function, &rest) == 4 ||
         std::sscanf(s.c_str(), "%2x:%2x.%1x%c", &bus, &dev, &function, &rest) == 3;
}

std::string eal_log(unsigned lines) {
  return log_memory().last(lines);
}

Result<EalReport> start_eal(const EalOptions& o) {
  static bool tried = false;
  if (tried) return Error{"DPDK can be started once in a process only"};
  EalReport r;
  if (Status s = choose_memory(o, r); !s) return Error{s.error()};
  r.arguments = arguments_for(o, r.huge_pages);
  // EAL reorders the array and keeps pointers into it.
  static std::vector<std::string> kept;
  kept = r.arguments;
  std::vector<char*> argv;
  argv.reserve(kept.size() + 1);
  for (std::string& a : kept) argv.push_back(a.data());
  argv.push_back(nullptr);
  if (FILE* f = log_stream()) rte_openlog_stream(f);
  tried = true;
  int rc, why;
  {
    PrintTrap trap;
    rc = rte_eal_init(static_cast<int>(argv.size() - 1), argv.data());
    why = rte_errno;
  }
  // EAL makes a folder for what it shares with other processes, even where it shares nothing.
  if (const char* folder = rte_eal_get_runtime_dir(); folder && *folder) rmdir(folder);
  if (rc < 0) {
    std::string said = eal_log(4);
    return Error{"DPDK does not start (" + std::string(rte_strerror(why)) + ")" +
                 (said.empty() ? "" : ": " + said) +
                 (o.arguments.empty() ? "" : "; look at the eal: list in the configuration")};
  }
  r.text = "DPDK started with " + std::to_string(o.memory_mb) + " MiB of " +
           (r.huge_pages ? "hugepages" : "ordinary memory");
  return r;
}

void stop_eal() {
  rte_eal_cleanup();
}

}  // namespace sluice::port
