#include "control/commands.h"

namespace sluice::control {

json run_events(Context& c, Params& p) {
  const uint64_t since = p.number("since", 0, 0, UINT64_MAX);
  const uint64_t limit = p.number("limit", 100, 1, 1000);
  const bool access = p.flag("access");
  p.finish();
  const auto& events = access ? c.access : c.events;
  json list = json::array();
  for (auto it = events.rbegin(); it != events.rend() && list.size() < limit; ++it) {
    if (it->number <= since) break;
    const char* level = it->event.level == port::Event::Level::info      ? "info"
                        : it->event.level == port::Event::Level::warning ? "warning"
                                                                         : "error";
    json e = {{"number", it->number}, {"time", it->unix_time}, {"level", level}, {"text", it->event.text}};
    list.insert(list.begin(), std::move(e));
  }
  return list;
}

}  // namespace sluice::control
