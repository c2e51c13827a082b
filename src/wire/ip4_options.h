// A walk over the options of an IPv4 header (RFC 791 3.1).
//
// Progress: every step of next() moves at_ forward by at least 1 (no-operation) or 2 (an option's least
// length), and at_ never passes size(), so a walk ends after at most 40 steps whatever the bytes say.
#pragma once

#include <cstdint>

#include "wire/headers.h"

namespace sluice::wire {

inline constexpr uint8_t kIp4OptEnd = 0, kIp4OptNop = 1, kIp4OptRecordRoute = 7, kIp4OptTimestamp = 68,
                         kIp4OptLooseRoute = 131, kIp4OptStrictRoute = 137, kIp4OptRouterAlert = 148;
inline constexpr uint8_t kIp4OptCopied = 0x80;  // the bit of the type: goes into every fragment

struct Ip4Option {
  uint8_t type;
  unsigned offset;  // of the type octet, from the start of the IP header
  unsigned length;  // type and length octets counted; at least 2, and all of it is in the header
};

class Ip4OptionWalk {
 public:
  // `header`: the whole IPv4 header, its options included.
  explicit Ip4OptionWalk(ConstBytes header) : header_(header) {}

  // The next option that is neither no-operation nor end; false at the end, or where the bytes make no sense.
  bool next(Ip4Option& o) {
    while (at_ < header_.size()) {
      const uint8_t type = header_[at_];
      if (type == kIp4OptEnd) break;
      if (type == kIp4OptNop) {
        ++at_;
        continue;
      }
      const size_t left = header_.size() - at_;
      if (left < 2 || header_[at_ + 1] < 2 || header_[at_ + 1] > left) {
        malformed_ = true;
        return false;
      }
      o = {type, static_cast<unsigned>(at_), header_[at_ + 1]};
      at_ += o.length;
      return true;
    }
    at_ = header_.size();
    return false;
  }
  // After false: why. at() is then the offset of the option that makes no sense.
  bool malformed() const { return malformed_; }
  unsigned at() const { return static_cast<unsigned>(at_); }

 private:
  ConstBytes header_;
  size_t at_ = sizeof(Ip4Hdr);
  bool malformed_ = false;
};

}  // namespace sluice::wire
