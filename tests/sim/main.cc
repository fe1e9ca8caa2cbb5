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
#include <vector>

#include "tests/sim/simulation.h"

namespace {

using kt::sim::Memory;

void Report(uint64_t done, uint64_t all, const kt::sim::SimulationCounts& counts) {
  std::cout << done << " of " << all << " seeds hold: " << counts.commits << " commits, "
            << counts.failed_commits << " failed ones, " << counts.restarts << " restarts, "
            << counts.searches + counts.absences << " searches, " << counts.owner_publications
            << " publications by owners, " << counts.credentials + counts.provisional_credentials
            << " credentials, " << counts.flips_refused << " alterations and "
            << counts.forks_refused << " forks refused\n";
  if (counts.prunings > 0) {
    std::cout << "  forgotten: " << counts.rows_pruned << " rows in " << counts.prunings
              << " prunings, " << counts.failed_prunings << " of them failed, " << counts.erasures
              << " erasures, " << counts.failed_erasures << " failed ones; " << counts.told_expired
              << " told that it has expired, " << counts.told_erased << " that it was erased, "
              << counts.begun_anew << " began anew\n";
  }
  if (done < all) return;
  for (const auto& [lie, times] : counts.lies) {
    std::cout << "  " << lie << " noticed " << times << " times\n";
  }
}

// Runs one seed; false if an invariant is broken.
bool RunSeed(uint64_t seed, uint64_t steps, Memory memory, kt::sim::SimulationCounts* counts) {
  kt::sim::Simulation simulation(seed, memory);
  const absl::Status status = simulation.Run(steps);
  if (!status.ok()) {
    fprintf(stderr, "kt-sim --seed %llu --steps %llu --memory %s: %s\n",
            static_cast<unsigned long long>(seed), static_cast<unsigned long long>(steps),
            memory == Memory::kKeeps ? "keeps" : "forgets", status.ToString().c_str());
    return false;
  }
  *counts += simulation.counts();
  return true;
}

// Runs all seeds from `from` to `to`; gives the exit code.
int RunSeeds(unsigned long long from, unsigned long long to, uint64_t steps,
             const std::vector<Memory>& memories) {
  kt::sim::SimulationCounts counts;
  for (uint64_t current = from; current <= to; ++current) {
    for (const Memory memory : memories) {
      if (!RunSeed(current, steps, memory, &counts)) return 1;
    }
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
  std::string memory = "both";
  auto* one = app.add_option("--seed", seed, "run this one");
  auto* many = app.add_option("--seeds", seeds, "run all from FROM to TO: FROM..TO");
  app.add_option("--steps", steps, "what happens in one run")->capture_default_str();
  app.add_option("--memory", memory,
                 "a log that keeps all and may end with a lie, one that prunes and erases, or both")
      ->check(CLI::IsMember({"keeps", "forgets", "both"}))
      ->capture_default_str();
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
  std::vector<Memory> memories;
  if (memory != "forgets") memories.push_back(Memory::kKeeps);
  if (memory != "keeps") memories.push_back(Memory::kForgets);
  return RunSeeds(from, to, steps, memories);
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
