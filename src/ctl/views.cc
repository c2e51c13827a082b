#include "ctl/views.h"

#include <ctime>

#include "ctl/fields.h"
#include "ctl/table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string protocol(const json& j) {
  switch (j.get<int>()) {
    case 1:
      return "icmp";
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 47:
      return "gre";
    case 50:
      return "esp";
    case 58:
      return "icmp6";
    case 132:
      return "sctp";
    default:
      return j.dump();
  }
}

std::string status(const json& r) {
  std::string s = text(r, "name") + ": sluice " + text(r, "version") + ", up " +
                  span(number(r, "uptime_seconds")) + ", " + text(r, "config") + ", snapshot " +
                  text(r, "snapshot") + "\n\n";
  Table t({"PORT", "LINK", ">RX", ">TX"});
  for (const json& p : r["ports"])
    t.row({text(p, "name"), text(p, "link"), rate(number(p, "rx_pps"), "pps"),
           rate(number(p, "tx_pps"), "pps")});
  s += t.text() + "\n";
  const json& pool = r["pool"];
  s += "packets    received " + counted(r, "received") + ", transmitted " + counted(r, "transmitted") +
       ", dropped " + counted(r, "dropped") + "\n";
  s += "pool       " + counted(pool, "in_use") + " of " + counted(pool, "size") + " in use" +
       (pool.value("huge_pages", false) ? ", on huge pages" : "") + "\n";
  s += "flows      " + counted(r["flows"], "entries") + " of " + counted(r["flows"], "capacity") + "\n";
  s += "neighbors  " + counted(r["neighbors"], "entries") + " of " + counted(r["neighbors"], "capacity") +
       "\n";
  for (const json& w : r["recent_warnings"]) s += "warning    " + w.get<std::string>() + "\n";
  return s;
}

std::string offloads(const json& port) {
  if (!port.contains("tx_offloads")) return "";
  const json& o = port["tx_offloads"];
  std::string s;
  if (o.value("tcp_checksum", false)) s += ", TCP checksums";
  if (o.value("segments", 1) > 1) s += ", chains";
  if (o.value("tso_segments", 0) > 0) s += ", TCP segmentation";
  return s;
}

std::string ports(const json& r) {
  Table t({"PORT", "DRIVER", "DEVICE", "LINK", "MTU", "MAC", ">RX PKTS", ">RX", ">TX PKTS", ">TX", ">DROPPED",
           ">MISSED"});
  for (const json& p : r)
    t.row({text(p, "name"), text(p, "driver"), text(p, "device"), text(p, "link"), text(p, "mtu"),
           text(p, "mac"), counted(p, "rx_packets"), rate(number(p, "rx_bps"), "bit/s"),
           counted(p, "tx_packets"), rate(number(p, "tx_bps"), "bit/s"), counted(p, "dropped"),
           counted(p, "missed")});
  std::string s = t.text();
  for (const json& p : r)
    s += "\n" + text(p, "name") + ": " + joined(p["addresses"], "no address") + "\n  " + text(p, "mode") +
         " (" + text(p, "reason") + "), " + text(p, "rx_queues") + (text(p, "rx_queues") == "1" ? " queue" : " queues") + offloads(p) + "\n";
  return s;
}

std::string lcores(const json& r) {
  Table t({"CPU", "ENGINES", ">BUSY", ">TURNS", ">PACKETS", ">SLEEPS", ">WAKE P50", ">WAKE P99"});
  auto us = [](double v) { return v < 0 ? std::string("-") : shown(v, "%.1f us"); };
  for (const json& l : r)
    t.row({text(l, "cpu"), text(l, "role"), shown(100 * number(l, "busy_share"), "%.1f %%"),
           counted(l, "turns"), counted(l, "packets"), counted(l, "sleeps"), us(number(l, "wake_p50_us")),
           us(number(l, "wake_p99_us"))});
  return t.text();
}

std::string route_hops(const json& e) {
  if (text(e, "kind") != "forward")
    return text(e, "kind") + (e.contains("port") ? " " + text(e, "port") : "");
  std::string s;
  for (const json& h : e["hops"])
    s += (s.empty() ? "" : ", ") + text(h, "via") + " (" + text(h, "port") + ")";
  return s;
}

std::string routes(const json& r) {
  if (r.contains("to")) {
    if (r["route"].is_null()) return text(r, "to") + ": no route\n";
    const json& e = r["route"];
    return text(r, "to") + ": " + text(e, "prefix") + " → " + route_hops(e) + " [" + text(e, "origin") +
           "]\n";
  }
  Table t({"PREFIX", "NEXT HOP", "ORIGIN"});
  for (const json& e : r["routes"]) t.row({text(e, "prefix"), route_hops(e), text(e, "origin")});
  std::string s = t.text();
  if (r["routes"].size() < r["total"].get<size_t>())
    s += "(" + std::to_string(r["routes"].size()) + " of " + counted(r, "total") + ": --limit shows more)\n";
  return s;
}

std::string neighbors(const json& r) {
  Table t({"PORT", "ADDRESS", "MAC", "STATE"});
  for (const json& n : r["neighbors"])
    t.row({text(n, "port"), text(n, "address"), text(n, "mac"), text(n, "state")});
  return t.empty() ? "no neighbours yet\n" : t.text();
}

std::string rules(const json& r) {
  if (!r["filter"].get<bool>()) return "no filter: everything is forwarded\n";
  Table t({"RULE", "ACTION", "IN", "OUT", "PROTOCOL", "FROM", "PORTS", "TO", "PORTS", ">PACKETS", ">BYTES"});
  for (const json& x : r["rules"]) {
    std::string protocols;
    for (const json& p : x["protocols"]) protocols += (protocols.empty() ? "" : ",") + protocol(p);
    t.row({text(x, "name"), text(x, "action"), joined(x["in"]), joined(x["out"]),
           protocols.empty() ? "any" : protocols, joined(x["from"]), joined(x["from_ports"]), joined(x["to"]),
           joined(x["to_ports"]), counted(x, "packets"), counted(x, "bytes")});
  }
  const json& d = r["default"];
  t.row({"(default)", text(d, "action"), "any", "any", "any", "any", "any", "any", "any",
         counted(d, "packets"), counted(d, "bytes")});
  return t.text();
}

std::string endpoint(const json& f, const char* addr, const char* port) {
  std::string a = text(f, addr), p = text(f, port);
  if (a.find(':') != a.npos) a = "[" + a + "]";
  return p == "0" ? a : a + ":" + p;
}

std::string flows(const json& r) {
  Table t({"PROTO", "SOURCE", "DESTINATION", "IN", "OUT", ">PACKETS", ">BYTES", ">IDLE", "RULE"});
  for (const json& f : r["flows"])
    t.row({protocol(f["proto"]), endpoint(f, "src", "sport"), endpoint(f, "dst", "dport"), text(f, "in"),
           text(f, "out"), counted(f, "packets"), counted(f, "bytes"), span(number(f, "idle_seconds")),
           text(f, "rule") + (f.value("reply", false) ? " (reply)" : "")});
  std::string s = t.empty() ? "no flow matches\n" : t.text();
  return s + "(" + std::to_string(r["flows"].size()) + " shown, " + counted(r, "matched") + " match, " +
         counted(r, "total") + " in all)\n";
}

std::string drops(const json& r) {
  if (r.empty()) return "nothing was dropped\n";
  Table t({"REASON", "SEVERITY", ">PACKETS", "PORTS", "MEANING"});
  for (const json& d : r) {
    std::string by;
    for (const auto& [name, n] : d["ports"].items())
      by += (by.empty() ? "" : ", ") + name + " " + count(n.get<double>());
    t.row({text(d, "reason"), text(d, "severity"), counted(d, "packets"), by, text(d, "text")});
  }
  return t.text();
}

std::string audit(const json& r) {
  Table t({"PORT", ">RECEIVED", ">CREATED", ">FORWARDED", ">CONSUMED", ">DROPPED", ">OPEN"});
  auto add = [&](const json& x) {
    t.row({text(x, "name"), counted(x, "received"), counted(x, "created"), counted(x, "forwarded"),
           counted(x, "consumed"), counted(x, "dropped"), text(x, "open")});
  };
  for (const json& x : r["rows"]) add(x);
  add(r["sum"]);
  const json& pool = r["pool"];
  return t.text() + "transmitted " + counted(r, "transmitted") + ", queued " + counted(r, "queued") +
         ", pool " + counted(pool, "in_use") + " of " + counted(pool, "size") + " in use, " +
         counted(pool, "held_by_ports") + " of them in the ports' rings" +
         (number(pool, "held_by_devices_at_most") > 0 ? ", at most " + counted(pool, "held_by_devices_at_most") + " in devices' descriptors" : "") + "\n" + (r["early"].empty() ? "" : early_laws(r["early"])) + text(r, "verdict") + "\n";
}

std::string events(const json& r) {
  if (r.empty()) return "no events\n";
  Table t({"TIME", "LEVEL", "EVENT"});
  for (const json& e : r) {
    std::time_t s = static_cast<std::time_t>(number(e, "time"));
    char buf[32];
    std::strftime(buf, sizeof buf, "%F %T", std::localtime(&s));
    t.row({buf, text(e, "level"), text(e, "text")});
  }
  return t.text();
}

std::string methods(const json& r) {
  Table t({"METHOD", "WHAT IT DOES"});
  for (const json& m : r) t.row({text(m, "method"), text(m, "help")});
  return t.text();
}

}  // namespace

std::string view(const std::string& method, const json& r) {
  using View = std::string (*)(const json&);
  static const std::pair<const char*, View> table[] = {
      {"status", status},       {"ports", ports},   {"lcores", lcores},   {"routes", routes},
      {"neighbors", neighbors}, {"rules", rules},   {"flows", flows},     {"drops", drops},
      {"audit", audit},         {"events", events}, {"methods", methods}, {"services", services_view},
      {"tcp.list", tcp_list_view}, {"tcp.show", tcp_show_view}, {"tcp.counters", tcp_counters_view},
      {"shed.status", shed_status_view}, {"shed.level", shed_level_view},
      {"block.list", prefix_list_view}, {"allow.list", prefix_list_view},
  };
  for (const auto& [name, f] : table)
    if (method == name) return f(r);
  if (method.starts_with("block.") || method.starts_with("allow.")) return prefix_change_view(method, r);
  if (method == "version")
    return "sluice " + text(r, "version") + ", control protocol " + text(r, "protocol") + ", " +
           text(r, "dpdk") + "\n";
  if (method == "config.get") return text(r, "text");
  if (method == "config.check") return "fine: " + text(r, "summary") + "\n";
  if (method == "config.apply")
    return "applied in " + shown(number(r, "milliseconds"), "%.1f ms") + ", snapshot " + text(r, "snapshot") +
           ": " + text(r, "summary") + "\n";
  if (method == "tcp.close" || method == "tcp.abort")
    return text(r, "id") + (method == "tcp.close" ? ": our side is closed\n" : ": reset\n");
  if (method == "stop") return "sluiced drains and stops\n";
  return r.dump(2) + "\n";
}

}  // namespace sluice::ctl
