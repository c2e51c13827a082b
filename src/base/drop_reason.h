// Why a packet was not sent: see drop_reason.def.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

enum class DropReason : uint8_t {
#define DROP(name, severity, text) name,
#include "base/drop_reason.def"
#undef DROP
  count_
};

inline constexpr unsigned kDropReasons = static_cast<unsigned>(DropReason::count_);

enum class Severity : uint8_t { info, warn, error };

struct DropInfo {
  std::string_view name;
  Severity severity;
  std::string_view text;
};

const DropInfo& drop_info(DropReason r);
std::string_view to_string(Severity s);

}  // namespace sluice
