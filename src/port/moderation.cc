#include "port/moderation.h"

#include <fstream>

namespace sluice::port {

namespace {

// 40 µs hold at most half of a veth's ring of 256 frames at 3 Mpps. The 9 is our mark.
constexpr const char *kDeferrals = "2", *kTimeout = "40009";

std::string read(const std::string& path) {
  std::string value;
  std::getline(std::ifstream(path), value);
  return value;
}

bool write(const std::string& path, const std::string& value) {
  return static_cast<bool>(std::ofstream(path) << value << std::flush);
}

}  // namespace

Moderation::Moderation(const std::string& device)
    : folder_("/sys/class/net/" + device), deferrals_(read(folder_ + "/napi_defer_hard_irqs")),
      timeout_(read(folder_ + "/gro_flush_timeout")) {
  if (timeout_ != kTimeout) return;
  deferrals_ = timeout_ = "0";
  on_ = true;
  set(false);
}

bool Moderation::follow(uint64_t shed) {
  const bool more = shed != seen_;
  seen_ = shed;
  calm_ = more ? 0 : calm_ + 1;
  if (refused_ || (on_ ? calm_ < kCalm : !more)) return false;
  if (!on_ && read(folder_ + "/threaded") != "1") return false;
  set(!on_);
  return !refused_;
}

void Moderation::set(bool on) {
  if (on == on_) return;
  const bool done = write(folder_ + "/gro_flush_timeout", on ? kTimeout : timeout_) &&
                    write(folder_ + "/napi_defer_hard_irqs", on ? kDeferrals : deferrals_);
  refused_ = on && !done;
  on_ = on && done;
}

}  // namespace sluice::port
