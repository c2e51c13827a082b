// The DPDK port on virtual devices, in an EAL that start_eal() brought up.
#include <rte_thash.h>
#include <sched.h>
#include <unistd.h>

#include <set>

#include "port/dpdk_setup.h"
#include "port/eal.h"
#include "port_fixture.h"

namespace sluice::port::test {

namespace {

EalReport* report = nullptr;
std::string printed;

class StartEal : public ::testing::Environment {
 public:
  void SetUp() override {
    // All that it prints ends in a file that must stay empty.
    std::FILE* catcher = std::tmpfile();
    const int out = dup(1), err = dup(2);
    dup2(fileno(catcher), 1);
    dup2(fileno(catcher), 2);
    auto r = start_eal({.huge_pages = EalOptions::HugePages::off, .memory_mb = 128});
    std::fflush(stdout);
    dup2(out, 1);
    dup2(err, 2);
    std::rewind(catcher);
    for (int c; (c = std::fgetc(catcher)) != EOF;) printed += static_cast<char>(c);
    ASSERT_TRUE(r.ok()) << r.error();
    report = new EalReport(*r);
  }
  void TearDown() override { stop_eal(); }
};
[[maybe_unused]] auto* const env = ::testing::AddGlobalTestEnvironment(new StartEal);

class Dpdk : public PortTest {
 protected:
  Options options(const std::string& device) {
    Options o;
    o.name = "nic";
    o.index = 5;
    o.device = device;
    return o;
  }
};

TEST(EalStart, is_quiet_and_says_what_it_did) {
  EXPECT_EQ(printed, "");
  EXPECT_TRUE(says(report->text, "128 MiB of ordinary memory"));
  EXPECT_EQ(report->warning, "") << "asked for";
  auto has = [](const char* a) {
    return std::find(report->arguments.begin(), report->arguments.end(), a) != report->arguments.end();
  };
  EXPECT_TRUE(has("--no-pci"));
  EXPECT_TRUE(has("--no-huge"));
  EXPECT_TRUE(has("--no-telemetry"));
  EXPECT_TRUE(says(start_eal({}).error(), "once"));
}

TEST(EalStart, leaves_the_main_thread_unpinned) {
  cpu_set_t now;
  CPU_ZERO(&now);
  ASSERT_EQ(sched_getaffinity(0, sizeof now, &now), 0);
  EXPECT_EQ(CPU_COUNT(&now), sysconf(_SC_NPROCESSORS_ONLN));
}

TEST_F(Dpdk, null_device_gives_and_takes) {
  open_port(options("net_null0,size=60"));
  EXPECT_EQ(port->info().driver, "dpdk");
  EXPECT_EQ(port->info().mode, "net_null");
  EXPECT_TRUE(says(port->info().reason, "virtual device"));
  EXPECT_TRUE(port->link_up());
  rte_mbuf* pkts[32];
  ASSERT_EQ(port->rx_burst(0, {}, pkts, 32), 32u);
  EXPECT_EQ(pkts[31]->port, 5);
  EXPECT_EQ(port->tx_burst(0, {}, pkts, 32), 32u);
  EXPECT_EQ(port->wait_fd(0), -1);
  Stats s = port->stats();
  EXPECT_TRUE(s.link_up);
  EXPECT_EQ(s.rx_rejected, 0u);
  EXPECT_FALSE(s.extended.empty());
  EXPECT_TRUE(port->maintain([] {}).empty());
  port->stop();
  EXPECT_EQ(port->rx_burst(0, {}, pkts, 32), 0u);
  EXPECT_FALSE(port->link_up());
}

TEST_F(Dpdk, a_device_without_flow_rules_takes_none) {
  open_port(options("net_null0,size=60"));
  const std::vector<Prefix> blocked{*parse_prefix("203.0.113.0/24"), *parse_prefix("2001:db8::/32")};
  EXPECT_EQ(port->drop_in_hardware(blocked), 0u);
  for (const auto& [name, n] : port->stats().extended) EXPECT_FALSE(name == "hardware_drop_rules" && n > 0);
  port->stop();
  EXPECT_TRUE(port->start());
}

TEST(Rss, the_key_hashes_both_directions_alike) {
  auto key = symmetric_rss_key();
  std::set<uint32_t> seen;
  for (uint32_t i = 1; i < 100; i++) {
    const uint32_t a = 0x0a000000 + i * 77777, b = 0xc0a80000 + i * 991, ports = (1000 + i) << 16 | 443;
    uint32_t there[] = {a, b, ports}, back[] = {b, a, ports << 16 | ports >> 16};
    EXPECT_EQ(rte_softrss(there, 3, key.data()), rte_softrss(back, 3, key.data()));
    seen.insert(rte_softrss(there, 3, key.data()));
  }
  EXPECT_GT(seen.size(), 90u);
}

TEST_F(Dpdk, several_queues_work_and_no_symmetry_is_claimed_without_a_hash) {
  Options o = options("net_null1");
  o.queues = 4;
  o.rx_descriptors = 256;
  open_port(o);
  EXPECT_FALSE(port->info().symmetric_rss);
  EXPECT_EQ(port->info().rx_queues, 4u);
  for (unsigned q = 0; q < 4; q++) {
    rte_mbuf* pkts[8];
    ASSERT_EQ(port->rx_burst(q, {}, pkts, 8), 8u);
    EXPECT_EQ(port->tx_burst(q, {}, pkts, 8), 8u);
  }
}

TEST_F(Dpdk, a_device_serves_one_port_and_can_be_opened_again) {
  open_port(options("net_null2"));
  EXPECT_TRUE(says(open_error(options("net_null2")), "another port"));
  port.reset();
  open_port(options("net_null2"));
}

TEST_F(Dpdk, errors_are_sentences) {
  EXPECT_TRUE(says(open_error(options("net_nosuch0")), "net_nosuch0"));
  Options o = options("net_ring0");
  o.queues = 17;
  EXPECT_TRUE(says(open_error(o), "queues"));
  o = options("net_null3");
  o.mtu = 9000;
  EXPECT_TRUE(says(open_error(o), "MTU"));
  o = options("net_null3");
  o.queues = 4;
  EXPECT_TRUE(says(open_error(o), "packet pool"));
}

TEST_F(Dpdk, a_ring_device_loses_no_mbuf_and_no_chain_passes) {
  open_port(options("net_ring1"));  // what is sent comes back
  rte_mbuf* pkts[4] = {mbuf(ethernet(60, 1)), mbuf(ethernet(60, 2)), mbuf(ethernet(60, 3)),
                       mbuf(ethernet(60, 4))};
  // net_ring claims that it takes chains, so that one arrives.
  ASSERT_EQ(rte_pktmbuf_chain(pkts[1], mbuf(Bytes(40, 9))), 0);
  ASSERT_EQ(port->tx_burst(0, {}, pkts, 4), 4u);
  rte_mbuf* got[8];
  const unsigned n = port->rx_burst(0, {}, got, 8);
  ASSERT_EQ(n, 3u);
  EXPECT_EQ(bytes_of(got[1])[59], 3);
  EXPECT_EQ(port->stats().rx_rejected, 1u);
  EXPECT_EQ(rejected(DropReason::frame_long), 1u);
  ASSERT_EQ(port->tx_burst(0, {}, got, 3), 3u);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u) << "what lay in the ring came back";
}

TEST_F(Dpdk, what_devices_do_on_the_way_out_is_told) {
  open_port(options("net_ring2"));
  EXPECT_EQ(port->stats().held_untold, 0u) << "it keeps none";
  EXPECT_FALSE(port->info().tx.tcp_checksum);
  EXPECT_GT(port->info().tx.segments, 1u);
  EXPECT_EQ(port->info().tx.tso_segments, 0u);
}

// net_tap says that it takes chains and cuts: it does neither well.
TEST_F(Dpdk, net_tap_sums_and_no_more) {
  if (access("/dev/net/tun", W_OK) != 0 || unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "needs root and /dev/net/tun";
  open_port(options("net_tap0,iface=sluice-tso"));
  EXPECT_EQ(port->info().tx, (TxOffloads{.tcp_checksum = true}));
  rte_mbuf* m = mbuf(ethernet(60, 1));
  ASSERT_EQ(rte_pktmbuf_chain(m, mbuf(Bytes(40, 9))), 0);
  EXPECT_EQ(port->tx_burst(0, {}, &m, 1), 1u) << "made one piece";
  EXPECT_GT(pool->in_use(), 0u);
  EXPECT_GE(port->stats().held_untold, pool->in_use()) << "its receive queue keeps mbufs, and does not tell";
}

TEST_F(Dpdk, pcap_device_reads_a_file) {
  std::string path = file(
      "x.pcap", Classic(0xa1b2c3d4, 1).frame(1, 0, ethernet(60, 1)).frame(2, 0, ethernet(61, 2)).make.bytes);
  open_port(options("net_pcap0,rx_pcap=" + path + ",tx_pcap=" + folder + "/out.pcap"));
  auto frames = receive({});
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1], ethernet(61, 2));
}

TEST_F(Dpdk, memif_joins_two_ports) {
  const std::string socket = ",socket=" + folder + "/memif.sock,socket-abstract=no";
  auto server = open(options("net_memif0,role=server,id=0" + socket), *pool);
  ASSERT_TRUE(server.ok()) << server.error();
  ASSERT_TRUE((*server)->start().ok());
  Options o = options("net_memif1,role=client,id=0" + socket);
  open_port(o);
  std::vector<Event> events;
  // The handshake runs on EAL's interrupt thread.
  for (int i = 0; i < 2000 && !(port->link_up() && (*server)->link_up()); i++) {
    for (auto* p : {port.get(), server->get()})
      for (auto& e : p->maintain([] {})) events.push_back(e);
    usleep(1000);
  }
  ASSERT_TRUE(port->link_up());
  EXPECT_FALSE(events.empty()) << "link up is an event";
  EXPECT_TRUE(receive({}).empty());  // a memif client offers its buffers when it looks for frames
  rte_mbuf* m = mbuf(ethernet(60, 42));
  ASSERT_EQ((*server)->tx_burst(0, {}, &m, 1), 1u);
  std::vector<Bytes> got;
  for (int i = 0; i < 1000 && got.empty(); i++) got = receive({});
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0], ethernet(60, 42));
  server->reset();
}

}  // namespace
}  // namespace sluice::port::test
