// A page whose contents the control thread replaces now and then, while lcores send it: /metrics, /healthz.
//
// Theory of operation. The page has a few slots; one is the current one. A reader counts itself into the current slot
// and looks again whether it still is; each slice that is sent counts once more, until it is acknowledged. The writer
// fills a slot that nobody counts and that is not current, and then makes it current. With all slots counted (readers
// that do not acknowledge) there is no new version until one is free: nothing waits, nothing is freed on an lcore.
#pragma once

#include <array>
#include <atomic>
#include <string_view>

#include "apps/http_content.h"
#include "apps/service.h"

namespace sluice::apps {

class HttpPage {
 public:
  // A version in use.
  class Version final : public Counted {
   public:
    const Response& response() const { return response_; }
    void add() override { users_.fetch_add(1, std::memory_order_relaxed); }  // by who is counted already
    void release() override { users_.fetch_sub(1, std::memory_order_release); }

   private:
    friend class HttpPage;
    Response response_;
    std::atomic<uint32_t> users_{0};
  };

  // The control thread. false: all versions are being sent; the current one stays.
  bool publish(unsigned status, std::string_view content_type, std::string_view body);
  // An lcore: counted, to be given back with release(). Null: nothing was published yet.
  Version* acquire();

 private:
  static constexpr int kVersions = 8;
  std::array<Version, kVersions> version_;
  std::atomic<int> current_{-1};
};

// What control publishes, for all services and engines.
struct HttpPages {
  HttpPage metrics, healthz;
};

}  // namespace sluice::apps
