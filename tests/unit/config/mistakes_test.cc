// Each mistake with its place, its path and words that help.
#include "support.h"

namespace sluice::config {
namespace {

struct Case {
  const char* text;       // appended to kPorts
  unsigned line, column;  // of the appended text
  const char* path;
  const char* says;  // a part of the message
};

const Case kCases[] = {
    // keys
    {"sytem: {name: x}\n", 1, 1, "sytem", "did you mean 'system'?"},
    {"system:\n  nmae: x\n", 2, 3, "system.nmae", "did you mean 'name'?"},
    {"system: {name: x, name: y}\n", 1, 19, "system.name", "occurs twice"},
    {"flows: {ip5: 4096}\n", 1, 9, "flows.ip5", "did you mean 'ip4'?"},
    {"control: {zzz: 1}\n", 1, 11, "control.zzz", "control has socket, mode, owner, group"},
    {"icmp: {errors_per_second: 1}\n", 1, 8, "icmp.errors_per_second", "did you mean 'errors-per-second'?"},
    {"system:\n", 1, 1, "system", "found nothing, expected a map"},
    {"filter: []\n", 1, 9, "filter", "found an empty list, expected a map"},
    {"system: {? [a] : b}\n", 1, 12, "system", "as a key, expected a word"},
    // scalars
    {"system: {packets: many}\n", 1, 19, "system.packets", "expected a number from 512"},
    {"system: {packets: 16}\n", 1, 19, "system.packets", "found '16'"},
    {"system: {packets: -1}\n", 1, 19, "system.packets", "found '-1'"},
    {"system: {packets: 99999999999999999999}\n", 1, 19, "system.packets", "expected a number"},
    {"system: {workers: [1, 2, 1]}\n", 1, 26, "system.workers[2]", "CPU 1 is named twice"},
    {"system: {idle: lazy}\n", 1, 16, "system.idle", "expected adaptive or busy"},
    {"system: {memory-limit: 2GB}\n", 1, 24, "system.memory-limit", "did you mean 'GiB'?"},
    {"system: {reassembly-timeout: 15}\n", 1, 30, "system.reassembly-timeout", "did you mean '15s'?"},
    {"system: {reassembly-timeout: 1500ms}\n", 1, 30, "system.reassembly-timeout", "whole seconds"},
    {"system: {eal: [\"--lcores=1\"]}\n", 1, 16, "system.eal[0]", "sluice derives"},
    {"neighbors: {reachable: 30 sec}\n", 1, 24, "neighbors.reachable", "with its unit"},
    {"flows: {ip4: 5000}\n", 1, 14, "flows.ip4", "such as 4096 or 8192"},
    {"control: {mode: 0999}\n", 1, 17, "control.mode", "octal"},
    {"control: {socket: run/s}\n", 1, 19, "control.socket", "absolute path"},
    {"system: {memory-limit: 64 MiB}\n", 1, 24, "system.memory-limit", "its largest parts are"},
    // neighbors
    {"neighbors: {static: [{port: lna, address: 192.0.2.7, mac: \"02:00:00:00:00:07\"}]}\n", 1, 29,
     "neighbors.static[0].port", "did you mean 'lan'?"},
    {"neighbors: {static: [{port: lan, address: 10.0.0.7, mac: \"02:00:00:00:00:07\"}]}\n", 1, 43,
     "neighbors.static[0].address", "none of the subnets"},
    {"neighbors: {static: [{port: lan, address: 192.0.2.1, mac: \"02:00:00:00:00:07\"}]}\n", 1, 43,
     "neighbors.static[0].address", "own address"},
    {"neighbors: {static: [{port: lan, address: 192.0.2.7, mac: \"01:00:00:00:00:07\"}]}\n", 1, 59,
     "neighbors.static[0].mac", "group address"},
    {"neighbors: {static: [{port: lan, address: 192.0.2.7}]}\n", 1, 22, "neighbors.static[0]",
     "'mac' is missing"},
    // routes
    {"routes: [{to: default, via: 192.0.2.2}]\n", 1, 15, "routes[0].to", "default4 (IPv4)"},
    {"routes: [{to: 10.0.0.1/8, via: 192.0.2.2}]\n", 1, 15, "routes[0].to", "did you mean '10.0.0.0/8'"},
    {"routes: [{to: 10.0.0.0/33, via: 192.0.2.2}]\n", 1, 15, "routes[0].to", "expected a prefix"},
    {"routes: [{to: 10.0.0.0/8, via: 203.0.113.1}]\n", 1, 32, "routes[0].via",
     "lies in no subnet of any port"},
    {"routes: [{to: 10.0.0.0/8, via: 192.0.2.1}]\n", 1, 32, "routes[0].via", "own address"},
    {"routes: [{to: 10.0.0.0/8, via: 192.0.2.255}]\n", 1, 32, "routes[0].via", "broadcast address"},
    {"routes: [{to: 10.0.0.0/8, via: \"2001:db8:1::2\"}]\n", 1, 32, "routes[0].via", "both must be IPv4"},
    {"routes: [{to: default6, via: \"fe80::1\"}]\n", 1, 30, "routes[0].via", "say which port"},
    {"routes: [{to: 10.0.0.0/8, via: {port: wna}}]\n", 1, 39, "routes[0].via.port", "did you mean 'wan'?"},
    {"routes: [{to: 10.0.0.0/8, via: {port: wan, address: 192.0.2.2}}]\n", 1, 53, "routes[0].via.address",
     "no subnet of port 'wan'"},
    {"routes: [{to: 10.0.0.0/8, via: [192.0.2.2, 192.0.2.2]}]\n", 1, 44, "routes[0].via[1]", "given twice"},
    {"routes: [{to: 10.0.0.0/8}]\n", 1, 10, "routes[0]", "via, blackhole or unreachable"},
    {"routes: [{to: 10.0.0.0/8, via: 192.0.2.2, blackhole: yes}]\n", 1, 10, "routes[0]", "one of via"},
    {"routes: [{to: 10.0.0.0/8, blackhole: maybe}]\n", 1, 38, "routes[0].blackhole", "expected yes or no"},
    {"routes: [{to: 10.0.0.0/8, blackhole: yes}, {to: 10.0.0.0/8, via: 192.0.2.2}]\n", 1, 49, "routes[1].to",
     "already, routes[0]"},
    {"routes: [{to: 192.0.2.0/24, blackhole: yes}]\n", 1, 15, "routes[0].to", "subnet of port 'lan'"},
    {"routes: [{to: 224.0.0.0/8, blackhole: yes}]\n", 1, 15, "routes[0].to", "multicast is not routed"},
    // filter
    {"filter: {default: drop}\n", 1, 19, "filter.default", "permit, deny or reject"},
    {"filter: {sets: {s: []}}\n", 1, 20, "filter.sets.s", "found an empty list"},
    {"filter: {sets: {s: [80, 10.0.0.0/8]}}\n", 1, 25, "filter.sets.s[1]", "expected a port number"},
    {"filter: {sets: {9s: [80]}}\n", 1, 17, "filter.sets.9s", "as the name of a set"},
    {"filter: {rules: [{in: lan}]}\n", 1, 18, "filter.rules[0]", "'action' is missing"},
    {"filter: {rules: [{action: permt}]}\n", 1, 27, "filter.rules[0].action", "did you mean 'permit'?"},
    {"filter: {rules: [{action: deny, in: lam}]}\n", 1, 37, "filter.rules[0].in", "did you mean 'lan'?"},
    {"filter: {rules: [{action: deny, out: [lan, wann]}]}\n", 1, 44, "filter.rules[0].out[1]",
     "did you mean 'wan'?"},
    {"filter: {rules: [{action: deny, from: $x}]}\n", 1, 39, "filter.rules[0].from",
     "filter.sets has no 'x'"},
    {"filter: {sets: {p: [80]}, rules: [{action: deny, from: $p}]}\n", 1, 56, "filter.rules[0].from",
     "a set of port numbers"},
    {"filter: {rules: [{action: deny, to-port: 80}]}\n", 1, 42, "filter.rules[0].to-port",
     "needs 'protocol: tcp'"},
    {"filter: {rules: [{action: deny, protocol: gre, to-port: 80}]}\n", 1, 57, "filter.rules[0].to-port",
     "names gre"},
    {"filter: {rules: [{action: deny, protocol: tcp, to-port: 80-70}]}\n", 1, 57, "filter.rules[0].to-port",
     "did you mean '70-80'?"},
    {"filter: {rules: [{action: deny, protocol: tcp, to-port: 65536}]}\n", 1, 57, "filter.rules[0].to-port",
     "0 to 65535"},
    {"filter: {rules: [{action: deny, protocol: tpc}]}\n", 1, 43, "filter.rules[0].protocol",
     "did you mean 'tcp'?"},
    {"filter: {rules: [{action: deny, protocol: 256}]}\n", 1, 43, "filter.rules[0].protocol",
     "from 1 to 255"},
    {"filter: {rules: [{action: deny, icmp: echo-request}]}\n", 1, 39, "filter.rules[0].icmp",
     "protocol: icmp"},
    {"filter: {rules: [{action: deny, protocol: icmp, icmp: echo-requst}]}\n", 1, 55, "filter.rules[0].icmp",
     "did you mean 'echo-request'?"},
    {"filter: {rules: [{action: deny, protocol: icmp, icmp: 3/4}]}\n", 1, 55, "filter.rules[0].icmp",
     "one message in ICMP and another"},
    {"filter: {rules: [{action: deny, protocol: icmp4, icmp: packet-too-big}]}\n", 1, 56,
     "filter.rules[0].icmp", "can never match"},
    {"filter: {rules: [{action: deny, protocol: icmp6, from: 10.0.0.0/8}]}\n", 1, 43,
     "filter.rules[0].protocol", "can never match"},
    {"filter: {rules: [{action: deny, from: 10.0.0.0/8, to: \"2001:db8::/32\"}]}\n", 1, 55,
     "filter.rules[0].to", "can never match"},
    {"filter: {rules: [{action: deny, from: []}]}\n", 1, 39, "filter.rules[0].from",
     "leave the key out for any"},
    {"filter: {rules: [{name: a, action: deny}, {name: a, action: deny}]}\n", 1, 50, "filter.rules[1].name",
     "is taken"},
    {"filter: {rules: [{action: deny}, {name: rule-1, action: deny}]}\n", 1, 41, "filter.rules[1].name",
     "is taken"},
    {"filter: {stateful: maybe}\n", 1, 20, "filter.stateful", "yes or no"},
    {"filter: {stateful: \"yes\"}\n", 1, 20, "filter.stateful", "yes or no"},
};

TEST(Mistakes, EachWithItsPlaceAndPath) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.text);
    const Loaded l = load_text(kPorts + c.text, "f.yaml");
    ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
    const Mistake& m = l.mistakes[0];
    EXPECT_EQ(m.file, "f.yaml");
    EXPECT_EQ(m.line, kPortsLines + c.line) << all(l);
    EXPECT_EQ(m.column, c.column) << all(l);
    EXPECT_EQ(m.path, c.path);
    EXPECT_NE(m.message.find(c.says), std::string::npos) << all(l);
  }
}

// The text in braces of a port named x.
const Case kPortCases[] = {
    {"device: v0, adresses: []", 1, 13, "ports.x.adresses", "did you mean 'addresses'?"},
    {"driver: af_xdb, device: v", 1, 9, "ports.x.driver", "did you mean 'af_xdp'?"},
    {"mtu: 1500", 1, 0, "ports.x", "'device' is missing"},
    {"device: v0, mtu: 500", 1, 18, "ports.x.mtu", "from 576 to 9000"},
    {"device: v0, mtu: 1279, addresses: [\"2001:db8::1/64\"]", 1, 18, "ports.x.mtu", "at least 1280"},
    {"device: v0, ring: 100", 1, 19, "ports.x.ring", "64 or 128"},
    {"device: v0, queues: 0", 1, 21, "ports.x.queues", "from 1 to"},
    {"device: v0, addresses: [192.0.2.1]", 1, 25, "ports.x.addresses[0]", "length of its subnet"},
    {"device: v0, addresses: [192.0.2.0/24]", 1, 25, "ports.x.addresses[0]", "network address"},
    {"device: v0, addresses: [192.0.2.255/24]", 1, 25, "ports.x.addresses[0]", "broadcast address"},
    {"device: v0, addresses: [224.0.0.1/24]", 1, 25, "ports.x.addresses[0]", "multicast"},
    {"device: v0, addresses: [127.0.0.1/8]", 1, 25, "ports.x.addresses[0]", "loopback"},
    {"device: v0, addresses: [240.0.0.1/8]", 1, 25, "ports.x.addresses[0]", "reserved"},
    {"device: v0, addresses: [\"ff02::1/64\"]", 1, 25, "ports.x.addresses[0]", "multicast"},
    {"device: v0, addresses: [\"fe80::1/64\"]", 1, 25, "ports.x.addresses[0]", "link-local"},
    {"device: v0, addresses: [\"2001:db8::/64\"]", 1, 25, "ports.x.addresses[0]", "anycast"},
    {"device: v0, addresses: [192.0.2.1/24, 192.0.2.1/24]", 1, 39, "ports.x.addresses[1]", "given twice"},
    {"device: v0, link-local: \"2001:db8::1\"", 1, 25, "ports.x.link-local", "fe80::1"},
    {"device: v0, mac: \"02:00:00:00:00:01\"", 1, 18, "ports.x.mac", "ip link set"},
    {"device: v0, out: f", 1, 18, "ports.x.out", "capture"},
    {"driver: pcap, queues: 2", 1, 23, "ports.x.queues", "one queue"},
    {"driver: dpdk, device: v, xdp-mode: native", 1, 36, "ports.x.xdp-mode", "no use for"},
    {"device: v0, kernel: [shs]", 1, 22, "ports.x.kernel[0]", "did you mean 'ssh'?"},
    {"device: v0, kernel: [{port: 22}]", 1, 29, "ports.x.kernel[0].port", "needs 'protocol: tcp'"},
    {"device: v0, kernel: nothing", 1, 21, "ports.x.kernel", "expected none, or a list"},
    {"device: v0, fault: {loss: 0.01}", 1, 27, "ports.x.fault.loss", "0.5%"},
    {"device: v0, fault: {loss: 101%}", 1, 27, "ports.x.fault.loss", "100%"},
    {"device: v0, fault: {delay: 5}", 1, 28, "ports.x.fault.delay", "did you mean '5s'?"},
    {"driver: generator, generator: {size: 59}", 1, 38, "ports.x.generator.size", "from 60"},
    {"driver: generator, generator: {flows: 0}", 1, 39, "ports.x.generator.flows", "from 1 to 10000000"},
    {"driver: generator, generator: {sources: 10.0.0.0/8, destinations: \"::/0\"}", 1, 67,
     "ports.x.generator.destinations", "different families"},
};

TEST(Mistakes, InPorts) {
  const std::string before = "version: 1\nports:\n  x: {";
  for (const Case& c : kPortCases) {
    SCOPED_TRACE(c.text);
    const Loaded l = load_text(before + c.text + "}\n", "f.yaml");
    ASSERT_EQ(l.mistakes.size(), 1u) << all(l);
    EXPECT_EQ(l.mistakes[0].line, 3u);
    EXPECT_EQ(l.mistakes[0].column, 6 + c.column) << all(l);
    EXPECT_EQ(l.mistakes[0].path, c.path);
    EXPECT_NE(l.mistakes[0].message.find(c.says), std::string::npos) << all(l);
  }
}

TEST(Mistakes, BetweenPorts) {
  const Loaded l = load_text(
      "version: 1\nports:\n"
      "  a: {device: v0, capture: c, addresses: [10.0.0.1/8]}\n"
      "  b: {device: v0, capture: c, addresses: [10.1.0.1/16, 192.0.2.1/24]}\n"
      "  c: {device: v2, addresses: [192.0.2.2/24]}\n"
      "  a: {device: v3}\n",
      "f");
  EXPECT_EQ(
      all(l),
      "f:4:15: ports.b.device: found 'v0', which is already port 'a's device\n"
      "f:4:28: ports.b.capture: found 'c', which is already port 'a's output file\n"
      "f:4:43: ports.b.addresses[0]: found '10.1.0.1/16', which overlaps '10.0.0.1/8' of port 'a'; every "
      "subnet belongs to one port\n"
      "f:5:31: ports.c.addresses[0]: found '192.0.2.2/24', which overlaps '192.0.2.1/24' of port 'b'; every "
      "subnet belongs to one port\n"
      "f:6:3: ports.a: the key 'a' occurs twice; it is already in line 3\n");
}

TEST(Mistakes, RingsThatThePoolCannotFill) {
  const Loaded l = load_text(kPorts, "f", {{"system.packets", "4096"}});
  EXPECT_EQ(
      all(l),
      "--set: system.packets: found 4096, but the ports' rings alone hold 4096 packets; expected at least "
      "5120\n");
}

TEST(Mistakes, AllInOnePassInTheOrderOfTheFile) {
  const Loaded l = load_text(
      "versoin: 1\nsystem: {packets: x, idel: busy}\nports:\n  lan: {device: v0, mtu: 1}\n"
      "routes:\n  - {to: 10.0.0.0/8, via: 192.0.2.1}\nfilter: {rules: [{action: no, in: x}]}\n",
      "f");
  std::vector<unsigned> lines;
  for (const Mistake& m : l.mistakes) lines.push_back(m.line);
  EXPECT_EQ(lines, (std::vector<unsigned>{1, 1, 2, 2, 4, 7})) << all(l);
}

TEST(Mistakes, OneSlipIsReportedOnce) {  // what depends on a refused value is not judged
  const Loaded l = load_text(
      "version: 1\nports:\n  lan: {device: v0, addresses: [192.0.2.1/99]}\n"
      "routes: [{to: default4, via: 192.0.2.254}]\n",
      "f");
  EXPECT_EQ(l.mistakes.size(), 1u) << all(l);
}

TEST(Mistakes, OfAnOverrideNameIt) {
  const Loaded l = load_text(kPorts, "f",
                             {{"ports.wan.devise", "x"},
                              {"routes[3].to", "x"},
                              {"a..b", "1"},
                              {"ports.lan[0]", "1"},
                              {"system.name", "[x"},
                              {"ports.lan.mtu", "70000"}});
  const std::string s = all(l);
  EXPECT_EQ(l.mistakes.size(), 6u) << s;
  for (const char* part :
       {"--set: ports.wan.devise: found the unknown key 'devise'; did you mean 'device'?",
        "--set: routes[3].to: ", "--set: a..b: not a path", "--set: ports.lan[0]: 'ports.lan' is a map",
        "--set: system.name: not valid YAML", "--set: ports.lan.mtu: found '70000'"})
    EXPECT_NE(s.find(part), std::string::npos) << part << "\n" << s;
}

TEST(Mistakes, ColumnsCountCharacters) {
  const Loaded l = load_text(kPorts + "system: {name: größe, idle: x}\n", "f");
  ASSERT_EQ(l.mistakes.size(), 1u);
  EXPECT_EQ(l.mistakes[0].column, 29u);
}

}  // namespace
}  // namespace sluice::config
