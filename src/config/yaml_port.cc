// The keys of a port.
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

// kernel: and exception: by name. Both directions of a conversation match: either port.
struct Shorthand {
  const char* name;
  std::vector<Match> matches;
};

const std::vector<Shorthand>& shorthands() {
  constexpr uint8_t tcp = 6, udp = 17;
  static const std::vector<Shorthand> all = {
      {"ssh", {{{}, tcp, 22}}},
      {"bgp", {{{}, tcp, 179}}},
      {"dhcp", {{{}, udp, 67}, {{}, udp, 68}, {{}, udp, 546}, {{}, udp, 547}}},
      {"dns", {{{}, udp, 53}, {{}, tcp, 53}}},
      {"ntp", {{{}, udp, 123}}},
      {"snmp", {{{}, udp, 161}}},
      {"ospf", {{{}, 89, 0}}},
      {"vrrp", {{{}, 112, 0}}},
  };
  return all;
}

const Object<Match>& match_keys() {
  static const Object<Match> keys =
      Object<Match>("a match")
          .key("prefix", "Source or destination lies in this prefix.", network(), &Match::prefix)
          .key("protocol", "The protocol.", protocol(false), &Match::proto)
          .own("port", "Source or destination port; needs protocol tcp or udp.",
               number<uint16_t>(1, 65535).schema, [](Reader& r, const At& at, Match& m) {
                 if (!number<uint16_t>(1, 65535).read(r, at, m.port)) return;
                 // The table's order: protocol was read before.
                 if (m.proto != 6 && m.proto != 17 && at.up &&
                     !(at.up->node->find("protocol") && m.proto == 0))
                   r.mistake(at, "a port needs 'protocol: tcp' or 'protocol: udp' beside it");
               });
  return keys;
}

void read_match(Reader& r, const At& at, std::vector<Match>& out) {
  if (at.node->kind == Node::Kind::map) {
    if (at.node->items.empty()) {
      r.mistake(at, "found a match without keys, expected prefix, protocol or port");
      return;
    }
    Match m;
    match_keys().read(r, at, m);
    out.push_back(m);
    return;
  }
  std::vector<std::string> names;
  for (const Shorthand& s : shorthands()) {
    if (at.node->kind == Node::Kind::scalar && at.node->text == s.name) {
      out.insert(out.end(), s.matches.begin(), s.matches.end());
      return;
    }
    names.push_back(s.name);
  }
  std::string what;
  for (size_t i = 0; i < names.size(); i++) what += (i ? ", " : "") + names[i];
  r.mistake(at, "found " + found(*at.node) + ", expected " + what + " or a map of prefix, protocol and port" +
                    (at.node->kind == Node::Kind::scalar ? did_you_mean(at.node->text, names) : ""));
}

Type<std::vector<Match>> matches() {
  Json names = Json::array();
  for (const Shorthand& s : shorthands()) names.push_back(s.name);
  Json item = {{"anyOf", Json::array({Json{{"enum", names}}, match_keys().schema()})}};
  Json schema = {{"anyOf", Json::array({Json{{"const", "none"}}, Json{{"type", "array"}, {"items", item}}})}};
  return {schema, [](Reader& r, const At& at, std::vector<Match>& out) {
            out.clear();
            if (at.node->kind == Node::Kind::scalar && at.node->text == "none") return true;
            if (at.node->kind != Node::Kind::sequence)
              return r.expected(at, "none, or a list such as [ssh] or [{protocol: tcp, port: 22}]");
            for (size_t i = 0; i < at.node->items.size(); i++)
              read_match(r, at.item(i, at.node->items[i]), out);
            return true;
          }};
}

const Object<Fault>& fault_keys() {
  const Type<Duration> time = duration(Duration::nanos(0), Duration::seconds(10));
  static const Object<Fault> keys =
      Object<Fault>("a fault")
          .key("loss", "Share of the packets that is lost.", percent(), &Fault::loss)
          .key("duplicate", "Share that arrives twice.", percent(), &Fault::duplicate)
          .key("reorder", "Share that is overtaken by the next packet.", percent(), &Fault::reorder)
          .key("corrupt", "Share of which a bit is turned.", percent(), &Fault::corrupt)
          .key("delay", "Delay of every packet.", time, &Fault::delay)
          .key("jitter", "Further delay, drawn anew for each packet, up to this.", time, &Fault::jitter)
          .key("seed", "Start of the random numbers: the same seed, the same faults.",
               number<uint64_t>(0, UINT64_MAX), &Fault::seed, 1);
  return keys;
}

bool read_size(Reader& r, const At& at, Generator& g) {
  if (at.node->kind == Node::Kind::scalar && at.node->text == "imix") return g.size = 0, true;
  const Node* n = at.node;
  if (n->kind != Node::Kind::scalar || n->text.empty() || n->text[0] < '0' || n->text[0] > '9')
    return r.expected(at, "a frame size from 60 to 9014 bytes, or imix");
  return number<unsigned>(60, 9014, "bytes of a frame").read(r, at, g.size);
}

const Object<Generator>& generator_keys() {
  static const Object<Generator> keys =
      Object<Generator>("a generator")
          .key("flows", "Flows to make packets of.", number<uint64_t>(1, 10'000'000), &Generator::flows, 1)
          .key("order", "sequential: one flow after the other. random: drawn for each packet.",
               choice<bool>({{"sequential", false}, {"random", true}}), &Generator::random, "sequential")
          .own(
              "size", "Bytes of a frame without its check sequence, or imix (7:4:1 of 60, 590 and 1514).",
              Json{{"anyOf", Json::array({Json{{"type", "integer"}, {"minimum", 60}, {"maximum", 9014}},
                                          Json{{"const", "imix"}}})}},
              [](Reader& r, const At& at, Generator& g) { read_size(r, at, g); }, 60)
          .key("burst", "Packets that arrive together.", number<unsigned>(1, kMaxBurst), &Generator::burst,
               32)
          .key("packets", "Packets in all; 0: no end.", number<uint64_t>(0, UINT64_MAX), &Generator::packets,
               0)
          .key("protocol", "tcp or udp.", choice<uint8_t>({{"udp", 17}, {"tcp", 6}}), &Generator::proto,
               "udp")
          .key("sources", "Source addresses are drawn from this prefix.", network(), &Generator::sources)
          .key("destinations", "Destination addresses are drawn from this prefix.", network(),
               &Generator::destinations)
          .key("seed", "Start of the random numbers.", number<uint64_t>(0, UINT64_MAX), &Generator::seed, 1);
  return keys;
}

void driver_keys(Object<Port>& o) {
  o.key("device",
        "What the port is opened on: a network interface (eth1), a PCI address (0000:01:00.0), a DPDK vdev "
        "(net_null0), or for pcap the capture to read.",
        text(1, 4096, "the name of a device"), &Port::device);
  o.key("driver", "auto: dpdk where the device is bound for it, else af_xdp.",
        choice<Driver>({{"auto", Driver::automatic},
                        {"af_xdp", Driver::af_xdp},
                        {"dpdk", Driver::dpdk},
                        {"pcap", Driver::pcap},
                        {"generator", Driver::generator},
                        {"null", Driver::null}}),
        &Port::driver, "auto");
  o.key("queues", "Receive queues, each polled by one worker.", number<unsigned>(1, kMaxWorkers),
        &Port::queues, 1);
  o.key(
      "mtu",
      "Largest IP packet in bytes: at least 576, and 1280 where IPv6 is spoken. When left out: the device's.",
      number<uint16_t>(576, 9000, "bytes"), &Port::mtu);
  o.key("mac", "MAC address of a pcap, generator or null port; other devices have their own.", mac_address(),
        &Port::mac);
}

void address_keys(Object<Port>& o) {
  o.key("addresses", "The box's addresses on this port, each with the length of its subnet.",
        list_of(interface_address(), "addresses such as 192.0.2.1/24", true), &Port::addresses);
  o.own("link-local", "The IPv6 link-local address. When left out it is made of the MAC address.",
        ip_address().schema, [](Reader& r, const At& at, Port& p) {
          IpAddr a;
          if (!ip_address().read(r, at, a)) return;
          if (a.family != 6 || !a.v6().link_local())
            r.expected(at, "a link-local address such as fe80::1");
          else
            p.link_local = a.v6();
        });
  o.key("reverse-path", "strict: drop packets whose source is not reached through this port (RFC 3704).",
        choice<bool>({{"strict", true}, {"off", false}}), &Port::reverse_path_strict, "off");
}

void af_xdp_keys(Object<Port>& o) {
  o.key("checksum",
        "What to do with partial checksums that virtual senders leave: auto, trust them, repair them, or "
        "refuse the packet.",
        choice<Checksum>({{"auto", Checksum::automatic},
                          {"trust", Checksum::trust},
                          {"repair", Checksum::repair},
                          {"refuse", Checksum::refuse}}),
        &Port::checksum, "auto");
  o.key("xdp-mode", "How AF_XDP attaches. auto: the best that the interface can do.",
        choice<XdpMode>({{"auto", XdpMode::automatic},
                         {"zero-copy", XdpMode::zero_copy},
                         {"native", XdpMode::native},
                         {"generic", XdpMode::generic}}),
        &Port::xdp_mode, "auto");
  o.key("busy-poll", "Let the worker drive the interface's receive path itself.", boolean(), &Port::busy_poll,
        false);
  o.key("take-default-route",
        "Take the interface although the machine's default route runs over it: you may lose "
        "your connection to the machine.",
        boolean(), &Port::take_default_route, false);
  o.key("ring", "Slots of each ring, a power of two.", number<unsigned>(64, 32768), &Port::ring_size, 2048);
  o.key("kernel", "Traffic that stays with the machine's kernel: [ssh] keeps your login. Nothing by default.",
        matches(), &Port::kernel);
  o.key("dispatcher",
        "yes: attach early drop through libxdp's dispatcher, beside other XDP programs on the interface, where the kernel "
        "can. no: alone.",
        boolean(), &Port::dispatcher, false);
  o.key("exception",
        "Traffic to the box that is handed to the machine through a TAP interface of the port's name, for "
        "BGP or DHCP daemons.",
        matches(), &Port::exception);
}

Object<Port> make_port_keys() {
  Object<Port> o("a port");
  driver_keys(o);
  address_keys(o);
  af_xdp_keys(o);
  o.key("capture", "Write what the port receives and sends to this pcapng file.",
        text(1, 4096, "a file name"), &Port::capture);
  o.key("out", "pcap: write what the port sends to this pcapng file.", text(1, 4096, "a file name"),
        &Port::pcap_out);
  o.key("fault", "Faults to inject, for tests.", fault_keys().type(), &Port::fault);
  o.key("generator", "What a port with driver: generator sends.", generator_keys().type(), &Port::generator);
  return o;
}

}  // namespace

const Object<Port>& port_keys() {
  static const Object<Port> keys = make_port_keys();
  return keys;
}

}  // namespace sluice::config
