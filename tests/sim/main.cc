// SPDX-License-Identifier: Apache-2.0
//
// kt-sim: runs the simulation for one seed or many. Exit codes: 0 all hold, 1 an invariant is
// broken, 2 usage.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "tests/sim/simulation.h"

namespace {

void Report(uint64_t done, uint64_t all, const kt::sim::SimulationCounts& counts) {
  std::cout << done << " of " << all << " seeds hold: " << counts.commits << " commits, "
            << counts.failed_commits << " failed ones, " << counts.restarts << " restarts, "
            << counts.searches + counts.absences << " searches, " << counts.owner_publications
            << " publications by owners, " << counts.credentials + counts.provisional_credentials
            << " credentials, " << counts.flips_refused << " alterations and "
            << counts.forks_refused << " forks refused\n";
  if (done < all) return;
  for (const auto& [lie, times] : counts.lies) {
    std::cout << "  " << lie << " noticed " << times << " times\n";
  }
}

// Runs all seeds from `from` to `to`; gives the exit code.
int RunSeeds(unsigned long long from, unsigned long long to, uint64_t steps) {
  kt::sim::SimulationCounts counts;
  for (uint64_t current = from; current <= to; ++current) {
    kt::sim::Simulation simulation(current);
    const absl::Status status = simulation.Run(steps);
    if (!status.ok()) {
      fprintf(stderr, "kt-sim --seed %llu --steps %llu: %s\n",
              static_cast<unsigned long long>(current), static_cast<unsigned long long>(steps),
              status.ToString().c_str());
      return 1;
    }
    counts += simulation.counts();
    if ((current - from + 1) % 100 == 0 || current == to) {
      Report(current - from + 1, to - from + 1, counts);
      fflush(stdout);
    }
  }
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Simulates a log, its users and its auditor, and checks what must always hold",
               "kt-sim");
  uint64_t seed = 0;
  uint64_t steps = 250;
  std::string seeds;
  auto* one = app.add_option("--seed", seed, "run this one");
  auto* many = app.add_option("--seeds", seeds, "run all from FROM to TO: FROM..TO");
  app.add_option("--steps", steps, "what happens in one run")->capture_default_str();
  one->excludes(many);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-sim: " << error.what() << "; see kt-sim --help\n";
    return 2;
  }
  unsigned long long from = seed;
  unsigned long long to = seed;
  if (many->count() > 0 && (sscanf(seeds.c_str(), "%llu..%llu", &from, &to) != 2 || from > to)) {
    std::cerr << "kt-sim: --seeds wants FROM..TO\n";
    return 2;
  }
  return RunSeeds(from, to, steps);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "kt-sim: %s\n", error.what());
    return 2;
  }
}
