#include "control/commands.h"
#include "sluice/control.h"

namespace sluice::control {

namespace {

[[noreturn]] void refuse(const ApplyResult& r) {
  json errors = json::array();
  for (const auto& m : r.mistakes)
    errors.push_back(
        {{"file", m.file}, {"line", m.line}, {"column", m.column}, {"path", m.path}, {"message", m.message}});
  throw RpcError{kConfigError, r.summary, {{"errors", errors}}};
}

struct Sent {
  std::string text, name, folder;
};

Sent sent_with(const Context& c, Params& p, const char* to) {
  if (!p.has("text")) p.invalid("text", std::string("missing: the configuration to ") + to);
  Sent s{p.text("text"), p.text("name", "(control socket)"), p.text("folder", config::folder_of(c.running.file()))};
  if (!s.folder.starts_with('/')) p.invalid("folder", "expected an absolute path, from which relative names in the text count");
  p.finish();
  return s;
}

}  // namespace

json run_config_get(Context& c, Params& p) {
  p.finish();
  json set = json::object();
  for (const auto& [path, value] : c.running.overrides()) set[path] = value;
  return {{"file", c.running.file()},
          {"text", c.running.text()},
          {"set", set},
          {"snapshot", c.box.snapshot()->id}};
}

json run_config_check(Context& c, Params& p) {
  const Sent s = sent_with(c, p, "check");
  ApplyResult r = c.running.check(s.text, s.name, s.folder);
  if (!r.ok) refuse(r);
  return {{"ok", true}, {"summary", r.summary}};
}

json run_config_apply(Context& c, Params& p) {
  const Sent s = sent_with(c, p, "apply");
  ApplyResult r = c.running.apply(s.text, s.name, s.folder);
  c.log_event({r.ok ? port::Event::Level::info : port::Event::Level::warning,
               "config.apply " + s.name + ": " + r.summary});
  if (!r.ok) refuse(r);
  return {{"ok", true}, {"summary", r.summary}, {"snapshot", r.snapshot}, {"milliseconds", r.milliseconds}};
}

}  // namespace sluice::control
