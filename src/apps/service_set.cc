#include "apps/service_set.h"

#include <algorithm>

#include "apps/http.h"
#include "apps/proxy.h"
#include "apps/small.h"

namespace sluice::apps {

// A service and its instances, one an engine.
struct Services::Entry {
  ServiceConfig config;
  uint16_t number = 0;
  std::shared_ptr<const HttpContent> content;   // http
  std::vector<std::unique_ptr<Service>> instance;

  bool left() const {
    return std::all_of(instance.begin(), instance.end(), [](const auto& s) { return s->left(); });
  }
};

struct Services::Pending {
  Update update;
  bool submitted = false;
};

struct Services::Prepared::Parts {
  struct Item {
    std::unique_ptr<Entry> fresh;   // null: the running one stays
    const Entry* stays = nullptr;
  };
  std::vector<Item> items;
  size_t running = 0;               // before
};

Services::Prepared::Prepared() : parts_(std::make_unique<Parts>()) {}
Services::Prepared::Prepared(Prepared&&) noexcept = default;
Services::Prepared& Services::Prepared::operator=(Prepared&&) noexcept = default;
Services::Prepared::~Prepared() = default;

bool Services::Prepared::changes() const {
  return parts_->items.size() != parts_->running ||
         std::any_of(parts_->items.begin(), parts_->items.end(),
                     [](const Parts::Item& i) { return i.fresh != nullptr; });
}

Services::Services(unsigned engines, OnHost on_host)
    : engines_(engines), on_host_(std::move(on_host)), pages_(std::make_shared<HttpPages>()), pending_(engines) {
  for (unsigned e = 0; e < engines; e++) logs_.push_back(std::make_unique<EventLog>());
  pages_->healthz.publish(200, "text/plain; charset=utf-8", "ok\n");
}

Services::~Services() = default;

namespace {

std::string who(const ServiceConfig& c) { return "service " + c.name + ": "; }

// Of the same family and address, or one of them any address.
bool overlap(const app::Endpoint& a, const app::Endpoint& b) { return a.port == b.port && a.address == b.address; }

Status check_one(const ServiceConfig& c) {
  if (c.name.empty()) return Error{"A service has no name: give it one."};
  if (c.listen.empty()) return Error{who(c) + "it listens nowhere: give it a port."};
  for (const app::Endpoint& e : c.listen)
    if (e.port == 0) return Error{who(c) + "port 0 cannot be listened on: give it one from 1 to 65535."};
  if (c.connections == 0) return Error{who(c) + "a limit of 0 connections serves nobody: raise it."};
  if (c.kind == ServiceKind::http) {
    const HttpOptions& h = c.http;
    if (!h.body && h.files.empty() && !h.metrics && !h.healthz)
      return Error{who(c) + "it has nothing to serve: give it a body, files, metrics or healthz."};
    if (h.head_most < 64) return Error{who(c) + "no request has a head of less than 64 bytes: raise the limit."};
  }
  if (c.kind == ServiceKind::proxy) {
    const ProxyOptions& p = c.proxy;
    if (p.backends.empty()) return Error{who(c) + "it has no backend: name at least one."};
    if (p.backends.size() > kMaxBackends)
      return Error{who(c) + "more than " + std::to_string(kMaxBackends) + " backends: name fewer."};
    for (const app::Endpoint& b : p.backends)
      if (b.port == 0 || b.address.family == 0) return Error{who(c) + "a backend needs an address and a port."};
    if (p.attempts == 0) return Error{who(c) + "with 0 attempts no backend is ever reached: allow at least one."};
    if (p.connect_timeout.ns <= 0) return Error{who(c) + "connect_timeout must be longer than 0."};
    if (p.check.kind != CheckKind::none && (p.check.interval.ns <= 0 || p.check.timeout.ns <= 0))
      return Error{who(c) + "a check's interval and timeout must be longer than 0."};
    if (p.check.kind != CheckKind::none && (p.check.rise == 0 || p.check.fall == 0))
      return Error{who(c) + "rise and fall must be at least 1."};
    if (p.check.kind == CheckKind::http && (p.check.path.size() > 1024 || p.check.host.size() > 255))
      return Error{who(c) + "a check's path must be at most 1024 bytes long, its host at most 255."};
  }
  return {};
}

}  // namespace

Status Services::check(const std::vector<ServiceConfig>& configs) const {
  if (configs.size() > kMaxServices)
    return Error{"There are more than " + std::to_string(kMaxServices) + " services: remove some."};
  for (size_t i = 0; i < configs.size(); i++) {
    if (Status s = check_one(configs[i]); !s) return s;
    for (size_t k = 0; k <= i; k++) {
      if (k < i && configs[k].name == configs[i].name)
        return Error{"Two services are called " + configs[i].name + ": give one of them another name."};
      for (size_t a = 0; a < configs[i].listen.size(); a++) {
        for (size_t b = 0; b < (k < i ? configs[k].listen.size() : a); b++) {
          if (!overlap(configs[i].listen[a], configs[k].listen[b])) continue;
          return Error{who(configs[i]) + "port " + std::to_string(configs[i].listen[a].port) + " is taken by service " +
                       configs[k].name + ": choose another port or address."};
        }
      }
    }
  }
  return {};
}

Result<Services::Prepared> Services::prepare(std::vector<ServiceConfig> configs, int64_t unix_now) {
  if (Status s = check(configs); !s) return Error{s.error()};
  Prepared p;
  p.parts_->running = running_.size();
  for (ServiceConfig& c : configs) {
    const auto old = std::find_if(running_.begin(), running_.end(), [&](const auto& e) { return e->config == c; });
    std::shared_ptr<const HttpContent> content;
    if (c.kind == ServiceKind::http) {
      auto made = HttpContent::make(c.name, c.http, unix_now);
      if (!made) return Error{made.error()};
      content = std::move(*made);
    }
    Prepared::Parts::Item item;
    if (old != running_.end() && (!content || content->same(*(*old)->content))) {
      item.stays = old->get();
    } else {
      item.fresh = std::make_unique<Entry>();
      item.fresh->config = std::move(c);
      item.fresh->content = std::move(content);
    }
    p.parts_->items.push_back(std::move(item));
  }
  return p;
}

std::unique_ptr<Service> Services::make(const Entry& e, unsigned engine) const {
  EventLog* log = logs_[engine].get();
  switch (e.config.kind) {
    case ServiceKind::echo: return std::make_unique<Echo>(e.config, e.number, log);
    case ServiceKind::discard: return std::make_unique<Discard>(e.config, e.number, log);
    case ServiceKind::chargen: return std::make_unique<Chargen>(e.config, e.number, log);
    case ServiceKind::http: return std::make_unique<Http>(e.config, e.number, log, e.content, pages_);
    case ServiceKind::proxy: return std::make_unique<Proxy>(e.config, e.number, log);
  }
  return nullptr;
}

void Services::commit(Prepared p, Duration drain) {
  if (!p.changes()) return;
  std::vector<std::unique_ptr<Entry>> next;
  std::vector<Entry*> fresh;
  for (Prepared::Parts::Item& item : p.parts_->items) {
    if (!item.fresh) {
      const auto it =
          std::find_if(running_.begin(), running_.end(), [&](const auto& e) { return e.get() == item.stays; });
      next.push_back(std::move(*it));
      running_.erase(it);
      continue;
    }
    item.fresh->number = next_number_++;
    for (unsigned e = 0; e < engines_; e++) item.fresh->instance.push_back(make(*item.fresh, e));
    fresh.push_back(item.fresh.get());
    next.push_back(std::move(item.fresh));
  }
  for (unsigned e = 0; e < engines_; e++) {
    auto u = std::make_unique<Pending>();
    for (const auto& gone : running_) u->update.stop.push_back(gone->instance[e].get());
    for (Entry* f : fresh) u->update.start.push_back(f->instance[e].get());
    u->update.drain_ns = drain.ns;
    pending_[e].push_back(std::move(u));
  }
  std::move(running_.begin(), running_.end(), std::back_inserter(leaving_));
  running_ = std::move(next);
  maintain();
}

// One update at a time: the next one goes when its host has taken the one before.
void Services::push(unsigned engine) {
  auto& queue = pending_[engine];
  while (!queue.empty()) {
    Pending& first = *queue.front();
    if (!first.submitted)
      on_host_(engine, [&](Host& h) { first.submitted = h.submit(&first.update); });
    if (!first.submitted || !first.update.taken()) return;
    queue.erase(queue.begin());
  }
}

void Services::maintain() {
  for (unsigned e = 0; e < engines_; e++) push(e);
  std::erase_if(leaving_, [](const auto& e) { return e->left(); });
}

std::vector<ServiceView> Services::views() const {
  std::vector<ServiceView> out;
  for (const auto* list : {&running_, &leaving_}) {
    for (const auto& e : *list) {
      ServiceView v{&e->config, e->number, list == &leaving_, {}, {}};
      v.backends.resize(e->config.kind == ServiceKind::proxy ? e->config.proxy.backends.size() : 0);
      for (const auto& s : e->instance) {
        v.engines.push_back(s->counters().get());
        if (e->config.kind != ServiceKind::proxy) continue;
        const auto& backends = static_cast<const Proxy&>(*s).backends();
        for (size_t b = 0; b < backends.size(); b++) v.backends[b].push_back(backends[b].get());
      }
      out.push_back(std::move(v));
    }
  }
  return out;
}

std::string Services::name_of(uint16_t number) const {
  for (const auto* list : {&running_, &leaving_})
    for (const auto& e : *list)
      if (e->number == number) return e->config.name;
  return "";
}

unsigned Services::drain_log(std::span<LogRecord> out) {
  unsigned n = 0;
  for (auto& l : logs_) n += l->drain(out.subspan(n));
  return n;
}

uint64_t Services::log_suppressed() const {
  uint64_t n = 0;
  for (const auto& l : logs_) n += l->suppressed.get();
  return n;
}

}  // namespace sluice::apps
