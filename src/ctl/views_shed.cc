// Views of early drop: the block and allow lists, what is shed.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "ctl/fields.h"
#include "ctl/views.h"

namespace sluice::ctl {

namespace {

std::string ends(const json& e) {
  return e["ends_in_seconds"].is_null() ? "-" : span(number(e, "ends_in_seconds"));
}

std::string filled(const json& o) {
  return o.is_null() ? "-" : shown(100 * number(o, "used") / number(o, "size"), "%.0f %%");
}

std::string queues(const json& ports) {
  Table t({"PORT", ">QUEUE", "VERDICT", ">LEVEL", "SET BY", ">WAITING", ">BUFFERS", "SHEDS"});
  for (const json& p : ports)
    for (const json& q : p["queues"])
      t.row({text(p, "port"), text(q, "queue"), text(p, "verdict"), text(q, "level"), text(q, "by"), filled(q["waiting"]),
             filled(q["buffers"]), text(q, "sheds")});
  return t.text();
}

// A line for each outcome that happened, classes side by side.
std::string frames(const json& ports) {
  static const char* const classes[] = {"control", "established", "new", "rest"};
  Table t({"PORT", "FRAMES", ">CONTROL", ">ESTABLISHED", ">NEW", ">REST"});
  for (const json& p : ports) {
    std::vector<std::pair<std::string, std::map<std::string, double>>> rows;
    for (const json& f : p["frames"]) {
      const std::string outcome = text(f, "outcome");
      auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.first == outcome; });
      if (row == rows.end()) row = rows.insert(rows.end(), {outcome, {}});
      row->second[text(f, "class")] += number(f, "frames");
    }
    for (auto& [outcome, by_class] : rows) {
      std::vector<std::string> cells{text(p, "port"), outcome};
      for (const char* c : classes) cells.push_back(by_class.contains(c) ? count(by_class[c]) : "-");
      t.row(std::move(cells));
    }
  }
  return t.empty() ? "" : "\n" + t.text();
}

std::string list_line(const json& r, const char* name) {
  const json& l = r[name];
  return count(number(l, "by_command")) + " by command, " + count(number(l, "by_configuration")) + " by the configuration";
}

std::string one(const json& e) {
  return text(e, "action") + " " + text(e, "prefix") + " (" + text(e, "from") +
         (e["ends_in_seconds"].is_null() ? "" : ", for " + ends(e)) + ")";
}

std::string done(const json& e) {
  const std::string action = text(e, "action");
  return action == "block" ? "blocked" : action == "allow" ? "allowed" : "a " + action;
}

// " for 1h 30m", as it was said; what is left of it is rounded up to seconds.
std::string lasting(const json& e) {
  if (e["ends_in_seconds"].is_null()) return " until removed";
  auto left = static_cast<uint64_t>(std::ceil(number(e, "ends_in_seconds")));
  std::string s = " for";
  for (const auto& [unit, seconds] : {std::pair{"d", 86400u}, {"h", 3600u}, {"m", 60u}, {"s", 1u}}) {
    if (left >= seconds) s += " " + std::to_string(left / seconds) + unit;
    left %= seconds;
  }
  return s;
}

std::string instead_of(const json& now, const json& before) {
  if (before.is_null()) return "";
  const std::string from = text(before, "from");
  if (from != "command") return ", instead of " + done(before) + (from == "configuration" ? " (by the configuration)" : "");
  if (text(before, "action") != text(now, "action")) return ", instead of " + done(before) + lasting(before);
  return lasting(before) == lasting(now) ? ", as before" : ", instead of" + lasting(before);
}

}  // namespace

std::string early_laws(const json& rows) {
  Table t({"EARLY DROP", ">SEEN", ">DROPPED", ">ANSWERED", ">KERNEL", ">UP", ">ARRIVED", ">MISSED"});
  for (const json& e : rows)
    t.row({text(e, "port"), counted(e, "seen"), counted(e, "dropped"), counted(e, "answered"), counted(e, "kernel"),
           counted(e, "handed_up"), count(number(e, "received") + number(e, "waiting")), counted(e, "missed_in_socket")});
  std::string s = t.text();
  for (const json& e : rows)
    if (number(e, "missed_by_device") > 0)
      s += text(e, "port") + ": " + counted(e, "missed_by_device") + " more were dropped by the device, before the program\n";
  return s;
}

std::string shed_status_view(const json& r) {
  // Waiting: of the receive ring. Buffers: of the fill ring.
  std::string s = queues(r["ports"]) + frames(r["ports"]) + "\n";
  s += std::string("governor   ") + (r.value("governor", false) ? "on: sheds by load" : "off: sheds only by hand") + "\n";
  s += "block      " + list_line(r, "block") + (number(r, "bogons") > 0 ? ", " + counted(r, "bogons") + " bogons" : "") + "\n";
  s += "allow      " + list_line(r, "allow") + "\n";
  const json& h = r["hints"];
  s += "hints      " + shown(100 * number(h, "fill"), "%.2f %%") + " full; others taken for established: " +
       shown(100 * number(h, "false_share"), "%.4f %%") + ", seen " + counted(h, "false_seen") + "\n";
  s += "services   " + (r.value("cookies", false) ? counted(r, "services_answered") + " addresses and ports, answered by SYN cookies under flood"
                                                  : std::string("not answered in front of the box")) + "\n";
  return s;
}

std::string prefix_list_view(const json& r) {
  if (r["entries"].empty()) return "no entries\n";
  Table t({"PREFIX", "FROM", ">ENDS IN"});
  for (const json& e : r["entries"]) t.row({text(e, "prefix"), text(e, "from"), ends(e)});
  std::string s = t.text();
  if (!r["cursor"].is_null())
    s += "(" + std::to_string(r["entries"].size()) + " of " + counted(r, "total") + ": --limit shows more, --cursor " + text(r, "cursor") +
         " goes on)\n";
  return s;
}

std::string prefix_change_view(const std::string& method, const json& r) {
  const std::string past = method.starts_with("block") ? "blocked" : "allowed", verb = method.substr(method.find('.') + 1);
  if (verb == "add")
    return text(r, "prefix") + ": " + done(r) + lasting(r) + instead_of(r, r["instead_of"]) + "\n";
  if (verb == "remove") return text(r, "prefix") + ": no longer " + past + " by command\n";
  if (verb == "load")
    return counted(r, "loaded") + (number(r, "loaded") == 1 ? " prefix " : " prefixes ") + past + " in " + shown(number(r, "milliseconds"), "%.0f ms") + "; by command there are " +
           counted(r, "by_command") + "\n";
  if (verb == "clear")
    return counted(r, "removed") + " removed" +
           (number(r, "by_configuration") > 0 ? "; " + counted(r, "by_configuration") + " of the configuration stay" : "") + "\n";
  if (r["decides"].is_null()) return text(r, "address") + ": on no list\n";
  return text(r, "address") + ": " + one(r["decides"]) + "\n";
}

std::string shed_level_view(const json& r) {
  const std::string where = r["port"].is_null() ? "all ports" : text(r, "port");
  if (text(r, "level") == "auto") return where + ": by load\n";
  return where + ": level " + text(r, "level") + " by hand, which sheds " + text(r, "sheds") + "; 'shed level auto' ends it\n";
}

}  // namespace sluice::ctl
