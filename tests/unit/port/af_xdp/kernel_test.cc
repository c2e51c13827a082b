// What `kernel:` leaves to the kernel, seen from both ends of a veth pair; and the TAP of the exception path.
#include "lab.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/wait.h>

#include "port/netdev.h"
#include "port/tap.h"
#include "wire/headers.h"

namespace sluice::test {
namespace {

using port::KernelMatch;
using port::Options;

const Mac kFar{{2, 0, 0, 0, 0, 2}};

Frame ethernet(const Mac& to, uint16_t type, const Frame& payload, int vlan = -1) {
  Frame f(to.b.begin(), to.b.end());
  f.insert(f.end(), kFar.b.begin(), kFar.b.end());
  if (vlan >= 0) f.insert(f.end(), {0x81, 0, static_cast<uint8_t>(vlan >> 8), static_cast<uint8_t>(vlan)});
  f.insert(f.end(), {static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)});
  f.insert(f.end(), payload.begin(), payload.end());
  f.resize(std::max<size_t>(f.size(), 60));
  return f;
}

Frame arp_request(const std::string& target) {
  wire::ArpHdr a{};
  a.hardware = be16::from(1), a.protocol = be16::from(wire::kEthIp4);
  a.hlen = 6, a.plen = 4, a.op = be16::from(1);
  a.sha = kFar, a.spa = *parse_ip4("198.18.0.2"), a.tpa = *parse_ip4(target);
  const auto* p = reinterpret_cast<const uint8_t*>(&a);
  return {p, p + sizeof a};
}

Frame tcp_syn(const std::string& to, uint16_t port) {
  struct {
    wire::Ip4Hdr ip;
    wire::TcpHdr tcp;
  } p{};
  p.ip.version_ihl = 0x45, p.ip.total_length = be16::from(sizeof p), p.ip.ttl = 64, p.ip.proto = 6;
  p.ip.src = *parse_ip4("198.18.0.2"), p.ip.dst = *parse_ip4(to);
  p.tcp.sport = be16::from(40000), p.tcp.dport = be16::from(port);
  p.tcp.offset_reserved = 5 << 4, p.tcp.flags = wire::kTcpSyn, p.tcp.window = be16::from(1000);
  const auto sum = [](const void* data, size_t n, uint32_t start) {
    const auto* b = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < n; i += 2) start += static_cast<uint32_t>(b[i] << 8 | b[i + 1]);
    while (start >> 16) start = (start & 0xffff) + (start >> 16);
    return static_cast<uint16_t>(~start);
  };
  p.ip.checksum = be16::from(sum(&p.ip, sizeof p.ip, 0));
  p.tcp.checksum = be16::from(sum(&p.ip.src, 8 + sizeof p.tcp, 6 + sizeof p.tcp));
  const auto* b = reinterpret_cast<const uint8_t*>(&p);
  return {b, b + sizeof p};
}

const auto kArp = [](const Frame& f) { return f[12] == 8 && f[13] == 6; };
const auto kTcp = [](const Frame& f) { return f[12] == 8 && f[13] == 0 && f[23] == 6; };

// Whether the kernel sends the far station such a frame; `ms` without any: no.
template <class Kind>
bool answered(Station& far, const Kind& kind, int ms = 5000) {
  for (Frame f; !(f = far.receive(ms)).empty();)
    if (kind(f)) return true;
  return false;
}

class KernelShare : public ::testing::TestWithParam<Options::XdpMode> {
 protected:
  void open(const std::vector<KernelMatch>& kernel) {
    ASSERT_TRUE(v_.ok && run("ip addr add 198.18.0.1/24 dev axa") &&
                run("ip neigh add 198.18.0.2 lladdr 02:00:00:00:00:02 dev axa"));
    Options o = options("axa");
    o.kernel = kernel;
    o.xdp_mode = GetParam();
    port_ = open_started(o, *pool_);
    ASSERT_TRUE(port_);
  }
  // The frame comes out of the port.
  void expect_ours(const Frame& f) {
    ASSERT_TRUE(far_.send(f));
    auto got = receive(*port_, 0, 1, 5000);
    EXPECT_EQ(got.size(), 1u);
    for (rte_mbuf* m : got) {
      EXPECT_EQ(content(m), f);
      rte_pktmbuf_free(m);
    }
  }
  // It does not: one that was sent behind it comes out first.
  void expect_kernels(const Frame& f) {
    ASSERT_TRUE(far_.send(f));
    expect_ours(frame(60, 99));
  }
  Mac mac() const { return port_->info().mac; }
  void TearDown() override {
    port_.reset();
    EXPECT_EQ(pool_->in_use(), 0u);
  }

  Veth v_{"axa"};
  Station far_{v_.peer()};
  std::unique_ptr<PacketPool> pool_ = make_pool();
  std::unique_ptr<port::Port> port_;
};

TEST_P(KernelShare, NoRulesNothingForTheKernel) {
  NEED_LAB();
  open({});
  expect_ours(ethernet(mac(), 0x0806, arp_request("198.18.0.1")));
  expect_ours(ethernet(mac(), 0x0800, tcp_syn("198.18.0.1", 22)));
  EXPECT_FALSE(answered(
      far_, [](const Frame&) { return true; }, 100));
}

TEST_P(KernelShare, SshToTheKernelsAddressAlone) {
  NEED_LAB();
  open({{.proto = 6, .port = 22}});
  expect_kernels(ethernet(mac(), 0x0800, tcp_syn("198.18.0.1", 22)));
  EXPECT_TRUE(answered(far_, kTcp));  // a reset: nobody listens
  expect_ours(ethernet(mac(), 0x0800, tcp_syn("198.18.0.1", 23)));
  expect_ours(ethernet(mac(), 0x0800, tcp_syn("198.18.5.5", 22)));  // through the box, not to it
  EXPECT_FALSE(answered(far_, kTcp, 100));
  EXPECT_EQ(port_->stats().kernel_passed, 1u);
}

TEST_P(KernelShare, AddressesThatTheKernelGetsLater) {
  NEED_LAB();
  open({{.proto = 6, .port = 22}});
  expect_ours(ethernet(mac(), 0x0800, tcp_syn("198.18.0.9", 22)));
  ASSERT_TRUE(run("ip addr add 198.18.0.9/24 dev axa"));
  port_->maintain([] {});
  expect_kernels(ethernet(mac(), 0x0800, tcp_syn("198.18.0.9", 22)));
  ASSERT_TRUE(run("ip addr del 198.18.0.9/24 dev axa"));
  port_->maintain([] {});
  expect_ours(ethernet(mac(), 0x0800, tcp_syn("198.18.0.9", 22)));
}

TEST_P(KernelShare, ArpReachesBoth) {
  NEED_LAB();
  open({{.proto = 6, .port = 22}});
  expect_ours(ethernet(mac(), 0x0806, arp_request("198.18.0.1")));
  EXPECT_TRUE(answered(far_, kArp));
  for (int i = 0; i < 300; i++)  // round the mirror's ring
    expect_ours(ethernet(mac(), 0x0806, arp_request("198.18.0.77")));
  expect_ours(ethernet(mac(), 0x0806, arp_request("198.18.0.1"), 5));  // the tag is put back
  const auto s = port_->stats();
  EXPECT_EQ(extended(s, "xdp_shared"), 302u);
  EXPECT_EQ(extended(s, "mirror_received"), 302u);
  EXPECT_EQ(s.kernel_passed, 0u);
}

TEST_P(KernelShare, MirrorWakesAndSurvivesTheDevice) {
  NEED_LAB();
  open({{.proto = 6, .port = 22}});
  pollfd p{port_->wait_fd(0), POLLIN, 0};
  ASSERT_TRUE(port_->arm(0));
  ASSERT_TRUE(far_.send(ethernet(mac(), 0x0806, arp_request("198.18.0.1"))));
  EXPECT_EQ(poll(&p, 1, 2000), 1);
  EXPECT_FALSE(port_->arm(0));
  auto got = receive(*port_, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  v_.remove();
  EXPECT_TRUE(said(port_->maintain([] {}), "gone"));
  v_.make_again();
  EXPECT_TRUE(said(port_->maintain([] {}), "back"));
  Station far(v_.peer());
  ASSERT_TRUE(far.send(ethernet(mac(), 0x0806, arp_request("198.18.0.1"))));
  got = receive(*port_, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
}

INSTANTIATE_TEST_SUITE_P(Modes, KernelShare,
                         ::testing::Values(Options::XdpMode::native, Options::XdpMode::generic),
                         [](const auto& p) {
                           return p.param == Options::XdpMode::native ? "native" : "generic";
                         });

// The whole of it: a client in another namespace opens a TCP connection to a server in the box's, with ARP on
// both sides, while the port takes everything else.
TEST(KernelSession, TcpConnectionToTheBoxThroughTheSamePort) {
  NEED_LAB();
  Veth v("axa");
  ASSERT_TRUE(run("ip addr add 198.18.0.1/24 dev axa"));
  auto pool = make_pool();
  Options o = options("axa");
  o.kernel = {{.proto = 6, .port = 22}};
  auto port = open_started(o, *pool);
  ASSERT_TRUE(port);

  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(22);
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(listen(server, 1), 0);

  int go[2], told[2];
  ASSERT_TRUE(pipe(go) == 0 && pipe(told) == 0);
  const pid_t client = fork();
  if (client == 0) {
    char byte = unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
    if (write(told[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(1);
    if (!run("ip link set axap up") || !run("ip addr add 198.18.0.2/24 dev axap")) _exit(2);
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    at.sin_addr.s_addr = inet_addr("198.18.0.1");
    if (connect(s, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) _exit(3);
    char greeting[6] = {};
    if (recv(s, greeting, 5, MSG_WAITALL) != 5 || std::string(greeting) != "hello") _exit(4);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(told[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  ASSERT_TRUE(run("ip link set axap netns " + std::to_string(client)));
  ASSERT_EQ(write(go[1], "g", 1), 1);

  pollfd p{server, POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 5000), 1) << "no connection came through";
  const int s = accept(server, nullptr, nullptr);
  EXPECT_EQ(send(s, "hello", 5, 0), 5);
  int status = 0;
  waitpid(client, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  close(s), close(server);
  for (int fd : {go[0], go[1], told[0], told[1]}) close(fd);

  auto got = receive(*port, 0, 1);  // the client's ARP request, which the kernel has answered
  ASSERT_GE(got.size(), 1u);
  EXPECT_EQ(content(got[0])[12], 8);
  EXPECT_EQ(content(got[0])[13], 6);
  for (rte_mbuf* m : got) rte_pktmbuf_free(m);
  EXPECT_GE(port->stats().kernel_passed, 3u);
}

TEST(Tap, FramesToAndFromTheHost) {
  NEED_LAB();
  auto pool = make_pool();
  const Mac mac{{2, 0, 0, 0, 0, 9}};
  {
    auto tap = port::open_tap("lan", mac, 1400, *pool);
    ASSERT_TRUE(tap.ok()) << tap.error();
    ASSERT_TRUE((*tap)->start().ok());
    EXPECT_FALSE(port::open_tap("lan", mac, 1400, *pool).ok());
    EXPECT_FALSE(port::open_tap("a-name-that-is-too-long", mac, 1400, *pool).ok());
    auto control = port::NetdevControl::open();
    const auto d = control->find("lan");
    ASSERT_TRUE(d);
    EXPECT_EQ(d->mac, mac);
    EXPECT_EQ(d->mtu, 1400u);
    EXPECT_TRUE(d->running());

    Station host("lan");
    rte_mbuf* m = mbuf(pool->mempool(), frame(77));
    ASSERT_EQ((*tap)->tx_burst(0, {}, &m, 1), 1u);
    EXPECT_EQ(host.receive(), frame(77));
    ASSERT_TRUE(host.send(frame(88)));
    pollfd p{(*tap)->wait_fd(0), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 2000), 1);
    EXPECT_TRUE((*tap)->arm(0));
    rte_mbuf* got[4];
    ASSERT_EQ((*tap)->rx_burst(0, {}, got, 4), 1u);
    EXPECT_EQ(content(got[0]), frame(88));
    rte_pktmbuf_free(got[0]);
    EXPECT_EQ((*tap)->rx_burst(0, {1000'000}, got, 4), 0u);
    EXPECT_EQ((*tap)->stats().held, 1u);
  }
  EXPECT_FALSE(run("ip link show lan"));
  EXPECT_EQ(pool->in_use(), 0u);
}

}  // namespace
}  // namespace sluice::test
