// What services tell (apps/event_log.h) in sentences: who was served, and how it ended.
#pragma once

#include <string>

#include "apps/event_log.h"

namespace sluice::control {

// "198.51.100.7:4000", "[2001:db8::7]:4000"; "any:80" without an address.
std::string to_string(const app::Endpoint& e);
std::string sentence(const apps::LogRecord& r, const std::string& service);

}  // namespace sluice::control
