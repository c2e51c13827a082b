#include <algorithm>
#include <cctype>

#include "control/tcp_named.h"

namespace sluice::control {

namespace {

struct Filter {
  std::optional<tcp::State> state;
  std::optional<Prefix> local, remote;
  uint64_t port = 0;
  std::string service;

  bool matches(const tcp::Info& i) const {
    if (state && i.state != *state) return false;
    if (local && !local->contains(i.tuple.local)) return false;
    if (remote && !remote->contains(i.tuple.remote)) return false;
    return !port || i.tuple.local_port == port || i.tuple.remote_port == port;
  }
};

std::optional<tcp::State> state_of(const Params& p, std::string text) {
  if (text.empty()) return std::nullopt;
  std::replace(text.begin(), text.end(), '_', '-');
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string names;
  for (auto s = tcp::State::syn_sent; s <= tcp::State::time_wait; s = tcp::State(static_cast<int>(s) + 1)) {
    if (text == tcp::to_string(s)) return s;
    names += (names.empty() ? "" : ", ") + std::string(tcp::to_string(s));
  }
  p.invalid("state", "there is no state '" + text.substr(0, 64) + "'; states are " + names);
}

std::string service_named(const Context& c, const Params& p, const std::string& name) {
  if (name.empty()) return name;
  std::string names;
  for (const config::Service& s : c.running.model().services) {
    if (s.name == name) return name;
    names += (names.empty() ? "" : ", ") + s.name;
  }
  p.invalid("service", "there is no service '" + name.substr(0, 64) + "'; " +
                           (names.empty() ? "the configuration has none" : "services are " + names));
}

// Where to go on: engine and slot.
struct Cursor {
  unsigned stack = 0;
  uint32_t slot = 0;
};

json summary(Context& c, const Params& p) {
  json out = json::array();
  for (unsigned k = 0; k < c.box.stacks(); k++) {
    tcp::Stack::Sizes s{};
    on_stack(c, p, k, [&](tcp::Stack& t) { s = t.sizes(); });
    out.push_back({{"stack", k},
                   {"connections", s.connections},
                   {"half_open", s.half_open},
                   {"time_wait", s.time_wait},
                   {"listeners", s.listeners},
                   {"chunks", s.chunks},
                   {"records", s.records},
                   {"cookies", s.cookies},
                   {"memory", s.memory_touched},
                   {"most_connections", c.running.model().tcp.connections}});
  }
  return out;
}

}  // namespace

json run_tcp_list(Context& c, Params& p) {
  Filter f;
  f.state = state_of(p, p.text("state"));
  f.local = prefix_of(p, "local", p.text("local"));
  f.remote = prefix_of(p, "remote", p.text("remote"));
  f.port = p.number("port", 0, 0, 65535);
  f.service = service_named(c, p, p.text("service"));
  const uint64_t limit = p.number("limit", 100, 1, 100'000);
  const uint64_t from = p.number("cursor", 0, 0, UINT64_MAX);
  p.finish();
  Cursor at{static_cast<unsigned>(from >> 32), static_cast<uint32_t>(from)};
  constexpr unsigned kSlice = 512;  // a row costs a fraction of a microsecond: the lcore is soon back at its packets
  json list = json::array();
  while (at.stack < c.box.stacks() && list.size() < limit) {
    std::vector<tcp::Info> rows;
    const auto most = static_cast<unsigned>(std::min<uint64_t>(kSlice, limit - list.size()));
    const Instant now = c.box.now();
    on_stack(c, p, at.stack, [&](tcp::Stack& t) {
      at.slot = t.list(now, at.slot, most, &rows, [](void* to, const tcp::Info& i) {
        static_cast<std::vector<tcp::Info>*>(to)->push_back(i);
      });
    });
    for (const tcp::Info& i : rows) {
      if (!f.matches(i)) continue;
      const std::string service = service_of(c.running.model(), i);
      if (f.service.empty() || f.service == service) list.push_back(connection_row({at.stack, i.id}, i, service));
    }
    if (at.slot == 0) at.stack++;
  }
  const bool more = at.stack < c.box.stacks();
  return {{"connections", list},
          {"cursor", more ? json(uint64_t{at.stack} << 32 | at.slot) : json(nullptr)},
          {"stacks", summary(c, p)}};
}

}  // namespace sluice::control
