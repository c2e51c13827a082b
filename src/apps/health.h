// Health checks: TCP connects and HTTP requests to targets that others own and subscribe with (a proxy's backends, a
// load balancer's real servers). One instance a stack engine; observers are called on its lcore.
//
// A target is up at first. After `fall` failed checks in a row it is down, after `rise` good ones up again. A check
// has at most one connection; the next one begins `interval` after the last began. An HTTP check counts once its status
// line is there; what follows is read and thrown away until the server ends the connection as it was asked to, so that
// a healthy one sees no reset.
#pragma once

#include <atomic>
#include <string>

#include "apps/pool.h"
#include "apps/service_config.h"
#include "apps/timeouts.h"
#include "base/counter.h"
#include "sluice/app.h"

namespace sluice::apps {

// What is known of a server that connections go to: the lcore writes, anyone reads.
struct BackendCounters {
  explicit BackendCounters(const app::Endpoint& e) : at(e) {}
  const app::Endpoint at;
  std::atomic<bool> up{true};
  std::atomic<int64_t> changed{0};  // nanoseconds of the lcore's clock: when `up` last changed; 0: never
  Counter checks, checks_failed;
  Counter connections, ended;       // made for clients, and of these ended
  Counter failures;                 // attempts that failed
  Counter bytes_in, bytes_out;      // from and to the backend

  uint64_t active() const { return connections.get() - ended.get(); }
};

class Health final : public app::App {
 public:
  class Observer {
   public:
    virtual void health_changed(int64_t now, uint32_t tag, bool up) = 0;

   protected:
    ~Observer() = default;
  };

  // Owned by the subscriber, in place until unsubscribed. Made on the control thread.
  class Target {
   public:
    // `tag` is for the observer, which may be null.
    Target(BackendCounters& counters, const CheckOptions& o, Observer* observer, uint32_t tag);
    bool up() const { return counters_->up.load(std::memory_order_relaxed); }

   private:
    friend class Health;
    enum class State : uint8_t { idle, connecting, answer, ending };  // ending: the outcome is known
    BackendCounters* counters_;
    CheckOptions options_;
    std::string request_;
    Observer* observer_;
    uint32_t tag_;
    uint32_t index_ = kNone;     // among the targets subscribed
    State state_ = State::idle;
    bool last_ = true;           // the last check's outcome
    uint8_t run_ = 0;            // so many of them in a row
    uint8_t got_ = 0;            // bytes of the status line
    uint32_t read_ = 0;          // bytes of the answer
    char line_[12]{};
    app::Conn conn_;
    int64_t began_ = 0;
  };

  static constexpr uint32_t kTargets = 1024;

  Health() : targets_(kTargets), timeouts_(kTargets) {}

  // false: there are kTargets already; it stays up, unchecked.
  bool subscribe(app::Api& api, Target& t);
  void unsubscribe(app::Api& api, Target& t);

  void start(app::Api&) override {}
  void events(app::Api& api, std::span<const app::Event> batch) override;
  void tick(app::Api& api) override;
  int64_t deadline() const override { return timeouts_.deadline(); }

 private:
  void begin(app::Api& api, Target& t);
  void event(app::Api& api, Target& t, const app::Event& e);
  bool ask(app::Api& api, Target& t);
  void answer(app::Api& api, Target& t, const app::Event& e);
  void judge(app::Api& api, Target& t, bool good);
  void rest(app::Api& api, Target& t);
  void finish(app::Api& api, Target& t, bool good) { rest(api, t), judge(api, t, good); }

  Pool<Target*> targets_;
  Timeouts timeouts_;
};

}  // namespace sluice::apps
