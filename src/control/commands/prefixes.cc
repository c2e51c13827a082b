// block.* and allow.*: the two halves of one list, which differ in the action alone.
#include <chrono>
#include <functional>
#include <memory>

#include "control/commands.h"
#include "control/span.h"
#include "sluice/control.h"

namespace sluice::control {

namespace {

using shed::Origin;
using View = shed::PrefixList::View;

const char* word(sluice_action a) {
  return a == SLUICE_ACTION_BLOCK ? "block" : a == SLUICE_ACTION_ALLOW ? "allow" : a == SLUICE_ACTION_BOGON ? "bogon" : "none";
}
const char* done(sluice_action a) { return a == SLUICE_ACTION_BLOCK ? "blocked" : "allowed"; }

const char* word(Origin o) {
  switch (o) {
    case Origin::command: return "command";
    case Origin::file: return "configuration";
    case Origin::bogon: return "bogons";
  }
  return "";
}

json entry(const View& v, Instant now) {
  return {{"prefix", to_string(v.entry.prefix)},
          {"action", word(v.entry.action)},
          {"from", word(v.from)},
          {"ends_in_seconds", v.until == Instant::never() ? json(nullptr) : json(static_cast<double>((v.until - now).ns) / 1e9)}};
}

Prefix prefix_in(Params& p, const char* field = "prefix") {
  const std::string text = p.text(field);
  auto x = prefix_of(p, field, text);
  if (!x) p.invalid(field, "missing: a prefix such as 203.0.113.0/24 or an address");
  if (x->has_host_bits())
    p.invalid(field, "'" + text.substr(0, 64) + "' has bits set behind its length; did you mean '" + to_string(x->masked()) +
                         "', or the single address '" + to_string(x->addr) + "'?");
  return *x;
}

Instant end_in(Params& p, Instant now) {
  const std::string text = p.text("for");
  if (!p.has("for")) return Instant::never();
  auto span = parse_span(text);
  if (!span) p.invalid("for", span.error());
  return now + *span;
}

[[noreturn]] void refuse(const Params& p, const std::string& why) { throw RpcError{kRefused, p.method() + ": " + why}; }

json add(Context& c, Params& p, sluice_action action) {
  const Prefix prefix = prefix_in(p);
  const Instant now = c.box.now();
  const Instant until = end_in(p, now);
  p.finish();
  auto& lists = c.box.shed().lists();
  std::optional<View> before;  // in force for this very prefix
  for (Origin from : {Origin::command, Origin::file, Origin::bogon})
    if (!before) before = entry_of(lists, prefix, from);
  if (Status s = lists.add({prefix, action}, Origin::command, until); !s) refuse(p, s.error());
  json j = entry({{prefix, action}, Origin::command, until}, now);
  j["instead_of"] = before ? entry(*before, now) : json(nullptr);
  return j;
}

json remove(Context& c, Params& p, sluice_action action) {
  const Prefix prefix = prefix_in(p);
  p.finish();
  auto& lists = c.box.shed().lists();
  const auto there = entry_of(lists, prefix, Origin::command);
  if (there && there->entry.action == action) {
    lists.remove(prefix, Origin::command);
    return {{"prefix", to_string(prefix)}, {"removed", true}};
  }
  std::string why = to_string(prefix) + " is not " + done(action) + " by command";
  if (there) {
    why += ", but " + std::string(done(there->entry.action)) + ": " + word(there->entry.action) + ".remove ends that";
  } else if (auto file = entry_of(lists, prefix, Origin::file); file && file->entry.action == action) {
    why += ", but by the configuration: take it out of shed." + std::string(word(action)) + " and apply it";
  } else if (auto decides = lists.find(prefix.addr); decides && decides->entry.prefix != prefix) {
    why += "; what decides about " + to_string(prefix.addr) + " is " + word(decides->entry.action) + " " +
           to_string(decides->entry.prefix) + " (" + word(decides->from) + ")";
  }
  refuse(p, why);
}

// In order of address. The cursor names the last entry that was shown, so that changes between two pages lose nothing.
json list(Context& c, Params& p, sluice_action action) {
  const uint64_t limit = p.number("limit", 100, 1, 10'000);
  const std::string cursor = p.text("cursor");
  std::optional<Prefix> inside;
  if (p.has("prefix")) inside = prefix_in(p);
  std::optional<Prefix> after;
  if (!cursor.empty() && !(after = parse_prefix(cursor))) p.invalid("cursor", "expected what the page before answered");
  p.finish();
  auto& lists = c.box.shed().lists();
  const Instant now = c.box.now();
  size_t at = after ? position_of(lists, *after) : inside ? position_of(lists, *inside) : 0;
  json entries = json::array();
  json next = nullptr;
  constexpr size_t kSlice = 1024;
  for (bool more = true; more && at < lists.size(); at += kSlice)
    lists.visit(at, kSlice, [&](const View& v) {
      const Prefix& x = v.entry.prefix;
      if (!more || v.entry.action != action || (after && x == *after)) return;
      more = !inside || inside->contains(x.addr);
      if (!more) return;
      if (entries.size() == limit) {
        more = false;
        next = entries.back()["prefix"];
        return;
      }
      entries.push_back(entry(v, now));
    });
  return {{"entries", entries},
          {"total", lists.size(Origin::command, action) + lists.size(Origin::file, action)},
          {"by_command", lists.size(Origin::command, action)},
          {"cursor", next}};
}

json find(Context& c, Params& p) {
  const std::string text = p.text("address");
  p.finish();
  auto a = parse_ip(text);
  if (!a) p.invalid("address", "'" + text.substr(0, 64) + "' is no IPv4 or IPv6 address");
  const auto v = c.box.shed().lists().find(*a);
  return {{"address", to_string(*a)}, {"decides", v ? entry(*v, c.box.now()) : json(nullptr)}};
}

[[noreturn]] void refuse(const Params& p, const std::string& name, const std::vector<config::PrefixMistake>& mistakes) {
  json errors = json::array();
  for (const auto& m : mistakes)
    errors.push_back({{"file", name}, {"line", m.line}, {"column", m.column}, {"path", ""}, {"message", m.message}});
  throw RpcError{kConfigError, p.method() + ": refused, nothing has changed", {{"errors", errors}}};
}

// Puts a batch into force and answers when it is; others are answered meanwhile.
json in_force(Context& c, const Params& p, shed::Batch batch, std::function<json()> result) {
  struct Work {
    shed::Batch batch;
    std::shared_ptr<const shed::PrefixList::Outcome> outcome;
  };
  auto poll = [&box = c.box, method = p.method(), work = std::make_shared<Work>(std::move(batch), nullptr),
               result = std::move(result)]() -> std::optional<json> {
    auto& lists = box.shed().lists();
    lists.settle(box.now());
    if (!work->outcome) {
      if (lists.building()) return std::nullopt;  // one with more room
      auto begun = lists.begin(std::move(work->batch), box.now());
      if (!begun) throw RpcError{kRefused, method + ": " + begun.error()};
      work->outcome = *begun;
    }
    if (!work->outcome->done) return std::nullopt;
    if (!work->outcome->status) throw RpcError{kRefused, method + ": " + work->outcome->status.error()};
    return result();
  };
  if (auto now = poll()) return *now;
  throw Unfinished{poll};
}

// One request with the whole text, or pieces of it: `more` says that others follow, `load` is the number that the first
// was answered with. The last one puts them into force, all at one moment.
json load(Context& c, Params& p, sluice_action action) {
  if (!p.has("text")) p.invalid("text", "missing: prefixes, a line each");
  const std::string text = p.text("text"), name = p.text("name", "(control socket)");
  const uint64_t number = p.number("load", 0, 1, UINT64_MAX);
  const bool more = p.flag("more"), replace = p.flag("replace");
  const Instant until = end_in(p, c.box.now());
  p.finish();
  const auto begun = std::chrono::steady_clock::now();
  auto& lists = c.box.shed().lists();
  const bool busy = number == 0 && lists.building();
  config::PrefixReader* reader = busy ? nullptr : c.load.piece_of(number, action, c.box.now());
  if (!reader && number) p.invalid("load", "there is no such load: it took longer than ten seconds between two pieces, or ended");
  if (!reader) throw RpcError{kBusy, p.method() + ": another list is being loaded; try again in a moment"};
  const bool sound = reader->feed(text) && (more || reader->finish());
  if (!sound || (!more && !reader->mistakes().empty())) {
    const auto mistakes = reader->mistakes();
    c.load.end();
    refuse(p, name, mistakes);
  }
  if (more) return {{"load", c.load.number()}, {"prefixes", reader->size()}};
  const config::PrefixFile all = reader->take();
  c.load.end();
  if (all.prefixes.empty()) refuse(p, name + " has no prefixes; " + word(action) + ".clear removes all");
  shed::Batch batch{.from = Origin::command, .come = {}, .go = replace ? 1u << action : 0u, .until = until};
  batch.come.reserve(all.prefixes.size());
  for (const Prefix& x : all.prefixes) batch.come.push_back({x, action});
  return in_force(c, p, std::move(batch), [&c, &lists, action, begun, n = all.prefixes.size(), name]() -> json {
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count();
    c.log_event({port::Event::Level::info, name + ": " + std::to_string(n) + (n == 1 ? " prefix " : " prefixes ") + done(action) + " by command"});
    return {{"loaded", n}, {"by_command", lists.size(Origin::command, action)}, {"milliseconds", ms}};
  });
}

json clear(Context& c, Params& p, sluice_action action) {
  p.finish();
  auto& lists = c.box.shed().lists();
  const size_t n = lists.size(Origin::command, action);
  const auto result = [&lists, action, n]() -> json {
    return {{"removed", n}, {"by_configuration", lists.size(Origin::file, action)}};
  };
  if (n == 0) return result();
  return in_force(c, p, {.from = Origin::command, .come = {}, .go = 1u << action}, result);
}

}  // namespace

json run_block_add(Context& c, Params& p) { return add(c, p, SLUICE_ACTION_BLOCK); }
json run_block_remove(Context& c, Params& p) { return remove(c, p, SLUICE_ACTION_BLOCK); }
json run_block_list(Context& c, Params& p) { return list(c, p, SLUICE_ACTION_BLOCK); }
json run_block_find(Context& c, Params& p) { return find(c, p); }
json run_block_load(Context& c, Params& p) { return load(c, p, SLUICE_ACTION_BLOCK); }
json run_block_clear(Context& c, Params& p) { return clear(c, p, SLUICE_ACTION_BLOCK); }
json run_allow_add(Context& c, Params& p) { return add(c, p, SLUICE_ACTION_ALLOW); }
json run_allow_remove(Context& c, Params& p) { return remove(c, p, SLUICE_ACTION_ALLOW); }
json run_allow_list(Context& c, Params& p) { return list(c, p, SLUICE_ACTION_ALLOW); }
json run_allow_find(Context& c, Params& p) { return find(c, p); }
json run_allow_load(Context& c, Params& p) { return load(c, p, SLUICE_ACTION_ALLOW); }
json run_allow_clear(Context& c, Params& p) { return clear(c, p, SLUICE_ACTION_ALLOW); }

}  // namespace sluice::control
