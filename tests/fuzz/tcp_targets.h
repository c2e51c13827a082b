// What libFuzzer and the seeded tests run.
#pragma once

#include <cstdint>
#include <span>

namespace sluice::fuzz {

void tcp_options(std::span<const uint8_t> input);  // the option parser and builder
void tcp_segments(std::span<const uint8_t> input); // segments, time and an application, against every state
void tcp_misuse(std::span<const uint8_t> input);   // commands in wrong states and with wrong handles

// Bits of tcp::State: those that connections were seen in, in this process.
unsigned tcp_states_seen();

}  // namespace sluice::fuzz
