#include "control/running.h"

#include <chrono>
#include <fstream>
#include <sstream>

#include "control/shed.h"
#include "control/snapshot_build.h"

namespace sluice::control {

Result<std::string> read_text(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  if (!f) return Error{"cannot read " + path + ": " + std::strerror(errno)};
  std::ostringstream s;
  s << f.rdbuf();
  if (f.bad()) return Error{"cannot read " + path + ": " + std::strerror(errno)};
  return s.str();
}

namespace {

bool same_lists(const config::Shed& a, const config::Shed& b) { return a.block == b.block && a.allow == b.allow; }

bool same_limits(const config::Shed& a, config::Shed b) {
  config::Shed c = a;
  c.block = c.allow = b.block = b.allow = {};
  return b == c;
}

void refuse(ApplyResult& r, config::Mistake m) {
  r.ok = false;
  r.summary = "refused: " + m.message;
  r.mistakes.push_back(std::move(m));
}

}  // namespace

Running::Prepared Running::prepare(const std::string& text, const std::string& file_name, const std::string& folder) const {
  Prepared p;
  config::Loaded loaded = config::load_text_in(folder, text, file_name, set_);
  p.result.mistakes = std::move(loaded.mistakes);
  if (!p.result.mistakes.empty()) {
    const size_t n = p.result.mistakes.size();
    p.result.summary = "refused: " + std::to_string(n) + (n == 1 ? " mistake in " : " mistakes in ") + file_name;
    return p;
  }
  for (const std::string& what : config::needs_restart(model_, loaded.model))
    p.result.mistakes.push_back(
        {file_name, 0, 0, what, "cannot change while running: restart sluiced for it"});
  if (!p.result.mistakes.empty()) {
    p.result.summary = "refused: the change needs a restart";
    return p;
  }
  auto previous = box_.snapshot();
  auto built = build_snapshot(loaded.model, facts_, previous.get(), box_.workers());
  if (!built) {
    p.result.mistakes.push_back({file_name, 0, 0, "", built.error()});
    p.result.summary = "refused: " + built.error();
    return p;
  }
  p.snapshot = *built;
  auto services = services_.prepare(loaded.model);
  if (!services) {
    p.result.mistakes.push_back({file_name, 0, 0, "services", services.error()});
    p.result.summary = "refused: " + services.error();
    return p;
  }
  p.services = std::move(*services);
  p.model = std::move(loaded.model);
  std::string changed;
  auto note = [&](bool differs, const char* what) {
    if (differs) changed += (changed.empty() ? "" : ", ") + std::string(what);
  };
  note(previous->routes != p.snapshot->routes, "routes");
  note(previous->filter.rules != p.snapshot->filter.rules, "filter");
  note(previous->interfaces != p.snapshot->interfaces, "addresses and neighbours");
  note(p.services->changes, "services");
  note(!same_lists(model_.shed, p.model.shed), "block and allow lists");
  note(!same_limits(model_.shed, p.model.shed), "shed");
  p.result.summary = changed.empty() ? "nothing differs" : "new: " + changed;
  p.result.ok = true;
  return p;
}

ApplyResult Running::check(const std::string& text, const std::string& file_name, const std::string& folder) const {
  return prepare(text, file_name, folder).result;
}

ApplyResult Running::apply(const std::string& text, const std::string& file_name, const std::string& folder) {
  auto t0 = std::chrono::steady_clock::now();
  Prepared p = prepare(text, file_name, folder);
  // Early drop alone may still refuse; whatever has changed before it would have to be taken back.
  if (p.result.ok)  // of which the filter decides a part
    if (const shed::Policy wanted = shed_policy(p.model); !(wanted == box_.shed().policy()))
      if (Status s = box_.set_shed_policy(wanted); !s) refuse(p.result, {file_name, 0, 0, "shed", s.error()});
  if (p.result.ok) {
    box_.publish(p.snapshot);  // first: a new service may listen on a new address
    services_.commit(std::move(*p.services));
    box_.shed().set_services(shed_services(p.model, facts_));
    model_ = std::move(p.model);
    text_ = text;
    p.result.snapshot = p.snapshot->id;
  }
  p.result.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - t0).count();
  return p.result;
}

std::string Running::refresh() {
  std::vector<PortFacts> now = port_facts(box_, facts_);
  if (now == facts_) return "";
  auto previous = box_.snapshot();
  auto built = build_snapshot(model_, now, previous.get(), box_.workers());
  if (!built) return "a port came back, but its tables cannot be made: " + built.error();
  facts_ = std::move(now);
  box_.publish(*built);
  box_.shed().set_services(shed_services(model_, facts_));
  return "a port came back: its neighbours are asked again";
}

ApplyResult Running::reload() {
  auto text = read_text(file_);
  if (text) return apply(*text, file_, config::folder_of(file_));
  ApplyResult r;
  r.mistakes.push_back({file_, 0, 0, "", text.error()});
  r.summary = "refused: " + text.error();
  return r;
}

}  // namespace sluice::control
