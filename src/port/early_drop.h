// base/drop_reason of what an early-drop program did with a frame.
#pragma once

#include "base/drop_reason.h"
#include "maps.h"

namespace sluice::port {

// count_: it did not drop it.
constexpr DropReason reason_of(sluice_outcome o) {
  switch (o) {
#define SLUICE_X(name) \
  case SLUICE_DROP_##name: return DropReason::shed_##name;
    SLUICE_EARLY_DROPS(SLUICE_X)
#undef SLUICE_X
    default: return DropReason::count_;
  }
}

}  // namespace sluice::port
