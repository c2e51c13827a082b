// shed.status and shed.level.
#include <algorithm>
#include <charconv>

#include "control/commands.h"
#include "control/early.h"
#include "sluice/control.h"

namespace sluice::control {

namespace {

json occupancy(const port::Occupancy& o) {
  return o.size ? json{{"used", o.used}, {"size", o.size}} : json(nullptr);
}

json queue(const engine::ShedQueueView& q) {
  return {{"queue", q.queue},
          {"worker", q.worker},
          {"level", q.level},
          {"sheds", level_text(q.level)},
          {"by", q.held < 0 ? "load" : "hand"},
          {"waiting", occupancy(q.waiting)},
          {"buffers", occupancy(q.buffers)},
          {"handoff", q.handoff}};
}

json frames(const std::vector<port::EarlyCount>& counts) {
  json list = json::array();
  for (const port::EarlyCount& e : counts)
    list.push_back({{"outcome", outcome_name(e.outcome)}, {"class", class_name(e.cls)}, {"frames", e.frames}});
  return list;
}

json law(const port::Stats& s, unsigned waiting) {
  return {{"seen", s.early_seen},
          {"dropped", s.early_dropped},
          {"answered", s.answered},
          {"kernel", s.kernel_passed},
          {"handed_up", s.handed_up},
          {"missed_in_socket", s.missed_in_socket},
          {"waiting", waiting},
          {"missed_by_device", s.missed}};
}

json list_sizes(const shed::PrefixList& l, sluice_action a) {
  return {{"by_command", l.size(shed::Origin::command, a)}, {"by_configuration", l.size(shed::Origin::file, a)}};
}

const std::pair<const char*, uint32_t> kBands[] = {
    {"off", 0}, {"rest", SLUICE_LEVEL_REST}, {"new", SLUICE_LEVEL_NEW}, {"established", SLUICE_LEVEL_MAX}, {"max", SLUICE_LEVEL_MAX}};

// None: by load again.
std::optional<uint32_t> level_in(Params& p) {
  const std::string text = p.word("level");
  if (text == "auto") return std::nullopt;
  for (const auto& [name, level] : kBands)
    if (text == name) return level;
  uint32_t level = SLUICE_LEVEL_MAX + 1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
  if (error != std::errc() || end != text.data() + text.size() || level > SLUICE_LEVEL_MAX)
    p.invalid("level", (text.empty() ? "missing" : "found '" + text.substr(0, 40) + "'") +
                           ", expected " + kShedLevels);
  return level;
}

}  // namespace

json run_shed_status(Context& c, Params& p) {
  const std::string name = p.text("port");
  p.finish();
  std::optional<uint16_t> only;
  if (!name.empty()) only = port_named(c, p, "port", name);
  const auto queues = c.box.shed_queues();
  json ports = json::array();
  for (size_t i = 0; i < c.box.ports().size(); i++) {
    if (only.value_or(i) != i) continue;
    auto& port = *c.box.ports()[i];
    const port::Stats s = port.stats();
    std::vector<port::EarlyCount> counts = s.early_counts;
    json list = json::array();
    for (const auto& q : queues) {
      if (q.port != i) continue;
      list.push_back(queue(q));
      add_counts(counts, q.counts);
    }
    ports.push_back({{"port", port.info().name},
                     {"verdict", s.early ? "XDP program" : "worker"},
                     {"mode", port.info().mode},
                     {"queues", list},
                     {"frames", frames(counts)},
                     {"law", s.early ? law(s, waiting_in(port)) : json(nullptr)}});
  }
  shed::Shed& shed = c.box.shed();
  const auto& lists = shed.lists();
  const double fill = shed.hints().fill();
  const config::Model& m = c.running.model();
  return {{"ports", ports},
          {"governor", m.shed.governor},
          {"hints", {{"fill", fill}, {"false_share", fill * fill}, {"false_seen", c.box.false_hints()}, {"generation", shed.hints().generation()}}},
          {"block", list_sizes(lists, SLUICE_ACTION_BLOCK)},
          {"allow", list_sizes(lists, SLUICE_ACTION_ALLOW)},
          {"bogons", lists.size(shed::Origin::bogon, SLUICE_ACTION_BOGON)},
          {"list_bytes", lists.memory_bytes()},
          {"services_answered", std::min<size_t>(shed_services(m, port_facts(c.box)).size(), SLUICE_MAX_SERVICES)},
          {"cookies", m.shed.syn_cookies && m.shed.syn.per_second > 0}};
}

json run_shed_level(Context& c, Params& p) {
  const auto level = level_in(p);
  const std::string name = p.text("port");
  p.finish();
  std::optional<uint16_t> port;
  if (!name.empty()) port = port_named(c, p, "port", name);
  bool was_held = false;
  for (const auto& q : c.box.shed_queues()) was_held |= q.held >= 0 && (!port || q.port == *port);
  if (!c.box.hold_level(port, level)) throw RpcError{kInternalError, "shed.level: the port is gone"};
  const std::string where = name.empty() ? "all ports" : "port " + name;
  // The end of what was a warning is one, too: status shows warnings alone, and its last word is to be right.
  c.log_event(level ? port::Event{port::Event::Level::warning, "shed level " + std::to_string(*level) + " by hand on " + where + ": " +
                                                                   level_text(*level) + "; 'shed level auto' ends it"}
                    : port::Event{was_held ? port::Event::Level::warning : port::Event::Level::info,
                                  "shed level by load on " + where + (was_held ? ", by hand no longer" : "")});
  return {{"level", level ? json(*level) : json("auto")}, {"port", name.empty() ? json(nullptr) : json(name)},
          {"sheds", level ? level_text(*level) : "by load"}};
}

}  // namespace sluice::control
