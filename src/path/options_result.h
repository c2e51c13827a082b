// What became of a packet's options or extension headers.
#pragma once

#include <cstdint>

#include "base/drop_reason.h"

namespace sluice::path {

struct OptionsResult {
  DropReason drop = DropReason::count_;  // count_: go on
  bool icmp = false;                     // dropped, and this error is due (IcmpErrors::make decides)
  uint8_t type = 0, code = 0;
  uint32_t info = 0;  // pointer
};

}  // namespace sluice::path
