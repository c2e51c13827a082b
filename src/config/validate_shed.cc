// The shed section against itself and against the ports, and the files of prefixes that it names.
#include <algorithm>
#include <filesystem>
#include <map>

#include "config/prefix_file.h"
#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

std::string at(const char* list, size_t i) { return std::string("shed.") + list + "[" + std::to_string(i) + "]"; }

void check_twice(const ShedList& list, const char* name, Findings& f, std::map<Prefix, size_t>& first) {
  std::map<std::string, size_t> files;
  for (size_t i = 0; i < list.items.size(); i++) {
    const ShedListItem& item = list.items[i];
    if (!item.file.empty()) {
      if (!files.emplace(item.file, i).second) f.add(at(name, i) + ".file", "the file '" + item.file + "' is named twice");
      continue;
    }
    if (item.prefix.addr.none()) continue;  // refused by its reader
    auto [it, fresh] = first.emplace(item.prefix, i);
    if (!fresh) f.add(at(name, i), "the prefix '" + to_string(item.prefix) + "' is given twice; it is already " + at(name, it->second));
  }
}

void check_lists(const Shed& s, Findings& f) {
  std::map<Prefix, size_t> block, allow;
  check_twice(s.block, "block", f, block);
  check_twice(s.allow, "allow", f, allow);
  for (const auto& [prefix, i] : allow)
    if (auto it = block.find(prefix); it != block.end())
      f.add(at("allow", i), "the prefix '" + to_string(prefix) + "' is blocked, too (" + at("block", it->second) +
                                "); expected it on one of the lists, or a longer prefix on this one");
}

// RFC 6890 and 8190: what `full` drops beyond what no address of a port may be anyway.
const Prefix* bogon_over(const Prefix& subnet) {
  static const std::vector<Prefix> all = [] {
    std::vector<Prefix> v;
    for (const char* p : {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "192.0.2.0/24", "198.51.100.0/24",
                          "203.0.113.0/24", "198.18.0.0/15", "fc00::/7", "2001:db8::/32"})
      v.push_back(*parse_prefix(p));
    return v;
  }();
  for (const Prefix& p : all)
    if (p.contains(subnet.addr)) return &p;
  return nullptr;
}

// Hosts on the box's own subnets would be cut off; an allow entry says that they are meant to pass.
void check_bogons(const Model& m, Findings& f) {
  if (m.shed.bogons != Shed::Bogons::full || f.doubtful("shed.allow") || f.doubtful("ports")) return;
  for (const Port& p : m.ports)
    for (size_t i = 0; i < p.addresses.size(); i++) {
      const Prefix& a = p.addresses[i];
      const Prefix* bogon = bogon_over(a);
      const auto& allowed = m.shed.allow.items;
      if (!bogon || std::any_of(allowed.begin(), allowed.end(), [&](const ShedListItem& x) {
            return !x.file.empty() || (x.prefix.len >= bogon->len && x.prefix.contains(a.addr));
          }))
        continue;
      f.add("shed.bogons", "found 'full', which drops the hosts of '" + to_string(a.masked()) + "' on port '" + p.name + "' (" +
                               to_string(*bogon) + "); expected martian, or that prefix in shed.allow");
      return;
    }
}

void check_protocols(const Model& m, Findings& f) {
  const auto& list = m.shed.block_protocols;
  if (std::find(list.begin(), list.end(), 58) == list.end()) return;
  for (const Port& p : m.ports)
    for (const Prefix& a : p.addresses)
      if (a.addr.family == 6) {
        f.add("shed.block-protocols", "icmp6 carries neighbor discovery, without which IPv6 does not work on port '" + p.name +
                                          "'; expected icmp4 alone, or a limit by shed.icmp");
        return;
      }
}

bool can_have_ports(uint8_t proto) { return proto == 6 || proto == 17; }

void check_classes(const Shed& s, Findings& f) {
  uint64_t rules = 0;
  for (size_t i = 0; i < s.classes.size(); i++) {
    const ShedClassRule& c = s.classes[i];
    const std::string path = at("classes", i);
    if (f.doubtful(path)) continue;
    const bool all = c.prefixes.empty() && c.protocols.empty() && c.ports.empty() && !c.dscp;
    if (all && i + 1 < s.classes.size())
      f.add(path, "it matches every packet, so that the classes behind it never match; expected prefixes, protocol, ports or dscp");
    if (!c.ports.empty() && !std::all_of(c.protocols.begin(), c.protocols.end(), can_have_ports))
      f.add(path + ".ports", "ports need 'protocol: tcp', udp, or neither key");
    auto some = [](size_t n) { return static_cast<uint64_t>(std::max<size_t>(n, 1)); };
    const uint64_t before = rules;
    rules += some(c.prefixes.size()) * some(c.protocols.size()) * some(c.ports.size());
    if (before <= kMaxShedRules && rules > kMaxShedRules)
      f.add(path, "up to here the classes are " + std::to_string(rules) +
                      " rules (prefixes times protocols times ports of each); expected at most " + std::to_string(kMaxShedRules));
  }
}

// ---- files

struct Named {  // where a prefix of a list comes from
  const char* list;
  size_t item;
  std::string file;
  unsigned line;
};

std::string place(const Named& n) {
  return n.file.empty() ? at(n.list, n.item) : n.file + ":" + std::to_string(n.line);
}

using Places = std::map<Prefix, Named>;

// Reads the files of one list. `other`: the prefixes of the other one by where they are given.
void read_list(ShedList& list, const char* name, const std::filesystem::path& folder, const Places& other,
               Places* places, size_t& left, Findings& f) {
  for (size_t i = 0; i < list.items.size(); i++) {
    ShedListItem& item = list.items[i];
    const std::string path = at(name, i);
    if (item.file.empty()) {
      if (places) places->try_emplace(item.prefix, Named{name, i, "", 0});
      left -= std::min<size_t>(left, 1);
      if (auto it = other.find(item.prefix); it != other.end() && !it->second.file.empty())
        f.add(path, "the prefix '" + to_string(item.prefix) + "' is also in " + place(it->second) + "; expected it on one of the lists");
      continue;
    }
    item.file = (folder / item.file).string();
    PrefixFile file = read_prefix_file(item.file, left);
    for (const PrefixMistake& x : file.mistakes) {
      if (x.line == 0)
        f.add(path + ".file", "'" + item.file + "': " + x.message);
      else
        f.add(Mistake{item.file, x.line, x.column, path, x.message});
    }
    left -= std::min(left, file.prefixes.size());
    for (size_t k = 0; k < file.prefixes.size(); k++) {
      const Prefix& p = file.prefixes[k];
      if (places) places->try_emplace(p, Named{name, i, item.file, file.lines[k]});
      if (auto it = other.find(p); it != other.end())
        f.add(Mistake{item.file, file.lines[k], 1, path,
                      "the prefix '" + to_string(p) + "' is on the other list, too (" + place(it->second) + "); expected it on one of them"});
    }
    if (list.from_files.empty())
      list.from_files = std::move(file.prefixes);
    else
      list.from_files.insert(list.from_files.end(), file.prefixes.begin(), file.prefixes.end());
  }
}

}  // namespace

void validate_shed(const Model& m, Findings& f) {
  check_lists(m.shed, f);
  check_bogons(m, f);
  if (!f.doubtful("shed.block-protocols")) check_protocols(m, f);
  check_classes(m.shed, f);
}

void read_shed_files(Model& m, const std::string& folder, Findings& f) {
  if (f.doubtful("shed.block") || f.doubtful("shed.allow")) return;
  // The allow list is the short one: its places are kept, the block list is held against them.
  Places none, allowed;
  size_t left = kMaxShedPrefixes;
  read_list(m.shed.allow, "allow", folder, none, &allowed, left, f);
  read_list(m.shed.block, "block", folder, allowed, nullptr, left, f);
}

}  // namespace sluice::config
