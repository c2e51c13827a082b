// The services of the box, from the control side: makes them out of their configuration, one instance for each stack
// engine, brings them into the engines' hosts and out again, and shows what they do. One control thread's.
//
// A change is prepared first: files are read and everything is checked, so that an error leaves all as it is; then it
// is committed. A service whose configuration (and files) did not change keeps running, with its connections. One
// that changed or is gone stops listening; its connections finish what is under way, up to the drain time, and when
// the last is gone it is destroyed.
//
// It outlives the hosts and their stacks: the box is stopped before the services are destroyed.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/health.h"
#include "apps/host.h"
#include "apps/http_page.h"
#include "apps/service.h"
#include "base/result.h"

namespace sluice::apps {

// The names of services by the numbers in LogRecords, and what a view shows.
struct ServiceView {
  const ServiceConfig* config;
  uint16_t number;
  bool draining;                                                  // replaced or removed, with connections left
  std::vector<const ServiceCounters*> engines;                    // one each
  std::vector<std::vector<const BackendCounters*>> backends;      // of a proxy: by backend, then by engine
};

class Services {
 public:
  // Runs a function where the host of an engine may be touched, and waits for it. false: not now; it is tried again.
  using OnHost = std::function<bool(unsigned engine, const std::function<void(Host&)>&)>;

  Services(unsigned engines, OnHost on_host);
  ~Services();
  Services(const Services&) = delete;

  class Prepared {
   public:
    Prepared(Prepared&&) noexcept;
    Prepared& operator=(Prepared&&) noexcept;
    ~Prepared();
    bool changes() const;         // false: committing it does nothing

   private:
    friend class Services;
    Prepared();
    struct Parts;
    std::unique_ptr<Parts> parts_;
  };

  // Error: one sentence, naming the service. Nothing has changed. `unix_now`: seconds since 1970.
  Result<Prepared> prepare(std::vector<ServiceConfig> configs, int64_t unix_now);
  // `p` is of the last commit's state: nothing else was committed in between.
  void commit(Prepared p, Duration drain);
  // Every 200 ms or so: brings on what waited, and destroys what has finished.
  void maintain();

  // Pointers are good until the next commit() or maintain().
  std::vector<ServiceView> views() const;
  // "" where it is not known any more.
  std::string name_of(uint16_t number) const;
  // Records of all engines, in the order of each.
  unsigned drain_log(std::span<LogRecord> out);
  uint64_t log_suppressed() const;
  // What /metrics and /healthz show, once published.
  HttpPages& pages() { return *pages_; }

 private:
  struct Entry;
  struct Pending;

  Status check(const std::vector<ServiceConfig>& configs) const;
  std::unique_ptr<Service> make(const Entry& e, unsigned engine) const;
  void push(unsigned engine);

  const unsigned engines_;
  OnHost on_host_;
  std::shared_ptr<HttpPages> pages_;
  std::vector<std::unique_ptr<EventLog>> logs_;        // by engine
  std::vector<std::unique_ptr<Entry>> running_, leaving_;
  std::vector<std::vector<std::unique_ptr<Pending>>> pending_;  // by engine: updates that its host has not taken
  uint16_t next_number_ = 1;
};

}  // namespace sluice::apps
