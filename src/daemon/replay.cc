// sluiced replay: captures in, captures out, through the real dataplane in virtual time. Time is the
// captures': the box is turned at each frame's moment and at each deadline in between, so that two runs give
// the same bytes.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "control/audit.h"
#include "daemon/commands.h"
#include "daemon/startup.h"

namespace sluice::daemon {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// How long the box goes on after the last frame, for what still waits: neighbours, reassembly, delays.
constexpr Duration kAfterlife = Duration::seconds(120);

Result<std::map<std::string, std::string>> inputs(const std::vector<std::string>& words,
                                                  const config::Model& m) {
  std::map<std::string, std::string> in;
  for (const std::string& w : words) {
    size_t eq = w.find('=');
    if (eq == w.npos || eq == 0 || eq + 1 == w.size()) return Error{"--in '" + w + "': expected PORT=FILE"};
    const std::string port = w.substr(0, eq);
    std::string list;
    bool found = false;
    for (const auto& p : m.ports) {
      found |= p.name == port;
      list += (list.empty() ? "" : ", ") + p.name;
    }
    if (!found)
      return Error{"--in '" + w + "': the configuration has no port '" + port + "'; ports are " + list};
    if (!in.emplace(port, w.substr(eq + 1)).second) return Error{"--in names port '" + port + "' twice"};
  }
  return in;
}

// Every port becomes a capture, one without input only sends; what the file says of devices does not matter here.
void make_virtual(config::Model& m, const std::map<std::string, std::string>& in,
                  const std::string& out_dir) {
  for (size_t i = 0; i < m.ports.size(); i++) {
    config::Port& p = m.ports[i];
    auto it = in.find(p.name);
    p.driver = config::Driver::pcap;
    p.device = it == in.end() ? "" : it->second;
    p.queues = 1;
    p.kernel.clear();
    p.exception.clear();
    p.capture.clear();
    if (!p.mtu) p.mtu = 1500;
    if (!p.mac) p.mac = Mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(i + 1)}};
    p.pcap_out = (fs::path(out_dir) / (p.name + ".pcapng")).string();
  }
}

class VerdictFile {
 public:
  Status open(const std::string& path) {
    f_.open(path, std::ios::binary | std::ios::trunc);
    if (!f_) return Error{"cannot write " + path};
    return {};
  }
  void add(const std::vector<std::string>& names, const path::Verdict& v) {
    json j = {{"packet", ++n_}, {"time_ns", now.ns}, {"in", name(names, v.in_port)}, {"verdict", v.what}};
    if (v.reason != DropReason::count_) j["reason"] = drop_info(v.reason).name;
    if (v.egress != kNoPort) j["out"] = name(names, v.egress);
    if (v.rule) j["rule"] = *v.rule;
    if (v.route.addr.family) j["route"] = to_string(v.route);
    j["slow_path"] = v.slow_path;
    f_ << j.dump(-1, ' ', false, json::error_handler_t::replace) << "\n";
  }
  bool good() { return f_.flush().good(); }
  Instant now;

 private:
  static json name(const std::vector<std::string>& names, uint16_t port) {
    return port < names.size() ? json(names[port]) : json(nullptr);
  }
  std::ofstream f_;
  uint64_t n_ = 0;
};

Instant next_moment(const engine::Box& box, bool frames_only) {
  Instant t = Instant::never();
  for (const auto& p : box.ports()) t = std::min(t, p->next_event());
  return frames_only ? t : std::min(t, box.next_deadline());
}

// Turns the box until nothing moves at `now`.
void settle(engine::Box& box, Instant now) {
  while (box.turn(now) > 0) {
  }
}

Instant play(engine::Box& box, Instant* clock) {
  Instant now = next_moment(box, true), last = now;
  if (now == Instant::never()) return Instant{};
  box.turn(now - Duration::nanos(1));  // neighbours from the file are there before the first frame
  for (;;) {
    *clock = now;
    settle(box, now);
    const Instant frame = next_moment(box, true);
    if (frame != Instant::never())
      last = frame;
    else if (box.queued() == 0)
      return now;
    Instant next = next_moment(box, false);
    if (next == Instant::never() || next > last + kAfterlife) return now;
    now = std::max(next, now + Duration::nanos(1));
  }
}

void summary(const control::Audit& a, Duration length) {
  std::cout << "replayed " << a.sum.received << " packets, " << static_cast<double>(length.ns) / 1e9
            << " s of captures\n";
  for (size_t i = 0; i < a.totals.size(); i++)
    std::cout << "  " << a.rows[i].name << ": received " << a.rows[i].received << ", transmitted "
              << a.totals[i].tx_packets << ", dropped " << a.rows[i].dropped << "\n";
  for (unsigned r = 0; r < kDropReasons; r++)
    if (a.sum.drops[r])
      std::cout << "  drop " << drop_info(static_cast<DropReason>(r)).name << " " << a.sum.drops[r] << "\n";
  std::cout << "audit " << a.verdict << "\n";
}

}  // namespace

int replay(const ReplayOptions& o) {
  auto fail = [](const std::string& what, int rc) {
    std::cerr << "sluiced: " << what << "\n";
    return rc;
  };
  auto set = parse_overrides(o.set);
  if (!set) return fail(set.error(), 2);
  Startup s;
  if (!load(s, o.config, *set)) return 2;
  auto in = inputs(o.in, s.loaded.model);
  if (!in) return fail(in.error(), 2);
  std::error_code ec;
  fs::create_directories(o.out_dir, ec);
  if (ec) return fail("cannot make the folder " + o.out_dir + ": " + ec.message(), 1);
  make_virtual(s.loaded.model, *in, o.out_dir);
  s.loaded.model.system.huge_pages = config::HugePages::off;
  Status st = assemble(s, [&](engine::BoxOptions& b) {
    b.virtual_time = true;
    b.seed = o.seed ? o.seed : 1;
    b.worker_cpus.resize(1);
    b.stack_cpus.clear();
  });
  if (!st) return fail(st.error(), 1);
  VerdictFile verdicts;
  if (!o.verdicts.empty()) {
    if (st = verdicts.open(o.verdicts); !st) return fail(st.error(), 1);
    std::vector<std::string> names;
    for (const auto& p : s.box->ports()) names.push_back(p->info().name);
    s.box->run_on_worker(0, [&](path::Pipeline& pl) {
      pl.verdicts = [&verdicts, names](const rte_mbuf*, const path::Verdict& v) { verdicts.add(names, v); };
    });
  }
  if (st = s.box->start(); !st) return fail(st.error(), 1);
  const Instant first = next_moment(*s.box, true);
  const Instant end = play(*s.box, &verdicts.now);
  s.box->stop();
  const control::Audit a = control::audit(*s.box);
  if (!o.quiet) summary(a, first == Instant::never() ? Duration{} : end - first);
  if (!o.verdicts.empty() && !verdicts.good()) return fail("cannot write " + o.verdicts, 1);
  return a.closed ? 0 : fail("the audit is not closed", 1);
}

}  // namespace sluice::daemon
