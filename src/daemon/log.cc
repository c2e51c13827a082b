#include "daemon/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>

#include <cstdlib>

namespace sluice::daemon {

namespace {

// sd-daemon(3): "<N>" in front of a line is its syslog priority.
class Priority : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm&, spdlog::memory_buf_t& dest) override {
    const char* p = msg.level >= spdlog::level::err    ? "<3>"
                    : msg.level == spdlog::level::warn ? "<4>"
                                                       : "<6>";
    dest.append(p, p + 3);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Priority>(); }
};

}  // namespace

void start_log(bool verbose) {
  auto logger = std::make_shared<spdlog::logger>("sluiced",
                                                 std::make_shared<spdlog::sinks::ansicolor_stderr_sink_st>());
  if (std::getenv("JOURNAL_STREAM")) {
    auto f = std::make_unique<spdlog::pattern_formatter>();
    f->add_flag<Priority>('*').set_pattern("%*%v");
    logger->set_formatter(std::move(f));
  } else {
    logger->set_pattern("%H:%M:%S.%e %^%-7l%$ %v");
  }
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(logger);
}

void log_event(const port::Event& e) {
  switch (e.level) {
    case port::Event::Level::info:
      spdlog::info("{}", e.text);
      break;
    case port::Event::Level::warning:
      spdlog::warn("{}", e.text);
      break;
    case port::Event::Level::error:
      spdlog::error("{}", e.text);
      break;
  }
}

}  // namespace sluice::daemon
