// One connection to the control socket, one request at a time.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace sluice::ctl {

using nlohmann::json;

struct Answer {
  json result;
  bool failed = false;  // the box answered with an error
  int code = 0;
  std::string message;
  json data;
};

class Client {
 public:
  explicit Client(std::string path) : path_(std::move(path)) {}
  ~Client();
  Client(const Client&) = delete;

  // An Error where there was no answer: no socket, no right, the box is gone, `timeout_s` is over.
  Result<Answer> call(const std::string& method, const json& params, int timeout_s = 60);

 private:
  Status connect_now();
  std::string path_, in_;
  int fd_ = -1;
  int next_id_ = 1;
};

}  // namespace sluice::ctl
