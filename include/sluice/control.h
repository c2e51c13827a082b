// The control protocol: JSON-RPC 2.0 over a Unix stream socket, one object a line (LF). Shared by sluiced
// and sluicectl; depends on nothing but the standard library.
//
// config.check and config.apply take the "text", a "name" for it in what is said of it, and the absolute "folder" from which
// relative names in it count: the running file's, where it is left out.
//
// `methods` answers with the verbs and their fields. Those of early drop: block.* and allow.* (add, remove, list, find, load,
// clear), shed.status, shed.level. A list of prefixes may come in pieces, so that no request is long: the first with
// "more": true is answered with a number, which those after it give as "load"; the one without "more" puts all of them into
// force at one moment. Pieces may end anywhere in a line.
#pragma once

#include <cstddef>

namespace sluice::control {

inline constexpr int kProtocolVersion = 1;
inline constexpr const char* kDefaultSocket = "/run/sluice/sluice.sock";
// What shed.level takes, as its help and its errors say it.
inline constexpr const char* kShedLevels = "auto, off, rest, new, established, max or a number from 0 to 768";
inline constexpr size_t kMaxRequest = 8u << 20;   // bytes of one line; a longer one closes the connection

// JSON-RPC 2.0 section 5.1
inline constexpr int kParseError = -32700, kInvalidRequest = -32600, kMethodNotFound = -32601,
                     kInvalidParams = -32602, kInternalError = -32603;
// ours
inline constexpr int kConfigError = -32000;   // data: {"errors": [{file, line, column, path, message}]}
inline constexpr int kBusy = -32001;          // too many clients, or an lcore that does not answer
inline constexpr int kRefused = -32002;       // understood, but cannot be done now; message says why

}  // namespace sluice::control
