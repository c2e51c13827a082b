#include "path/ip6_options.h"

#include "packet/buf.h"
#include "wire/ip6_ext.h"

namespace sluice::path {

namespace {

wire::ConstBytes packet_of(const rte_mbuf* m, const Meta& meta) {
  return bytes_of(m).subspan(meta.l3, meta.ip_length);
}

OptionsResult result(const wire::Ip6ExtVerdict& v) {
  constexpr uint8_t kParameterProblem = 4;
  if (v.act == wire::Ip6ExtVerdict::Act::pass) return {};
  if (v.act == wire::Ip6ExtVerdict::Act::drop) return {.drop = DropReason::ip6_extension};
  return {DropReason::ip6_extension, true, kParameterProblem, v.code, v.pointer};
}

}  // namespace

OptionsResult process_hop_by_hop(const rte_mbuf* m, const Meta& meta) {
  return result(wire::check_hop_by_hop(packet_of(m, meta)));
}

OptionsResult check_local_ext_headers(const rte_mbuf* m, const Meta& meta) {
  return result(wire::check_destination_headers(packet_of(m, meta)));
}

}  // namespace sluice::path
