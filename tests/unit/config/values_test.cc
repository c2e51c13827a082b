// What a sound file becomes.
#include "support.h"

namespace sluice::config {
namespace {

Loaded sound(const std::string& text, const Overrides& set = {}) {
  Loaded l = load_text(text, "t", set);
  EXPECT_EQ(all(l), "");
  return l;
}

TEST(Values, AFileOfPortsAloneHasTheDefaults) {
  const Model m = sound(kPorts).model;
  ASSERT_EQ(m.ports.size(), 2u);
  EXPECT_EQ(m.ports[0].name, "lan");
  EXPECT_EQ(m.ports[1].device, "v1");
  EXPECT_EQ(m.ports[0].addresses[1], *parse_prefix("2001:db8:1::1/64"));
  EXPECT_EQ(m.system.packets, 16384u);
  EXPECT_TRUE(m.system.stacks.empty());
  EXPECT_EQ(m.control.mode, 0660u);
  EXPECT_FALSE(m.filter.present);
  EXPECT_EQ(m.ports[0].driver, Driver::automatic);
  EXPECT_FALSE(m.ports[0].mtu.has_value());
}

TEST(Values, SystemControlFlowsNeighborsIcmp) {
  const Model m =
      sound(
          kPorts +
              "system: {name: edge, hugepages: off, packets: 32768, workers: [1, 3], stack: 2, idle: busy,\n"
              "  eal: [\"--log-level=8\"], memory-limit: 1.5 GiB, reassembly-timeout: 10s}\n"
              "control: {socket: /tmp/s, mode: \"0600\", owner: root, group: adm}\n"
              "flows: {ip4: 4096, ip6: 2048, idle: {tcp: 2h, tcp-closing: 90s, udp: 3m, other: 500ms}}\n"
              "neighbors: {reachable: 4s, retrans: 250ms, max: 128, queue: 3,\n"
              "  static: [{port: lan, address: 192.0.2.7, mac: \"02:00:00:00:00:07\"}]}\n"
              "icmp: {errors-per-second: 5, errors-burst: 6, per-source-per-second: 7, per-source-burst: "
              "8}\n",
          {{"flows.idle.other", "1s"}})
          .model;
  EXPECT_EQ(m.system.huge_pages, HugePages::off);
  EXPECT_EQ(m.system.workers, (std::vector<unsigned>{1, 3}));
  EXPECT_EQ(m.system.stacks, std::vector<unsigned>{2});
  EXPECT_TRUE(m.system.idle_busy);
  EXPECT_EQ(m.system.memory_limit, 3ull << 29);
  EXPECT_EQ(m.system.reassembly_seconds, 10u);
  EXPECT_EQ(m.control.mode, 0600u);
  EXPECT_EQ(m.control.group, "adm");
  EXPECT_EQ(m.flows.ip6, 2048u);
  EXPECT_EQ(m.flows.idle_tcp, Duration::seconds(7200));
  EXPECT_EQ(m.flows.idle_other, Duration::seconds(1));
  EXPECT_EQ(m.neighbors.retrans, Duration::millis(250));
  ASSERT_EQ(m.static_neighbors.size(), 1u);
  EXPECT_EQ(to_string(m.static_neighbors[0].mac), "02:00:00:00:00:07");
  EXPECT_EQ(m.icmp.per_source_burst, 8u);
}

TEST(Values, PortKeys) {
  const Model m =
      sound(
          "version: 1\nports:\n"
          "  x: {device: eth9, driver: af_xdp, queues: 2, mtu: 1400, reverse-path: strict, checksum: "
          "repair,\n"
          "      xdp-mode: generic, busy-poll: yes, take-default-route: true, ring: 512, link-local: "
          "\"fe80::7\",\n"
          "      kernel: [ssh, {prefix: 192.0.2.0/24, protocol: udp, port: 53}], exception: [dhcp],\n"
          "      capture: c.pcapng, fault: {loss: 1%, corrupt: 0.5%, delay: 10ms, seed: 7}}\n"
          "  g: {driver: generator, generator: {flows: 1000, order: random, size: imix, protocol: tcp,\n"
          "      sources: 10.0.0.0/8, destinations: 192.0.2.0/24}}\n"
          "  n: {driver: null}\n"
          "  p: {driver: pcap, device: a.pcap, out: o.pcapng, mac: \"02:00:00:00:00:01\"}\n")
          .model;
  const Port& x = m.ports[0];
  EXPECT_EQ(x.driver, Driver::af_xdp);
  EXPECT_EQ(x.mtu, 1400);
  EXPECT_TRUE(x.reverse_path_strict && x.busy_poll && x.take_default_route);
  EXPECT_EQ(x.checksum, Checksum::repair);
  EXPECT_EQ(x.xdp_mode, XdpMode::generic);
  ASSERT_EQ(x.kernel.size(), 2u);
  EXPECT_EQ(x.kernel[0].proto, 6);
  EXPECT_EQ(x.kernel[0].port, 22);
  EXPECT_EQ(x.kernel[1].prefix, parse_prefix("192.0.2.0/24"));
  EXPECT_EQ(x.exception.size(), 4u);
  EXPECT_DOUBLE_EQ(x.fault.loss, 0.01);
  EXPECT_DOUBLE_EQ(x.fault.corrupt, 0.005);
  EXPECT_EQ(x.fault.delay, Duration::millis(10));
  EXPECT_EQ(m.ports[1].generator.size, 0u);
  EXPECT_TRUE(m.ports[1].generator.random);
  EXPECT_EQ(m.ports[1].generator.proto, 6);
  EXPECT_EQ(m.ports[2].driver, Driver::null);
  EXPECT_EQ(m.ports[3].pcap_out, "o.pcapng");
}

TEST(Values, Routes) {
  const Model m = sound(kPorts +
                        "routes:\n"
                        "- {to: default4, via: 192.0.2.254}\n"
                        "- {to: \"::/0\", via: {address: \"fe80::1\", port: wan}}\n"
                        "- {to: 10.0.0.0/8, via: [192.0.2.2, {address: 198.51.100.2, port: wan}]}\n"
                        "- {to: 10.1.0.0/16, via: {port: lan}}\n"
                        "- {to: 10.2.0.0/16, blackhole: yes}\n"
                        "- {to: 10.3.0.1, unreachable: yes}\n"
                        "route-files: [r.txt]\n")
                      .model;
  ASSERT_EQ(m.routes.size(), 6u);
  EXPECT_EQ(m.routes[0].to, *parse_prefix("0.0.0.0/0"));
  EXPECT_EQ(m.routes[1].via[0].port, "wan");
  EXPECT_EQ(m.routes[2].via.size(), 2u);
  EXPECT_TRUE(m.routes[3].via[0].addr.none());
  EXPECT_EQ(m.routes[4].kind, Route::Kind::blackhole);
  EXPECT_EQ(m.routes[5].kind, Route::Kind::unreachable);
  EXPECT_EQ(m.routes[5].to.len, 32);
  EXPECT_EQ(m.route_files[0].path, "r.txt");
}

TEST(Values, RulesTakeSetsWhateverTheOrderInTheFile) {
  const Model m =
      sound(kPorts +
            "filter:\n"
            "  rules:\n"
            "  - {action: permit, in: lan, out: [wan, lan], from: $hosts, to: [$hosts, 10.0.0.0/8],\n"
            "     protocol: [udp, tcp], to-port: [$web, 22], from-port: 1024-65535}\n"
            "  - {name: ping, action: reject, protocol: icmp, icmp: [echo-request, time-exceeded]}\n"
            "  - {action: deny, protocol: icmp4, icmp: [3/4, 8], stateful: yes}\n"
            "  - {action: deny, protocol: 47}\n"
            "  stateful: no\n"
            "  default: reject\n"
            "  tiny-fragments: pass\n"
            "  sets: {hosts: [192.0.2.0/24, \"2001:db8::/32\"], web: [80, 8000-8080]}\n")
          .model;
  const Filter& f = m.filter;
  EXPECT_TRUE(f.present);
  EXPECT_EQ(f.default_action, Action::reject);
  EXPECT_FALSE(f.drop_tiny_fragments);
  ASSERT_EQ(f.rules.size(), 4u);
  const Rule& r = f.rules[0];
  EXPECT_EQ(r.name, "rule-1");
  EXPECT_EQ(r.out, (std::vector<std::string>{"wan", "lan"}));
  EXPECT_EQ(r.from.size(), 2u);
  EXPECT_EQ(r.to.size(), 3u);
  EXPECT_EQ(r.protocols, (std::vector<uint8_t>{6, 17}));
  EXPECT_EQ(r.to_ports, (std::vector<PortSpan>{{80, 80}, {8000, 8080}, {22, 22}}));
  EXPECT_EQ(r.from_ports, (std::vector<PortSpan>{{1024, 65535}}));
  EXPECT_FALSE(r.stateful);
  EXPECT_EQ(f.rules[1].protocols, (std::vector<uint8_t>{1, 58}));
  EXPECT_EQ(f.rules[1].icmp4, (std::vector<uint16_t>{8 << 8 | 0xff, 11 << 8 | 0xff}));
  EXPECT_EQ(f.rules[1].icmp6, (std::vector<uint16_t>{128 << 8 | 0xff, 3 << 8 | 0xff}));
  EXPECT_EQ(f.rules[2].icmp4, (std::vector<uint16_t>{3 << 8 | 4, 8 << 8 | 0xff}));
  EXPECT_TRUE(f.rules[2].stateful);
  EXPECT_EQ(f.rules[3].protocols, (std::vector<uint8_t>{47}));
}

TEST(Values, ThePoolGrowsWithTheRingsWhereTheFileLeavesItOut) {
  const Model m = sound(kPorts, {{"ports.lan.queues", "8"}, {"ports.wan.queues", "8"}}).model;
  EXPECT_GE(m.system.packets, 2u * 16 * 2048);
}

TEST(Values, OverridesChangeAddAndReplace) {
  const Model m = sound(kPorts + "routes: [{to: 10.0.0.0/8, via: 192.0.2.2}]\n",
                        {{"ports.lan.device", "eth7"},
                         {"routes[0].via", "[192.0.2.3, 192.0.2.4]"},
                         {"routes[1]", "{to: 10.9.0.0/16, blackhole: yes}"},
                         {"system.name", "other"},
                         {"ports.new", "{device: v3}"}})
                      .model;
  EXPECT_EQ(m.ports[0].device, "eth7");
  EXPECT_EQ(m.routes[0].via.size(), 2u);
  EXPECT_EQ(m.routes[1].kind, Route::Kind::blackhole);
  EXPECT_EQ(m.system.name, "other");
  EXPECT_EQ(m.ports[2].name, "new");
}

TEST(Values, AnOverrideOfAnAliasLeavesItsOtherUsesAlone) {
  const Model m =
      sound("version: 1\nports:\n  a: {device: v0, fault: &f {loss: 1%}}\n  b: {device: v1, fault: *f}\n",
            {{"ports.b.fault.loss", "2%"}})
          .model;
  EXPECT_DOUBLE_EQ(m.ports[0].fault.loss, 0.01);
  EXPECT_DOUBLE_EQ(m.ports[1].fault.loss, 0.02);
}

TEST(Values, AByteOrderMarkAndWindowsLineEndsAreFine) {
  sound("\xef\xbb\xbfversion: 1\r\nports:\r\n  lan: {device: v0}\r\n");
}

TEST(Values, RouteFilesAreReadFromTheFolderOfTheFile) {
  const std::string dir = ::testing::TempDir();
  std::ofstream(dir + "/sluice_config_routes.txt")
      << "# two\n10.0.0.0/8 192.0.2.2\n2001:db8:9::/48 2001:db8:1::2\n";
  std::ofstream(dir + "/sluice_config.yaml") << kPorts << "route-files: [sluice_config_routes.txt]\n";
  const Loaded l = load_file(dir + "/sluice_config.yaml");
  EXPECT_EQ(all(l), "");
  RouteCount count;
  EXPECT_TRUE(count_routes(l.model.route_files.at(0).path, count));
  EXPECT_EQ(count.ip4, 1u);
  EXPECT_EQ(count.ip6, 1u);
}

}  // namespace
}  // namespace sluice::config
