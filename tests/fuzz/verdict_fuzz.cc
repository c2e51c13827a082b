// Any frame through the verdict in user space. Input: two bytes for the policy and the level, one for the time that
// passes, then the frame, in memory that ends where the frame does. What must hold: nothing is read or written beside
// the frame; outcome and class are ones there are; an answer is a whole SYN-ACK to where the SYN came from.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "shed/shed.h"
#include "syn_answer.h"
#include "verdict.h"
#include "wire/checksum.h"

namespace {

using namespace sluice;

void check(bool ok) {
  if (!ok) std::abort();
}

shed::Policy policy(unsigned which) {
  shed::Policy p;
  p.check_frames = which & 1;
  p.tcp_flags = which & 2;
  if (which & 4) p.block_protocols = {47}, p.block_ports = {{17, 19, 19}, {6, 135, 139}}, p.amplifiers = {53};
  if (which & 8) p.icmp = {.per_second = 100}, p.icmp_max = 600;
  if (which & 16) p.source = {.per_second = 100}, p.destination = {.per_second = 200}, p.source_bits4 = 17;
  if (which & 32) p.syn = {.per_second = 10}, p.syn_always = true;
  if (which & 64) p.classes = {{.cls = SLUICE_CLASS_NEW, .prefix = parse_prefix("2001:db8::/32")}, {.dscp = 6}};
  if (which & 128)
    p.lists = {{*parse_prefix("198.18.1.0/25")}, {*parse_prefix("10.0.0.0/8")}, {*parse_prefix("2001:db8:1::/49")}};
  return p;
}

struct World {
  World() {
    auto s = shed::Shed::create({.hint = {1, 2}, .table = {3, 4}, .list = {5, 6}, .cookie = {7, 8}}, false);
    check(s.ok());
    shed = std::move(*s);
    shed->set_services({{.port = 80}});
    queue.level = 0;
  }
  void setting(unsigned which) {
    if (which == set) return;
    check(shed->set_policy(policy(which)).ok());
    set = which;
  }
  std::unique_ptr<shed::Shed> shed;
  sluice_queue queue{};
  uint64_t now = 1'000'000'000'000;
  unsigned set = ~0u;
};

using Block = std::unique_ptr<uint8_t[]>;
Block exact(const uint8_t* from, size_t n, size_t size) {
  Block b(new uint8_t[size]);
  std::copy_n(from, std::min(n, size), b.get());
  return b;
}

void check_answer(const sluice_packet& p, const uint8_t* frame, size_t size) {
  sluice_packet a{};
  sluice_parse(frame, frame + size, &a);
  check(!a.bad && a.family == p.family && a.tags == p.tags);
  check((a.flags & ~SLUICE_ECE) == (SLUICE_SYN | SLUICE_ACK));
  check(std::memcmp(a.src, p.dst, 16) == 0 && std::memcmp(a.dst, p.src, 16) == 0);
  check(a.sport == p.dport && a.dport == p.sport);
  check(a.ack == p.seq + 1 && a.l3 + a.length == size);
  check(wire::fold16(wire::sum_bytes(frame + a.l4, a.header, sluice_pseudo_sum(&a, a.header))) == 0xffff);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World w;
  if (size < 3 || size > 4000) return 0;
  w.setting(data[0]);
  w.queue.level = data[1] * 3u;
  w.now += data[2] * 1'000'000ull;
  data += 3, size -= 3;
  const Block frame = exact(data, size, size);

  sluice_env env = w.shed->environment();
  env.now = w.now;
  env.queue = &w.queue;
  sluice_packet p{};
  sluice_parse(frame.get(), frame.get() + size, &p);
  const struct sluice_verdict v = sluice_judge(&env, env.policy, w.queue.level, &p);
  check(v.cls < SLUICE_CLASSES && v.outcome < SLUICE_OUTCOMES);
  check(v.outcome == SLUICE_OUT_REDIRECTED || v.outcome >= SLUICE_OUT_ANSWERED);
  if (w.queue.level == 0) check(v.outcome != SLUICE_DROP_overload);
  if (v.outcome != SLUICE_OUT_ANSWERED) return 0;

  sluice_syn syn{};
  sluice_syn_answer a{};
  if (!sluice_syn_copy(frame.get(), frame.get() + size, &p, &syn) || !sluice_syn_compose(&env, &p, &syn, &a)) return 0;
  const uint32_t length = sluice_answer_size(&p, &a);
  const Block answer = exact(frame.get(), size, length);
  check(sluice_syn_write(answer.get(), answer.get() + length, &p, &a));
  check_answer(p, answer.get(), length);
  return 0;
}
