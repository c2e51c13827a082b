#include "engine/stack_share.h"

#include "path/steer.h"

namespace sluice::engine {

using path::FlowTail;
using path::KeyKind;
using path::V4;
using path::V6;

unsigned StackShare::of(const tcp::Tuple& t) const {
  if (engines_ == 1) return 0;
  const FlowTail tail = FlowTail::of(be16::from(t.local_port).raw(), be16::from(t.remote_port).raw(), 0,
                                     wire::kProtoTcp, KeyKind::whole);
  return t.local.family == 4 ? path::owner_of<V4>(key_, V4::key(t.local.v4(), t.remote.v4(), tail), engines_)
                             : path::owner_of<V6>(key_, V6::key(t.local.v6(), t.remote.v6(), tail), engines_);
}

unsigned StackShare::of(const rte_mbuf* m) const {
  if (engines_ == 1) return 0;
  const Meta& meta = stash(const_cast<rte_mbuf*>(m));
  if (meta.kind != RingKind::local || meta.proto != wire::kProtoTcp || !meta.has(kMetaPortsValid) || meta.fragment())
    return 0;
  return meta.family == 4 ? path::owner_of<V4>(key_, path::make_key<V4>(m, meta), engines_)
                          : path::owner_of<V6>(key_, path::make_key<V6>(m, meta), engines_);
}

}  // namespace sluice::engine
