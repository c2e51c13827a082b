// Writes pcapng: one section, one Ethernet interface per port with nanosecond times, enhanced packet
// blocks with their direction and an optional comment. The bytes depend on the calls alone: no host name,
// no clock, no random. Buffered; after an error (a full disk, say) the file ends with the last whole
// block that fitted, and everything else is counted as lost. Source: draft-ietf-opsawg-pcapng.
//
// Threads: one at a time.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "wire/headers.h"

namespace sluice::port {

class PcapngWriter {
 public:
  enum class Direction : uint8_t { unknown, inbound, outbound };

  static Result<std::unique_ptr<PcapngWriter>> create(const std::string& path);
  ~PcapngWriter();
  PcapngWriter(const PcapngWriter&) = delete;

  // Returns the number that frame() wants.
  unsigned add_interface(std::string_view name);
  // `time` counts from 1970. False where the file has failed: the frame is lost.
  bool frame(unsigned interface, Instant time, Direction d, wire::ConstBytes bytes,
             std::string_view comment = {});
  // All segments of a chain as one frame.
  bool frame(unsigned interface, Instant time, Direction d, const rte_mbuf* m, std::string_view comment = {});

  Status flush();
  // Flushes and closes; nothing may be written afterwards.
  Status close();
  const Status& status() const { return status_; }
  uint64_t lost() const { return lost_; }

 private:
  PcapngWriter() = default;
  bool begin_frame(unsigned interface, Instant time, uint32_t length, std::string_view comment);
  void end_frame(Direction d, std::string_view comment);
  void put16(uint16_t v);
  void put32(uint32_t v);
  void put(const void* p, size_t n);
  void pad();
  void option(uint16_t code, const void* p, size_t n);
  void begin_block(uint32_t type);
  void end_block();

  std::string path_;
  int fd_ = -1;
  std::vector<uint8_t> buffer_;  // whole blocks, and the one being built
  size_t block_ = 0;             // where that begins
  uint64_t written_ = 0;         // bytes in the file, always whole blocks
  Status status_;
  uint64_t lost_ = 0;
  unsigned interfaces_ = 0;
};

}  // namespace sluice::port
