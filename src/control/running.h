// What runs now, and the only way to change it: text → model → snapshot and services → publish. A step that fails leaves
// everything as it was, the box and this record of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "control/services.h"
#include "control/translate.h"
#include "engine/box.h"

namespace sluice::control {

struct ApplyResult {
  bool ok = false;
  std::vector<config::Mistake> mistakes;  // not empty: refused
  std::string summary;                    // what changed, or why not
  uint64_t snapshot = 0;
  double milliseconds = 0;
};

class Running {
 public:
  // `loaded` is sound and is what the box was made from; its snapshot is published and its services committed already.
  Running(engine::Box& box, ServiceControl& services, config::Loaded loaded, std::string text, std::string file, config::Overrides set)
      : box_(box),
        services_(services),
        facts_(port_facts(box)),
        model_(std::move(loaded.model)),
        text_(std::move(text)),
        file_(std::move(file)),
        set_(std::move(set)) {}

  // Checks `text` as it would be applied; nothing changes. Relative names in it count from `folder`.
  ApplyResult check(const std::string& text, const std::string& file_name, const std::string& folder) const;
  ApplyResult apply(const std::string& text, const std::string& file_name, const std::string& folder);
  // After a port came back, perhaps with another MAC: the same configuration over what the ports are now.
  // Returns what was done, or empty.
  std::string refresh();
  // Reads the file that sluiced was started with again (SIGHUP).
  ApplyResult reload();

  const config::Model& model() const { return model_; }
  const std::string& text() const { return text_; }
  const std::string& file() const { return file_; }
  const config::Overrides& overrides() const { return set_; }

 private:
  struct Prepared {
    ApplyResult result;
    config::Model model;
    std::shared_ptr<const path::Snapshot> snapshot;
    std::optional<ServiceControl::Prepared> services;
  };
  Prepared prepare(const std::string& text, const std::string& file_name, const std::string& folder) const;

  engine::Box& box_;
  ServiceControl& services_;
  std::vector<PortFacts> facts_;
  config::Model model_;
  std::string text_, file_;
  config::Overrides set_;
};

Result<std::string> read_text(const std::string& path);

}  // namespace sluice::control
