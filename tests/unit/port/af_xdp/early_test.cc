// Early drop in front of an AF_XDP port: levels and the box's shared lists, books that close down to the socket, SYNs
// answered in their place, programs that others left or run.
#include "lab.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "frames.h"
#include "port/netdev.h"
#include "port/xdp_attach.h"
#include "port/xdp_program.h"
#include "shed/shed.h"

namespace sluice::test {
namespace {

using port::Options;
using port::Stats;

std::unique_ptr<shed::Shed> make_shed() {
  shed::Keys k;
  for (uint64_t* pair : {k.hint, k.table, k.list, k.cookie, k.timestamp}) pair[0] = pair[1] = 7;
  auto s = shed::Shed::create(k, true);
  EXPECT_TRUE(s.ok()) << s.error();
  return s ? std::move(*s) : nullptr;
}

Options options_of(const std::string& device, const shed::Shed* box = nullptr) {
  Options o = options(device);
  if (box) o.shed = box->maps();
  return o;
}

void set_level(port::Port& p, uint32_t level) {
  std::atomic_ref(p.early_drop(0)->level).store(level);
}

Octets from(const char* source, uint8_t proto = 17, const Octets& l4 = udp(1000, 2000)) {
  return eth(ip4({.src = source, .proto = proto}, l4), 0x0800);
}

Octets syn(unsigned sport) {
  Octets ip = ip4({.src = "198.18.1.10", .dst = "198.18.1.1", .proto = 6}, tcp(sport, 80, 2, sport));
  seal_tcp(ip, 20);
  return eth(ip, 0x0800);
}

// Sends, and waits until the program has seen all of it: the books are at rest.
void send_and_see(Station& far, const port::Port& p, const std::vector<Octets>& frames) {
  const uint64_t before = p.stats().early_seen;
  for (size_t i = 0; i < frames.size(); i++) {
    ASSERT_TRUE(far.send(frames[i]));
    if (i % 32 != 31 && i + 1 != frames.size()) continue;
    ASSERT_TRUE(until([&] { return p.stats().early_seen == before + i + 1; }));
  }
}

uint64_t take(port::Port& p) {
  uint64_t n = 0;
  rte_mbuf* pkts[kMaxBurst];
  while (const unsigned got = p.rx_burst(0, {}, pkts, kMaxBurst)) {
    rte_pktmbuf_free_bulk(pkts, got);
    n += got;
  }
  return n;
}

uint64_t rejected(const Stats& s, DropReason r) {
  for (const auto& [reason, n] : s.rejected)
    if (reason == r) return n;
  return 0;
}

void expect_law(port::Port& p, uint64_t given, const char* when) {
  const Stats s = p.stats();
  EXPECT_TRUE(s.early);
  EXPECT_EQ(s.early_seen, s.early_dropped + s.answered + s.kernel_passed + s.handed_up) << when;
  EXPECT_EQ(s.handed_up, given + s.missed_in_socket + p.rx_waiting(0).used) << when;
  uint64_t by_reason = 0, by_count = 0;
  for (const auto& r : s.rejected) by_reason += r.second;
  for (const auto& c : s.early_counts) by_count += c.frames;
  EXPECT_EQ(by_reason, s.early_dropped + s.rx_rejected) << when;
  EXPECT_EQ(by_count, s.early_seen) << when;
}

TEST(AfXdpEarly, TheLevelIsAWordInItsMemory) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options_of("axa"), *pool);
  ASSERT_TRUE(port);
  Station far(v.peer());
  send_and_see(far, *port, std::vector<Octets>(50, from("198.18.1.10")));
  uint64_t given = take(*port);
  EXPECT_EQ(given, 50u);
  set_level(*port, SLUICE_LEVEL_REST);
  send_and_see(far, *port, std::vector<Octets>(40, from("198.18.1.10")));
  EXPECT_EQ(take(*port), 0u);
  EXPECT_EQ(rejected(port->stats(), DropReason::shed_overload), 40u);
  set_level(*port, 0);
  send_and_see(far, *port, std::vector<Octets>(30, from("198.18.1.10")));
  given += take(*port);
  EXPECT_EQ(given, 80u);
  expect_law(*port, given, "at the end");
}

TEST(AfXdpEarly, ListsAndPolicyAreTheBoxs) {
  NEED_LAB();
  Veth v("axa"), w("axb");
  auto pool = make_pool();
  auto box = make_shed();
  ASSERT_TRUE(box);
  auto a = open_started(options_of("axa", box.get()), *pool), b = open_started(options_of("axb", box.get()), *pool);
  ASSERT_TRUE(a && b);
  Station to_a(v.peer()), to_b(w.peer());
  const auto seen = [&](Station& far, port::Port& p, const char* source) {
    send_and_see(far, p, {from(source)});
    return take(p);
  };
  EXPECT_EQ(seen(to_a, *a, "203.0.113.9"), 1u);
  const Prefix net = *parse_prefix("203.0.113.0/25"), host = *parse_prefix("203.0.113.9/32");
  ASSERT_TRUE(box->lists().add({net, SLUICE_ACTION_BLOCK}, shed::Origin::command));
  EXPECT_EQ(seen(to_a, *a, "203.0.113.9"), 0u);
  EXPECT_EQ(seen(to_b, *b, "203.0.113.9"), 0u);
  EXPECT_EQ(seen(to_b, *b, "203.0.113.200"), 1u);
  ASSERT_TRUE(box->lists().add({host, SLUICE_ACTION_ALLOW}, shed::Origin::command));
  EXPECT_EQ(seen(to_a, *a, "203.0.113.9"), 1u);
  EXPECT_EQ(seen(to_a, *a, "203.0.113.10"), 0u);
  ASSERT_TRUE(box->lists().remove(net, shed::Origin::command));
  EXPECT_EQ(seen(to_a, *a, "203.0.113.10"), 1u);
  // A slot that is swapped, larger than before, is found by programs that run.
  std::vector<shed::ListEntry> many;
  for (uint32_t i = 0; i < 5000; i++) many.push_back({{Ip4::from_host(0xcb007000 + i * 512), 30}, SLUICE_ACTION_BLOCK});
  ASSERT_TRUE(box->lists().replace(shed::Origin::file, many));
  EXPECT_EQ(seen(to_a, *a, "203.0.114.3"), 0u);
  EXPECT_EQ(seen(to_b, *b, "203.0.114.4"), 1u);
  EXPECT_EQ(rejected(a->stats(), DropReason::shed_block), 3u);
  shed::Policy p;
  p.block_ports = {{17, 2000, 2000}};
  ASSERT_TRUE(box->set_policy(p));
  EXPECT_EQ(seen(to_b, *b, "203.0.114.4"), 0u);
  EXPECT_EQ(rejected(b->stats(), DropReason::shed_port), 1u);
  // And a bogon in IPv6.
  ASSERT_TRUE(box->lists().add({*parse_prefix("2001:db8:bad::/48"), SLUICE_ACTION_BLOCK}, shed::Origin::command));
  send_and_see(to_a, *a, {eth(ip6({.src = "2001:db8:bad::5"}, udp(1, 2)), 0x86dd)});
  EXPECT_EQ(take(*a), 0u);
  EXPECT_EQ(rejected(a->stats(), DropReason::shed_block), 4u);
}

TEST(AfXdpEarly, TheBooksCloseOverFullRingsStopsAndDevicesThatVanish) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options_of("axa"), *pool);
  ASSERT_TRUE(port);
  uint64_t given = 0;
  const std::vector<Octets> many(600, from("198.18.1.10"));
  {
    Station far(v.peer());
    send_and_see(far, *port, many);  // a ring of 256, and nobody takes anything
    EXPECT_EQ(port->rx_waiting(0).used, 256u);
    EXPECT_EQ(port->rx_waiting(0).size, 256u);
    EXPECT_EQ(port->rx_buffers(0).used, 0u);
    expect_law(*port, given, "the ring is full");
    given += take(*port);
    EXPECT_EQ(given, 256u);
    EXPECT_EQ(port->rx_buffers(0).size, 256u);
    EXPECT_GT(port->rx_buffers(0).used, 192u);
    EXPECT_EQ(port->stats().missed_in_socket, 344u);
    set_level(*port, SLUICE_LEVEL_REST / 2);
    send_and_see(far, *port, many);
    given += take(*port);
    const uint64_t shed = port->stats().early_dropped;
    EXPECT_GT(shed, 200u);
    EXPECT_LT(shed, 400u);
    set_level(*port, 0);
    expect_law(*port, given, "half is shed");

    send_and_see(far, *port, std::vector<Octets>(100, from("198.18.1.10")));
    port->stop();
    expect_law(*port, given, "stopped with frames in its ring");
    EXPECT_GE(port->stats().missed_in_socket, 444u);
    ASSERT_TRUE(port->start());
    expect_law(*port, given, "started again");
    send_and_see(far, *port, std::vector<Octets>(100, from("198.18.1.10")));
    given += take(*port);
    expect_law(*port, given, "after a stop");
    send_and_see(far, *port, std::vector<Octets>(10, from("198.18.1.10")));
  }
  set_level(*port, 5);
  v.remove();
  EXPECT_TRUE(until([&] { return said(port->maintain([] {}), "is gone"); }));
  expect_law(*port, given, "without a device");
  v.make_again();
  EXPECT_TRUE(until([&] { return said(port->maintain([] {}), "is back"); }));
  EXPECT_EQ(port->early_drop(0)->level, 5u) << "the level is the worker's";
  set_level(*port, 0);
  Station far(v.peer());
  send_and_see(far, *port, std::vector<Octets>(20, from("198.18.1.10")));
  given += take(*port);
  expect_law(*port, given, "the device is back");
}

TEST(AfXdpEarly, TheBooksCloseBesideTheKernel) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  Options o = options_of("axa");
  o.kernel = {{.prefix = parse_prefix("203.0.113.0/24")}};
  auto port = open_started(o, *pool);
  ASSERT_TRUE(port);
  Station far(v.peer());
  std::vector<Octets> frames(20, from("203.0.113.5"));
  frames.insert(frames.end(), 30, from("198.18.1.10"));
  frames.insert(frames.end(), 5, eth(zeros(46), 0x0806));
  send_and_see(far, *port, frames);
  uint64_t given = 0;
  EXPECT_TRUE(until([&] { return (given += take(*port)) == 35; })) << given;
  EXPECT_EQ(port->stats().kernel_passed, 20u);
  expect_law(*port, given, "beside the kernel");
}

shed::Service web() {
  shed::Service s;
  s.addr = *parse_ip("198.18.1.1");
  s.port = 80;
  return s;
}

bool is_syn_ack(const Frame& f) {
  return f.size() >= 54 && f[12] == 8 && f[23] == 6 && (f[47] & 0x12) == 0x12;
}

int load_foreign() {
  const bpf_insn pass[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
                           {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  return bpf_prog_load(BPF_PROG_TYPE_XDP, "early_drop", "GPL", pass, std::size(pass), nullptr);
}

struct SynLab {
  SynLab() : box(make_shed()), pool(make_pool()) {
    shed::Policy p;
    p.syn = {1, 1};
    p.syn_always = true;
    EXPECT_TRUE(box->set_policy(p));
    box->set_services({web()});
  }
  std::vector<Octets> flood(unsigned n) const {
    std::vector<Octets> all;
    for (unsigned i = 0; i < n; i++) all.push_back(syn(1024 + i));
    return all;
  }
  // The other end of a veth takes XDP_TX if it has a program itself, be it one that passes everything.
  bool let_answers_through() const {
    const int pass = load_foreign();
    const int e = bpf_xdp_attach(static_cast<int>(if_nametoindex("axap")), pass, XDP_FLAGS_DRV_MODE, nullptr);
    close(pass);
    return e == 0;
  }
  Veth v{"axa"};
  std::unique_ptr<shed::Shed> box;
  std::unique_ptr<PacketPool> pool;
};

TEST(AfXdpEarly, SynsAreAnsweredInTheirPlace) {
  NEED_LAB();
  SynLab lab;
  ASSERT_TRUE(lab.let_answers_through());
  auto port = open_started(options_of("axa", lab.box.get()), *lab.pool);
  ASSERT_TRUE(port);
  Station far(lab.v.peer());
  send_and_see(far, *port, lab.flood(100));
  const uint64_t given = take(*port);
  EXPECT_GE(given, 1u) << "within the rate";
  EXPECT_EQ(port->stats().answered + given, 100u);
  unsigned answers = 0;
  while (answers < port->stats().answered) {
    const Frame f = far.receive();
    ASSERT_FALSE(f.empty()) << answers;
    answers += is_syn_ack(f);
  }
  EXPECT_FALSE(said(port->maintain([] {}), "SYN cookies"));
  expect_law(*port, given, "answered");
}

TEST(AfXdpEarly, WhereAnswersAreLostTheStackIsAskedAndTheOperatorTold) {
  NEED_LAB();
  // With GRO the other end has NAPI, and a ring in which they wait for ever.
  for (const char* gro : {"off", "on"}) {
    SynLab lab;
    ASSERT_TRUE(run(std::string("ethtool -K axap gro ") + gro));
    auto port = open_started(options_of("axa", lab.box.get()), *lab.pool);
    ASSERT_TRUE(port);
    Station far(lab.v.peer());
    uint64_t given = 0;
    for (int i = 0; i < 4; i++) {
      send_and_see(far, *port, lab.flood(100));
      given += take(*port);
    }
    if (*gro == 'o' && gro[1] == 'n') port->maintain([] {});  // some were taken, as it seems
    send_and_see(far, *port, lab.flood(100));
    given += take(*port);
    const uint64_t lost = port->stats().answered;
    EXPECT_GE(lost, 450u);
    EXPECT_TRUE(said(port->maintain([] {}), "if an XDP program is attached to it")) << gro;
    send_and_see(far, *port, lab.flood(100));
    EXPECT_EQ(port->stats().answered, lost) << "no more of them";
    const uint64_t passed = take(*port);
    EXPECT_EQ(passed, 100u) << "all go on to the stack";
    given += passed;
    expect_law(*port, given, "switched off");
    // With the remedy it is tried again after a while, and stays.
    ASSERT_TRUE(lab.let_answers_through());
    for (int i = 0; i < 300; i++) EXPECT_FALSE(said(port->maintain([] {}), "SYN cookies"));
    for (int i = 0; i < 2; i++) {
      const uint64_t before = port->stats().answered;
      send_and_see(far, *port, lab.flood(100));
      given += take(*port);
      EXPECT_GT(port->stats().answered, before);
      EXPECT_FALSE(said(port->maintain([] {}), "SYN cookies"));
    }
    EXPECT_TRUE(is_syn_ack(far.receive()));
    expect_law(*port, given, "switched on again");
  }
}

// ---- programs of others, and of the dead

uint32_t attached_to(const std::string& device) {
  auto control = port::NetdevControl::open();
  const auto d = control->link(device);
  return d ? d->xdp_program : 0;
}

TEST(AfXdpLeftover, OursIsRemovedAndSaid) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  {
    auto killed = port::XdpProgram::load({});
    ASSERT_TRUE(killed.ok()) << killed.error();
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("axa")), (*killed)->program_fd(), XDP_FLAGS_DRV_MODE, nullptr), 0);
  }
  EXPECT_NE(attached_to("axa"), 0u) << "by netlink it stays when its process has ended";
  auto port = open_started(options_of("axa"), *pool);
  ASSERT_TRUE(port);
  EXPECT_TRUE(said(port->maintain([] {}), "removed the XDP program that a killed sluice had left on axa"));
  Station far(v.peer());
  send_and_see(far, *port, {from("198.18.1.10")});
  EXPECT_EQ(take(*port), 1u);
}

TEST(AfXdpLeftover, AForeignProgramStaysAlsoOneOfTheSameName) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  const int foreign = load_foreign();
  ASSERT_GE(foreign, 0);
  ASSERT_EQ(bpf_xdp_attach(static_cast<int>(if_nametoindex("axa")), foreign, XDP_FLAGS_DRV_MODE, nullptr), 0);
  const uint32_t id = attached_to("axa");
  EXPECT_NE(refusal(options_of("axa"), *pool).find("another XDP program"), std::string::npos);
  EXPECT_EQ(attached_to("axa"), id);
  close(foreign);
}

TEST(AfXdpDispatcher, WorksOrSaysWhyNot) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  Options o = options_of("axa");
  o.dispatcher = true;
  ::testing::internal::CaptureStderr();
  auto port = port::open_af_xdp(o, *pool);
  const std::string noise = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(noise.find("libbpf"), std::string::npos) << noise;
  EXPECT_EQ(noise.find("libxdp"), std::string::npos) << noise;
  if (port::dispatcher_possible()) {
    ASSERT_TRUE(port.ok()) << port.error();
    ASSERT_TRUE((*port)->start());
    Station far(v.peer());
    send_and_see(far, **port, std::vector<Octets>(20, from("198.18.1.10")));
    EXPECT_EQ(take(**port), 20u);
    port->reset();
  } else {
    ASSERT_FALSE(port.ok());
    EXPECT_NE(port.error().find("type EXT"), std::string::npos) << port.error();
    EXPECT_NE(port.error().find("take dispatcher out"), std::string::npos) << port.error();
    std::printf("this kernel has no dispatcher: %s\n", port.error().c_str());
  }
  EXPECT_EQ(attached_to("axa"), 0u) << "nothing half-made";
}

}  // namespace
}  // namespace sluice::test
