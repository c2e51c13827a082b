#include "control/commands.h"
#include "sluice/control.h"

namespace sluice::control {

namespace {

struct Filter {
  std::string src, dst;
  std::optional<Prefix> src_prefix, dst_prefix;
  uint64_t proto, port;

  bool matches(const path::FlowView& f) const {
    if (src_prefix && !src_prefix->contains(f.src)) return false;
    if (dst_prefix && !dst_prefix->contains(f.dst)) return false;
    if (proto && f.proto != proto) return false;
    return !port || f.sport == port || f.dport == port;
  }
};

}  // namespace

json run_flows(Context& c, Params& p) {
  Filter f;
  f.src_prefix = prefix_of(p, "src", p.text("src"));
  f.dst_prefix = prefix_of(p, "dst", p.text("dst"));
  f.proto = p.number("proto", 0, 0, 255);
  f.port = p.number("port", 0, 0, 65535);
  const uint64_t limit = p.number("limit", 100, 1, 100'000);
  p.finish();
  auto s = c.box.snapshot();
  json list = json::array();
  uint64_t total = 0, matched = 0;
  for (unsigned w = 0; w < c.box.workers(); w++) {
    uint64_t cursor = 0;
    // In slices, so that the lcore is away from its packets for microseconds at a time.
    do {
      std::vector<path::FlowView> slice;
      const Instant now = c.box.now();
      bool ok = c.box.run_on_worker(w, [&](path::Pipeline& pl) {
        cursor = pl.visit_flows(now, *s, cursor, 2048, [&](const path::FlowView& v) { slice.push_back(v); });
      });
      if (!ok) throw RpcError{kBusy, "flows: worker " + std::to_string(w) + " does not answer"};
      total += slice.size();
      for (const auto& v : slice) {
        if (!f.matches(v)) continue;
        matched++;
        if (list.size() >= limit) continue;
        list.push_back({{"worker", w},
                        {"proto", v.proto},
                        {"src", to_string(v.src)},
                        {"sport", v.sport},
                        {"dst", to_string(v.dst)},
                        {"dport", v.dport},
                        {"in", port_name(c, v.in_port)},
                        {"out", port_name(c, v.egress)},
                        {"reply", v.reply},
                        {"packets", v.packets},
                        {"bytes", v.bytes},
                        {"idle_seconds", static_cast<double>(v.idle.ns) / 1e9},
                        {"rule", v.rule}});
      }
    } while (cursor != 0);
  }
  return {{"total", total}, {"matched", matched}, {"flows", list}};
}

}  // namespace sluice::control
