#include "control/metrics.h"

#include <algorithm>
#include <cstdio>

#include "control/access_log.h"
#include "control/commands.h"
#include "control/early.h"
#include "control/tcp_counters.h"

namespace sluice::control {
namespace {

// A label's value: backslash, quote and line feed are escaped.
std::string escaped(std::string_view s) {
  std::string out;
  for (char c : s) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

void box(Metrics& m, Context& c, const Audit& a) {
  m.gauge("sluice_info", "Always 1; the labels say what runs.");
  m.sample({{"name", c.running.model().system.name}, {"version", c.version}}, uint64_t{1});
  m.gauge("sluice_uptime_seconds", "Since the start.");
  m.sample({}, unix_now() - c.started_unix);
  m.gauge("sluice_packets", "Size of the packet pool.");
  m.sample({}, a.pool_size);
  m.gauge("sluice_packets_in_use", "Packets of the pool that somebody holds.");
  m.sample({}, a.pool_in_use);
  m.gauge("sluice_neighbors", "Neighbours that are remembered.");
  m.sample({}, uint64_t{c.box.neighbors().size()});
}

void ports(Metrics& m, Context& c, const Audit& a) {
  const struct {
    const char* name;
    const char* help;
    uint64_t PortTotals::* of;
  } totals[] = {{"sluice_port_received_packets_total", "Packets that a port received.", &PortTotals::rx_packets},
                {"sluice_port_received_bytes_total", "Bytes of them.", &PortTotals::rx_bytes},
                {"sluice_port_transmitted_packets_total", "Packets that a port sent.", &PortTotals::tx_packets},
                {"sluice_port_transmitted_bytes_total", "Bytes of them.", &PortTotals::tx_bytes}};
  for (const auto& t : totals) {
    m.counter(t.name, t.help);
    for (size_t i = 0; i < a.totals.size(); i++) m.sample({{"port", a.rows[i].name}}, a.totals[i].*t.of);
  }
  m.gauge("sluice_port_up", "1 while the port has a link.");
  for (const auto& p : c.box.ports()) m.sample({{"port", p->info().name}}, uint64_t{p->link_up()});
  m.counter("sluice_drops_total", "Packets not sent, by reason.");
  for (const AuditRow& row : a.rows)
    for (unsigned r = 0; r < kDropReasons; r++)
      if (row.drops[r])
        m.sample({{"port", row.name}, {"reason", drop_info(static_cast<DropReason>(r)).name}}, row.drops[r]);
}

// Early drop: of the ports' programs, and of the verdict that workers run for ports without one.
void early(Metrics& m, Context& c) {
  const auto queues = c.box.shed_queues();
  const auto& ports = c.box.ports();
  std::vector<port::Stats> stats;
  for (const auto& p : ports) stats.push_back(p->stats());
  for (const auto& q : queues) add_counts(stats[q.port].early_counts, q.counts);
  m.counter("sluice_early_frames_total", "Frames that early drop has judged, by outcome and class.");
  for (size_t i = 0; i < ports.size(); i++)
    for (const port::EarlyCount& e : stats[i].early_counts)
      m.sample({{"port", ports[i]->info().name}, {"outcome", outcome_name(e.outcome)}, {"class", class_name(e.cls)}}, e.frames);
  m.counter("sluice_port_missed_packets_total", "Packets for which the device or its queue had no room.");
  for (size_t i = 0; i < ports.size(); i++) m.sample({{"port", ports[i]->info().name}}, stats[i].missed);
  m.gauge("sluice_shed_level", "Shed level of a queue: 0 nothing, 256 the rest, 512 new flows too, 768 everything but control.");
  for (const auto& q : queues)
    m.sample({{"port", ports[q.port]->info().name}, {"queue", std::to_string(q.queue)}}, uint64_t{q.level});
  m.gauge("sluice_shed_hints_fill_ratio", "Share of the bits set that tell established flows.");
  m.sample({}, c.box.shed().hints().fill());
  m.counter("sluice_shed_hints_false_total", "Packets taken for an established flow's, of which no worker knew.");
  m.sample({}, c.box.false_hints());
  m.gauge("sluice_shed_prefixes", "Prefixes on the block and allow lists.");
  const auto& lists = c.box.shed().lists();
  for (const auto& [list, action] : {std::pair{"block", SLUICE_ACTION_BLOCK}, std::pair{"allow", SLUICE_ACTION_ALLOW}})
    for (const auto& [from, origin] : {std::pair{"command", shed::Origin::command}, std::pair{"configuration", shed::Origin::file}})
      m.sample({{"list", list}, {"from", from}}, uint64_t{lists.size(origin, action)});
}

void lcores(Metrics& m, Context& c) {
  const auto views = c.box.lcores();
  m.gauge("sluice_lcore_busy_ratio", "Share of the last second that an lcore worked.");
  for (const auto& l : views) m.sample({{"cpu", std::to_string(l.cpu)}, {"role", l.role}}, l.busy_share);
  m.counter("sluice_lcore_packets_total", "Packets that an lcore handled.");
  for (const auto& l : views) m.sample({{"cpu", std::to_string(l.cpu)}, {"role", l.role}}, l.packets);
}

void tcp(Metrics& m, Context& c) {
  std::vector<tcp::Stack::Sizes> sizes(c.box.stacks());
  for (unsigned k = 0; k < c.box.stacks(); k++)
    c.box.run_on_stack(k, [&](stack::HostStack& h, apps::Host&) { sizes[k] = h.tcp().stack().sizes(); });
  const struct {
    const char* name;
    const char* help;
    uint32_t tcp::Stack::Sizes::* of;
  } gauges[] = {{"sluice_tcp_connections", "Connections in any state.", &tcp::Stack::Sizes::connections},
                {"sluice_tcp_half_open", "Connections that wait for the handshake's last ACK.", &tcp::Stack::Sizes::half_open},
                {"sluice_tcp_time_wait", "Connections in TIME-WAIT.", &tcp::Stack::Sizes::time_wait}};
  for (const auto& g : gauges) {
    m.gauge(g.name, g.help);
    for (size_t k = 0; k < sizes.size(); k++) m.sample({{"stack", std::to_string(k)}}, uint64_t{sizes[k].*g.of});
  }
  m.gauge("sluice_tcp_syn_cookies", "1 while SYNs are answered with cookies.");
  for (size_t k = 0; k < sizes.size(); k++) m.sample({{"stack", std::to_string(k)}}, uint64_t{sizes[k].cookies});
  for (const TcpCounter& x : tcp_counters(c.box)) {
    m.counter("sluice_tcp_" + std::string(x.name) + "_total", x.text);
    m.sample({}, x.value);
  }
}

void services(Metrics& m, Context& c) {
  using S = apps::ServiceCounters;
  using B = apps::BackendCounters;
  const auto views = c.services.set().views();
  const auto total = [](const auto& engines, auto counter) {
    uint64_t n = 0;
    for (const auto* e : engines) n += (e->*counter).get();
    return n;
  };
  m.gauge("sluice_service_connections", "Connections of a service now.");
  for (const auto& v : views)
    if (!v.draining)
      m.sample({{"service", v.config->name}}, total(v.engines, &S::accepted) - total(v.engines, &S::ended));
  const struct {
    const char* name;
    const char* help;
    Counter S::* of;
  } counters[] = {{"sluice_service_accepted_total", "Connections that a service accepted.", &S::accepted},
                  {"sluice_service_refused_total", "Connections closed at once: the limit of connections.", &S::refused},
                  {"sluice_service_requests_total", "HTTP requests.", &S::requests},
                  {"sluice_service_failures_total", "Connections that ended by a reset or a time-out.", &S::failures},
                  {"sluice_service_received_bytes_total", "Bytes from clients.", &S::bytes_in},
                  {"sluice_service_sent_bytes_total", "Bytes to clients, acknowledged.", &S::bytes_out}};
  for (const auto& x : counters) {
    m.counter(x.name, x.help);
    for (const auto& v : views)
      if (!v.draining) m.sample({{"service", v.config->name}}, total(v.engines, x.of));
  }
  m.gauge("sluice_backend_up", "1 while a backend passes its health checks.");
  for (const auto& v : views)
    for (size_t i = 0; i < v.backends.size() && !v.draining; i++) {
      bool up = false;
      for (const B* b : v.backends[i]) up |= b->up.load(std::memory_order_relaxed);
      m.sample({{"service", v.config->name}, {"backend", to_string(v.config->proxy.backends[i])}}, uint64_t{up});
    }
  m.counter("sluice_backend_connections_total", "Connections made to a backend.");
  for (const auto& v : views)
    for (size_t i = 0; i < v.backends.size() && !v.draining; i++)
      m.sample({{"service", v.config->name}, {"backend", to_string(v.config->proxy.backends[i])}},
               total(v.backends[i], &B::connections));
}

}  // namespace

void Metrics::family(const std::string& name, const char* help, const char* type) {
  name_ = name;
  text_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void Metrics::begin(Labels labels) {
  text_ += name_;
  const char* before = "{";
  for (const auto& [key, value] : labels) {
    text_ += std::string(before) + key + "=\"" + escaped(value) + "\"";
    before = ",";
  }
  text_ += labels.size() ? "} " : " ";
}

void Metrics::sample(Labels labels, uint64_t value) {
  begin(labels);
  text_ += std::to_string(value) + "\n";
}

void Metrics::sample(Labels labels, double value) {
  begin(labels);
  char number[32];
  std::snprintf(number, sizeof number, "%.6g\n", value);
  text_ += number;
}

bool metrics_wanted(const config::Model& m) {
  return std::any_of(m.services.begin(), m.services.end(), [](const config::Service& s) { return s.http.metrics; });
}

std::string metrics_text(Context& c) {
  Metrics m;
  const Audit a = totals(c.box);
  box(m, c, a);
  ports(m, c, a);
  early(m, c);
  lcores(m, c);
  tcp(m, c);
  services(m, c);
  return m.take();
}

}  // namespace sluice::control
