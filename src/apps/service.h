// What the services of the box have in common: a name, counters, an orderly end. A service is an application that a
// Host turns; it is made and destroyed on the control thread, and between start() and left() belongs to the lcore.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>

#include "apps/event_log.h"
#include "apps/pool.h"
#include "apps/service_config.h"
#include "apps/timeouts.h"
#include "base/counter.h"
#include "sluice/app.h"

namespace sluice::apps {

class Health;

// One instance's counters: the lcore writes, anyone reads. They outlive the service for whoever holds them.
struct ServiceCounters {
  Counter accepted;         // connections
  Counter ended;            // … of these; the difference are the connections now
  Counter refused;          // closed at once: the limit of connections
  Counter requests;         // http
  Counter responses[6];     // http: by the status's first digit
  Counter bytes_in, bytes_out;  // from and to clients; out: acknowledged
  Counter failures;         // connections that ended by a reset or a time-out of TCP
  Counter timeouts;         // connections that the service ended for being idle or slow
  Counter unserved;         // proxy: no backend could be had
  Counter overloads;        // connections that it ended for want of a buffer or another pool
  Counter bad_requests;     // http: malformed or beyond a limit
  Counter listen_failures;  // addresses that could not be listened on

  uint64_t connections() const { return accepted.get() - ended.get(); }
};

// A keeper that is counted up as well as down.
class Counted : public app::Keeper {
 public:
  virtual void add() = 0;

 protected:
  ~Counted() = default;
};

// Counts the slices that refer to a service's memory: while there are any, it must not be destroyed.
class Held final : public Counted {
 public:
  void add() override { slices_++; }
  void release() override { slices_--; }
  uint64_t slices() const { return slices_; }

 private:
  uint64_t slices_ = 0;
};

class Service : public app::App {
 public:
  // `number` names it in the log, which may be null and outlives it.
  Service(const ServiceConfig& c, uint16_t number, EventLog* log)
      : config_(c), number_(number), log_(log), counters_(std::make_shared<ServiceCounters>()) {
    listeners_.reserve(c.listen.size());
  }

  // --- control thread
  const ServiceConfig& config() const { return config_; }
  uint16_t number() const { return number_; }
  const std::shared_ptr<ServiceCounters>& counters() const { return counters_; }
  // The lcore has let go of it for good.
  bool left() const { return left_.load(std::memory_order_acquire); }

  // --- lcore
  void attach(Health* h) { health_ = h; }
  void start(app::Api& api) override;
  // Stops listening. Connections end as soon as what is under way is finished, and at `until` in any case.
  void drain(app::Api& api, int64_t until);
  bool draining() const { return drain_until_ != INT64_MAX; }
  // Draining, without connections, and nobody refers to its memory.
  virtual bool finished() const = 0;
  void leave() { left_.store(true, std::memory_order_release); }
  // The engine ends: buffers are given back, connections just forgotten.
  virtual void abandon(app::Api& api) = 0;

 protected:
  virtual app::Options listen_options() const;
  virtual void drain_begins(app::Api&) {}

  const ServiceConfig config_;
  const uint16_t number_;
  EventLog* const log_;
  std::shared_ptr<ServiceCounters> counters_;
  Health* health_ = nullptr;
  int64_t drain_until_ = INT64_MAX;

 private:
  std::vector<app::Listener> listeners_;
  std::atomic<bool> left_{false};
};

// A service whose connections are items of one pool. Connection has `app::Conn conn` (none: free or being freed).
// The user word of a connection is its item's number.
template <class Connection>
class PooledService : public Service {
 public:
  PooledService(const ServiceConfig& c, uint16_t number, EventLog* log)
      : Service(c, number, log), pool_(c.connections), timeouts_(c.connections) {}

  void events(app::Api& api, std::span<const app::Event> batch) override {
    for (const app::Event& e : batch) {
      if (e.kind == app::Kind::accepted) {
        accept(api, e);
        continue;
      }
      const auto i = static_cast<uint32_t>(e.user);
      if (i < pool_.touched() && pool_[i].conn == e.conn) event(api, i, e);
      else if (e.buffer) api.free_buffer(e.buffer);
    }
  }
  void tick(app::Api& api) override {
    timeouts_.run(api.now(), kTickBudget, [&](uint32_t i) {
      if (!pool_[i].conn.none()) timeout(api, i);
    });
    if (draining()) drain_some(api);
  }
  int64_t deadline() const override {
    const int64_t d = timeouts_.deadline();
    if (!draining()) return d;
    if (drain_at_ < pool_.touched()) return 0;
    return abort_at_ < pool_.touched() ? std::min(d, drain_until_) : d;
  }
  void abandon(app::Api& api) override {
    for (uint32_t i = 0; i < pool_.touched(); i++)
      if (!pool_[i].conn.none()) forget(api, i);
  }
  bool finished() const override { return draining() && pool_.used() == 0 && held_.slices() == 0; }

 protected:
  static constexpr unsigned kTickBudget = 256;

  virtual void accepted(app::Api& api, uint32_t i, const app::Event& e) = 0;
  // Anything but accepted. A data event's buffer is to be taken.
  virtual void event(app::Api& api, uint32_t i, const app::Event& e) = 0;
  virtual void timeout(app::Api& api, uint32_t i) = 0;
  // Once for each connection when draining begins: it is to end as soon as may be.
  virtual void drain_connection(app::Api& api, uint32_t i) = 0;
  // Frees what the connection holds besides its item.
  virtual void released(app::Api&, uint32_t) {}

  // The connection is gone, or was given up: its item is free.
  void forget(app::Api& api, uint32_t i) {
    released(api, i);
    pool_[i].conn = {};
    timeouts_.clear(i);
    pool_.give(i);
    counters_->ended.add(1);
  }
  void abort(app::Api& api, uint32_t i) {
    api.abort(pool_[i].conn);
    forget(api, i);
  }
  void close(app::Api& api, uint32_t i) {
    api.close(pool_[i].conn);
    forget(api, i);
  }
  void arm(app::Api& api, uint32_t i, Duration d) {
    timeouts_.set(i, d.ns > 0 ? api.now() + d.ns : INT64_MAX, api.now());
  }

  void accept(app::Api& api, const app::Event& e) {
    const uint32_t i = draining() ? kNone : pool_.take();
    if (i == kNone) {
      counters_->refused.add(1);
      api.close(e.conn);
      return;
    }
    counters_->accepted.add(1);
    pool_[i].conn = e.conn;
    api.set_user(e.conn, i);
    accepted(api, i, e);
  }

  Pool<Connection> pool_;
  Timeouts timeouts_;
  Held held_;

 private:
  void drain_some(app::Api& api) {
    for (unsigned k = 0; k < kTickBudget && drain_at_ < pool_.touched(); k++, drain_at_++)
      if (!pool_[drain_at_].conn.none()) drain_connection(api, drain_at_);
    if (api.now() < drain_until_) return;
    for (unsigned k = 0; k < kTickBudget && abort_at_ < pool_.touched(); k++, abort_at_++)
      if (!pool_[abort_at_].conn.none()) abort(api, abort_at_);
  }

  uint32_t drain_at_ = 0, abort_at_ = 0;
};

}  // namespace sluice::apps
