// Views of services and of the box's own TCP connections.
#include "ctl/fields.h"
#include "ctl/views.h"

namespace sluice::ctl {

namespace {

std::string bytes(double n) { return n < 100'000 ? std::to_string(static_cast<uint64_t>(n)) : rate(n, ""); }

std::string milliseconds(double ms) {
  if (ms <= 0) return "-";
  return shown(ms, ms < 10 ? "%.2f ms" : "%.0f ms");
}

std::string one_line(const json& stacks) {
  double connections = 0, most = 0, half_open = 0, time_wait = 0, memory = 0;
  bool cookies = false;
  for (const json& s : stacks) {
    connections += number(s, "connections");
    most += number(s, "most_connections");
    half_open += number(s, "half_open");
    time_wait += number(s, "time_wait");
    memory += number(s, "memory");
    cookies |= s.value("cookies", false);
  }
  return count(connections) + " of " + count(most) + " connections, " + count(half_open) + " half-open, " +
         count(time_wait) + " in TIME-WAIT, " + shown(memory / 1048576, "%.1f MiB") + ", SYN cookies " +
         (cookies ? "on" : "off") + "\n";
}

// "name value, name value": what is "-" stays out.
class Line {
 public:
  explicit Line(const char* title) : text_(title) { text_.resize(13, ' '); }
  Line& add(const std::string& what, const std::string& value) {
    if (value != "-") text_ += (first_ ? "" : ", ") + what + (what.empty() ? "" : " ") + value, first_ = false;
    return *this;
  }
  std::string end() const { return text_ + "\n"; }

 private:
  std::string text_;
  bool first_ = true;
};

std::string flags(const json& r) {
  std::string s;
  for (const auto& [key, word] : {std::pair{"orphan", "left by its service"}, std::pair{"paused", "service paused"},
                                  std::pair{"peer_fin", "peer has finished"}})
    if (r.value(key, false)) s += std::string(", ") + word;
  return s;
}

}  // namespace

std::string services_view(const json& r) {
  if (r.empty()) return "no services: the configuration has none\n";
  Table t({"SERVICE", "KIND", "LISTENS ON", ">CONNS", ">TOTAL", ">REQUESTS", ">IN", ">OUT"});
  Table b({"BACKEND", "OF", "STATE", ">CONNS", ">TOTAL", ">FAILED", ">IN", ">OUT"});
  std::string trouble;
  for (const json& s : r) {
    // What a change has ended shows until its last connection is gone; it listens no more.
    const bool ending = s.value("draining", false);
    t.row({text(s, "name"), text(s, "kind"), ending ? "ending" : joined(s["listen"]), counted(s, "connections"), counted(s, "accepted"),
           text(s, "kind") == "http" ? counted(s, "requests") : "-", rate(number(s, "bytes_in"), "B"),
           rate(number(s, "bytes_out"), "B")});
    for (const json& x : ending ? json::array() : s["backends"])
      b.row({text(x, "address"), text(s, "name"),
             std::string(x.value("up", false) ? "up" : "down") +
                 (x["since_seconds"].is_null() ? "" : " " + span(number(x, "since_seconds"))),
             counted(x, "connections"), counted(x, "total"), counted(x, "failures"), rate(number(x, "bytes_in"), "B"),
             rate(number(x, "bytes_out"), "B")});
    for (const auto& [key, what] :
         {std::pair{"listen_failures", "addresses could not be listened on"}, std::pair{"refused", "connections refused: max-connections"},
          std::pair{"failures", "connections reset or timed out"}, std::pair{"timeouts", "connections ended: idle or slow"},
          std::pair{"overloads", "connections ended: no buffer"}, std::pair{"bad_requests", "requests malformed or too large"}})
      if (number(s, key) > 0) trouble += text(s, "name") + ": " + counted(s, key) + " " + what + "\n";
  }
  return t.text() + (b.empty() ? "" : "\n" + b.text()) + (trouble.empty() ? "" : "\n" + trouble);
}

std::string tcp_list_view(const json& r) {
  Table t({"ID", "STATE", "LOCAL", "REMOTE", "SERVICE", ">RTT", ">QUEUES"});
  for (const json& c : r["connections"])
    t.row({text(c, "id"), text(c, "state"), text(c, "local"), text(c, "remote"), text(c, "service"),
           milliseconds(number(c, "srtt_ms")), bytes(number(c, "send_queue")) + "/" + bytes(number(c, "receive_queue"))});
  std::string s = t.empty() ? "no connection matches\n" : t.text();
  if (!r["cursor"].is_null()) s += "(" + std::to_string(r["connections"].size()) + " shown: --limit shows more)\n";
  return s + one_line(r["stacks"]);
}

std::string tcp_show_view(const json& r) {
  const json &o = r["options"], &tx = r["send"], &rx = r["receive"], &cc = r["congestion"], &rtt = r["rtt"];
  std::string s = text(r, "local") + (r.value("passive", true) ? " <- " : " -> ") + text(r, "remote") + "\n";
  s += text(r, "state") + ", id " + text(r, "id") + ", service " + (text(r, "service").empty() ? "-" : text(r, "service")) +
       ", up " + span(number(r, "age_seconds")) + ", silent for " + span(number(r, "idle_seconds")) + flags(r) + "\n\n";
  std::string agreed;
  for (const auto& [key, word] : {std::pair{"sack", "SACK"}, std::pair{"timestamps", "timestamps"}, std::pair{"ecn", "ECN"}})
    if (o.value(key, false)) agreed += (agreed.empty() ? "" : ", ") + std::string(word);
  s += Line("options").add("", agreed.empty() ? "none" : agreed)
           .add("window scale", text(o, "rcv_wind_shift") + " (peer " + text(o, "snd_wind_shift") + ")")
           .add("peer's MSS", text(o, "snd_mss")).end();
  s += Line("sending").add("snd_una", text(tx, "snd_una")).add("snd_nxt", text(tx, "snd_nxt"))
           .add("peer's window", counted(tx, "snd_wnd")).end();
  s += Line("").add("queued", counted(tx, "queue")).add("in flight", counted(tx, "in_flight")).add("lost", counted(tx, "lost"))
           .add("SACKed", counted(tx, "sacked")).add("retransmissions", counted(tx, "retransmissions")).end();
  s += Line("receiving").add("rcv_nxt", text(rx, "rcv_nxt")).add("our window", counted(rx, "rcv_wnd"))
           .add("packets held", counted(rx, "buffers")).end();
  s += Line("").add("queued", counted(rx, "queue")).add("out of order", counted(rx, "out_of_order"))
           .add("with the service", counted(rx, "with_application")).end();
  s += Line("congestion").add("", text(cc, "control")).add("phase", text(cc, "phase").empty() ? "-" : text(cc, "phase"))
           .add("cwnd", counted(cc, "cwnd")).add("ssthresh", cc["ssthresh"].is_null() ? "not set" : counted(cc, "ssthresh")).end();
  s += Line("path").add("MSS", text(tx, "mss")).add("MTU", text(tx, "path_mtu"))
           .add("RTT", milliseconds(number(rtt, "srtt_ms"))).add("±", milliseconds(number(rtt, "rttvar_ms")))
           .add("least", milliseconds(number(rtt, "min_ms"))).add("RTO", milliseconds(number(rtt, "rto_ms"))).end();
  s += Line("timer").add("", r["timer"].is_null() ? "none" : text(r["timer"], "name") + " in " +
                                 milliseconds(number(r["timer"], "in_ms"))).end();
  return s;
}

std::string tcp_counters_view(const json& r) {
  if (r.empty()) return "nothing was counted yet\n";
  Table t({"COUNTER", ">VALUE", "MEANING"});
  for (const json& c : r) t.row({text(c, "name"), counted(c, "value"), text(c, "text")});
  return t.text();
}

}  // namespace sluice::ctl
