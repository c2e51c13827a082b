// The configuration as values: what a YAML file says after it was parsed and validated. No YAML types, no
// strings that still need parsing. Every field has its default here; config/yaml fills it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.h"
#include "wire/addr.h"

namespace sluice::config {

struct Match {  // kernel: and exception: entries
  std::optional<Prefix> prefix;
  uint8_t proto = 0;  // 0: any
  uint16_t port = 0;  // 0: any
  bool operator==(const Match&) const = default;
};

struct Fault {
  double loss = 0, duplicate = 0, reorder = 0, corrupt = 0;
  Duration delay{}, jitter{};
  uint64_t seed = 1;
  bool operator==(const Fault&) const = default;
};

struct Generator {
  uint64_t flows = 1;
  bool random = false;
  unsigned size = 60;  // 0: IMIX
  unsigned burst = 32;
  uint64_t packets = 0;
  uint8_t proto = 17;
  std::optional<Prefix> sources, destinations;
  uint64_t seed = 1;
  bool operator==(const Generator&) const = default;
};

enum class Driver : uint8_t { automatic, af_xdp, dpdk, pcap, generator, null };
enum class XdpMode : uint8_t { automatic, zero_copy, native, generic };
enum class Checksum : uint8_t { automatic, trust, repair, refuse };

struct Port {
  std::string name;
  Driver driver = Driver::automatic;
  std::string device;
  unsigned queues = 1;
  std::optional<uint16_t> mtu;  // none: the device's own
  std::optional<Mac> mac;
  std::vector<Prefix> addresses;
  std::optional<Ip6> link_local;
  bool reverse_path_strict = false;
  Checksum checksum = Checksum::automatic;
  XdpMode xdp_mode = XdpMode::automatic;
  bool busy_poll = false;
  bool take_default_route = false;
  unsigned ring_size = 2048;
  std::vector<Match> kernel;  // empty: none
  std::vector<Match> exception;
  bool dispatcher = false;  // beside other XDP programs
  std::string capture, pcap_out;
  Fault fault;
  Generator generator;
};

struct Via {
  IpAddr addr;       // none: on-link through `port`
  std::string port;  // empty: found by the connected prefix that holds addr
};

struct Route {
  Prefix to;  // masked
  enum class Kind : uint8_t { via, blackhole, unreachable } kind = Kind::via;
  std::vector<Via> via;  // several: ECMP
};

struct RouteFile {   // "PREFIX ADDRESS[,ADDRESS…]" or "PREFIX blackhole", a line each, # comments
  std::string path;  // load_file() makes it relative to the configuration's folder
};

struct Neighbor {
  std::string port;
  IpAddr addr;
  Mac mac;
};

enum class Action : uint8_t { permit, deny, reject };

struct PortSpan {
  uint16_t low = 0, high = 65535;
  bool operator==(const PortSpan&) const = default;
};

struct Rule {
  std::string name;
  Action action = Action::deny;
  std::vector<std::string> in, out;  // port names
  std::vector<Prefix> from, to;      // sets already filled in
  std::vector<uint8_t> protocols;    // `icmp` is both 1 and 58, each for its own family
  std::vector<PortSpan> from_ports, to_ports;
  std::vector<uint16_t> icmp;          // type << 8 | code, code 0xff: any; either family
  std::vector<uint16_t> icmp4, icmp6;  // the same, of ICMP and of ICMPv6 alone (what names become)
  bool stateful = true;
};

struct Filter {
  bool present = false;
  Action default_action = Action::deny;
  bool stateful = true;  // default of the rules
  bool drop_tiny_fragments = true;
  std::vector<Rule> rules;
};

struct Icmp {
  unsigned errors_per_second = 1000, errors_burst = 250;
  unsigned per_source_per_second = 10, per_source_burst = 20;
};

struct Neighbors {  // RFC 4861 section 10
  Duration reachable = Duration::seconds(30), retrans = Duration::seconds(1),
           delay_first_probe = Duration::seconds(5), gc_stale = Duration::seconds(600);
  unsigned max_entries = 65536, queue_packets = 16;
};

struct Flows {
  unsigned ip4 = 1u << 18, ip6 = 1u << 16;  // per worker, entries (two a session)
  Duration idle_tcp = Duration::seconds(7440), idle_tcp_closing = Duration::seconds(120),
           idle_udp = Duration::seconds(180), idle_other = Duration::seconds(60);
};

enum class HugePages : uint8_t { automatic, off, required };

struct System {
  std::string name = "sluice";
  HugePages huge_pages = HugePages::automatic;
  unsigned packets = 16384;       // packet pool, 4 KiB each
  std::vector<unsigned> workers;  // CPUs; empty: the last allowed CPU
  std::vector<unsigned> stacks;   // CPUs, a stack engine each; empty: one, with the first worker
  bool idle_busy = false;
  std::vector<std::string> eal;  // extra EAL arguments
  uint64_t memory_limit = 0;     // bytes; 0: what the machine has
  unsigned reassembly_seconds = 15;
};

struct Control {
  std::string socket = "/run/sluice/sluice.sock";
  unsigned mode = 0660;
  std::string owner, group;  // empty: the process's
};

// How the box's own TCP behaves (tcp/config.h says what happens at each limit). Limits are of each stack engine.
struct Tcp {
  bool newreno = false;  // else CUBIC
  enum class Ecn : uint8_t { off, accept, request } ecn = Ecn::accept;
  bool sack = true, timestamps = true, window_scaling = true, nagle = true;
  unsigned initial_window = 10, hop_limit = 64;
  uint64_t receive_buffer = 256 * 1024, send_buffer = 256 * 1024;  // bytes
  unsigned syn_retries = 7, syn_ack_retries = 5;
  Duration rto_initial = Duration::seconds(1), rto_min = Duration::millis(200), rto_max = Duration::seconds(60);
  Duration give_up = Duration::seconds(924), delayed_ack = Duration::millis(40);
  Duration time_wait = Duration::seconds(60), fin_wait_2 = Duration::seconds(60);
  Duration keepalive_idle = Duration::seconds(7200), keepalive_interval = Duration::seconds(75);
  unsigned keepalive_probes = 9;
  unsigned mtu_probe_floor = 1024;
  unsigned connections = 65536, half_open = 4096, cookie_mark = 1024, time_waits = 32768, out_of_order = 128;
  unsigned chunks = 1u << 18, records = 1u << 18;
  unsigned packets = 0;  // buffers that TCP and services may keep, in all; 0: half of system.packets
  unsigned challenge_acks_per_second = 1000, resets_per_second = 1000;
};

// echo, discard and chargen.
struct SimpleService {
  Duration idle_timeout = Duration::seconds(600);
  bool udp = false;  // datagrams, too
  bool operator==(const SimpleService&) const = default;
};

struct HttpService {
  std::optional<std::string> body;  // answered to every path that nothing else answers
  std::string content_type = "text/plain; charset=utf-8";  // of body
  std::string files;                // a folder; load_file() makes it relative to the configuration's
  uint64_t max_files = 256ull << 20;      // bytes of them all
  bool metrics = false, healthz = false;  // /metrics, /healthz
  uint64_t max_head = 8192, max_body = 1u << 20;  // bytes of a request
  Duration keep_alive_timeout = Duration::seconds(60), request_timeout = Duration::seconds(10),
           send_timeout = Duration::seconds(30);
  bool operator==(const HttpService&) const = default;
};

struct Backend {
  IpAddr address;
  uint16_t port = 0;
  bool operator==(const Backend&) const = default;
};

struct HealthCheck {
  enum class Kind : uint8_t { none, tcp, http } kind = Kind::none;
  std::string path, host;  // http; no host: the backend's address
  Duration interval = Duration::seconds(2), timeout = Duration::seconds(1);
  unsigned rise = 2, fall = 3;                   // checks in a row that change a backend's state
  uint16_t expect_low = 200, expect_high = 399;  // status codes that count as healthy
  bool operator==(const HealthCheck&) const = default;
};

struct ProxyService {
  std::vector<Backend> backends;
  bool least_connections = false;  // else round robin
  HealthCheck health;
  bool send_proxy_v2 = false;       // a PROXY protocol version 2 header opens each connection to a backend
  bool reset_without_backend = true;  // else an orderly close
  unsigned attempts = 3;
  Duration connect_timeout = Duration::seconds(3), idle_timeout = Duration::seconds(300);
  bool operator==(const ProxyService&) const = default;
};

inline constexpr unsigned kMaxServices = 64, kMaxBackends = 64;  // of the box; of a proxy

enum class ServiceKind : uint8_t { none, echo, discard, chargen, http, proxy };
const char* to_string(ServiceKind k);

struct Service {
  std::string name;
  ServiceKind kind = ServiceKind::none;
  std::vector<IpAddr> addresses;  // own ones; empty: any own address
  uint16_t port = 0;
  unsigned max_connections = 16384;              // at a time, of each stack engine
  uint64_t receive_buffer = 0, send_buffer = 0;  // bytes; 0: tcp's
  bool access_log = false;
  SimpleService simple;  // of kinds echo, discard, chargen
  HttpService http;      // of kind http
  ProxyService proxy;    // of kind proxy
  bool operator==(const Service&) const = default;
};

// What is dropped in front of the dataplane. Rates are frames a second; per_second 0: no limit.
struct ShedRate {
  uint64_t per_second = 0, burst = 0;  // burst 0: a tenth of a second's
  bool operator==(const ShedRate&) const = default;
};

struct ShedPrefixRate : ShedRate {  // of each prefix of that length
  uint8_t length4 = 32, length6 = 64;
  bool operator==(const ShedPrefixRate&) const = default;
};

enum class ShedClass : uint8_t { control, established, fresh, rest };  // as in the file: new
inline constexpr unsigned kShedClasses = 4;

struct ShedPorts {
  uint8_t proto = 17;
  PortSpan span;
  bool operator==(const ShedPorts&) const = default;
};

struct ShedClassRule {             // matches where each list that is not empty has a match
  ShedClass cls = ShedClass::rest;
  std::vector<Prefix> prefixes;    // either end
  std::vector<uint8_t> protocols;
  std::vector<PortSpan> ports;     // either end
  uint64_t dscp = 0;               // a bit each; 0: any
  bool operator==(const ShedClassRule&) const = default;
};

struct ShedListItem {
  Prefix prefix;
  std::string file;  // not empty: a file of prefixes; load_file() makes it relative to the configuration's folder
  bool operator==(const ShedListItem&) const = default;
};

struct ShedList {
  std::vector<ShedListItem> items;
  std::vector<Prefix> from_files;  // filled in by load_file()
  bool operator==(const ShedList&) const = default;
};

inline constexpr unsigned kMaxShedRules = 64;       // class rules, multiplied out
inline constexpr size_t kMaxShedPrefixes = 2'000'000;  // of both lists

struct Shed {
  bool governor = true;
  ShedList block, allow;
  enum class Bogons : uint8_t { no, martian, full } bogons = Bogons::no;
  bool malformed = false, tcp_flags = false;
  std::vector<uint8_t> block_protocols;
  std::vector<ShedPorts> block_ports;    // destinations
  std::vector<uint16_t> amplification;   // UDP source ports
  bool amplification_known = false;      // they are the well-known ones
  ShedRate icmp;
  uint32_t icmp_size = 0;                // bytes of IP; 0: any
  ShedPrefixRate source{{}, 32, 64}, destination{{}, 32, 128};
  ShedRate classes_rate[kShedClasses] = {{20000, 2000}, {}, {}, {}};  // of a port, by ShedClass
  ShedRate syn{10000, 10000};
  bool syn_always = false, syn_cookies = true;
  std::vector<ShedClassRule> classes;
  bool operator==(const Shed&) const = default;
};

struct Model {
  unsigned version = 1;
  System system;
  Control control;
  Flows flows;
  Neighbors neighbors;
  Icmp icmp;
  std::vector<Port> ports;
  std::vector<Route> routes;
  std::vector<RouteFile> route_files;
  std::vector<Neighbor> static_neighbors;
  Filter filter;
  Tcp tcp;
  std::vector<Service> services;
  Shed shed;
};

}  // namespace sluice::config
