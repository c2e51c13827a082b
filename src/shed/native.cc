#include "shed/native.h"

#include "port/early_drop.h"
#include "syn_answer.h"

namespace sluice::shed {

namespace {

constexpr unsigned kAhead = 4;  // frames whose headers are fetched before they are looked at

struct Frame {
  explicit Frame(rte_mbuf* m) : data(rte_pktmbuf_mtod(m, uint8_t*)), end(data + m->data_len) {}
  uint8_t *data, *end;
};

// The SYN becomes its answer, in its mbuf. false: there is none.
bool answer(sluice_env& env, const sluice_packet& p, rte_mbuf* m) {
  const Frame f(m);
  sluice_syn syn{};
  sluice_syn_answer a{};
  if (m->nb_segs != 1 || !sluice_syn_copy(f.data, f.end, &p, &syn) || !sluice_syn_compose(&env, &p, &syn, &a))
    return false;
  const uint32_t size = sluice_answer_size(&p, &a), old = m->data_len;
  if (size > old && !rte_pktmbuf_append(m, static_cast<uint16_t>(size - old))) return false;
  if (size < old) rte_pktmbuf_trim(m, static_cast<uint16_t>(old - size));
  return sluice_syn_write(f.data, f.data + size, &p, &a);
}

}  // namespace

unsigned NativeVerdict::run(Instant now, rte_mbuf** pkts, unsigned n, PortAccount& row, rte_mbuf** answers_out,
                            unsigned& answers) {
  answers = 0;
  sluice_env env = shed_.environment();
  env.now = static_cast<uint64_t>(now.ns);
  env.queue = &queue_;
  const uint32_t level = sluice_level_of(&env);
  if (!sluice_looks(env.policy->checks, level)) return n;
  for (unsigned i = 0; i < n && i < kAhead; i++) rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void*));
  unsigned kept = 0;
  for (unsigned i = 0; i < n; i++) {
    rte_mbuf* m = pkts[i];
    if (i + kAhead < n) rte_prefetch0(rte_pktmbuf_mtod(pkts[i + kAhead], void*));
    const Frame f(m);
    sluice_packet p{};
    sluice_parse(f.data, f.end, &p);
    struct sluice_verdict v = sluice_judge(&env, env.policy, level, &p);
    if (v.outcome == SLUICE_OUT_ANSWERED && !answer(env, p, m)) v.outcome = SLUICE_DROP_syn_rate;
    counts_[v.outcome * SLUICE_CLASSES + v.cls].add(1);
    if (v.outcome == SLUICE_OUT_REDIRECTED) {
      pkts[kept++] = m;
    } else if (v.outcome == SLUICE_OUT_ANSWERED) {
      answers_out[answers++] = m;
    } else {
      row.rx_packets.add(1);
      row.rx_bytes.add(m->pkt_len);
      row.drop(port::reason_of(static_cast<sluice_outcome>(v.outcome)));
      rte_pktmbuf_free(m);
    }
  }
  return kept;
}

}  // namespace sluice::shed
