// sluicectl: asks a running sluiced over its control socket.
// Exit status: 0 done; 1 the box refused, or the audit is not closed; 2 wrong usage; 3 no answer.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/command_line.h"
#include "ctl/client.h"
#include "ctl/verbs.h"
#include "ctl/views.h"
#include "sluice/control.h"

namespace {

using nlohmann::json;
using sluice::ctl::Answer;
using sluice::ctl::Client;
using sluice::ctl::Request;
using sluice::ctl::Verbs;

struct Options {
  const CLI::App* commands = nullptr;
  std::string socket = sluice::control::kDefaultSocket;
  bool as_json = false;
  int timeout = 60;
};

int report_failure(const Answer& a, const Options& o) {
  if (o.as_json) {
    std::cout << json{{"error", {{"code", a.code}, {"message", a.message}, {"data", a.data}}}}.dump() << "\n";
    return 1;
  }
  std::cerr << "sluicectl: " << sluice::ctl::as_typed(*o.commands, a.message) << "\n";
  if (a.data.is_object() && a.data.contains("errors"))
    for (const json& e : a.data["errors"]) {
      std::string where = e.value("file", "");
      if (e.value("line", 0))
        where += ":" + std::to_string(e.value("line", 0)) + ":" + std::to_string(e.value("column", 0));
      std::string path = e.value("path", "");
      std::cerr << "  " << where << ": " << (path.empty() ? "" : path + ": ") << e.value("message", "")
                << "\n";
    }
  return 1;
}

int ask(Client& client, const Request& r, const Options& o) {
  auto a = client.call(r.method, r.params, o.timeout);
  if (!a) {
    std::cerr << "sluicectl: " << a.error() << "\n";
    return 3;
  }
  if (a->failed) return report_failure(*a, o);
  if (o.as_json)
    std::cout << a->result.dump(-1, ' ', false, json::error_handler_t::replace) << "\n";
  else
    std::cout << sluice::ctl::view(r.method, a->result);
  std::cout.flush();
  return r.method == "audit" && !a->result.value("closed", false) ? 1 : 0;
}

int watch(Client& client, const Request& r, const Options& o, double interval, uint64_t rounds) {
  const bool screen = isatty(1) && !o.as_json;
  for (uint64_t i = 0; !rounds || i < rounds; i++) {
    if (i) usleep(static_cast<useconds_t>(interval * 1e6));
    if (screen) std::cout << "\033[H\033[2J";
    int rc = ask(client, r, o);
    if (rc == 3) return rc;
    if (!screen && !o.as_json) std::cout << "\n";
    std::cout.flush();
  }
  return 0;
}

bool read_file(const std::string& path, std::string& text) {
  std::ostringstream s;
  if (path == "-") {
    s << std::cin.rdbuf();
  } else {
    std::ifstream f(path, std::ios::binary);
    if (!f) {
      std::cerr << "sluicectl: cannot read " << path << ": " << std::strerror(errno) << "\n";
      return false;
    }
    s << f.rdbuf();
  }
  text = s.str();
  return true;
}

void add_filter_of_connections(Verbs v, CLI::App* s) {
  v.text(s, "--state", "state", "established, time-wait, syn-received, …");
  v.text(s, "--local", "local", "own address or prefix");
  v.text(s, "--remote", "remote", "peer's address or prefix");
  v.number(s, "--port", "port", "own or peer's port");
  v.text(s, "--service", "service", "this service's only");
  v.number(s, "--limit", "limit", "at most so many (100)");
}

// In pieces: the box goes on answering others meanwhile, and a pipe may be as long as it likes. The last one is empty.
int load_list(Client& client, Request r, const Options& o) {
  std::ifstream file;
  if (r.list_file != "-") {
    if (std::filesystem::is_directory(r.list_file)) {
      std::cerr << "sluicectl: cannot read " << r.list_file << ": it is a folder\n";
      return 2;
    }
    file.open(r.list_file, std::ios::binary);
    if (!file) {
      std::cerr << "sluicectl: cannot read " << r.list_file << ": " << std::strerror(errno) << "\n";
      return 2;
    }
  }
  std::istream& in = r.list_file == "-" ? std::cin : file;
  json piece = {{"name", r.list_file == "-" ? "(standard input)" : r.list_file}, {"more", true}};
  std::string text(256 << 10, '\0');
  while (in.read(text.data(), static_cast<std::streamsize>(text.size())), in.gcount() > 0) {
    piece["text"] = text.substr(0, static_cast<size_t>(in.gcount()));
    auto a = client.call(r.method, piece, o.timeout);
    if (!a) {
      std::cerr << "sluicectl: " << a.error() << "\n";
      return 3;
    }
    if (a->failed) return report_failure(*a, o);
    piece["load"] = a->result.value("load", 0);
  }
  piece["text"] = "";
  piece["more"] = false;
  piece.update(r.params);
  r.params = std::move(piece);
  return ask(client, r, o);
}

// tcp [list], tcp show, tcp counters, tcp close, tcp abort.
void add_tcp(CLI::App& app, Request& r) {
  CLI::App* tcp = app.add_subcommand("tcp", "the box's own TCP connections: list, show, counters, close, abort");
  Verbs v{*tcp, r};
  add_filter_of_connections(v, tcp);
  tcp->require_subcommand(0, 1);
  tcp->callback([&r] {
    if (r.method.empty()) r.method = "tcp.list";
  });
  add_filter_of_connections(v, v.verb("list", "tcp.list", "connections; the same as tcp alone"));
  v.verb("counters", "tcp.counters", "what TCP has done")
      ->add_flag_callback("--nonzero", [&r] { r.params["nonzero"] = true; }, "only what has happened");
  for (const auto& [name, method, help] : {std::tuple{"show", "tcp.show", "one connection in full"},
                                           std::tuple{"close", "tcp.close", "end our side of a connection"},
                                           std::tuple{"abort", "tcp.abort", "reset a connection"}})
    v.verb(name, method, help)
        ->add_option_function<std::string>(
            "connection", [&r](const std::string& c) { r.params[c.find(':') == c.npos ? "id" : "remote"] = c; },
            "its id, or the peer's ADDRESS:PORT")
        ->required();
}

// The verbs without a file argument; `r` is filled in by the one that was typed.
void add_queries(CLI::App& app, Request& r, bool changes) {
  Verbs v{app, r};
  auto verb = [&](const char* name, const char* help) { return v.verb(name, name, help); };
  auto text = [&](CLI::App* s, const char* option, const char* field, const char* help) { v.text(s, option, field, help); };
  auto number = [&](CLI::App* s, const char* option, const char* field, const char* help) {
    v.number(s, option, field, help);
  };
  verb("version", "versions of sluice, its protocol and DPDK");
  verb("methods", "the methods of the control socket");
  verb("status", "the box at a glance");
  text(verb("ports", "ports: driver, link, addresses, counters"), "port", "port", "this port only");
  verb("lcores", "lcores: load, sleeps, wake-up latency");
  CLI::App* s = verb("routes", "the routing table, or the route of one address");
  text(s, "to", "to", "an address: shows its route");
  number(s, "--limit", "limit", "at most so many (1000)");
  s = verb("neighbors", "next hops and their MAC addresses");
  text(s, "--port", "port", "this port only");
  number(s, "--limit", "limit", "at most so many (10000)");
  number(verb("rules", "filter rules and what they matched"), "--limit", "limit", "at most so many (10000)");
  s = verb("flows", "flows and where they go");
  text(s, "--src", "src", "source address or prefix");
  text(s, "--dst", "dst", "destination address or prefix");
  s->add_option_function<std::string>(
      "--proto",
      [&r](const std::string& word) {
        static const std::map<std::string, int> names = {
            {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmp6", 58}, {"sctp", 132}};
        if (auto it = names.find(word); it != names.end())
          r.params["proto"] = it->second;
        else if (!word.empty() && word.find_first_not_of("0123456789") == word.npos && word.size() < 4)
          r.params["proto"] = std::stoi(word);
        else
          throw CLI::ValidationError("--proto",
                                     "expected tcp, udp, icmp, icmp6, sctp or a number, not '" + word + "'");
      },
      "protocol, by name or number");
  number(s, "--port", "port", "source or destination port");
  number(s, "--limit", "limit", "at most so many (100)");
  verb("services", "services and backends: state, connections, bytes");
  add_tcp(app, r);
  sluice::ctl::add_shed(app, r, changes);
  s = verb("drops", "packets not sent, by reason and port");
  text(s, "--port", "port", "this port only ('box': packets the box made)");
  s->add_flag_callback(
      "--all", [&r] { r.params["all"] = true; }, "reasons without a packet, too");
  verb("audit", "proof that every packet is accounted for; exit status 1 if not");
  s = verb("events", "what happened to ports, lcores, backends and the configuration");
  s->add_flag_callback(
      "--access", [&r] { r.params["access"] = true; }, "the access log instead: who was served");
  number(s, "--limit", "limit", "at most so many (100)");
  if (changes) verb("stop", "drain and stop sluiced");
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_DFL);
  Options o;
  Request r;
  std::string shell;
  double interval = 1;
  uint64_t rounds = 0;
  CLI::App app{"Asks a running sluiced. Tables for people, --json for programs.", "sluicectl"};
  app.footer("Exit status: 0 done, 1 refused (or the audit is open), 2 wrong usage, 3 no answer.");
  app.failure_message([](const CLI::App* a, const CLI::Error& e) { return sluice::usage_error(*a, e); });
  o.commands = &app;
  app.add_option("-s,--socket", o.socket, "control socket")->capture_default_str();
  app.add_flag("-j,--json", o.as_json, "the answer as JSON");
  app.add_option("--timeout", o.timeout, "seconds to wait for an answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  app.require_subcommand(1);
  app.fallthrough();
  add_queries(app, r, true);
  CLI::App* config = app.add_subcommand("config", "the running configuration: get, check FILE, apply FILE");
  config->require_subcommand(1);
  config->add_subcommand("get", "print it")->callback([&] { r.method = "config.get"; });
  for (const char* what : {"check", "apply"}) {
    CLI::App* s = config->add_subcommand(
        what, std::string(what) == "check" ? "would this file be taken?" : "put this file into force");
    s->add_option("file", r.file, "YAML file, or - for standard input")->required();
    s->callback([&r, what] { r.method = std::string("config.") + what; });
  }
  CLI::App* w = app.add_subcommand("watch", "repeat a verb: watch [-n SECONDS] VERB …");
  w->add_option_function<double>(
       "-n,--interval",
       [&](double seconds) {
         if (!(seconds >= 0.1 && seconds <= 3600)) throw CLI::ValidationError("-n, --interval: expected 0.1 to 3600 seconds");
         interval = seconds;
       },
       "seconds between two answers")
      ->default_str("1");
  w->add_option("--count", rounds, "stop after so many");
  w->require_subcommand(1);
  add_queries(*w, r, false);
  CLI::App* comp = app.add_subcommand("completion", "shell completion: bash, zsh or fish");
  comp->add_option("shell", shell)->required();
  if (std::string wrong = sluice::ctl::misspelt(app, argc, argv); !wrong.empty()) {
    std::cerr << app.get_name() << ": " << wrong << "\n";
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (comp->parsed()) {
    std::string s = sluice::ctl::completion(shell);
    if (s.empty()) {
      std::cerr << "sluicectl: no completion for '" << shell << "': bash, zsh or fish\n";
      return 2;
    }
    std::cout << s;
    return 0;
  }
  if (!r.file.empty()) {
    std::string text;
    if (!read_file(r.file, text)) return 2;
    const bool piped = r.file == "-";
    const auto folder = piped ? std::filesystem::current_path() : std::filesystem::absolute(r.file).lexically_normal().parent_path();
    r.params = {{"text", text}, {"name", piped ? "(standard input)" : r.file}, {"folder", folder.string()}};
  }
  Client client(o.socket);
  if (!r.list_file.empty()) return load_list(client, r, o);
  return w->parsed() ? watch(client, r, o, interval, rounds) : ask(client, r, o);
}
