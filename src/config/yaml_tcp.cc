// The keys of tcp.
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

const Object<Tcp>& rto_keys() {
  static const Object<Tcp> keys =
      Object<Tcp>("tcp.rto")
          .key("initial", "Before a round trip was measured (RFC 6298).",
               duration(Duration::millis(100), Duration::seconds(60)), &Tcp::rto_initial, "1s")
          .key("min", "Never less than this.", duration(Duration::millis(10), Duration::seconds(10)),
               &Tcp::rto_min, "200ms")
          .key("max", "Never more, however often it was doubled.",
               duration(Duration::seconds(1), Duration::seconds(600)), &Tcp::rto_max, "60s");
  return keys;
}

const Object<Tcp>& keepalive_keys() {
  static const Object<Tcp> keys =
      Object<Tcp>("tcp.keepalive")
          .key("idle", "Silence after which a connection is probed (RFC 9293 asks for two hours or more).",
               duration(Duration::seconds(1), Duration::seconds(86400)), &Tcp::keepalive_idle, "7200s")
          .key("interval", "Time between two probes.", duration(Duration::seconds(1), Duration::seconds(3600)),
               &Tcp::keepalive_interval, "75s")
          .key("probes", "Unanswered probes that end the connection.", number<unsigned>(1, 127),
               &Tcp::keepalive_probes, 9);
  return keys;
}

const Object<Tcp>& limit_keys() {
  constexpr unsigned kMany = 4u << 20;
  static const Object<Tcp> keys =
      Object<Tcp>("tcp.limits")
          .key("connections",
               "Connections. Above, the oldest in TIME-WAIT gives way, or else a SYN is dropped.",
               number<unsigned>(16, kMany), &Tcp::connections, 65536)
          .key("half-open", "Connections that wait for the handshake's last ACK. Above, SYN cookies alone.",
               number<unsigned>(1, kMany), &Tcp::half_open, 4096)
          .key("cookie-mark", "Half-open connections from which on SYNs are answered with cookies, until there are "
               "half as many. 0: always.",
               number<unsigned>(0, kMany), &Tcp::cookie_mark, 1024)
          .key("time-wait", "Connections in TIME-WAIT. Above, the oldest ends early.",
               number<unsigned>(1, kMany), &Tcp::time_waits, 32768)
          .key("out-of-order",
               "Packets that one connection may hold out of order. Above, the one furthest ahead is dropped.",
               number<unsigned>(1, 4096), &Tcp::out_of_order, 128)
          .key("chunks", "Pieces of data queued to be sent, of all connections. Above, services wait.",
               number<unsigned>(1024, 64u << 20), &Tcp::chunks, 262144)
          .key("records", "Segments sent and not yet acknowledged, of all connections. Above, nothing new is sent.",
               number<unsigned>(1024, 64u << 20), &Tcp::records, 262144)
          .key("packets",
               "Of system.packets, how many TCP and its services may keep, in all. Above, data is dropped, and comes "
               "again. When left out: half.",
               number<unsigned>(64, 16u << 20), &Tcp::packets)
          .key("challenge-acks-per-second", "Challenge ACKs (RFC 5961). Above, silence.",
               number<unsigned>(1, 1'000'000), &Tcp::challenge_acks_per_second, 1000)
          .key("resets-per-second", "Resets sent for closed ports. Above, silence.",
               number<unsigned>(0, 1'000'000), &Tcp::resets_per_second, 1000);
  return keys;
}

// A key that is a map of its own and fills members of Tcp itself.
void fold(Object<Tcp>& o, const char* name, const char* doc, const Object<Tcp>& keys) {
  const Object<Tcp>* k = &keys;
  o.own(name, doc, keys.schema(), [k](Reader& r, const At& at, Tcp& t) { k->read(r, at, t); });
}

void option_keys(Object<Tcp>& o) {
  o.key("congestion-control", "cubic (RFC 9438) or newreno (RFC 5681, 6582).",
        choice<bool>({{"cubic", false}, {"newreno", true}}), &Tcp::newreno, "cubic");
  o.key("ecn", "Explicit congestion notification (RFC 3168). accept: where the peer asks for it. request: asked for by "
        "us, too.",
        choice<Tcp::Ecn>({{"off", Tcp::Ecn::off}, {"accept", Tcp::Ecn::accept}, {"request", Tcp::Ecn::request}}),
        &Tcp::ecn, "accept");
  o.key("sack", "Selective acknowledgments (RFC 2018).", boolean(), &Tcp::sack, true);
  o.key("timestamps", "The timestamps option (RFC 7323).", boolean(), &Tcp::timestamps, true);
  o.key("window-scaling", "Windows above 64 KiB (RFC 7323).", boolean(), &Tcp::window_scaling, true);
  o.key("nagle", "Hold a small segment back while data is unacknowledged (RFC 9293, 3.7.4).", boolean(), &Tcp::nagle,
        true);
  o.key("initial-window", "Segments sent before the first ACK (RFC 6928).", number<unsigned>(1, 64),
        &Tcp::initial_window, 10);
  o.key("hop-limit", "TTL and hop limit of what is sent.", number<unsigned>(1, 255), &Tcp::hop_limit, 64);
}

void time_keys(Object<Tcp>& o) {
  fold(o, "rto", "The retransmission timeout.", rto_keys());
  o.key("syn-retries", "How often our own SYN is sent again before the attempt fails.", number<unsigned>(0, 20),
        &Tcp::syn_retries, 7);
  o.key("syn-ack-retries", "How often a SYN-ACK is sent again.", number<unsigned>(0, 20), &Tcp::syn_ack_retries, 5);
  o.key("give-up", "Data unacknowledged for so long ends the connection (RFC 9293's R2).",
        duration(Duration::seconds(1), Duration::seconds(86400)), &Tcp::give_up, "924s");
  o.key("delayed-ack", "How long an ACK may wait for company (RFC 9293: below 0.5 s).",
        duration(Duration::nanos(0), Duration::millis(499)), &Tcp::delayed_ack, "40ms");
  o.key("time-wait", "How long a closed connection is remembered: two segment lifetimes.",
        duration(Duration::millis(100), Duration::seconds(240)), &Tcp::time_wait, "60s");
  o.key("fin-wait-2", "How long a connection that we have closed waits for the peer's FIN.",
        duration(Duration::seconds(1), Duration::seconds(3600)), &Tcp::fin_wait_2, "60s");
  fold(o, "keepalive", "Probes of silent connections.", keepalive_keys());
}

Object<Tcp> make_tcp_keys() {
  Object<Tcp> o("tcp");
  option_keys(o);
  o.key("receive-buffer", "Bytes that a connection may receive ahead of its service: the largest window offered.",
        byte_size(4096, 1ull << 30), &Tcp::receive_buffer, "256 KiB");
  o.key("send-buffer", "Bytes that a service may queue on a connection, the unacknowledged ones included.",
        byte_size(4096, 1ull << 30), &Tcp::send_buffer, "256 KiB");
  time_keys(o);
  o.key("mtu-probe-floor", "Packet size to fall back to where large ones vanish without a word (RFC 4821); IPv6 never "
        "goes below 1280.",
        number<unsigned>(576, 1500, "bytes"), &Tcp::mtu_probe_floor, 1024);
  fold(o, "limits", "Bounds of each stack engine, and what happens at them.", limit_keys());
  return o;
}

}  // namespace

const Object<Tcp>& tcp_keys() {
  static const Object<Tcp> keys = make_tcp_keys();
  return keys;
}

}  // namespace sluice::config
