// The two compilations of the verdict, side by side: the XDP program through the kernel's test run, and the function in
// user space. Both have the same policy, lists and hints in the same memory (a shed::Shed's), rate tables and a queue
// each of their own, and are told the time. Needs root.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "shed/shed.h"
#include "syn_answer.h"
#include "unit/frames.h"
#include "verdict.h"

namespace sluice::test {

struct Judged {
  sluice_outcome outcome;
  sluice_class cls;
  Octets frame;  // as it is afterwards
  bool operator==(const Judged&) const = default;
};

inline const char* name_of(sluice_outcome o) {
#define SLUICE_X(name) , #name
  static const char* const kAll[] = {"passes", "kernel", "shared", "unbound", "answered" SLUICE_EARLY_DROPS(SLUICE_X)};
#undef SLUICE_X
  return kAll[o];
}
inline const char* name_of(sluice_class c) {
  static const char* const kAll[] = {"control", "established", "new", "rest"};
  return kAll[c];
}
inline void PrintTo(const Judged& j, std::ostream* os) {
  *os << name_of(j.outcome) << ", " << name_of(j.cls) << ", " << j.frame.size() << " bytes";
}

// As src/shed/native.cc has it, for bytes in memory of their own: a read behind the frame's end is one behind the
// block's.
inline Judged judge(sluice_env& env, Octets frame) {
  sluice_packet p{};
  const uint32_t level = sluice_level_of(&env);
  if (!sluice_looks(env.policy->checks, level)) return {SLUICE_OUT_REDIRECTED, SLUICE_CLASS_REST, frame};
  frame.shrink_to_fit();
  sluice_parse(frame.data(), frame.data() + frame.size(), &p);
  struct sluice_verdict v = sluice_judge(&env, env.policy, level, &p);
  if (v.outcome == SLUICE_OUT_ANSWERED) {
    sluice_syn syn{};
    sluice_syn_answer a{};
    if (sluice_syn_copy(frame.data(), frame.data() + frame.size(), &p, &syn) && sluice_syn_compose(&env, &p, &syn, &a))
    {
      frame.resize(sluice_answer_size(&p, &a));
      EXPECT_TRUE(sluice_syn_write(frame.data(), frame.data() + frame.size(), &p, &a));
    } else {
      v.outcome = SLUICE_DROP_syn_rate;
    }
  }
  return {static_cast<sluice_outcome>(v.outcome), static_cast<sluice_class>(v.cls), std::move(frame)};
}

inline const shed::Keys kKeys{.hint = {1, 2}, .table = {3, 4}, .list = {5, 6}, .cookie = {7, 8}, .timestamp = {9, 10}};

class Twins : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to load BPF programs: SKIPPED, NOT TESTED";
    auto s = shed::Shed::create(kKeys, true);
    ASSERT_TRUE(s.ok()) << s.error();
    shed_ = std::move(*s);
    object_ = bpf_object__open_file(EARLY_DROP_OBJECT, nullptr);
    ASSERT_NE(object_, nullptr) << strerror(errno);
    const port::ShedMaps m = shed_->maps();
    const std::pair<const char*, int> shared[] = {
        {"control", m.control}, {"policy", m.policy}, {"hints", m.hints},
        {"sources", m.sources}, {"destinations", m.destinations}, {"syns", m.syns},
        {"slots4", m.slots4},   {"groups", m.groups}, {"list6", m.list6}};
    for (const auto& [name, fd] : shared) ASSERT_EQ(bpf_map__reuse_fd(map(name), fd), 0) << name;
    ASSERT_EQ(bpf_object__load(object_), 0) << "the verifier refuses it: " << strerror(errno);
    program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, "early_drop"));
    control_ = memory<sluice_control>(m.control, 1);
    queue_ = memory<sluice_queue>(bpf_map__fd(map("queues")), SLUICE_MAX_QUEUES);
    at(Instant{} + Duration::seconds(1000));
  }
  void TearDown() override { bpf_object__close(object_); }

  bpf_map* map(const char* name) { return bpf_object__find_map_by_name(object_, name); }
  template <class T>
  static T* memory(int fd, size_t n) {
    void* p = mmap(nullptr, (n * sizeof(T) + 4095) & ~size_t{4095}, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) ADD_FAILURE() << strerror(errno);
    return static_cast<T*>(p);  // until the process ends
  }

  void at(Instant now) {
    now_ = now;
    control_->test_now = static_cast<uint64_t>(now.ns);
  }
  void pass(Duration d) { at(now_ + d); }
  void level(uint32_t l) { queue_->level = own_queue_.level = l; }
  void set(const shed::Policy& p) {
    const Status s = shed_->set_policy(p);
    ASSERT_TRUE(s.ok()) << s.error();
  }
  sluice_env env() {
    sluice_env e = shed_->environment();
    e.now = static_cast<uint64_t>(now_.ns);
    e.queue = &own_queue_;
    return e;
  }

  Judged native(const Octets& frame) {
    sluice_env e = env();
    return judge(e, frame);
  }

  uint64_t counted(sluice_outcome o, sluice_class c) {
    static const int cpus = libbpf_num_possible_cpus();
    std::vector<uint64_t> each(static_cast<size_t>(cpus));
    const uint32_t slot = unsigned{o} * SLUICE_CLASSES + c;
    EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(map("counts")), &slot, each.data()), 0);
    uint64_t sum = 0;
    for (uint64_t n : each) sum += n;
    return sum;
  }

  // What the program makes of a frame, which is `expected` (its class is seen by the counter alone).
  void program_agrees(const Octets& frame, const Judged& expected) {
    const sluice_outcome o = expected.outcome == SLUICE_OUT_REDIRECTED ? SLUICE_OUT_UNBOUND : expected.outcome;
    const uint64_t before = counted(o, expected.cls);
    Octets out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, run);
    run.data_in = frame.data();
    run.data_size_in = static_cast<uint32_t>(frame.size());
    run.data_out = out.data();
    run.data_size_out = static_cast<uint32_t>(out.size());
    ASSERT_EQ(bpf_prog_test_run_opts(program_, &run), 0) << strerror(errno);
    const uint32_t action = o == SLUICE_OUT_UNBOUND ? XDP_PASS : o == SLUICE_OUT_ANSWERED ? XDP_TX : XDP_DROP;
    ASSERT_EQ(run.retval, action) << ::testing::PrintToString(expected);
    ASSERT_EQ(counted(o, expected.cls), before + 1) << "counted as something else than " <<
    ::testing::PrintToString(expected); out.resize(run.data_size_out);
    ASSERT_EQ(out, expected.frame);
    ran_++;
  }

  // Both say the same.
  Judged both(const Octets& frame) {
    const Judged n = native(frame);
    program_agrees(frame, n);
    seen_[n.outcome]++;
    seen_class_[n.cls]++;
    return n;
  }
  // …and no counter but those that were asked for has moved.
  void no_other_count() {
    uint64_t all = 0;
    for (unsigned i = 0; i < SLUICE_COUNTS; i++)
      all += counted(static_cast<sluice_outcome>(i / SLUICE_CLASSES), static_cast<sluice_class>(i % SLUICE_CLASSES));
    EXPECT_EQ(all, ran_);
  }
  void same_rates() {
    EXPECT_EQ(std::memcmp(queue_->class_tat, own_queue_.class_tat, sizeof own_queue_.class_tat), 0);
    EXPECT_EQ(queue_->icmp_tat, own_queue_.icmp_tat);
  }

  std::unique_ptr<shed::Shed> shed_;
  bpf_object* object_ = nullptr;
  int program_ = -1;
  sluice_control* control_ = nullptr;
  sluice_queue* queue_ = nullptr;
  sluice_queue own_queue_{};
  Instant now_;
  uint64_t ran_ = 0;
  std::map<sluice_outcome, uint64_t> seen_;
  std::map<sluice_class, uint64_t> seen_class_;
};

// ---- frames

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58;
constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

inline Octets v4(V4 f, const Octets& payload) { return eth(ip4(f, payload), 0x0800); }
inline Octets v6(V6 f, const Octets& payload) { return eth(ip6(f, payload), 0x86dd); }
inline Octets udp4(unsigned sport = 4000, unsigned dport = 5000, V4 f = {}) {
  return v4(f, udp(sport, dport, zeros(20)));
}
inline Octets udp6(unsigned sport = 4000, unsigned dport = 5000, V6 f = {}) {
  return v6(f, udp(sport, dport, zeros(20)));
}
inline Octets tcp4(uint8_t flags, unsigned sport = 40000, unsigned dport = 80, V4 f = {}) {
  f.proto = kTcp;
  return v4(f, tcp(sport, dport, flags));
}
inline Octets tcp6(uint8_t flags, unsigned sport = 40000, unsigned dport = 80, V6 f = {}) {
  f.next = kTcp;
  return v6(f, tcp(sport, dport, flags));
}
inline Octets icmp4(uint8_t type, size_t data = 20, V4 f = {}) {
  f.proto = kIcmp;
  return v4(f, icmp(type, 0, zeros(4), zeros(data)));
}
inline Octets icmp6(uint8_t type, uint8_t hop_limit = 64, size_t data = 20) {
  return v6({.next = kIcmp6, .hop_limit = hop_limit}, icmp(type, 0, zeros(4), zeros(data)));
}
inline Octets tagged(Octets frame, std::initializer_list<unsigned> tpids) {
  Octets tags;
  for (unsigned t : tpids) tags = tags + words({t, 5});
  frame.insert(frame.begin() + 12, tags.begin(), tags.end());
  return frame;
}

}  // namespace sluice::test
