#include <algorithm>

#include "support.h"

namespace sluice::config {
namespace {

Model model(const Overrides& set = {}) {
  Loaded l = load_text(kPorts + "filter: {rules: [{action: permit}]}\n", "t", set);
  EXPECT_EQ(all(l), "");
  return l.model;
}

std::vector<std::string> changes(const Overrides& set) {
  return needs_restart(model(), model(set));
}

TEST(Restart, NothingChanged) {
  EXPECT_TRUE(changes({}).empty());
}

TEST(Restart, LiveChangesNeedNone) {
  EXPECT_EQ(
      changes({{"ports.lan.addresses[0]", "192.0.2.9/24"},
               {"ports.lan.reverse-path", "strict"},
               {"ports.wan.link-local", "\"fe80::9\""},
               {"routes", "[{to: 10.0.0.0/8, blackhole: yes}]"},
               {"neighbors",
                "{reachable: 5s, static: [{port: lan, address: 192.0.2.7, mac: \"02:00:00:00:00:07\"}]}"},
               {"icmp.errors-burst", "1"},
               {"filter", "{default: permit}"},
               {"services", "[{name: e, echo: yes, port: 7}]"},
               {"shed", "{governor: no, block: [203.0.113.0/24], syn: off}"},
               {"system.reassembly-timeout", "5s"}}),
      std::vector<std::string>{});
}

TEST(Restart, EachSettingThatNeedsOneIsNamed) {
  const Overrides cases = {
      {"system.name", "x"},
      {"system.hugepages", "off"},
      {"system.packets", "32768"},
      {"system.workers", "[2]"},
      {"system.stack", "1"},
      {"system.idle", "busy"},
      {"system.eal", "[--x]"},
      {"control.socket", "/s"},
      {"control.mode", "\"0600\""},
      {"control.owner", "root"},
      {"control.group", "adm"},
      {"flows.ip4", "4096"},
      {"flows.ip6", "4096"},
      {"flows.idle.tcp", "1h"},
      {"flows.idle.udp", "1h"},
      {"neighbors.max", "100"},
      {"tcp.congestion-control", "newreno"},
      {"tcp.ecn", "off"},
      {"tcp.sack", "no"},
      {"tcp.timestamps", "no"},
      {"tcp.nagle", "no"},
      {"tcp.initial-window", "3"},
      {"tcp.hop-limit", "9"},
      {"tcp.receive-buffer", "1 MiB"},
      {"tcp.send-buffer", "1 MiB"},
      {"tcp.syn-retries", "1"},
      {"tcp.syn-ack-retries", "1"},
      {"tcp.rto.initial", "2s"},
      {"tcp.rto.min", "300ms"},
      {"tcp.rto.max", "30s"},
      {"tcp.give-up", "10s"},
      {"tcp.delayed-ack", "10ms"},
      {"tcp.time-wait", "10s"},
      {"tcp.fin-wait-2", "10s"},
      {"tcp.keepalive.idle", "10s"},
      {"tcp.keepalive.interval", "10s"},
      {"tcp.keepalive.probes", "2"},
      {"tcp.mtu-probe-floor", "1280"},
      {"tcp.limits.connections", "40000"},
      {"tcp.limits.half-open", "2048"},
      {"tcp.limits.cookie-mark", "5"},
      {"tcp.limits.time-wait", "5"},
      {"tcp.limits.out-of-order", "5"},
      {"tcp.limits.chunks", "4096"},
      {"tcp.limits.records", "4096"},
      {"tcp.limits.packets", "4096"},
      {"tcp.limits.challenge-acks-per-second", "5"},
      {"tcp.limits.resets-per-second", "5"},
      {"ports.lan.driver", "af_xdp"},
      {"ports.lan.device", "x"},
      {"ports.lan.queues", "2"},
      {"ports.lan.mtu", "1400"},
      {"ports.lan.checksum", "repair"},
      {"ports.lan.xdp-mode", "native"},
      {"ports.lan.busy-poll", "yes"},
      {"ports.lan.take-default-route", "yes"},
      {"ports.lan.ring", "1024"},
      {"ports.lan.kernel", "[ssh]"},
      {"ports.lan.exception", "[bgp]"},
      {"ports.lan.dispatcher", "yes"},
      {"ports.lan.capture", "f"},
  };
  for (auto& c : cases) EXPECT_EQ(changes({c}), std::vector<std::string>{c.first});
  EXPECT_EQ(changes({{"ports.lan.fault.loss", "1%"}}), std::vector<std::string>{"ports.lan.fault"});
}

TEST(Restart, PortsThatComeGoOrChangePlaces) {
  EXPECT_EQ(changes({{"ports.new", "{device: v9}"}}), std::vector<std::string>{"ports.new (added)"});
  EXPECT_EQ(needs_restart(model({{"ports.new", "{device: v9}"}}), model()),
            std::vector<std::string>{"ports.new (removed)"});
  Model swapped = model();
  std::swap(swapped.ports[0], swapped.ports[1]);
  EXPECT_EQ(needs_restart(model(), swapped), std::vector<std::string>{"ports (their order)"});
}

}  // namespace
}  // namespace sluice::config
