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
  if (!p.has("text")) p.invalid("text", "missing: the configuration to check");
  const std::string text = p.text("text");
  const std::string name = p.text("name", "(control socket)");
  p.finish();
  ApplyResult r = c.running.check(text, name);
  if (!r.ok) refuse(r);
  return {{"ok", true}, {"summary", r.summary}};
}

json run_config_apply(Context& c, Params& p) {
  if (!p.has("text")) p.invalid("text", "missing: the configuration to apply");
  const std::string text = p.text("text");
  const std::string name = p.text("name", "(control socket)");
  p.finish();
  ApplyResult r = c.running.apply(text, name);
  c.log_event({r.ok ? port::Event::Level::info : port::Event::Level::warning,
               "config.apply " + name + ": " + r.summary});
  if (!r.ok) refuse(r);
  return {{"ok", true}, {"summary", r.summary}, {"snapshot", r.snapshot}, {"milliseconds", r.milliseconds}};
}

}  // namespace sluice::control
