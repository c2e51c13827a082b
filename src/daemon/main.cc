#include <CLI/CLI.hpp>
#include <iostream>

#include "base/command_line.h"
#include "config/config.h"
#include "daemon/commands.h"
#include "daemon/log.h"
#include "daemon/startup.h"
#include "port/doctor.h"

namespace {

using namespace sluice;

int check(const std::string& file, const std::vector<std::string>& set) {
  auto overrides = daemon::parse_overrides(set);
  if (!overrides) {
    std::cerr << "sluiced: " << overrides.error() << "\n";
    return 2;
  }
  daemon::Startup s;
  if (!daemon::load(s, file, *overrides)) return 2;
  config::Budget b = config::memory_budget(s.loaded.model);
  auto several = [](size_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); };
  const config::Model& m = s.loaded.model;
  std::cout << file << ": fine; " << several(m.ports.size(), "port") << ", " << several(m.routes.size(), "route") << ", "
            << several(m.filter.rules.size(), "rule") << ", " << several(m.services.size(), "service") << "; needs about "
            << (b.total >> 20) << " MiB\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"sluice: router, firewall and more in user space, over DPDK and AF_XDP.", "sluiced"};
  app.failure_message([](const CLI::App* a, const CLI::Error& e) { return usage_error(*a, e); });
  app.require_subcommand(1);
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.footer("Exit status: 0 done, 1 failed, 2 wrong usage or a mistake in the configuration.");
  int rc = 0;
  daemon::start_log(false);  // on standard error from the first word on: output is for results
  std::string file;
  std::vector<std::string> set;
  auto with_config = [&](CLI::App* s) {
    s->add_option("-c,--config", file, "configuration (YAML)")->required();
    s->add_option("--set", set, "override one value: PATH=VALUE, such as ports.lan.device=eth1")
        ->allow_extra_args(false);
  };

  daemon::RunOptions run;
  CLI::App* s = app.add_subcommand("run", "run the appliance");
  with_config(s);
  s->add_flag("-v,--verbose", run.verbose, "log more");
  s->callback([&] {
    run.config = file;
    run.set = set;
    rc = daemon::run(run);
  });

  s = app.add_subcommand("check", "find every mistake in a configuration; touches nothing");
  with_config(s);
  s->callback([&] { rc = check(file, set); });

  s = app.add_subcommand("schema", "print the JSON Schema of the configuration, for editors");
  s->callback([&] { std::cout << config::schema() << "\n"; });

  daemon::ReplayOptions replay;
  s = app.add_subcommand("replay", "run captures through the dataplane in virtual time; needs no root");
  with_config(s);
  s->add_option("--in", replay.in, "PORT=FILE: what comes in through a port (pcap, pcapng)")
      ->required()
      ->allow_extra_args(false);
  s->add_option("--out-dir", replay.out_dir, "folder for what each port sends, PORT.pcapng")->required();
  s->add_option("--verdicts", replay.verdicts, "file for a line of JSON per packet: rule, route, reason");
  s->add_option("--seed", replay.seed, "fixes secrets and random choices: the same seed, the same bytes")
      ->capture_default_str();
  s->add_flag("-q,--quiet", replay.quiet, "no summary");
  s->callback([&] {
    replay.config = file;
    replay.set = set;
    rc = daemon::replay(replay);
  });

  daemon::BenchOptions bench;
  s = app.add_subcommand("bench", "cycles and Mpps of the path, packets from memory; needs no root");
  s->add_option("--bursts", bench.bursts, "burst sizes, 1 to 256")->delimiter(',')->check(CLI::Range(1, 256));
  s->add_option("--flows", bench.flows, "numbers of flows")->delimiter(',')->check(CLI::Range(1, 10'000'000));
  s->add_option("--size", bench.size, "frame bytes without FCS; 0: IMIX")
      ->capture_default_str()
      ->check(CLI::Range(0, 1514));
  s->add_option("--rules", bench.rules, "filter rules in front of the one that permits")
      ->capture_default_str()
      ->check(CLI::Range(0, 100'000));
  s->add_option("--routes", bench.routes, "routes in the table")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  s->add_option("--seconds", bench.seconds, "per row")->capture_default_str()->check(CLI::Range(0.05, 60.0));
  s->add_option("--cpu", bench.cpu, "processor to run on")->capture_default_str();
  s->add_flag("!--sequential", bench.random, "flows one after the other, not at random");
  s->add_flag("-6,--ip6", bench.ip6, "IPv6");
  s->add_flag("--json", bench.as_json, "a line of JSON per row");
  s->callback([&] { rc = daemon::bench(bench); });

  std::vector<std::string> interfaces;
  s = app.add_subcommand("doctor", "what each interface and this machine can do, and what to change");
  s->add_option("interfaces", interfaces, "interfaces; none: all");
  s->callback([&] { rc = port::print_doctor(interfaces); });

  std::vector<std::string> commands;
  for (const CLI::App* c : app.get_subcommands([](CLI::App*) { return true; }))
    commands.push_back(c->get_name());
  if (std::string word = sluice::unknown_command(argc, argv, commands); !word.empty()) {
    std::cerr << app.get_name() << ": there is no command '" << word << "'; --help lists them\n";
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return rc;
}
