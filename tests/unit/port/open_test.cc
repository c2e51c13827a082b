#include "port/eal.h"
#include "port_fixture.h"

namespace sluice::port::test {

namespace {

class Open : public PortTest {};

TEST_F(Open, the_device_decides_the_driver_and_the_reason_is_said) {
  EXPECT_EQ(choose_driver("net_null0,copy=1").driver, Driver::dpdk);
  EXPECT_EQ(choose_driver("0000:03:00.0").driver, Driver::dpdk);
  EXPECT_EQ(choose_driver("03:00.1").driver, Driver::dpdk);
  EXPECT_EQ(choose_driver("/data/x.pcap").driver, Driver::pcap);
  EXPECT_EQ(choose_driver("x.pcapng").driver, Driver::pcap);
  Choice lo = choose_driver("lo");
  EXPECT_EQ(lo.driver, Driver::af_xdp);
  EXPECT_TRUE(says(lo.reason, "lo is a network interface"));
  for (const char* nothing : {"", "eth9999", "/dev/zero", "03:00"}) {
    EXPECT_EQ(choose_driver(nothing).driver, Driver::automatic) << nothing;
    EXPECT_FALSE(choose_driver(nothing).reason.empty());
  }
}

TEST_F(Open, the_reason_reaches_info) {
  Options o;
  o.name = "p";
  o.device = file("x.pcap", Classic(0xa1b2c3d4, 1).make.bytes);
  open_port(o);
  EXPECT_EQ(port->info().driver, "pcap");
  EXPECT_TRUE(says(port->info().reason, "is a capture"));
}

TEST_F(Open, errors_name_the_port) {
  Options o;
  o.name = "wan";
  o.device = "eth9999";
  EXPECT_TRUE(says(open_error(o), "wan"));
  EXPECT_TRUE(says(open_error(o), "ip link"));
  o.driver = Driver::null;
  o.queues = 0;
  EXPECT_TRUE(says(open_error(o), "queues"));
}

TEST_F(Open, macs_of_software_ports_differ) {
  Options a, b;
  b.index = 1;
  EXPECT_FALSE(software_mac(a) == software_mac(b));
  EXPECT_FALSE(software_mac(a).group());
  b.mac = *parse_mac("02:00:00:00:00:07");
  EXPECT_EQ(software_mac(b), *b.mac);
}

TEST(Eal, pci_addresses) {
  for (const char* yes : {"0000:03:00.0", "03:00.0", "ff:1f.7", "0000:03:00.0,opt=1"})
    EXPECT_TRUE(is_pci_address(yes)) << yes;
  for (const char* no : {"", "eth0", "net_null0", "03:00", "0000:03:00.0x", "a.b"})
    EXPECT_FALSE(is_pci_address(no)) << no;
}

}  // namespace
}  // namespace sluice::port::test
