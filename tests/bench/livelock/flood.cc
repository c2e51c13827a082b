// A load generator: live frames of a test run (BPF_F_TEST_XDP_LIVE_FRAMES), sent out of a veth by XDP.
//
// The program (flood.bpf.c) keeps the pace; a rate that the CPU cannot give is given up, not caught up with, and the
// figures at the end say what was offered. Runs in the namespace of the device, and takes the whole of its CPU.
//
// With --sink it sends nothing: it drops, at the device, what comes back for the flood's sources, until a signal ends it.
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flood.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#include "flood.skel.h"
#pragma GCC diagnostic pop

namespace {

constexpr const char* kUsage =
    "flood --device IF --to MAC --seconds S [--pps N] [--cpu N] [--mix udp=80,syn=8,fragment=5,box-syn=5,box-udp=2]\n"
    "      [--source-bits 12] [--forward ADDR:PORT] [--victim ADDR:PORT] [--box ADDR:PORT] [--box-udp ADDR:PORT]\n"
    "flood --sink IF\n"
    "pps 0: as many as the CPU gives. Prints one line of JSON.";
constexpr double kGather = 50e-6;  // s for which a NIC with interrupt moderation keeps frames, too
constexpr std::array<const char*, FLOOD_KINDS> kKinds = {"udp", "syn", "fragment", "box-syn", "box-udp"};

[[noreturn]] void die(const std::string& why) {
  fprintf(stderr, "flood: %s\n", why.c_str());
  exit(2);
}

double seconds_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

struct Options {
  std::map<std::string, std::string> all = {
      {"device", ""},       {"sink", ""},        {"to", ""},          {"seconds", "1"},        {"pps", "0"},      {"cpu", "-1"},
      {"mix", "udp=1"},     {"source-bits", "12"}, {"forward", "198.18.2.66:9"}, {"victim", "198.18.2.67:80"},
      {"box", "198.18.1.1:80"}, {"box-udp", "198.18.1.1:9"}};

  Options(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const std::string name = argv[i];
      const auto it = all.find(name.starts_with("--") ? name.substr(2) : "");
      if (it == all.end() || i + 1 == argc) die(kUsage);
      it->second = argv[i + 1];
    }
  }
  double number(const char* name) const {
    char* end = nullptr;
    const std::string& s = all.at(name);
    const double v = strtod(s.c_str(), &end);
    if (s.empty() || *end || v < -1) die("--" + std::string(name) + " " + s + " is not a number");
    return v;
  }
};

void set_destination(flood_config& c, flood_kind kind, const std::string& text) {
  const size_t colon = text.find(':');
  in_addr a;
  if (colon == std::string::npos || inet_pton(AF_INET, text.substr(0, colon).c_str(), &a) != 1)
    die(text + " is not ADDR:PORT");
  c.destination[kind] = a.s_addr;
  c.port[kind] = htons(uint16_t(atoi(text.c_str() + colon + 1)));
}

// The kinds spread over the slots as evenly as they go: each slot is the kind that is furthest behind its share.
void set_mix(flood_config& c, const std::string& text) {
  std::array<double, FLOOD_KINDS> share{}, given{};
  double total = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const size_t eq = item.find('=');
    const auto it = std::find(kKinds.begin(), kKinds.end(), item.substr(0, eq));
    if (it == kKinds.end() || eq == std::string::npos) die("--mix: '" + item + "' is not KIND=SHARE");
    share[size_t(it - kKinds.begin())] = atof(item.c_str() + eq + 1);
    total += share[size_t(it - kKinds.begin())];
    at = end + 1;
  }
  if (!(total > 0)) die("--mix is empty");
  for (unsigned i = 0; i < FLOOD_SLOTS; i++) {
    size_t best = 0;
    for (size_t k = 1; k < FLOOD_KINDS; k++)
      if (share[k] / total * (i + 1) - given[k] > share[best] / total * (i + 1) - given[best]) best = k;
    given[best]++;
    c.slot[i] = uint8_t(best);
  }
}

unsigned device(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  if (!index) die("there is no device '" + name + "' here");
  return index;
}

flood_config configure(const Options& o) {
  flood_config c{};
  c.sources = inet_addr("198.19.0.0");
  if (!o.all.at("sink").empty()) return c;
  c.ifindex = device(o.all.at("device"));
  ether_addr mac;
  if (!ether_aton_r(o.all.at("to").c_str(), &mac)) die("--to: a MAC address is wanted");
  memcpy(c.to, &mac, 6);
  const uint8_t from[6] = {2, 0, 0, 0, 0, 0x66};
  memcpy(c.from, from, 6);
  const double bits = o.number("source-bits");
  if (bits < 0 || bits > 21) die("--source-bits: 0 to 21");
  c.source_mask = (1u << unsigned(bits)) - 1;
  set_destination(c, FLOOD_UDP, o.all.at("forward"));
  set_destination(c, FLOOD_FRAGMENT, o.all.at("forward"));
  set_destination(c, FLOOD_SYN, o.all.at("victim"));
  set_destination(c, FLOOD_BOX_SYN, o.all.at("box"));
  set_destination(c, FLOOD_BOX_UDP, o.all.at("box-udp"));
  c.random = 0x9e3779b97f4a7c15ull ^ uint64_t(getpid()) << 32;
  set_mix(c, o.all.at("mix"));
  if (const double pps = o.number("pps"); pps > 0) {
    c.interval = uint64_t(1024e9 / pps);
    c.gather = std::clamp<uint64_t>(uint64_t(pps * kGather), 1, FLOOD_BURST) - 1;
  }
  return c;
}

class Program {
 public:
  explicit Program(const flood_config& c) {
    libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
    skeleton_ = flood_bpf__open_and_load();
    if (!skeleton_) die("the kernel refuses the program (root is needed): " + std::string(strerror(errno)));
    skeleton_->bss->config = c;
    fd_ = bpf_program__fd(skeleton_->progs.flood);
  }
  ~Program() { flood_bpf__destroy(skeleton_); }

  // Ends by a signal.
  void run() {
    uint8_t frame[FLOOD_PAGE]{};
    xdp_md ctx{};
    ctx.data_end = sizeof frame;
    LIBBPF_OPTS(bpf_test_run_opts, o);
    o.data_in = frame;
    o.data_size_in = sizeof frame;
    o.ctx_in = &ctx;
    o.ctx_size_in = sizeof ctx;
    o.repeat = INT32_MAX;
    o.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    const int rc = bpf_prog_test_run_opts(fd_, &o);
    if (rc && rc != -EINTR) die("a test run with live frames fails: " + std::string(strerror(-rc)));
  }
  void sink(unsigned ifindex) {
    skeleton_->links.sink = bpf_program__attach_xdp(skeleton_->progs.sink, int(ifindex));
    if (!skeleton_->links.sink) die("no XDP program can be attached: " + std::string(strerror(errno)));
    for (const int s : {SIGTERM, SIGINT}) signal(s, [](int) {});
    pause();
  }
  const flood_counts& counts() const { return skeleton_->bss->counts; }

 private:
  flood_bpf* skeleton_;
  int fd_ = -1;
};

// Signals end the system call that sends; one that came before it would be lost, so they come again and again.
void end_after(double seconds) {
  for (const int s : {SIGTERM, SIGINT, SIGALRM}) signal(s, [](int) {});
  const auto whole = time_t(seconds);
  const itimerval t{{0, 50'000}, {whole, suseconds_t((seconds - double(whole)) * 1e6) + 1}};
  if (setitimer(ITIMER_REAL, &t, nullptr)) die("no timer");
}

}  // namespace

int main(int argc, char** argv) {
  const Options o(argc, argv);
  if (const int cpu = int(o.number("cpu")); cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(unsigned(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set)) die("cannot run on CPU " + std::to_string(cpu));
  }
  Program p(configure(o));
  if (const std::string& name = o.all.at("sink"); !name.empty()) {
    p.sink(device(name));
    return 0;
  }
  const double t0 = seconds_now();
  end_after(std::min(o.number("seconds"), 3600.0));
  p.run();
  const double took = seconds_now() - t0;
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const flood_counts c = p.counts();
  uint64_t all = 0;
  for (const uint64_t n : c.offered) all += n;
  printf("{\"seconds\": %.6f, \"cpu_seconds\": %.3f, \"offered\": %llu, \"given_up\": %llu", took,
         double(u.ru_stime.tv_sec + u.ru_utime.tv_sec) + double(u.ru_stime.tv_usec + u.ru_utime.tv_usec) * 1e-6,
         static_cast<unsigned long long>(all),
         static_cast<unsigned long long>(c.given_up));
  for (unsigned k = 0; k < FLOOD_KINDS; k++)
    printf(", \"%s\": %llu", kKinds[k], static_cast<unsigned long long>(c.offered[k]));
  printf("}\n");
  return 0;
}
