// The box's counters as Prometheus text (exposition format 0.0.4), for /metrics of the http services.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "config/model.h"

namespace sluice::control {

struct Context;

// Writes families: a HELP and a TYPE line, then samples.
class Metrics {
 public:
  using Labels = std::initializer_list<std::pair<const char*, std::string_view>>;

  void counter(const std::string& name, const char* help) { family(name, help, "counter"); }
  void gauge(const std::string& name, const char* help) { family(name, help, "gauge"); }
  // Of the family begun last.
  void sample(Labels labels, uint64_t value);
  void sample(Labels labels, double value);
  std::string take() { return std::move(text_); }

 private:
  void family(const std::string& name, const char* help, const char* type);
  void begin(Labels labels);

  std::string text_, name_;
};

bool metrics_wanted(const config::Model& m);  // some service shows them
std::string metrics_text(Context& c);

}  // namespace sluice::control
