#include "shed/policy_compile.h"

#include <algorithm>
#include <cstring>

#include "shed/shed.h"

namespace sluice::shed {

namespace {

constexpr uint64_t kFastest = 10'000'000, kSecond = 1'000'000'000;

sluice_rate compile(const Rate& r, unsigned parts = 1) {
  if (r.per_second == 0) return {};
  const uint64_t interval = kSecond * parts / r.per_second;
  const uint64_t burst = (r.burst ? r.burst : r.per_second / 10) / parts;
  return {interval, (std::max<uint64_t>(burst, 1) - 1) * interval};
}

void set_bits(__u64* bits, unsigned lo, unsigned hi) {
  for (unsigned i = lo; i <= hi; i++) bits[i / 64] |= 1ull << i % 64;
}

sluice_cookie_key key(const uint64_t k[2]) {
  return {k[0], k[1]};
}

sluice_class_rule compile(const ClassRule& c) {
  sluice_class_rule r{};
  r.cls = static_cast<uint8_t>(c.cls);
  r.proto = c.proto;
  r.dscp = c.dscp;
  r.any_port = !c.ports;
  if (c.ports) r.port_lo = c.ports->lo, r.port_hi = c.ports->hi;
  if (!c.prefix) return r;
  const Prefix p = c.prefix->masked();
  r.family = p.addr.family;
  std::memcpy(r.addr, p.addr.b.data(), sizeof r.addr);
  for (unsigned bit = 0; bit < p.len; bit++) r.mask[bit / 8] = static_cast<uint8_t>(r.mask[bit / 8] | 0x80u >> bit % 8);
  return r;
}

sluice_service compile(const Service& s) {
  sluice_service r{};
  std::memcpy(r.addr, s.addr.b.data(), sizeof r.addr);
  r.family = s.addr.family;
  r.port = s.port;
  r.mss = s.mss;
  r.window = UINT16_MAX;
  r.window_scale = s.window_scale;
  r.hop_limit = s.hop_limit;
  r.options = static_cast<uint8_t>((s.sack ? SLUICE_SERVICE_SACK : 0) | (s.timestamps ? SLUICE_SERVICE_TIMESTAMPS : 0) |
                                   (s.scale ? SLUICE_SERVICE_SCALE : 0) | (s.ecn ? SLUICE_SERVICE_ECN : 0));
  return r;
}

uint32_t checks(const Policy& p) {
  uint32_t c = 0;
  const auto when = [&](bool asked, uint32_t check) { c |= asked ? check : 0; };
  when(p.check_frames, SLUICE_CHECK_FRAMES);
  when(!p.block_protocols.empty(), SLUICE_CHECK_PROTOCOLS);
  when(!p.block_ports.empty(), SLUICE_CHECK_PORTS);
  when(p.tcp_flags, SLUICE_CHECK_TCP_FLAGS);
  when(!p.amplifiers.empty(), SLUICE_CHECK_AMPLIFICATION);
  when(p.icmp_max > 0 || p.icmp.per_second > 0, SLUICE_CHECK_ICMP);
  when(p.source.per_second > 0, SLUICE_CHECK_SOURCES);
  when(p.destination.per_second > 0, SLUICE_CHECK_DESTINATIONS);
  // The rate of control only says what counts as control, and that matters only where something is shed.
  when(std::any_of(p.class_rate + 1, p.class_rate + SLUICE_CLASSES, [](const Rate& r) { return r.per_second > 0; }),
       SLUICE_CHECK_CLASSES);
  when(p.syn_always && p.syn.per_second > 0, SLUICE_CHECK_SYNS);
  when(p.syn_cookies && p.syn.per_second > 0, SLUICE_CHECK_COOKIES);
  return c;
}

Status check_rate(const char* what, const Rate& r) {
  if (r.per_second <= kFastest && r.burst <= 60 * kFastest) return {};
  return Error{std::string("the rate of ") + what + " is above what can be counted: at most " + std::to_string(kFastest) +
               " a second, and a burst of at most " + std::to_string(60 * kFastest)};
}

}  // namespace

Status check(const Policy& p) {
  const struct {
    const char* what;
    const Rate& rate;
  } rates[] = {{"icmp", p.icmp},       {"sources", p.source},
               {"destinations", p.destination}, {"syn", p.syn},
               {"class control", p.class_rate[0]}, {"class established", p.class_rate[1]},
               {"class new", p.class_rate[2]},     {"class rest", p.class_rate[3]}};
  for (const auto& r : rates)
    if (Status s = check_rate(r.what, r.rate); !s) return s;
  if (p.source_bits4 > 32 || p.destination_bits4 > 32 || p.source_bits6 > 128 || p.destination_bits6 > 128)
    return Error{"rates are counted by prefixes of at most 32 bits (IPv4) and 128 bits (IPv6)"};
  if (p.classes.size() > SLUICE_MAX_CLASS_RULES)
    return Error{"there are " + std::to_string(p.classes.size()) + " rules for classes, and the verdict takes " +
                 std::to_string(SLUICE_MAX_CLASS_RULES) + ": join prefixes or ports"};
  for (const ClassRule& c : p.classes)
    if (c.cls < 0 || c.cls >= SLUICE_CLASSES || (c.ports && c.ports->lo > c.ports->hi))
      return Error{"a rule for classes names no class, or ports that end before they begin"};
  for (const PortRange& r : p.block_ports)
    if ((r.proto != 6 && r.proto != 17) || r.lo > r.hi)
      return Error{"blocked ports are those of TCP or UDP, from the lower to the higher"};
  return {};
}

void compile(const Policy& p, unsigned queues, const std::vector<Service>& services, const Keys& keys, sluice_policy& out) {
  std::memset(&out, 0, sizeof out);
  out.source_bits4 = p.source_bits4, out.source_bits6 = p.source_bits6;
  out.destination_bits4 = p.destination_bits4, out.destination_bits6 = p.destination_bits6;
  out.icmp_max = p.icmp_max;
  out.source = compile(p.source), out.destination = compile(p.destination);
  out.syn = compile(p.syn), out.icmp = compile(p.icmp, std::max(queues, 1u));
  for (unsigned c = 0; c < SLUICE_CLASSES; c++) out.class_rate[c] = compile(p.class_rate[c], std::max(queues, 1u));
  out.hint_key = key(keys.hint), out.table_key = key(keys.table);
  out.cookie_key = key(keys.cookie), out.timestamp_key = key(keys.timestamp);
  for (uint8_t proto : p.block_protocols) set_bits(out.protocols, proto, proto);
  for (const PortRange& r : p.block_ports) set_bits(r.proto == 6 ? out.tcp_ports : out.udp_ports, r.lo, r.hi);
  for (uint16_t port : p.amplifiers) set_bits(out.amplifiers, port, port);
  for (const ClassRule& c : p.classes) out.rule[out.rules++] = compile(c);
  for (const Service& s : services) {
    if (out.services == SLUICE_MAX_SERVICES) break;
    out.service[out.services++] = compile(s);
  }
  out.checks = checks(p);
}

std::vector<ListEntry> bogons(Policy::Bogons which) {
  static constexpr const char* kMartian[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4",
                                             "::1/128",   "::ffff:0:0/96", "ff00::/8"};
  static constexpr const char* kFull[] = {
      "10.0.0.0/8",      "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24",
      "192.0.2.0/24",    "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "fc00::/7",     "fec0::/10",
      "2001:db8::/32",   "3fff::/20",     "2001:2::/48",    "100::/64",      "64:ff9b:1::/48"};
  std::vector<ListEntry> all;
  const auto add = [&](const char* p) { all.push_back({*parse_prefix(p), SLUICE_ACTION_BOGON}); };
  if (which != Policy::Bogons::no) std::for_each(std::begin(kMartian), std::end(kMartian), add);
  if (which == Policy::Bogons::full) std::for_each(std::begin(kFull), std::end(kFull), add);
  return all;
}

}  // namespace sluice::shed
