// What the values mean together. Readers have judged each value by itself; nothing here runs into a value
// that they refused (Findings::doubtful), so that one slip is reported once.
#include <algorithm>
#include <bit>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

bool power_of_two(Findings& f, const std::string& path, uint64_t v) {
  if (std::has_single_bit(v)) return true;
  f.add(path, "found " + std::to_string(v) + ", expected a power of two such as " +
                  std::to_string(std::bit_floor(v)) + " or " + std::to_string(std::bit_ceil(v)));
  return false;
}

bool derived_eal(const std::string& a) {
  static const char* const owned[] = {
      "-l",           "-c",        "--lcores",    "--main-lcore",  "-m",
      "--socket-mem", "--no-huge", "--in-memory", "--file-prefix", "-a",
      "--allow",      "-b",        "--block",     "--vdev",        "--no-pci"};
  const std::string name = a.substr(0, a.find('='));
  return std::any_of(std::begin(owned), std::end(owned), [&](const char* o) { return name == o; });
}

void validate_control(const Model& m, Findings& f) {
  if (!m.control.socket.starts_with('/'))
    f.add("control.socket",
          "found '" + m.control.socket + "', expected an absolute path such as /run/sluice/sluice.sock");
  if (!(m.control.mode & 0600))
    f.add("control.mode",
          "the socket's owner must be able to read and write it; expected a mode such as \"0660\"");
}

}  // namespace

Findings::Findings(const Document& doc, std::vector<Mistake>& mistakes) : doc_(doc), mistakes_(mistakes) {
  for (const Mistake& x : mistakes) bad_.push_back(x.path);
}

void Findings::add(const std::string& path, std::string message) {
  if (mistakes_.size() < Reader::kMaxMistakes)
    mistakes_.push_back(doc_.at(doc_.locate(path), path, std::move(message)));
}

void Findings::add(Mistake m) {
  if (mistakes_.size() < Reader::kMaxMistakes) mistakes_.push_back(std::move(m));
}

bool Findings::doubtful(std::string_view path) const {
  auto below = [](std::string_view child, std::string_view parent) {
    return child.starts_with(parent) &&
           (child.size() == parent.size() || child[parent.size()] == '.' || child[parent.size()] == '[');
  };
  return std::any_of(bad_.begin(), bad_.end(),
                     [&](const std::string& b) { return below(b, path) || (!b.empty() && below(path, b)); });
}

void validate_system(const Model& m, Findings& f) {
  const System& s = m.system;
  for (size_t i = 0; i < s.workers.size() && !f.doubtful("system.workers"); i++)
    if (std::find(s.workers.begin(), s.workers.begin() + static_cast<std::ptrdiff_t>(i), s.workers[i]) !=
        s.workers.begin() + static_cast<std::ptrdiff_t>(i))
      f.add("system.workers[" + std::to_string(i) + "]",
            "CPU " + std::to_string(s.workers[i]) + " is named twice; a worker has a CPU of its own");
  for (size_t i = 0; i < s.stacks.size() && !f.doubtful("system.stack"); i++)
    if (std::find(s.stacks.begin(), s.stacks.begin() + static_cast<std::ptrdiff_t>(i), s.stacks[i]) !=
        s.stacks.begin() + static_cast<std::ptrdiff_t>(i))
      f.add("system.stack[" + std::to_string(i) + "]",
            "CPU " + std::to_string(s.stacks[i]) + " is named twice; a stack engine has its share of a CPU once");
  if (s.stacks.size() > kMaxStacks)
    f.add("system.stack", "found " + std::to_string(s.stacks.size()) + " stack engines, expected at most " +
                              std::to_string(kMaxStacks));
  if (s.workers.size() > kMaxWorkers)
    f.add("system.workers", "found " + std::to_string(s.workers.size()) + " workers, expected at most " +
                                std::to_string(kMaxWorkers));
  for (size_t i = 0; i < s.eal.size(); i++)
    if (derived_eal(s.eal[i]))
      f.add("system.eal[" + std::to_string(i) + "]",
            "found '" + s.eal[i] +
                "', which sluice derives from system.workers, system.hugepages and the ports' devices; "
                "remove it");
  // Each receive ring holds packets even when nothing arrives; what is left over must carry the traffic.
  constexpr unsigned kInFlight = 1024;
  uint64_t needed = kInFlight;
  for (const Port& p : m.ports) needed += static_cast<uint64_t>(p.queues) * p.ring_size;
  if (s.packets < needed && !f.doubtful("ports") && !f.doubtful("system.packets"))
    f.add("system.packets", "found " + std::to_string(s.packets) + ", but the ports' rings alone hold " +
                                std::to_string(needed - kInFlight) + " packets; expected at least " +
                                std::to_string(needed));
  for (auto [path, value] : {std::pair{"flows.ip4", m.flows.ip4}, std::pair{"flows.ip6", m.flows.ip6}})
    if (!f.doubtful(path)) power_of_two(f, path, value);
  for (const Port& p : m.ports)
    if (const std::string path = "ports." + p.name + ".ring";
        !std::has_single_bit(p.ring_size) && !f.doubtful(path))
      power_of_two(f, path, p.ring_size);
  validate_control(m, f);
}

void validate_neighbors(const Model& m, Findings& f) {
  for (size_t i = 0; i < m.static_neighbors.size(); i++) {
    const Neighbor& n = m.static_neighbors[i];
    const std::string path = "neighbors.static[" + std::to_string(i) + "]";
    if (f.doubtful(path)) continue;
    auto port = std::find_if(m.ports.begin(), m.ports.end(), [&](const Port& p) { return p.name == n.port; });
    if (port == m.ports.end()) {
      std::vector<std::string> names;
      for (const Port& p : m.ports) names.push_back(p.name);
      f.add(path + ".port",
            "found '" + n.port + "', but there is no such port" + did_you_mean(n.port, names));
      continue;
    }
    const bool link_local = n.addr.family == 6 && n.addr.v6().link_local();
    const auto& a = port->addresses;
    if (std::any_of(a.begin(), a.end(), [&](const Prefix& p) { return p.addr == n.addr; }))
      f.add(path + ".address", "found '" + to_string(n.addr) + "', which is the box's own address");
    else if (!link_local && !f.doubtful("ports") &&
             std::none_of(a.begin(), a.end(), [&](const Prefix& p) { return p.contains(n.addr); }))
      f.add(path + ".address",
            "found '" + to_string(n.addr) + "', which lies in none of the subnets of port '" + n.port + "'");
    for (size_t k = 0; k < i; k++)
      if (m.static_neighbors[k].port == n.port && m.static_neighbors[k].addr == n.addr)
        f.add(path, "the neighbor '" + to_string(n.addr) + "' on port '" + n.port + "' is given twice");
  }
}

void validate(const Model& m, Findings& f) {
  validate_system(m, f);
  validate_ports(m, f);
  validate_routes(m, f);
  validate_neighbors(m, f);
  validate_filter(m, f);
  validate_tcp(m, f);
  validate_services(m, f);
  validate_shed(m, f);
}

}  // namespace sluice::config
