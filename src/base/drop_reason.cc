#include "base/drop_reason.h"

namespace sluice {

const DropInfo& drop_info(DropReason r) {
  static constexpr DropInfo table[] = {
#define DROP(name, severity, text) {#name, Severity::severity, text},
#include "base/drop_reason.def"
#undef DROP
  };
  static_assert(sizeof table / sizeof table[0] == kDropReasons);
  return table[static_cast<unsigned>(r)];
}

std::string_view to_string(Severity s) {
  switch (s) {
    case Severity::info: return "info";
    case Severity::warn: return "warn";
    case Severity::error: break;
  }
  return "error";
}

}  // namespace sluice
