// Theory of operation.
//
// The state is a window and a threshold; below the threshold it is slow start. Each algorithm has two parts: how the
// window grows when an ACK comes (on_ack), and by which factor it is reduced (Factors). Everything else is common:
//
// Rounds. A round trip is over when as many bytes are acknowledged as were in flight at its start. Rounds serve
// HyStart++ and the measure of use: a window of which, for two rounds, not more than half was filled is not grown (RFC 7661
// 4.4), and CUBIC's clock stands still.
//
// Reductions start from what is in flight, not from cwnd (RFC 5681 equation 4, RFC 9438 4.6): a window that was
// allowed but not used is no evidence.
//
// A reduction can be taken back once, whatever came of it meanwhile.
#include "tcp/congestion.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace sluice::tcp {
namespace {

constexpr uint32_t kMaxWindow = 1u << 30;  // RFC 7323 2.3: no peer can announce more

struct Factors {
  float loss, ecn;  // RFC 8511 3 for ECN
};
constexpr Factors factors(CongestionControl a) {
  return a == CongestionControl::cubic ? Factors{0.7f, 0.85f} : Factors{0.5f, 0.8f};
}
constexpr double kCubicC = 0.4;                                // segments per second³ (RFC 9438 5)
constexpr double kCubicAlpha = 3 * (1 - 0.7) / (1 + 0.7);      // RFC 9438 4.3

// RFC 9406 4.2 and 4.3; times in microseconds.
constexpr uint32_t kMinThreshold = 4000, kMaxThreshold = 16000, kThresholdDivisor = 8;
constexpr uint8_t kSamples = 8, kCssRounds = 5;
constexpr uint32_t kCssDivisor = 4;

double seconds(Duration d) { return static_cast<double>(d.ns) * 1e-9; }

}  // namespace

const char* Congestion::name() const { return algorithm_ == CongestionControl::cubic ? "cubic" : "newreno"; }

// RFC 6928 2, for another number of segments than 10 in proportion.
uint32_t Congestion::initial_window() const {
  const uint32_t n = initial_segments_;
  return std::min(n * mss_, std::max(2 * mss_, n * 1460));
}

void Congestion::start(const Tuning& t, Instant now, uint32_t mss, bool syn_lost) {
  *this = Congestion{};
  algorithm_ = t.congestion;
  initial_segments_ = std::max<uint8_t>(t.initial_window, 1);
  mss_ = mss;
  cwnd_ = syn_lost ? mss : initial_window();
  last_ack_ = now;
}

void Congestion::set_mss(uint32_t mss) {
  mss_ = mss;
  cwnd_ = std::max(cwnd_, mss);
}

void Congestion::add(uint32_t bytes) { cwnd_ = std::min(cwnd_ + bytes, kMaxWindow); }

bool Congestion::round_ends(uint32_t acked, uint32_t in_flight) {
  round_left_ = std::min(round_left_, in_flight);  // what was in flight then is part of what is now
  if (acked < round_left_) {
    round_left_ -= acked;
    peak_ = std::max(peak_, in_flight);
    return false;
  }
  round_left_ = in_flight > acked ? in_flight - acked : mss_;
  last_peak_ = peak_;
  peak_ = in_flight;
  return true;
}

// RFC 7661 4.2. Several ACKs of one burst come before anything is sent, so that one value of in_flight says little.
bool Congestion::used(uint32_t in_flight) {
  return uint64_t{2} * std::max({peak_, last_peak_, in_flight}) > cwnd_;
}

void Congestion::on_ack(Instant now, uint32_t acked, uint32_t in_flight, Duration srtt, Duration rtt) {
  const bool round_end = round_ends(acked, in_flight);
  const Duration since = now - std::exchange(last_ack_, now);
  if (!used(in_flight)) cubic_.epoch = cubic_.epoch + since;
  else if (slow_start()) grow_slow_start(acked, round_end, rtt);
  else if (algorithm_ == CongestionControl::newreno) grow_newreno(acked);
  else grow_cubic(now, acked, srtt);
}

// RFC 9406 4.2 lets an ACK count for at most L = 8 segments where nothing paces. An initial window is a burst that the
// network has to take anyway (RFC 6928), so that is L here.
void Congestion::grow_slow_start(uint32_t acked, bool round_end, Duration rtt) {
  const uint32_t most = std::max<uint32_t>(8, initial_segments_) * mss_;
  // RFC 9406 is for the first slow start alone: later ones know a threshold.
  const uint32_t divisor = ssthresh_ == UINT32_MAX ? slow_start_divisor(round_end, rtt) : 1;
  if (slow_start()) add(std::min(acked, most) / divisor);
  if (ssthresh_ != UINT32_MAX && cwnd_ > ssthresh_) cwnd_ = std::max(ssthresh_, mss_);
}

// HyStart++: 1 in slow start, more in conservative slow start, which begins when the round trip grows and ends slow
// start after kCssRounds, unless the round trip shrinks again.
uint32_t Congestion::slow_start_divisor(bool round_end, Duration rtt) {
  if (round_end) {
    if (css_rounds_ > 0 && ++css_rounds_ > kCssRounds) ssthresh_ = cwnd_;
    last_round_min_ = round_min_;
    round_min_ = samples_ = 0;
  }
  if (rtt.ns > 0) {
    const uint32_t us = static_cast<uint32_t>(std::clamp<int64_t>(rtt.ns / 1000, 1, UINT32_MAX));
    round_min_ = samples_ == 0 ? us : std::min(round_min_, us);
    samples_ = static_cast<uint8_t>(std::min(samples_ + 1, 255));
  }
  if (samples_ >= kSamples) {
    if (css_rounds_ > 0) {
      if (round_min_ < css_base_) css_rounds_ = 0;
    } else if (last_round_min_ > 0) {
      const uint32_t threshold = std::clamp(last_round_min_ / kThresholdDivisor, kMinThreshold, kMaxThreshold);
      if (round_min_ >= last_round_min_ + threshold) {
        css_base_ = round_min_;
        css_rounds_ = 1;
      }
    }
  }
  return css_rounds_ > 0 ? kCssDivisor : 1;
}

// RFC 5681 3.1, by bytes acknowledged: a segment a window.
void Congestion::grow_newreno(uint32_t acked) {
  acked_ += acked;
  if (acked_ < cwnd_) return;
  acked_ -= cwnd_;
  add(mss_);
}

// RFC 9438 4.2, and 4.8 where no reduction by loss went before.
void Congestion::begin_cubic_epoch(Instant now) {
  cubic_.epoch = now;
  cubic_.w_est = static_cast<float>(cwnd_);
  acked_ = 0;
  fraction_ = 0;
  const float below = (cubic_.w_max - cubic_.w_est) / static_cast<float>(mss_);
  cubic_.k = below > 0 ? std::cbrt(below / static_cast<float>(kCubicC)) : 0;
  cubic_.w_max = std::max(cubic_.w_max, cubic_.w_est);
}

// RFC 9438 4.3: as fast as NewReno with the same average, and as NewReno itself from the old window on. In steps of a
// 32nd of the window, which a float can tell apart.
void Congestion::grow_reno_estimate(uint32_t acked) {
  acked_ += acked;
  if (acked_ < cwnd_ / 32) return;
  const float alpha = cubic_.w_est < static_cast<float>(cubic_.cwnd_prior) ? static_cast<float>(kCubicAlpha) : 1;
  cubic_.w_est += alpha * static_cast<float>(mss_) * static_cast<float>(acked_) / static_cast<float>(cwnd_);
  acked_ = 0;
}

void Congestion::grow_cubic(Instant now, uint32_t acked, Duration srtt) {
  if (cubic_.epoch == Instant::never()) begin_cubic_epoch(now);
  grow_reno_estimate(acked);
  const double cwnd = cwnd_;
  const auto curve = [&](Duration t) {
    const double d = seconds(t) - cubic_.k;
    return kCubicC * d * d * d * mss_ + cubic_.w_max;
  };
  double grown;
  if (curve(now - cubic_.epoch) < cubic_.w_est) {
    grown = std::max<double>(cubic_.w_est, cwnd);
  } else {
    const double target = std::clamp(curve(now - cubic_.epoch + srtt), cwnd, 1.5 * cwnd);  // 4.4, 4.5
    grown = cwnd + (target - cwnd) * acked / cwnd + fraction_;
  }
  const double whole = std::floor(std::min<double>(grown, kMaxWindow));
  fraction_ = static_cast<float>(std::min(grown - whole, 1.0));
  cwnd_ = static_cast<uint32_t>(whole);
}

void Congestion::save() {
  undoable_ = true;
  prior_cwnd_ = cwnd_;
  prior_ssthresh_ = ssthresh_;
  prior_cubic_ = cubic_;
}

void Congestion::reduce(uint32_t in_flight, float factor) {
  const float window = static_cast<float>(std::min(in_flight, cwnd_));
  // RFC 9438 4.7, fast convergence: a window smaller than the last one makes room for others.
  const float cwnd = static_cast<float>(cwnd_);
  cubic_.w_max = cwnd < cubic_.w_max ? cwnd * (1 + factors(algorithm_).loss) / 2 : cwnd;
  cubic_.cwnd_prior = cwnd_;
  cubic_.epoch = Instant::never();
  ssthresh_ = std::max(static_cast<uint32_t>(window * factor), 2 * mss_);
  acked_ = 0;
  css_rounds_ = 0;
}

void Congestion::enter_recovery(Instant, uint32_t in_flight) {
  save();
  reduce(in_flight, factors(algorithm_).loss);
  cwnd_ = ssthresh_;
  recovery_ = true;
  recover_fs_ = std::max(in_flight, 1u);
  prr_delivered_ = prr_out_ = 0;
}

void Congestion::on_recovery_ack(uint32_t delivered, uint32_t pipe, bool progress_without_loss) {
  prr_delivered_ += delivered;
  int64_t allowed;
  if (pipe > ssthresh_) {
    const uint64_t share = (uint64_t{prr_delivered_} * ssthresh_ + recover_fs_ - 1) / recover_fs_;
    allowed = static_cast<int64_t>(share) - prr_out_;
  } else {
    allowed = std::max(int64_t{prr_delivered_} - prr_out_, int64_t{delivered});
    if (progress_without_loss) allowed += mss_;
    allowed = std::min(allowed, int64_t{ssthresh_} - pipe);
  }
  if (prr_out_ == 0 && allowed <= 0) allowed = mss_;  // the first retransmission goes out at once
  cwnd_ = std::max(mss_, pipe + static_cast<uint32_t>(std::clamp<int64_t>(allowed, 0, kMaxWindow)));
}

void Congestion::leave_recovery() {
  if (!recovery_) return;
  recovery_ = false;
  cwnd_ = ssthresh_;
}

void Congestion::on_timeout(Instant, uint32_t in_flight, bool first) {
  if (first) {
    if (recovery_) cwnd_ = ssthresh_;  // the loss before was one: to be restored is what it had left
    save();
    reduce(in_flight, factors(algorithm_).loss);
    cubic_.w_max = 0;  // RFC 9438 4.8: the next stage starts from its own window, K = 0
  }
  recovery_ = false;
  cwnd_ = mss_;
  round_left_ = peak_ = last_peak_ = 0;
}

void Congestion::on_ecn(Instant, uint32_t in_flight) {
  undoable_ = false;
  reduce(in_flight, factors(algorithm_).ecn);
  cwnd_ = ssthresh_;
}

void Congestion::undo() {
  if (!undoable_) return;
  undoable_ = recovery_ = false;
  cwnd_ = std::max(cwnd_, prior_cwnd_);
  ssthresh_ = prior_ssthresh_;
  cubic_ = prior_cubic_;
}

void Congestion::after_idle(Instant now, Duration idle, Duration rto) {
  last_ack_ = now;
  round_left_ = peak_ = last_peak_ = 0;
  if (idle <= rto) return;
  const uint32_t restart = std::min(initial_window(), cwnd_);
  if (restart == cwnd_) return;
  // What was there is worth something: slow start leads back to most of it (RFC 7661 4.4.2's 3/4).
  const uint32_t most = static_cast<uint32_t>(uint64_t{cwnd_} * 3 / 4);
  ssthresh_ = ssthresh_ == UINT32_MAX ? most : std::max(ssthresh_, most);
  cwnd_ = restart;
  cubic_.epoch = Instant::never();
  acked_ = 0;
}

}  // namespace sluice::tcp
