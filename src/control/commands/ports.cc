#include "control/commands.h"

namespace sluice::control {

json run_ports(Context& c, Params& p) {
  const std::string only = p.text("port");
  p.finish();
  if (!only.empty()) port_named(c, p, "port", only);
  Audit a = totals(c.box);
  auto snapshot = c.box.snapshot();
  json out = json::array();
  for (size_t i = 0; i < c.box.ports().size(); i++) {
    const port::Info& info = c.box.ports()[i]->info();
    if (!only.empty() && info.name != only) continue;
    port::Stats s = c.box.ports()[i]->stats();
    Rates::Rate r = c.rates.port(i);
    json addresses = json::array();
    const Interface& ifc = snapshot->interfaces->port[i];
    for (const Prefix& x : ifc.addresses) addresses.push_back(to_string(x));
    addresses.push_back(to_string(Prefix{ifc.link_local, 64}));
    json extended = json::object();
    for (const auto& [name, value] : s.extended) extended[name] = value;
    const AuditRow& row = a.rows[i];
    const PortTotals& t = a.totals[i];
    out.push_back({{"name", info.name},
                   {"driver", info.driver},
                   {"device", info.device},
                   {"mode", info.mode},
                   {"reason", info.reason},
                   {"mac", to_string(ifc.mac)},
                   {"mtu", ifc.mtu},
                   {"link", s.link_up ? "up" : "down"},
                   {"link_changes", s.link_changes},
                   {"rx_queues", info.rx_queues},
                   {"tx_queues", info.tx_queues},
                   {"numa_node", info.numa_node},
                   {"symmetric_rss", info.symmetric_rss},
                   {"tx_offloads",
                    {{"tcp_checksum", info.tx.tcp_checksum},
                     {"segments", info.tx.segments},
                     {"tso_segments", info.tx.tso_segments}}},
                   {"addresses", addresses},
                   {"rx_packets", t.rx_packets},
                   {"rx_bytes", t.rx_bytes},
                   {"tx_packets", t.tx_packets},
                   {"tx_bytes", t.tx_bytes},
                   {"rx_pps", r.rx_pps},
                   {"tx_pps", r.tx_pps},
                   {"rx_bps", r.rx_bps},
                   {"tx_bps", r.tx_bps},
                   {"dropped", row.dropped},
                   {"consumed", row.consumed},
                   {"missed", s.missed},
                   {"errors", s.errors},
                   {"no_mbuf", s.no_mbuf},
                   {"kernel_passed", s.kernel_passed},
                   {"tx_errors", s.tx_errors},
                   {"rx_rejected", s.rx_rejected},
                   {"held", s.held},
                   {"extended", extended}});
  }
  return out;
}

}  // namespace sluice::control
