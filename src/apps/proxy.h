// A TCP proxy: each connection accepted is joined to one of a pool of backends, and both directions are spliced
// without a copy (splice.h), with the ends of streams and resets carried over.
//
// Theory of operation. A backend is chosen among those that are up, by turns or by the fewest connections; if it
// refuses, or does not answer in time, another one is tried, as nothing has been sent yet. What the client sends
// meanwhile waits, and is bounded by its window. A session lives until both of its connections have ended; what fails
// on one side is a reset on the other.
#pragma once

#include <memory>
#include <vector>

#include "apps/health.h"
#include "apps/service.h"
#include "apps/splice.h"

namespace sluice::apps {

struct ProxySession {
  app::Conn conn;                      // the client's
  app::Conn server;                    // none: no attempt is under way
  Splice up, down;                     // client to backend, backend to client
  uint64_t tried = 0;                  // backends, by bit
  uint64_t bytes_in = 0, bytes_out = 0;
  int64_t began = 0, progress = 0;
  app::Peer peer;                      // the client's, for the log and the PROXY header
  uint16_t backend = 0;
  uint8_t attempts = 0;
  bool connecting = false, client_ended = false, server_ended = true;
};

class Proxy final : public PooledService<ProxySession>, private Health::Observer {
 public:
  Proxy(const ServiceConfig& c, uint16_t number, EventLog* log);

  const std::vector<std::shared_ptr<BackendCounters>>& backends() const { return backends_; }

  void start(app::Api& api) override;
  void events(app::Api& api, std::span<const app::Event> batch) override;

 private:
  static constexpr uint64_t kServerSide = uint64_t{1} << 32;  // in the user word

  void accepted(app::Api& api, uint32_t i, const app::Event& e) override;
  void event(app::Api& api, uint32_t i, const app::Event& e) override;  // the client's
  void server_event(app::Api& api, uint32_t i, const app::Event& e);
  void timeout(app::Api& api, uint32_t i) override;
  void drain_begins(app::Api& api) override;
  void health_changed(int64_t now, uint32_t backend, bool up) override;
  void drain_connection(app::Api&, uint32_t) override {}
  void released(app::Api& api, uint32_t i) override;

  // kNone: all that are up have been tried.
  uint32_t choose(uint64_t tried);
  void connect(app::Api& api, uint32_t i);
  void attempt_failed(app::Api& api, uint32_t i);
  void connected(app::Api& api, uint32_t i);
  bool send_header(app::Api& api, ProxySession& s);
  void server_over(ProxySession& s);
  void both(app::Api& api, uint32_t i);
  void rearm(app::Api& api, uint32_t i);
  void lost(app::Api& api, uint32_t i);
  void finish(app::Api& api, uint32_t i, app::Failure f);
  void log(app::Api& api, const ProxySession& s, LogRecord::Kind kind, app::Failure f);

  std::vector<std::shared_ptr<BackendCounters>> backends_;
  std::vector<Health::Target> targets_;
  WaitingPool waiting_;
  uint32_t turn_ = 0;                  // round robin
};

// PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, 2.2): written to `to`, which has kProxyHeader bytes;
// returns how many are used.
inline constexpr uint32_t kProxyHeader = 52;
uint32_t write_proxy_header(uint8_t* to, const app::Peer& client);

}  // namespace sluice::apps
