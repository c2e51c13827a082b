// Every example is sound, and typos in it are refused where they are: ^ marks the place in the changed text.
#include <algorithm>

#include "support.h"

namespace sluice::config {
namespace {

TEST(Examples, AreSound) {
  for (const char* name : kExamples) {
    const Loaded l = load_text(example(name), name);
    EXPECT_EQ(all(l), "");
    EXPECT_FALSE(l.model.ports.empty()) << name;
  }
}

struct Typo {
  const char* was;
  const char* is;  // with ^ before the character that the mistake must name
};
struct Table {
  const char* example;
  std::vector<Typo> typos;
};

const Table kTables[] = {
    {"conf/router.yaml",
     {{"version: 1", "version: ^2"},
      {"version: 1", "^verison: 1"},
      {"system:", "^sistem:"},
      {"ports:", "^port:"},
      {"device: eth1", "^devcie: eth1"},
      {"192.0.2.1/24", "^192.0.2.1"},
      {"192.0.2.1/24", "^192.0.2.1/33"},
      {"192.0.2.1/24", "^192.0.2.0/24"},
      {"2001:db8:1::1/64", "^2001:db8:1:::1/64"},
      {"reverse-path: strict", "reverse-path: ^strikt"},
      {"device: eth2", "device: ^eth1"},
      {"to: default4", "to: ^default"},
      {"via: 198.51.100.1", "via: ^198.51.101.1"},
      {"port: wan}", "port: ^wam}"},
      {"\"fe80::1\", port", "\"fe80::1\", ^prot"},
      {"[192.0.2.10, 192.0.2.11]", "[192.0.2.10, ^192.0.2.10]"},
      {"to: 203.0.113.0/24", "to: ^203.0.113.9/24"},
      {"unreachable: yes", "unreachable: ^yep"},
      {"unreachable: yes", "^unreacheable: yes"}}},
    {"conf/firewall.yaml",
     {{"group: adm", "^gruop: adm"},
      {"addresses: [203.0.113.2/30, ", "addresses: [^203.0.113.3/30, "},
      {"default: deny ", "default: ^denied "},
      {"stateful: yes ", "stateful: ^si "},
      {"  sets:  ", "  ^set:  "},
      {"web: [80, 443, 8000-8080]", "web: [80, 443, ^8080-8000]"},
      {"web: [80, 443, 8000-8080]", "web: [80, 443, ^70000]"},
      {"admins: [192.0.2.16/28]", "admins: [^192.0.2.17/28]"},
      {"admins: [192.0.2.16/28]", "admins: ^[]"},
      {"action: deny", "action: ^drop"},
      {"from: $admins", "from: ^$admin"},
      {"to: $web-servers", "to: ^$web"},
      {"to-port: $web", "to-port: ^$web-servers"},
      {"in: [lan, wan]", "in: [lan, ^wlan]"},
      {"name: mail\n", "name: ^web\n"},
      {"protocol: [tcp, udp]", "protocol: [tcp, ^upd]"},
      {"icmp: echo-request", "icmp: ^echo-requests"},
      {"protocol: icmp ", "^protocoll: icmp "},
      {"protocol: tcp\n      to-port: 25\n", "protocol: icmp\n      to-port: ^25\n"}}},
    {"conf/lab.yaml",
     {{"name: lab", "^nane: lab"},
      {"device: lan0", "^devise: lan0"},
      {"driver: af_xdp ", "driver: ^af-xdp "},
      {"198.18.1.1/24", "^198.18.1.256/24"},
      {"198.18.2.1/24", "^198.18.1.2/24"},
      {"\"2001:db8:2::1/64\"", "^\"2001:db8:2::g/64\""},
      {"device: wan0", "device: ^lan0"},
      {"default: deny", "^defualt: deny"},
      {"services: [80, 443, 5201]", "services: [80, 443, ^5201s]"},
      {"traceroute: [33434-33534]", "traceroute: [^33434-335344]"},
      {"- name: ping\n      action: permit", "- name: ping\n      ^acton: permit"},
      {"in: lan", "in: ^LAN"},
      {"protocol: tcp", "protocol: ^tpc"},
      {"to-port: $services", "to-port: ^$service"},
      {"icmp: echo-request", "icmp: ^ping"}}},
    {"conf/dpdk-nic.yaml",
     {{"hugepages: required", "hugepages: ^require"},
      {"packets: 65536", "packets: ^64k"},
      {"packets: 65536", "packets: ^8192"},
      {"workers: [2, 3, 4, 5]", "workers: [2, 3, ^3, 5]"},
      {"workers: [2, 3, 4, 5]", "workers: [2, 3, 4, ^five]"},
      {"stack: 1 ", "stack: ^-2 "},
      {"idle: busy", "idle: ^bussy"},
      {"memory-limit: 8 GiB", "memory-limit: ^8 GB"},
      {"memory-limit: 8 GiB", "memory-limit: ^512 MiB"},
      {"ip4: 1048576", "ip4: ^1000000"},
      {"ip6: 262144", "^ipv6: 262144"},
      {"driver: dpdk", "driver: ^dpkd"},
      {"queues: 4 ", "queues: ^400 "},
      {"mtu: 9000", "mtu: ^9001"},
      {"exception: [bgp]", "exception: [^bpg]"},
      {"errors-per-second: 5000", "^error-per-second: 5000"},
      {"errors-burst: 500", "errors-burst: ^0"}}},
    {"conf/replay.yaml",
     {{"hugepages: off", "hugepages: ^on"},
      {"driver: pcap ", "driver: ^pcapng "},
      {"mac: \"02:00:00:00:01:01\"", "mac: ^\"02:00:00:00:01\""},
      {"mac: \"02:00:00:00:02:01\"", "mac: ^\"03:00:00:00:02:01\""},
      {"neighbors:", "^neighbours:"},
      {"static:", "^statics:"},
      {"{port: lan, address: 192.0.2.10", "{port: ^lam, address: 192.0.2.10"},
      {"address: 198.51.100.10", "address: ^198.51.99.10"},
      {"address: \"2001:db8:1::10\"", "^adress: \"2001:db8:1::10\""},
      {"mac: \"02:00:00:00:01:10\"", "mac: ^\"ff:ff:ff:ff:ff:ff\""},
      {"via: 198.51.100.10", "via: ^198.51.100.1"},
      {"to: default6, via: \"2001:db8:2::10\"", "to: default6, via: ^192.0.2.10"},
      {"out: wan", "out: ^van"},
      {"action: permit", "action: ^allow"}}},
    {"conf/tcp-services.yaml",
     {{"services:                    #", "^sevices:                    #"},
      {"echo: yes, ", "echo: ^yess, "},
      {"discard: yes, ", "^dicsard: yes, "},
      {"port: 19}", "port: ^19000000}"},
      {"port: 19}", "^prot: 19}"},
      {"port: 80\n", "port: ^9\n"},
      {"http: {body", "^htpp: {body"},
      {"metrics: yes", "metrics: ^9100"},
      {"healthz: yes", "^healtz: yes"},
      {"198.18.0.3/24", "^198.18.0.2/24"},
      {"congestion-control: cubic ", "congestion-control: ^cubik "},
      {"ecn: accept ", "ecn: ^acept "},
      {"receive-buffer: 256 KiB", "receive-buffer: ^256 KB"},
      {"half-open: 4096", "half-open: ^409600"},
      {"cookie-mark: 1024", "^cookie-marc: 1024"}}},
    {"conf/proxy.yaml",
     {{"address: 198.51.100.2\n", "address: ^198.51.100.3\n"},
      {"port: 80\n", "port: ^http\n"},
      {"max-connections: 20000", "^max-conections: 20000"},
      {"192.0.2.10:8080", "^192.0.2.10:80800"},
      {"192.0.2.10:8080", "^192.0.2.1:8080"},
      {"port: 8080}", "port: ^8080.5}"},
      {"{address: 192.0.2.11, port", "{^adress: 192.0.2.11, port"},
      {"balance: least-connections", "balance: ^least-connection"},
      {"http: /healthz", "http: ^healthz"},
      {"timeout: 1s,", "timeout: ^10s,"},
      {"expect: 200}", "expect: ^2000}"},
      {"proxy-protocol: v2", "proxy-protocol: ^v3"},
      {"connect-timeout: 3s", "connect-timeout: ^3"},
      {"access-log: yes", "access-log: ^file.log"},
      {"name: metrics", "name: ^shop"}}},
    {"conf/scrubber.yaml",
     {{"shed:\n", "^sched:\n"},
      {"governor: yes ", "governor: ^ja "},
      {"- 203.0.113.0/24", "- ^203.0.113.1/24"},
      {"\"2001:db8:bad::/48\"", "^\"2001:db8:bad::/480\""},
      {"allow: [203.0.113.80/28]", "allow: [^203.0.113.80/27]"},
      {"allow: [203.0.113.80/28]", "allow: [^203.0.113.0/24]"},
      {"bogons: martian ", "bogons: ^martians "},
      {"malformed: yes", "^malfromed: yes"},
      {"tcp-flags: yes", "^tcp_flags: yes"},
      {"block-protocols: [gre]", "block-protocols: [^gra]"},
      {"tcp/23, ", "^tpc/23, "},
      {"udp/6000-6063", "^udp/6063-6000"},
      {"amplification: yes", "amplification: ^dns"},
      {"icmp: {rate: 1k, ", "icmp: {rate: ^1K, "},
      {"size: 1500}", "size: ^15}"},
      {"{rate: 50k, prefix4: 32", "{rate: ^0, prefix4: 32"},
      {"prefix6: 64}", "prefix6: ^129}"},
      {"burst: 100k}", "burst: ^0}"},
      {"rest: {rate: 200k}", "^rset: {rate: 200k}"},
      {"cookies: yes}", "^cookie: yes}"},
      {"class: established, ", "class: ^establish, "},
      {"ports: 53}", "ports: ^530000}"},
      {"protocol: ospf}", "protocol: ^ospv}"},
      {"dscp: [ef, cs6]", "dscp: [ef, ^cs9]"}}},
    {"tests/e2e/exam-router.yaml",
     {{"reassembly-timeout: 10s", "reassembly-timeout: ^10"},
      {"reachable: 4s", "reachable: ^4 s."},
      {"delay-first-probe: 1s", "^delay-first-prob: 1s"},
      {"device: dutb", "device: ^duta"},
      {"mtu: 1400", "mtu: ^140"},
      {"reverse-path: off", "reverse-path: ^of"},
      {"198.18.3.1/24", "^198.18.2.3/24"},
      {"to: 198.18.64.0/18", "to: ^198.18.64.0/17"},
      {"to: 198.18.96.0/24, blackhole", "to: 198.18.96.0/24, ^blackholes"},
      {"via: 198.18.2.200", "via: ^198.18.4.200"},
      {"via: [198.18.2.10, 198.18.2.11]", "via: [198.18.2.10, ^198.18.2.1]"},
      {"to: \"2001:db8:4e::/48\"", "to: ^\"2001:db8:4e::/129\""},
      {"to: 126.0.0.0/7", "to: ^126.0.0.0/6"}}},
    {"tests/e2e/exam-router-filter.yaml",
     {{"stateful: no", "stateful: ^none"},
      {"tiny-fragments: drop ", "tiny-fragments: ^dorp "},
      {"protocol: ah}", "protocol: ^ha}"},
      {"name: r1-marker", "name: ^1-marker"},
      {"to-port: 47000", "to-port: ^470000"},
      {"{name: r2-telnet, action: deny, in: a", "{name: r2-telnet, action: deny, in: ^d"},
      {"\"2001:db8:2::/121\"", "^\"2001:db8:2::/120x\""},
      {"to-port: 20-25", "to-port: ^25-20"},
      {"icmp: echo-reply", "icmp: ^echo-repyl"},
      {"protocol: 47}", "protocol: ^470}"},
      {"from-port: 80}", "^form-port: 80}"},
      {"name: r13-fragments", "name: ^r13-ident"},
      {"action: reject, in: a, out: c", "action: ^refuse, in: a, out: c"}}},
};

TEST(Examples, TyposAreRefusedWhereTheyAre) {
  for (const Table& t : kTables) {
    const std::string text = example(t.example);
    EXPECT_GE(t.typos.size(), 12u);
    for (const Typo& typo : t.typos) {
      SCOPED_TRACE(std::string(t.example) + ": " + typo.is);
      const size_t at = text.find(typo.was);
      ASSERT_NE(at, std::string::npos);
      std::string is = typo.is;
      const size_t mark = is.find('^');
      if (mark != is.npos) is.erase(mark, 1);
      const size_t place = at + (mark == is.npos ? 0 : mark);
      std::string changed = text;
      changed.replace(at, std::string(typo.was).size(), is);
      const size_t line_start = changed.rfind('\n', place - (place > 0)) + 1;
      const auto line = static_cast<unsigned>(
          1 + std::count(changed.begin(), changed.begin() + static_cast<long>(place), '\n'));
      const Loaded l = load_text(changed, t.example);
      bool here = false;
      for (const Mistake& m : l.mistakes) here |= m.line == line && m.column == place - line_start + 1;
      EXPECT_TRUE(here) << "expected at " << line << ":" << place - line_start + 1 << ", found\n" << all(l);
    }
  }
}

}  // namespace
}  // namespace sluice::config
