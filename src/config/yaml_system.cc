// The keys of system, control, flows, neighbors, icmp, and of the whole file.
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

bool good_user(std::string_view s) {
  return s.find_first_of(" \t:/") == s.npos;
}
bool good_path(std::string_view s) {
  return s.find('\0') == s.npos;
}
bool good_host(std::string_view s) {
  return s.find_first_of(" \t/") == s.npos;
}

constexpr Duration kDay = Duration::seconds(86400);
constexpr unsigned kMaxCpu = 1023;

// Static neighbours keep an item for each entry of the file, so that indices agree.
const Object<Neighbor>& static_neighbor_keys() {
  static const Object<Neighbor> keys =
      Object<Neighbor>("a static neighbor")
          .key("port", "The port that the neighbor is reached through.", port_name(), &Neighbor::port)
          .required()
          .key("address", "The neighbor's IPv4 or IPv6 address.", ip_address(), &Neighbor::addr)
          .required()
          .key("mac", "Its MAC address.", mac_address(), &Neighbor::mac)
          .required();
  return keys;
}

Type<std::vector<unsigned>> cpu_list() {
  return one_or_many(number<unsigned>(0, kMaxCpu), "CPU numbers");
}

}  // namespace

const Object<System>& system_keys() {
  static const Object<System> keys =
      Object<System>("system")
          .key("name", "What the box calls itself in logs and answers.",
               text(1, 63, "a name of at most 63 characters without spaces", "^[^ \t/]+$", good_host),
               &System::name, "sluice")
          .key("hugepages",
               "auto: huge pages where the machine has them. off: never. required: refuse to start "
               "without them.",
               choice<HugePages>({{"auto", HugePages::automatic},
                                  {"off", HugePages::off},
                                  {"required", HugePages::required}}),
               &System::huge_pages, "auto")
          .key("packets",
               "Packets that the box can hold at a time, 4 KiB each. When left out: 16384, or more where "
               "the ports' rings need more.",
               number<unsigned>(512, 16u << 20), &System::packets)
          .key("workers",
               "CPUs that forward packets, one worker each. When left out: the last CPU that the process "
               "may use.",
               cpu_list(), &System::workers)
          .key("stack",
               "CPUs of the stack engines, one each: TCP services share their connections out among them; the first "
               "has ARP, neighbor discovery and ping, too. When left out: one, which shares the first worker's CPU.",
               cpu_list(), &System::stacks)
          .own(
              "idle",
              "adaptive: sleep when there is nothing to do. busy: poll all the time, for the lowest delay.",
              choice<bool>({{"adaptive", false}, {"busy", true}}).schema,
              [](Reader& r, const At& at, System& s) {
                choice<bool>({{"adaptive", false}, {"busy", true}}).read(r, at, s.idle_busy);
              },
              "adaptive")
          .key("eal",
               "Further arguments for DPDK's EAL, one item each. For experts: sluice derives what it needs.",
               list_of(text(1, 256, "an EAL argument"), "EAL arguments", true), &System::eal)
          .key("memory-limit",
               "Refuse a configuration that would take more memory than this. When left out: what "
               "the machine has.",
               byte_size(64ull << 20, 64ull << 40), &System::memory_limit)
          .own(
              "reassembly-timeout", "How long fragments of a packet to the box itself wait for the rest.",
              duration(Duration::seconds(1), Duration::seconds(120)).schema,
              [](Reader& r, const At& at, System& s) {
                Duration d;
                if (!duration(Duration::seconds(1), Duration::seconds(120)).read(r, at, d)) return;
                if (d.ns % 1'000'000'000)
                  r.expected(at, "whole seconds");
                else
                  s.reassembly_seconds = static_cast<unsigned>(d.ns / 1'000'000'000);
              },
              "15s");
  return keys;
}

const Object<Control>& control_keys() {
  static const Object<Control> keys =
      Object<Control>("control")
          .key("socket", "The Unix socket that sluicectl talks to.",
               text(1, 107, "a path of at most 107 bytes", "", good_path), &Control::socket,
               "/run/sluice/sluice.sock")
          .key("mode", "Its file mode, octal, in quotes.", octal_mode(), &Control::mode, "0660")
          .key("owner", "Its owner, by name or number. When left out: the user that sluiced runs as.",
               text(1, 64, "a user", "^[^ \t:/]+$", good_user), &Control::owner)
          .key("group", "Its group, by name or number: who may talk to the box.",
               text(1, 64, "a group", "^[^ \t:/]+$", good_user), &Control::group);
  return keys;
}

namespace {

const Object<Flows>& idle_keys() {
  const Type<Duration> idle = duration(Duration::seconds(1), kDay * 30);
  static const Object<Flows> keys =
      Object<Flows>("flows.idle")
          .key("tcp", "A TCP connection (RFC 5382 asks for at least 2 h 4 min).", idle, &Flows::idle_tcp,
               "7440s")
          .key("tcp-closing", "A TCP connection that is being opened or closed.", idle,
               &Flows::idle_tcp_closing, "120s")
          .key("udp", "UDP (RFC 4787 asks for at least 2 min).", idle, &Flows::idle_udp, "180s")
          .key("other", "Everything else, ICMP for one.", idle, &Flows::idle_other, "60s");
  return keys;
}

}  // namespace

const Object<Flows>& flows_keys() {
  static const Object<Flows> keys =
      Object<Flows>("flows")
          .key("ip4", "IPv4 flow entries of each worker, a power of two; a session takes two.",
               number<unsigned>(1024, 64u << 20), &Flows::ip4, 262144)
          .key("ip6", "IPv6 flow entries of each worker, a power of two.", number<unsigned>(1024, 64u << 20),
               &Flows::ip6, 65536)
          .own("idle", "After how long without a packet a flow is forgotten.", idle_keys().schema(),
               [](Reader& r, const At& at, Flows& f) { idle_keys().read(r, at, f); });
  return keys;
}

const Object<Icmp>& icmp_keys() {
  static const Object<Icmp> keys =
      Object<Icmp>("icmp")
          .key("errors-per-second", "ICMP errors that a worker sends in a second, in all; 0: none.",
               number<unsigned>(0, 1'000'000), &Icmp::errors_per_second, 1000)
          .key("errors-burst", "How many of them may come at once.", number<unsigned>(1, 1'000'000),
               &Icmp::errors_burst, 250)
          .key("per-source-per-second", "ICMP errors in a second to one address; 0: none.",
               number<unsigned>(0, 1'000'000), &Icmp::per_source_per_second, 10)
          .key("per-source-burst", "How many of them may come at once.", number<unsigned>(1, 1'000'000),
               &Icmp::per_source_burst, 20);
  return keys;
}

namespace {

// A key of `neighbors` whose value lives in Model::neighbors.
template <class V>
void timer(Object<Model>& o, const char* name, const char* doc, const Type<V>& type, V Neighbors::*member,
           Json standard) {
  auto read = type.read;
  o.own(
      name, doc, type.schema,
      [read, member](Reader& r, const At& at, Model& m) { read(r, at, m.neighbors.*member); },
      std::move(standard));
}

Object<Model> make_neighbors_keys() {
  Object<Model> o("neighbors");
  timer(o, "reachable", "How long a confirmed neighbor counts as reachable (RFC 4861).",
        duration(Duration::millis(100), kDay), &Neighbors::reachable, "30s");
  timer(o, "retrans", "Time between two requests to the same neighbor.",
        duration(Duration::millis(10), Duration::seconds(60)), &Neighbors::retrans, "1s");
  timer(o, "delay-first-probe",
        "How long a stale neighbor may show by itself that it is alive before it is asked.",
        duration(Duration::millis(10), Duration::seconds(60)), &Neighbors::delay_first_probe, "5s");
  timer(o, "gc-stale", "An unused neighbor is forgotten after this time.",
        duration(Duration::seconds(1), kDay), &Neighbors::gc_stale, "600s");
  timer(o, "max", "Neighbors that the box remembers.", number<unsigned>(64, 1u << 22),
        &Neighbors::max_entries, 65536);
  timer(o, "queue", "Packets that wait for a neighbor's address, for each neighbor.",
        number<unsigned>(1, 256), &Neighbors::queue_packets, 16);
  const Type<std::vector<Neighbor>> list = list_of(static_neighbor_keys().type(), "neighbors", true);
  o.own("static", "Neighbors whose MAC address is given here: they are never asked for and never forgotten.",
        list.schema, [list](Reader& r, const At& at, Model& m) { list.read(r, at, m.static_neighbors); });
  return o;
}

// A section that is a member of the model.
template <class S>
void section(Object<Model>& o, const char* name, const char* doc, const Object<S>& keys, S Model::*member) {
  o.key(name, doc, keys.type(), member);
}

void read_ports(Reader& r, const At& at, Model& m) {
  if (at.node->kind != Node::Kind::map || at.node->items.empty()) {
    r.expected(at, "a map of ports, such as 'lan: {device: eth1}'");
    return;
  }
  check_map_keys(r, at, "ports", nullptr);
  for (size_t i = 0; i < at.node->pairs(); i++) {
    const Node& key = at.node->key(i);
    if (key.kind != Node::Kind::scalar) continue;
    bool again = false;
    for (const Port& p : m.ports) again |= p.name == key.text;
    if (again) continue;  // check_map_keys has said so
    if (m.ports.size() == kMaxPorts) {
      r.mistake_at(&key, at.in(key.text, &key).path(),
                   "found more than " + std::to_string(kMaxPorts) + " ports");
      return;
    }
    Port& p = m.ports.emplace_back();
    p.name = key.text;
    if (!good_name(p.name) || p.name.size() > 15)
      r.mistake_at(&key, at.in(key.text, &key).path(),
                   "found " + found(key) +
                       " as the name of a port, expected at most 15 letters, digits, - and _, "
                       "a letter first");
    port_keys().read(r, at.in(key.text, &at.node->value(i)), p);
  }
}

Object<Model> make_root_keys() {
  Object<Model> o("the file");
  o.own("version", "The version of this file's format: 1.", Json{{"const", 1}},
        [](Reader& r, const At& at, Model&) {
          if (at.node->kind != Node::Kind::scalar || at.node->text != "1")
            r.expected(at, "1, the only version of the format there is");
        })
      .required();
  section(o, "system", "The box: its name, memory and CPUs.", system_keys(), &Model::system);
  section(o, "control", "The control socket.", control_keys(), &Model::control);
  section(o, "flows", "The tables of flows, each worker its own.", flows_keys(), &Model::flows);
  auto fold = [&](const char* name, const char* doc, const Object<Model>& keys) {
    const Object<Model>* k = &keys;
    o.own(name, doc, keys.schema(), [k](Reader& r, const At& at, Model& m) { k->read(r, at, m); });
  };
  fold("neighbors", "ARP and IPv6 neighbor discovery.", neighbors_keys());
  section(o, "icmp", "Limits on the ICMP errors that the box sends.", icmp_keys(), &Model::icmp);
  o.own("ports", "The box's ports by name: what carries packets between it and a network.",
        Json{{"type", "object"},
             {"minProperties", 1},
             {"maxProperties", kMaxPorts},
             {"propertyNames", Json{{"pattern", kPortNamePattern}}},
             {"additionalProperties", port_keys().schema()}},
        read_ports)
      .required();
  o.key("routes", "Static routes. The networks of the ports' own addresses are there by themselves.",
        list_of(route_keys().type(), "routes", true), &Model::routes);
  o.own("route-files",
        "Files of many routes, a line each: PREFIX ADDRESS[,ADDRESS], or PREFIX blackhole. Relative to "
        "the folder of this file.",
        list_of(text(1, 4096, "a path"), "file names", true).schema, [](Reader& r, const At& at, Model& m) {
          std::vector<std::string> paths;
          list_of(text(1, 4096, "a path", "", good_path), "file names", true).read(r, at, paths);
          for (std::string& p : paths) m.route_files.push_back({std::move(p)});
        });
  section(o, "filter", "The firewall. When left out, everything is forwarded.", filter_keys(),
          &Model::filter);
  section(o, "shed", "What is dropped before it costs anything, and what the box sheds first under overload.", shed_keys(),
          &Model::shed);
  section(o, "tcp", "TCP of the box's own services.", tcp_keys(), &Model::tcp);
  o.key("services", "What the box itself offers on its own addresses, over TCP.",
        list_of(service_keys().type(), "services", true), &Model::services);
  return o;
}

}  // namespace

const Object<Model>& neighbors_keys() {
  static const Object<Model> keys = make_neighbors_keys();
  return keys;
}

const Object<Model>& root_keys() {
  static const Object<Model> keys = make_root_keys();
  return keys;
}

}  // namespace sluice::config
