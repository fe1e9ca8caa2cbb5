// SPDX-License-Identifier: Apache-2.0
//
// kt-crash: lets a log die at random points, for one seed or many. Exit codes: 0 all hold, 1 an
// invariant is broken, 2 usage.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "tests/crash/crash_run.h"

namespace {

void Print(const kt::crash::CrashCounts& counts, unsigned long long seeds) {
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  printf(
      "%llu seeds hold: %llu crash points (%llu kills, %llu power cuts, %llu of both while "
      "opening), %llu full disks, %llu heads, %llu acknowledged versions, %llu "
      "searches\n",
      seeds, number(counts.kills + counts.power_cuts), number(counts.kills),
      number(counts.power_cuts), number(counts.while_opening), number(counts.full_disks),
      number(counts.heads), number(counts.acknowledged), number(counts.searches));
  fflush(stdout);
}

// Gives the exit code.
int RunSeeds(unsigned long long from, unsigned long long to, int crashes) {
  kt::crash::CrashCounts counts;
  int exit_code = 0;
  for (unsigned long long seed = from; seed <= to; ++seed) {
    kt::crash::CrashRun run(seed);
    const absl::Status status = run.Run(crashes);
    if (!status.ok()) {
      fprintf(stderr, "kt-crash --seed %llu --crashes %d: %s\n", seed, crashes,
              status.ToString().c_str());
      exit_code = 1;
    }
    counts += run.counts();
    if ((seed - from + 1) % 25 == 0 || seed == to) Print(counts, seed - from + 1);
  }
  return exit_code;
}

int Main(int argc, char** argv) {
  CLI::App app("Lets a log die at random points of its work, and checks what must always hold",
               "kt-crash");
  uint64_t seed = 0;
  int crashes = 4;
  std::string seeds;
  auto* one = app.add_option("--seed", seed, "run this one");
  auto* many = app.add_option("--seeds", seeds, "run all from FROM to TO: FROM..TO");
  app.add_option("--crashes", crashes, "of one log, one after another")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  one->excludes(many);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "kt-crash: " << error.what() << "; see kt-crash --help\n";
    return 2;
  }
  unsigned long long from = seed;
  unsigned long long to = seed;
  if (many->count() > 0 && (sscanf(seeds.c_str(), "%llu..%llu", &from, &to) != 2 || from > to)) {
    std::cerr << "kt-crash: --seeds wants FROM..TO\n";
    return 2;
  }
  return RunSeeds(from, to, crashes);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "kt-crash: %s\n", error.what());
    return 2;
  }
}
