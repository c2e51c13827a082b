// Which memory is near which CPU.
#pragma once

namespace sluice::engine {

int numa_node_of(unsigned cpu);  // -1: the machine has one node, or does not say

}  // namespace sluice::engine
