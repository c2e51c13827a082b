// From a configuration file to a box that is ready to start: what run and replay have in common.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "control/running.h"
#include "engine/box.h"

namespace sluice::daemon {

struct Startup {
  config::Loaded loaded;
  std::string text, file;
  config::Overrides set;
  std::unique_ptr<control::ServiceControl> services;  // outlives the box
  std::unique_ptr<engine::Box> box;
};

// "PATH=VALUE" each; a word without '=' is an error.
Result<config::Overrides> parse_overrides(const std::vector<std::string>& words);

// Reads and validates; every mistake goes to standard error. false: there was one.
bool load(Startup& s, const std::string& file, const config::Overrides& set);

// EAL, box, first snapshot. `adjust` may change the box's options before it is made.
Status assemble(Startup& s, const std::function<void(engine::BoxOptions&)>& adjust = {});

}  // namespace sluice::daemon
