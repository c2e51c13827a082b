// The life of an AF_XDP port: what it refuses, how it ends, a device that vanishes, flaps and comes back.
#include "lab.h"

#include <signal.h>
#include <sys/wait.h>

#include "port/netdev.h"

namespace sluice::test {
namespace {

using port::Options;

unsigned attached(const std::string& device) {
  auto control = port::NetdevControl::open();
  const auto d = control->link(device);
  return d ? d->xdp_attached : 0;
}

TEST(AfXdpOpen, RefusesWithTheRemedy) {
  NEED_LAB();
  auto pool = make_pool();
  EXPECT_NE(refusal(options("nowhere"), *pool).find("no network device 'nowhere'"), std::string::npos);
  EXPECT_NE(refusal(options("lo"), *pool).find("not an Ethernet device"), std::string::npos);
  {
    Veth v("axa", 1, 9000);
    EXPECT_NE(refusal(options("axa"), *pool).find("ip link set dev axa mtu 3562"), std::string::npos);
  }
  Veth v("axa", 2);
  EXPECT_NE(refusal(options("axa"), *pool).find("queues: 2, or ethtool -L axa rx 1 tx 1"), std::string::npos);
  Options o = options("axa");
  o.queues = 3;
  EXPECT_NE(refusal(o, *pool).find("numrxqueues 3"), std::string::npos);
  ASSERT_TRUE(run("ethtool -L axa rx 1 tx 1"));
  o.queues = 2;
  EXPECT_NE(refusal(o, *pool).find("ethtool -L axa rx 2 tx 2"), std::string::npos);
  o = options("axa");
  o.ring_size = 100;
  EXPECT_NE(refusal(o, *pool).find("ring-size"), std::string::npos);
  o = options("axa");
  o.mtu = 2000;
  EXPECT_NE(refusal(o, *pool).find("ip link set dev axa mtu 2000"), std::string::npos);
  o = options("axa");
  o.xdp_mode = Options::XdpMode::zero_copy;
  EXPECT_NE(refusal(o, *pool).find("no zero-copy"), std::string::npos);
  o = options("axa");
  o.kernel.resize(33);
  EXPECT_NE(refusal(o, *pool).find("at most 32"), std::string::npos);
  EXPECT_EQ(attached("axa"), 0u);
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpOpen, RefusesTheDefaultRouteUnlessTold) {
  NEED_LAB();
  auto pool = make_pool();
  Veth v("axa"), other("axb");
  for (const char* family : {"", "-6"}) {
    quiet_ipv6(*family == 0);
    ASSERT_TRUE(run(std::string("ip ") + family + " route add default dev axa"));
    EXPECT_NE(refusal(options("axa"), *pool).find("take-default-route: yes"), std::string::npos) << family;
    EXPECT_EQ(refusal(options("axb"), *pool), "");
    Options o = options("axa");
    o.allow_default_route = true;
    EXPECT_EQ(refusal(o, *pool), "");
    ASSERT_TRUE(run(std::string("ip ") + family + " route del default"));
    EXPECT_EQ(refusal(options("axa"), *pool), "");
  }
  quiet_ipv6();
}

TEST(AfXdpOpen, ASecondPortOnTheSameDeviceIsRefusedAndHarmsNobody) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  EXPECT_NE(refusal(options("axa"), *pool).find("another"), std::string::npos)
      << refusal(options("axa"), *pool);
  Station far(v.peer());
  ASSERT_TRUE(far.send(frame(60)));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
}

TEST(AfXdpOpen, ModesAsConfigured) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  Options o = options("axa");
  o.xdp_mode = Options::XdpMode::generic;
  auto port = open_started(o, *pool);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->info().mode, "generic");
  EXPECT_EQ(attached("axa"), 2u);
  port.reset();
  EXPECT_EQ(attached("axa"), 0u);
  o.xdp_mode = Options::XdpMode::native;
  port = open_started(o, *pool);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->info().mode, "native copy");
  EXPECT_EQ(attached("axa"), 1u);
}

TEST(AfXdpOpen, BusyPollingIsReportedAsWithoutEffectOnAVeth) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  Options o = options("axa");
  o.busy_poll = true;
  auto port = open_started(o, *pool);
  ASSERT_TRUE(port);
  EXPECT_FALSE(said(port->maintain([] {}), "busy polling"));  // unknown before the first frame
  Station far(v.peer());
  ASSERT_TRUE(far.send(frame(60)));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  EXPECT_TRUE(said(port->maintain([] {}), "busy polling has no effect on axa"));
  EXPECT_FALSE(said(port->maintain([] {}), "busy polling"));
}

TEST(AfXdpLife, StopAndStartAgain) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  Station far(v.peer());
  for (unsigned i = 0; i < 3; i++) {
    send_all(far, *port, std::vector<Frame>(10, frame(60)));
    auto got = receive(*port, 0, 5);
    ASSERT_GE(got.size(), 5u);
    for (rte_mbuf* m : got) rte_pktmbuf_free(m);
    port->stop();
    EXPECT_EQ(attached("axa"), 0u);
    EXPECT_EQ(pool->in_use(), 0u);
    EXPECT_EQ(extended(port->stats(), "xdp_redirected"), 10 * (i + 1));
    const Status s = port->start();
    ASSERT_TRUE(s.ok()) << s.error();
  }
}

TEST(AfXdpLife, Kill9LeavesNoProgram) {
  NEED_LAB();
  Veth v("axa");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto pool = make_pool();
    auto port = open_started(options("axa"), *pool);
    const char byte = port ? 'y' : 'n';
    if (write(ready[1], &byte, 1) == 1) pause();
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  EXPECT_EQ(attached("axa"), 1u);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  close(ready[0]), close(ready[1]);

  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);  // waits for the kernel to let go of the queue
  ASSERT_TRUE(port);
  Station far(v.peer());
  ASSERT_TRUE(far.send(frame(60)));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  port.reset();
  EXPECT_EQ(attached("axa"), 0u);
}

TEST(AfXdpLife, ADeviceThatVanishesAndComesBack) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  ASSERT_TRUE(port);
  EXPECT_TRUE(port->maintain([] {}).empty());
  const int fd = port->wait_fd(0);
  uint64_t redirected = 0;
  for (unsigned round = 0; round < 3; round++) {
    Station far(v.peer());
    for (unsigned i = 0; i < 7; i++) ASSERT_TRUE(far.send(frame(60)));
    auto got = receive(*port, 0, 7);
    ASSERT_EQ(got.size(), 7u);
    redirected += 7;
    ASSERT_EQ(port->tx_burst(0, {}, got.data(), 7), 7u);

    send_all(far, *port, {frame(60)});  // lies in the ring, unread
    redirected++;
    v.remove();
    for (unsigned i = 0; i < 20; i++) {  // the port does not know yet
      rte_mbuf* m = mbuf(pool->mempool(), frame(60));
      if (port->tx_burst(0, {}, &m, 1) == 0) rte_pktmbuf_free(m);
    }
    bool quiesced = false;
    const auto events = port->maintain([&] {
      quiesced = true;
      rte_mbuf* none[1];
      EXPECT_EQ(port->rx_burst(0, {}, none, 1), 0u) << "still in service while it waits for the lcores";
    });
    EXPECT_TRUE(said(events, "axa is gone"));
    EXPECT_TRUE(quiesced);
    rte_mbuf* m = mbuf(pool->mempool(), frame(60));
    EXPECT_FALSE(port->link_up());
    EXPECT_EQ(port->stats().held, 0u);
    EXPECT_EQ(port->tx_burst(0, {}, &m, 1), 0u);
    rte_mbuf* none[1];
    EXPECT_EQ(port->rx_burst(0, {}, none, 1), 0u);
    EXPECT_TRUE(port->arm(0));
    port->turn(0, {});
    EXPECT_TRUE(port->maintain([] {}).empty());
    rte_pktmbuf_free(m);
    EXPECT_EQ(pool->in_use(), 0u);

    v.make_again();
    EXPECT_TRUE(said(port->maintain([] {}), "axa is back (native copy"));
    EXPECT_TRUE(port->link_up());
    EXPECT_EQ(port->wait_fd(0), fd);
    EXPECT_EQ(extended(port->stats(), "xdp_redirected"), redirected);
  }
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpLife, ADeviceThatComesBackUnfitIsSaidOnceAndTakenWhenMended) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  v.remove();
  EXPECT_TRUE(said(port->maintain([] {}), "axa is gone"));
  v.make_again();
  ASSERT_TRUE(run("ip link set axa mtu 9000"));
  EXPECT_TRUE(said(port->maintain([] {}), "axa is back, but: axa has an MTU of 9000"));
  EXPECT_TRUE(port->maintain([] {}).empty());
  ASSERT_TRUE(run("ip link set axa mtu 1500"));
  EXPECT_TRUE(said(port->maintain([] {}), "axa is back (native copy"));
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpLife, LinkDownAndUp) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  rte_mbuf* m = mbuf(pool->mempool(), frame(60));
  for (const std::string& end : {v.peer(), v.name()}) {
    ASSERT_TRUE(run("ip link set " + end + " down"));
    EXPECT_TRUE(said(port->maintain([] {}), "link down"));
    EXPECT_FALSE(port->link_up());
    EXPECT_EQ(port->tx_burst(0, {}, &m, 1), 0u);
    ASSERT_TRUE(run("ip link set " + end + " up"));
    EXPECT_TRUE(said(port->maintain([] {}), "link up"));
    Station far(v.peer());
    ASSERT_TRUE(far.send(frame(60)));
    auto got = receive(*port, 0, 1);
    ASSERT_EQ(got.size(), 1u);
    ASSERT_EQ(port->tx_burst(0, {}, got.data(), 1), 1u);
    EXPECT_EQ(far.receive(), frame(60));
  }
  rte_pktmbuf_free(m);
  EXPECT_EQ(port->stats().link_changes, 4u);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpLife, SleepsOnItsDescriptor) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  Station far(v.peer());
  pollfd p{port->wait_fd(0), POLLIN, 0};
  ASSERT_TRUE(port->arm(0));
  EXPECT_EQ(poll(&p, 1, 0), 0);
  ASSERT_TRUE(far.send(frame(60)));
  EXPECT_EQ(poll(&p, 1, 2000), 1);
  EXPECT_FALSE(port->arm(0));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  EXPECT_TRUE(port->arm(0));
  EXPECT_EQ(poll(&p, 1, 0), 0);
}

}  // namespace
}  // namespace sluice::test
