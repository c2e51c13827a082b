// Makes Ethernet frames of what captures of other link types hold. Sources: tcpdump.org/linktypes.html;
// LINKTYPE_LINUX_SLL and _SLL2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/drop_reason.h"
#include "port/pcap_reader.h"

namespace sluice::port {

struct LinkFrame {
  std::optional<wire::EthHdr> header;  // to be put in front; none: the payload is an Ethernet frame
  wire::ConstBytes payload;
  DropReason reject = DropReason::count_;  // count_: it is good
};

bool link_type_known(uint32_t link_type);
std::string link_type_name(uint32_t link_type);  // "radiotap (127)"

// `own` becomes the destination, but for group addresses, whose MAC follows from the packet.
LinkFrame to_ethernet(const PcapReader::Frame& f, const Mac& own);

}  // namespace sluice::port
