#include "tcp/types.h"

namespace sluice::tcp {

const char* to_string(State s) {
  static constexpr const char* kName[] = {"CLOSED",     "LISTEN",     "SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT",
                                          "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING",    "LAST-ACK",     "TIME-WAIT"};
  return kName[static_cast<unsigned>(s)];
}

const char* to_string(Failure f) {
  static constexpr const char* kName[] = {"none", "refused", "reset", "timed out", "unreachable", "aborted"};
  return kName[static_cast<unsigned>(f)];
}

const char* to_string(Outcome o) {
  static constexpr const char* kName[] = {"ok", "stale handle", "wrong state", "full", "in use", "invalid", "no memory"};
  return kName[static_cast<unsigned>(o)];
}

}  // namespace sluice::tcp
