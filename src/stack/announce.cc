#include "stack/announce.h"

#include <algorithm>

#include "stack/arp.h"
#include "stack/nd.h"

namespace sluice::stack {

namespace {
constexpr Duration kInterval = Duration::seconds(1);
constexpr unsigned kPerTurn = 32;  // announcements; a box with many addresses spreads them
constexpr Duration kPause = Duration::millis(5);
}  // namespace

std::vector<Announcer::Own> Announcer::all_of(const Interfaces& ifs) {
  std::vector<Own> all;
  for (size_t p = 0; p < ifs.port.size(); p++) {
    const Interface& i = ifs.port[p];
    if (!i.configured) continue;
    const auto port = static_cast<uint16_t>(p);
    for (const Prefix& a : i.addresses) all.push_back({port, i.mac, a.addr, i.link_epoch});
    all.push_back({port, i.mac, i.link_local, i.link_epoch});
  }
  return all;
}

void Announcer::configure(Turn& t) {
  std::vector<Own> now = all_of(t.ifs);
  auto has = [](const std::vector<Own>& v, const Own& o) { return std::find(v.begin(), v.end(), o) != v.end(); };
  std::erase_if(pending_, [&](const Pending& p) { return !has(now, p.own); });
  std::vector<Pending> added;
  for (const Own& o : now)
    if (!has(known_, o)) added.push_back({t.now, t.core.config.announce, o});
  if (t.core.config.announce > 0) pending_.insert(pending_.begin(), added.begin(), added.end());
  known_ = std::move(now);
}

void Announcer::tick(Turn& t) {
  for (unsigned n = 0; !pending_.empty() && pending_.front().due <= t.now; n++) {
    if (n == kPerTurn) {
      for (Pending& p : pending_) p.due = std::max(p.due, t.now + kPause);
      return;
    }
    Pending p = pending_.front();
    pending_.erase(pending_.begin());
    if (p.own.addr.family == 4) send_arp_announcement(t, p.own.port, p.own.addr.v4());
    else send_unsolicited_advertisement(t, p.own.port, p.own.addr.v6());
    if (--p.left > 0) pending_.push_back({t.now + kInterval, p.left, p.own});
  }
}

}  // namespace sluice::stack
