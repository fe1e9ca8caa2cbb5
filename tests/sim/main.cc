// SPDX-License-Identifier: Apache-2.0
//
// kt-sim: runs the simulation for one seed or many. Exit codes: 0 all hold, 1 an invariant is
// broken, 2 usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "tests/sim/simulation.h"

int main(int argc, char** argv) {
  CLI::App app{"Simulates a log, its users and its auditor, and checks what must always hold."};
  uint64_t seed = 0, steps = 250;
  std::string seeds;
  auto* one = app.add_option("--seed", seed, "run this one");
  auto* many = app.add_option("--seeds", seeds, "run all from FROM to TO: FROM..TO");
  app.add_option("--steps", steps, "what happens in one run")->capture_default_str();
  one->excludes(many);
  CLI11_PARSE(app, argc, argv);
  unsigned long long from = seed, to = seed;
  if (many->count() > 0 && (sscanf(seeds.c_str(), "%llu..%llu", &from, &to) != 2 || from > to)) {
    fprintf(stderr, "kt-sim: --seeds wants FROM..TO\n");
    return 2;
  }
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
      printf(
          "%llu of %llu seeds hold: %llu commits, %llu failed ones, %llu restarts, "
          "%llu searches, %llu alterations and %llu forks refused\n",
          static_cast<unsigned long long>(current - from + 1), to - from + 1,
          static_cast<unsigned long long>(counts.commits),
          static_cast<unsigned long long>(counts.failed_commits),
          static_cast<unsigned long long>(counts.restarts),
          static_cast<unsigned long long>(counts.searches),
          static_cast<unsigned long long>(counts.flips_refused),
          static_cast<unsigned long long>(counts.forks_refused));
      fflush(stdout);
    }
  }
  return 0;
}
