#include "engine/numa.h"

#include <filesystem>
#include <string>

namespace sluice::engine {

int numa_node_of(unsigned cpu) {
  std::error_code ec;
  if (!std::filesystem::exists("/sys/devices/system/node/node1", ec)) return -1;
  const std::string dir = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
  for (const auto& entry : std::filesystem::directory_iterator(dir, ec)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("node") && name.size() > 4 && name.size() < 9) return std::atoi(name.c_str() + 4);
  }
  return -1;
}

}  // namespace sluice::engine
