// The shed section in the words of src/shed.
#include <algorithm>

#include "control/shed.h"

namespace sluice::control {
namespace {

static_assert(config::kMaxShedRules <= SLUICE_MAX_CLASS_RULES && config::kShedClasses == SLUICE_CLASSES);
static_assert(config::kMaxShedPrefixes <= shed::PrefixList::kMost);

sluice_class shed_class(config::ShedClass c) {
  switch (c) {
    case config::ShedClass::control: return SLUICE_CLASS_CONTROL;
    case config::ShedClass::established: return SLUICE_CLASS_ESTABLISHED;
    case config::ShedClass::fresh: return SLUICE_CLASS_NEW;
    case config::ShedClass::rest: return SLUICE_CLASS_REST;
  }
  return SLUICE_CLASS_REST;
}

shed::Policy::Bogons bogons(config::Shed::Bogons b) {
  switch (b) {
    case config::Shed::Bogons::no: return shed::Policy::Bogons::no;
    case config::Shed::Bogons::martian: return shed::Policy::Bogons::martian;
    case config::Shed::Bogons::full: return shed::Policy::Bogons::full;
  }
  return shed::Policy::Bogons::no;
}

shed::Rate rate(const config::ShedRate& r) { return {r.per_second, r.burst}; }

void add_list(std::vector<shed::ListEntry>& out, const config::ShedList& list, sluice_action action) {
  for (const config::ShedListItem& i : list.items)
    if (i.file.empty()) out.push_back({i.prefix, action});
  for (const Prefix& p : list.from_files) out.push_back({p, action});
}

// A rule for each combination of its lists; one that is empty matches all.
void add_rules(std::vector<shed::ClassRule>& out, const config::ShedClassRule& from) {
  std::vector<std::optional<Prefix>> prefixes(from.prefixes.begin(), from.prefixes.end());
  std::vector<uint8_t> protocols = from.protocols;
  std::vector<std::optional<shed::PortRange>> ports;
  for (const config::PortSpan& s : from.ports) ports.push_back(shed::PortRange{0, s.low, s.high});
  if (prefixes.empty()) prefixes.emplace_back();
  if (protocols.empty()) protocols.push_back(0);
  if (ports.empty()) ports.emplace_back();
  for (const auto& prefix : prefixes)
    for (const uint8_t proto : protocols)
      for (const auto& range : ports)
        out.push_back({shed_class(from.cls), prefix, proto, range, from.dscp ? from.dscp : UINT64_MAX});
}

uint8_t scale_for(uint64_t buffer) {  // as the TCP stack announces it
  uint8_t shift = 0;
  while (shift < 14 && uint64_t{UINT16_MAX} << shift < buffer) shift++;
  return shift;
}

// Such a box sees both directions of what it is asked, or it could not work: so a question has passed it before its answer
// comes, and no answer is taken for unasked. A router without sessions may see answers alone.
bool keeps_udp_sessions(const config::Filter& f) {
  return std::any_of(f.rules.begin(), f.rules.end(), [](const config::Rule& r) {
    return r.action == config::Action::permit && r.stateful &&
           (r.protocols.empty() || std::find(r.protocols.begin(), r.protocols.end(), 17) != r.protocols.end());
  });
}

}  // namespace

shed::Policy shed_policy(const config::Model& m) {
  const config::Shed& s = m.shed;
  shed::Policy p;
  p.governor = s.governor;
  p.check_frames = s.malformed;
  p.tcp_flags = s.tcp_flags;
  p.bogons = bogons(s.bogons);
  p.block_protocols = s.block_protocols;
  for (const config::ShedPorts& x : s.block_ports) p.block_ports.push_back({x.proto, x.span.low, x.span.high});
  p.amplifiers = s.amplification;
  if (s.amplification_known && keeps_udp_sessions(m.filter)) p.amplifiers.insert(p.amplifiers.end(), {53, 123});
  p.icmp = rate(s.icmp);
  p.icmp_max = s.icmp_size;
  p.source = rate(s.source);
  p.source_bits4 = s.source.length4;
  p.source_bits6 = s.source.length6;
  p.destination = rate(s.destination);
  p.destination_bits4 = s.destination.length4;
  p.destination_bits6 = s.destination.length6;
  for (const config::ShedClass c : {config::ShedClass::control, config::ShedClass::established, config::ShedClass::fresh, config::ShedClass::rest})
    p.class_rate[shed_class(c)] = rate(s.classes_rate[static_cast<unsigned>(c)]);
  p.syn = rate(s.syn);
  p.syn_always = s.syn_always;
  p.syn_cookies = s.syn_cookies;
  for (const config::ShedClassRule& r : s.classes) add_rules(p.classes, r);
  add_list(p.lists, s.block, SLUICE_ACTION_BLOCK);
  add_list(p.lists, s.allow, SLUICE_ACTION_ALLOW);
  return p;
}

std::vector<shed::Service> shed_services(const config::Model& m, const std::vector<PortFacts>& facts) {
  std::vector<shed::Service> out;
  for (const config::Service& s : m.services)
    for (size_t i = 0; i < m.ports.size(); i++)
      for (const Prefix& own : m.ports[i].addresses) {
        if (!s.addresses.empty() && std::find(s.addresses.begin(), s.addresses.end(), own.addr) == s.addresses.end()) continue;
        const bool taken = std::any_of(out.begin(), out.end(), [&](const shed::Service& o) { return o.addr == own.addr && o.port == s.port; });
        if (taken) continue;
        shed::Service to;
        to.addr = own.addr;
        to.port = s.port;
        to.mss = static_cast<uint16_t>(facts[i].mtu - (own.addr.family == 4 ? 40 : 60));
        to.hop_limit = static_cast<uint8_t>(m.tcp.hop_limit);
        to.window_scale = scale_for(s.receive_buffer ? s.receive_buffer : m.tcp.receive_buffer);
        to.sack = m.tcp.sack;
        to.timestamps = m.tcp.timestamps;
        to.scale = m.tcp.window_scaling;
        to.ecn = m.tcp.ecn != config::Tcp::Ecn::off;
        out.push_back(to);
      }
  return out;
}

}  // namespace sluice::control
