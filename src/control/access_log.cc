#include "control/access_log.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "control/tcp_answers.h"

namespace sluice::control {
namespace {

using Kind = apps::LogRecord::Kind;

// A client's bytes: nothing in them may move a terminal's cursor or begin a line.
std::string target(const apps::LogRecord& r) {
  std::string s;
  for (size_t i = 0; i < strnlen(r.target, sizeof r.target); i++) {
    const auto c = static_cast<unsigned char>(r.target[i]);
    if (c > ' ' && c < 0x7f && c != '"' && c != '\\') {
      s += static_cast<char>(c);
      continue;
    }
    char hex[8];
    std::snprintf(hex, sizeof hex, "\\x%02x", c);
    s += hex;
  }
  return s;
}

std::string failure(app::Failure f) {
  switch (f) {
    case app::Failure::none: return "";
    case app::Failure::refused: return ", refused";
    case app::Failure::reset: return ", reset";
    case app::Failure::timed_out: return ", timed out";
    case app::Failure::unreachable: return ", unreachable";
    case app::Failure::aborted: return ", aborted";
  }
  return "";
}

std::string session(const apps::LogRecord& r) {
  char took[32];
  std::snprintf(took, sizeof took, "%.3f s", static_cast<double>(r.duration) / 1e9);
  return to_string(r.client) + (r.backend.port ? " to " + to_string(r.backend) : "") + ", " + std::to_string(r.bytes_in) + " bytes in, " +
         std::to_string(r.bytes_out) + " out, " + took + (r.attempts > 1 ? ", attempt " + std::to_string(r.attempts) : "") +
         failure(r.failure);
}

}  // namespace

std::string to_string(const app::Endpoint& e) {
  if (e.address.family == 0) return "any:" + std::to_string(e.port);
  IpAddr a;
  a.family = e.address.family;
  std::copy_n(e.address.bytes, a.b.size(), a.b.begin());
  return to_string(AddressPort{a, e.port});
}

std::string sentence(const apps::LogRecord& r, const std::string& service) {
  const std::string who = service + ": ";
  switch (r.kind) {
    case Kind::request: return who + to_string(r.client) + " \"" + target(r) + "\" " + std::to_string(r.status);
    case Kind::session: return who + session(r);
    case Kind::refused: return who + to_string(r.client) + " turned away: no backend";
    case Kind::backend_up: return who + "backend " + to_string(r.backend) + " is up";
    case Kind::backend_down: return who + "backend " + to_string(r.backend) + " is down";
  }
  return who;
}

}  // namespace sluice::control
