// What a request on the control socket is answered with: at once, or later where it takes long. Control thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace sluice::control {

struct Reply {
  // Asked again and again until it says something. Who asked may be gone before that.
  using Later = std::function<std::optional<std::string>()>;

  Reply() = default;
  Reply(std::string t) : text(std::move(t)) {}

  std::string text;  // empty: nothing is sent (a notification)
  Later later;       // null: text is all
};

}  // namespace sluice::control
