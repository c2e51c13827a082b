#include "apps/service.h"

namespace sluice::apps {

const char* to_string(ServiceKind k) {
  switch (k) {
    case ServiceKind::echo: return "echo";
    case ServiceKind::discard: return "discard";
    case ServiceKind::chargen: return "chargen";
    case ServiceKind::http: return "http";
    case ServiceKind::proxy: return "proxy";
  }
  return "";
}

app::Options Service::listen_options() const {
  return {.receive_buffer = config_.receive_buffer, .send_buffer = config_.send_buffer, .nagle = false};
}

void Service::start(app::Api& api) {
  for (const app::Endpoint& at : config_.listen) {
    app::Listener l;
    if (api.listen(at, listen_options(), 0, l) == app::Outcome::ok) listeners_.push_back(l);
    else counters_->listen_failures.add(1);
  }
}

void Service::drain(app::Api& api, int64_t until) {
  for (app::Listener l : listeners_) api.unlisten(l);
  listeners_.clear();
  drain_until_ = until;
  drain_begins(api);
}

}  // namespace sluice::apps
