// What a verdict costs in the kernel, by BPF_PROG_TEST_RUN: nanoseconds of a run of the program, medians of runs that
// take turns. Beside it xdp-filter's deny program for addresses (package xdp-tools), which is what one would use
// without sluice. The figures: a blocked source at most 1.0 times of it, a passed established flow at most 1.5 times,
// sources drawn at random from a list of a million prefixes at most 3 times of a list of one. Needs root.
//
// A test run repeats one frame; where sources are random, a program in front writes another one each time
// (random_source.bpf.c), whose own cost stands in a line of its own.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "shed/shed.h"
#include "tests/unit/frames.h"
#include "verdict.h"

namespace sluice {
namespace {

using namespace test;

constexpr uint32_t kRepeat = 500'000;
constexpr int kRounds = 11;
constexpr uint32_t kFactor = 2654435761;  // odd: the sources of different numbers are different
constexpr unsigned kListBits = 20;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, strerror(errno));
  std::exit(1);
}

double run(const char* what, int program, const Octets& frame, uint32_t expected) {
  LIBBPF_OPTS(bpf_test_run_opts, o);
  o.data_in = frame.data();
  o.data_size_in = static_cast<uint32_t>(frame.size());
  o.repeat = kRepeat;
  if (bpf_prog_test_run_opts(program, &o) != 0) fail("test run");
  if (o.retval != expected) {
    std::fprintf(stderr, "%s: the program returned %u instead of %u\n", what, o.retval, expected);
    std::exit(1);
  }
  return o.duration;
}

bpf_object* open_object(const char* path) {
  bpf_object* o = bpf_object__open_file(path, nullptr);
  if (!o) fail(path);
  return o;
}
int fd_of(bpf_object* o, const char* program) { return bpf_program__fd(bpf_object__find_program_by_name(o, program)); }

// The program with the maps of a Shed of its own.
struct Sluice {
  std::unique_ptr<shed::Shed> shed;
  int program;
  sluice_queue* queue;

  Sluice() {
    auto made = shed::Shed::create({.hint = {1, 2}, .table = {3, 4}, .list = {5, 6}}, true);
    if (!made.ok()) std::fprintf(stderr, "%s\n", made.error().c_str()), std::exit(1);
    shed = std::move(*made);
    bpf_object* o = open_object(EARLY_DROP_OBJECT);
    const port::ShedMaps m = shed->maps();
    const std::pair<const char*, int> shared[] = {
        {"control", m.control}, {"policy", m.policy}, {"hints", m.hints},
        {"sources", m.sources}, {"destinations", m.destinations}, {"syns", m.syns},
        {"slots4", m.slots4},   {"groups", m.groups}, {"list6", m.list6}};
    for (const auto& [name, fd] : shared)
      if (bpf_map__reuse_fd(bpf_object__find_map_by_name(o, name), fd) != 0) fail(name);
    if (bpf_object__load(o) != 0) fail("early_drop");
    program = fd_of(o, "early_drop");
    const int queues = bpf_map__fd(bpf_object__find_map_by_name(o, "queues"));
    void* p = mmap(nullptr, sizeof(sluice_queue) * SLUICE_MAX_QUEUES, PROT_READ | PROT_WRITE, MAP_SHARED, queues, 0);
    if (p == MAP_FAILED) fail("queues");
    queue = static_cast<sluice_queue*>(p);
  }
  void list(std::vector<shed::ListEntry> all) {
    if (Status s = shed->lists().replace(shed::Origin::file, std::move(all)); !s)
      std::fprintf(stderr, "%s\n", s.error().c_str()), std::exit(1);
  }
};

// Random sources, then `next`.
int random_sources(int next, uint32_t mask) {
  bpf_object* o = open_object(RANDOM_SOURCE_OBJECT);
  const uint32_t constants[] = {kFactor, mask};
  bpf_map* rodata = bpf_object__find_map_by_name(o, ".rodata");
  if (bpf_map__set_initial_value(rodata, constants, sizeof constants) != 0) fail(".rodata");
  if (bpf_object__load(o) != 0) fail("random_source");
  const uint32_t zero = 0;
  const uint32_t to = static_cast<uint32_t>(next >= 0 ? next : fd_of(o, "nothing"));
  if (bpf_map_update_elem(bpf_map__fd(bpf_object__find_map_by_name(o, "next")), &zero, &to, BPF_ANY) != 0) fail("next");
  return fd_of(o, "random_source");
}

int empty_program() {
  bpf_object* o = open_object(RANDOM_SOURCE_OBJECT);
  if (bpf_object__load(o) != 0) fail("nothing");
  return fd_of(o, "nothing");
}

// dny: what is listed passes, the rest is dropped. alw: the other way round.
int xdp_filter(const char* policy, const char* source) {
  const std::string name = std::string("xdpfilt_") + policy + "_ip", path = XDP_FILTER_FOLDER "/" + name + ".o";
  bpf_object* o = open_object(path.c_str());
  for (bpf_map* m = bpf_object__next_map(o, nullptr); m; m = bpf_object__next_map(o, m))
    bpf_map__set_pin_path(m, nullptr);
  if (bpf_object__load(o) != 0) fail(path.c_str());
  const Ip4 a = a4(source);
  std::vector<uint64_t> flags(static_cast<size_t>(libbpf_num_possible_cpus()), 1);  // source
  if (bpf_map_update_elem(bpf_map__fd(bpf_object__find_map_by_name(o, "filter_ipv4")), &a, flags.data(), BPF_ANY) != 0)
    fail("filter_ipv4");
  return fd_of(o, name.c_str());
}

struct Line {
  const char* what;
  int program;
  Octets frame;
  uint32_t expected;
  std::vector<double> ns{};
  double median() {
    std::nth_element(ns.begin(), ns.begin() + kRounds / 2, ns.end());
    return ns[kRounds / 2];
  }
};

int main_() {
  libbpf_set_print(nullptr);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);

  const char* const blocked = "198.18.1.66";
  const auto frame = [](const char* src) { return eth(ip4({.src = src, .proto = 6}, tcp(40000, 80, 16)), 0x0800); };
  const auto frame6 = eth(ip6({.next = 6}, tcp(40000, 80, 16)), 0x86dd);
  Sluice idle, on, few, many;
  if (!on.shed->set_policy({.check_frames = true, .tcp_flags = true})) fail("policy");
  on.list({{*parse_prefix("198.18.1.66/32")}});
  for (const char* src : {"198.18.1.10", "2001:db8:1::10"})
    on.shed->hints().mark(*parse_ip(src), *parse_ip(src[0] == '1' ? "198.18.2.10" : "2001:db8:2::10"),
                          be16::from(40000).raw(), be16::from(80).raw(), 6);
  on.queue->level = 100;
  few.list({{*parse_prefix("0.0.0.0/0")}});
  std::vector<shed::ListEntry> million;
  for (uint32_t i = 0; i < 1u << kListBits; i++) million.push_back({{Ip4::from_host(i * kFactor), 32}});
  many.list(std::move(million));

  const uint32_t listed = (1u << kListBits) - 1;
  const char* const friendly = "198.18.1.10";
  const int dny = xdp_filter("dny", friendly), alw = xdp_filter("alw", blocked);
  const int front = random_sources(-1, listed), one_prefix = random_sources(few.program, listed);
  const int all_prefixes = random_sources(many.program, listed);
  Line lines[] = {
      {"an empty program", empty_program(), frame(blocked), XDP_DROP},
      {"xdp-filter, xdpfilt_dny_ip: a source that is not listed is dropped", dny, frame(blocked), XDP_DROP},
      {"xdp-filter, xdpfilt_dny_ip: a listed one passes", dny, frame(friendly), XDP_PASS},
      {"xdp-filter, xdpfilt_alw_ip: a listed one is dropped", alw, frame(blocked), XDP_DROP},
      {"sluice: level 0, nothing to check", idle.program, frame(friendly), XDP_PASS},
      {"sluice: blocked source", on.program, frame(blocked), XDP_DROP},
      {"sluice: established flow passes (IPv4)", on.program, frame(friendly), XDP_PASS},
      {"sluice: established flow passes (IPv6)", on.program, frame6, XDP_PASS},
      {"a random source is written, an empty program behind", front, frame(blocked), XDP_DROP},
      {"sluice: random sources, one prefix (0.0.0.0/0)", one_prefix, frame(blocked), XDP_DROP},
      {"sluice: random sources, each one of 1,048,576 /32", all_prefixes, frame(blocked), XDP_DROP},
  };
  for (int round = 0; round < kRounds; round++)
    for (Line& l : lines) l.ns.push_back(run(l.what, l.program, l.frame, l.expected));

  std::printf("ns of a frame, median of %d runs of %u\n", kRounds, kRepeat);
  for (Line& l : lines) std::printf("%8.1f  %s\n", l.median(), l.what);
  return 0;
}

}  // namespace
}  // namespace sluice

int main() {
  if (geteuid() != 0) {
    std::fprintf(stderr, "needs root to load BPF programs\n");
    return 1;
  }
  return sluice::main_();
}
