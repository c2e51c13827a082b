#include "apps/http_page.h"

namespace sluice::apps {

bool HttpPage::publish(unsigned status, std::string_view content_type, std::string_view body) {
  const int now = current_.load();
  for (int i = 0; i < kVersions; i++) {
    if (i == now || version_[i].users_.load() != 0) continue;
    version_[i].response_ = make_response(status, content_type, body);
    current_.store(i);
    return true;
  }
  return false;
}

// Sequentially consistent on both sides: a writer that saw no user of a slot has its own slot current before, and then
// the reader, who counted itself later, sees that the slot is not current (any more) and does not look into it.
HttpPage::Version* HttpPage::acquire() {
  for (;;) {
    const int i = current_.load();
    if (i < 0) return nullptr;
    Version& v = version_[i];
    v.users_.fetch_add(1);
    if (current_.load() == i) return &v;
    v.users_.fetch_sub(1);
  }
}

}  // namespace sluice::apps
