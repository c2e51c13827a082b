// sluiced's log, on standard error: for people on a terminal or in a file, with journald's priority prefix
// where systemd reads it (JOURNAL_STREAM). Control threads only.
#pragma once

#include <spdlog/spdlog.h>

#include "port/port.h"

namespace sluice::daemon {

void start_log(bool verbose);
void log_event(const port::Event& e);

}  // namespace sluice::daemon
