#include "daemon/startup.h"

#include <iostream>

#include "control/shed.h"
#include "control/snapshot_build.h"
#include "daemon/log.h"
#include "port/eal.h"

namespace sluice::daemon {

Result<config::Overrides> parse_overrides(const std::vector<std::string>& words) {
  config::Overrides out;
  for (const std::string& w : words) {
    size_t eq = w.find('=');
    if (eq == w.npos || eq == 0)
      return Error{"--set '" + w + "': expected PATH=VALUE, such as ports.lan.device=eth1"};
    out.emplace_back(w.substr(0, eq), w.substr(eq + 1));
  }
  return out;
}

bool load(Startup& s, const std::string& file, const config::Overrides& set) {
  s.file = file;
  s.set = set;
  s.loaded = config::load_file(file, set);
  for (const config::Mistake& m : s.loaded.mistakes) std::cerr << config::to_string(m) << "\n";
  if (!s.loaded.ok()) {
    std::cerr << "sluiced: " << s.loaded.mistakes.size()
              << (s.loaded.mistakes.size() == 1 ? " mistake in " : " mistakes in ") << file << "\n";
    return false;
  }
  if (auto text = control::read_text(file)) s.text = *text;
  return true;
}

namespace {

// EAL starts once in a process, also where several boxes are made one after the other.
Result<bool> eal_with_huge_pages(const config::Model& m, const engine::BoxOptions& b) {
  static std::optional<bool> started;
  if (started) return *started;
  port::EalOptions e;
  using Want = port::EalOptions::HugePages;
  e.huge_pages = m.system.huge_pages == config::HugePages::off        ? Want::off
                 : m.system.huge_pages == config::HugePages::required ? Want::required
                                                                      : Want::automatic;
  e.memory_mb = control::eal_memory_mb(m);
  for (const auto& p : b.ports) e.devices.push_back(p.device);
  e.arguments = m.system.eal;
  auto report = port::start_eal(e);
  if (!report) return Error{report.error()};
  spdlog::debug("{}", report->text);
  if (!report->warning.empty()) spdlog::warn("{}", report->warning);
  started = report->huge_pages;
  return *started;
}

}  // namespace

Status assemble(Startup& s, const std::function<void(engine::BoxOptions&)>& adjust) {
  const config::Model& m = s.loaded.model;
  engine::BoxOptions b = control::box_options(m);
  if (adjust) adjust(b);
  for (port::Options& p : b.ports) p.pcap_live = !b.virtual_time;
  auto huge = eal_with_huge_pages(m, b);
  if (!huge) return Error{huge.error()};
  b.huge_pages = *huge;
  try {
    auto box = engine::Box::create(b);
    if (!box) return Error{box.error()};
    s.box = std::move(*box);
  } catch (const std::bad_alloc&) {
    return Error{"no memory for the flow tables: lower flows.ip4, flows.ip6 or the number of workers"};
  }
  auto snapshot = control::build_snapshot(m, control::port_facts(*s.box), nullptr, s.box->workers());
  if (!snapshot) return Error{snapshot.error()};
  s.services = std::make_unique<control::ServiceControl>(*s.box);
  auto services = s.services->prepare(m);
  if (!services) return Error{services.error()};
  s.box->publish(*snapshot);
  s.services->commit(std::move(*services));
  s.box->shed().set_services(control::shed_services(m, control::port_facts(*s.box)));
  return {};
}

}  // namespace sluice::daemon
