// SPDX-License-Identifier: Apache-2.0
//
// How large responses are after a year, by the interval between log entries and by the Reasonable
// Monitoring Window, certificates apart:
//
//   kt-proofs [--leaves N] [--samples N] [--interval-s N] [--window-s N] [--curve] [--json]
//
// The responses are those of the log's provers over a log of the shape in question
// (shaped_log.h), which comes to a moment at random in its second year, under a load that fills an
// entry at each interval. Before that, the sizes are compared with those of a real, smaller log;
// the program fails if they differ by more than one in fifty.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kt-server/commands.h"
#include "kt-server/server_config.h"
#include "tests/bench/bench_log.h"
#include "tests/bench/proof_parts.h"

namespace kt::bench {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kSecondMs = 1'000;
constexpr uint64_t kHourMs = 3'600 * kSecondMs;
constexpr uint64_t kDayMs = 24 * kHourMs;
constexpr uint64_t kYearMs = 365 * kDayMs;

struct Options {
  uint64_t leaves = 10'000'000;
  size_t samples = 400;
  uint64_t interval_s = static_cast<uint64_t>(server::ServerConfig().epoch.interval_ms) / kSecondMs;
  uint64_t window_s = server::kDefaultMonitoringWindowMs / kSecondMs;
  base::TreeSize real_entries = 1'000;
  size_t real_labels = 20;
  bool curve = false;
  bool json = false;
};

// One size of a log in its second year a sample.
ProofSizes Sample(const Options& options, const ProofScenario& scenario,
                  const std::function<ProofParts(ProofSampler&, base::TreeSize)>& operation) {
  Engine random(1);
  ProofSampler sampler(scenario, random);
  const base::TreeSize year = kYearMs / scenario.interval_ms;
  std::vector<ProofParts> parts;
  for (size_t i = 0; i < options.samples; ++i) {
    parts.push_back(operation(sampler, year + random() % year));
  }
  return Summarize(parts);
}

ProofScenario ScenarioOf(const Options& options, uint64_t interval_ms, uint64_t window_ms,
                         base::Version greatest) {
  ProofScenario scenario;
  scenario.config.ciphersuite = core::CipherSuite::kEd25519;
  scenario.config.reasonable_monitoring_window = window_ms;
  scenario.interval_ms = interval_ms;
  scenario.leaves = options.leaves;
  scenario.greatest = greatest;
  return scenario;
}

std::string Duration(uint64_t ms) {
  if (ms % kDayMs == 0) return std::to_string(ms / kDayMs) + " d";
  if (ms % kHourMs == 0) return std::to_string(ms / kHourMs) + " h";
  if (ms % (60 * kSecondMs) == 0) return std::to_string(ms / (60 * kSecondMs)) + " min";
  return std::to_string(ms / kSecondMs) + " s";
}

void Curve(const Options& options) {
  std::printf("\n%-9s%-8s|%10s%8s%8s%8s |%9s%8s%8s%8s |%12s%10s\n", "interval", "window",
              "first: v0", "95 %", "v1", "v3", "day: v0", "95 %", "v1", "v3", "owner a day",
              "responses");
  for (const uint64_t interval_ms : {kSecondMs, 10 * kSecondMs, 60 * kSecondMs, 300 * kSecondMs,
                                     900 * kSecondMs, kHourMs, kDayMs}) {
    for (const uint64_t window_ms :
         {kHourMs / 4, kHourMs, 4 * kHourMs, 12 * kHourMs, kDayMs, 7 * kDayMs}) {
      if (window_ms < interval_ms) continue;
      std::printf("%-9s%-8s|", Duration(interval_ms).c_str(), Duration(window_ms).c_str());
      for (const bool first : {true, false}) {
        for (const base::Version greatest : {0u, 1u, 3u}) {
          const ProofSizes sizes =
              Sample(options, ScenarioOf(options, interval_ms, window_ms, greatest),
                     [&](ProofSampler& sampler, base::TreeSize size) {
                       return first ? sampler.FirstSearch(size) : sampler.Search(size, kDayMs);
                     });
          std::printf("%*.0f",
                      greatest == 0 && first ? 10
                      : greatest == 0        ? 9
                                             : 8,
                      sizes.mean.total());
          if (greatest == 0) std::printf("%8.0f", sizes.p95);
        }
        std::printf(" |");
      }
      Options few = options;
      few.samples = options.samples / 8 + 1;
      const ProofSizes owner = Sample(few, ScenarioOf(options, interval_ms, window_ms, 0),
                                      [](ProofSampler& sampler, base::TreeSize size) {
                                        return sampler.OwnerMonitor(size, kDayMs);
                                      });
      std::printf("%12.0f%10.1f\n", owner.mean.total(), owner.mean.responses);
      std::fflush(stdout);
    }
  }
}

struct Operation {
  const char* name;   // of the figure
  const char* title;  // of the row
  base::Version greatest;
  std::function<ProofParts(ProofSampler&, base::TreeSize)> run;
};

std::vector<Operation> Operations(uint64_t window_ms) {
  std::vector<Operation> operations;
  const auto add = [&](const char* name, const char* title, base::Version greatest, auto run) {
    operations.push_back({name, title, greatest, run});
  };
  using S = ProofSampler&;
  using N = base::TreeSize;
  const auto first = [](S s, N n) { return s.FirstSearch(n); };
  const auto day = [](S s, N n) { return s.Search(n, kDayMs); };
  add("first_v0", "first lookup, version 0", 0, first);
  add("first_v1", "  version 1", 1, first);
  add("first_v2", "  version 2", 2, first);
  add("first_v3", "  version 3", 3, first);
  add("same_v0", "lookup, no entry since the last", 0, [](S s, N n) { return s.Search(n, 0); });
  add("hour_v0", "lookup, an hour later", 0, [](S s, N n) { return s.Search(n, kHourMs); });
  add("day_v0", "lookup, a day later", 0, day);
  add("day_v1", "  version 1", 1, day);
  add("day_v2", "  version 2", 2, day);
  add("day_v3", "  version 3", 3, day);
  add("week_v0", "lookup, a week later", 0, [](S s, N n) { return s.Search(n, 7 * kDayMs); });
  add("month_v0", "lookup, 30 days later", 0, [](S s, N n) { return s.Search(n, 30 * kDayMs); });
  add("owner_day", "owner monitoring, a day later", 0,
      [](S s, N n) { return s.OwnerMonitor(n, kDayMs); });
  add("owner_week", "owner monitoring, a week later", 0,
      [](S s, N n) { return s.OwnerMonitor(n, 7 * kDayMs); });
  add("contact", "contact monitoring, a window later", 0,
      [window_ms](S s, N n) { return s.ContactMonitor(n, window_ms); });
  add("update", "update to version 1, a day later", 0,
      [](S s, N n) { return s.Update(n, kDayMs); });
  add("owner_init", "owner initialization", 0, [](S s, N n) { return s.OwnerInit(n); });
  add("walk", "walk of distinguished entries", 0, [](S s, N n) { return s.Walk(n); });
  return operations;
}

// Every operation by its parts, at one interval and window.
void Breakdown(const Options& options) {
  const uint64_t interval_ms = options.interval_s * kSecondMs;
  const uint64_t window_ms = options.window_s * kSecondMs;
  ordered_json json = {{"interval_s", options.interval_s}, {"window_s", options.window_s}};
  if (!options.json) {
    std::printf("\nan entry every %s, a window of %s, %llu label-versions\n%-32s",
                Duration(interval_ms).c_str(), Duration(window_ms).c_str(),
                static_cast<unsigned long long>(options.leaves), "");
    std::printf("%8s%8s%8s%6s%7s%7s%8s%7s%7s%6s%9s%9s\n", "total", "95 %", "max", "head", "ladder",
                "times", "prefix", "roots", "incl.", "rest", "proofs", "lookups");
  }
  for (const Operation& operation : Operations(window_ms)) {
    const ProofSizes sizes = Sample(
        options, ScenarioOf(options, interval_ms, window_ms, operation.greatest), operation.run);
    const ProofParts& mean = sizes.mean;
    if (options.json) {
      json[std::string("proof_bytes_") + operation.name] = std::round(mean.total());
      json[std::string("proof_p95_") + operation.name] = sizes.p95;
      continue;
    }
    std::printf("%-32s%8.0f%8.0f%8.0f%6.0f%7.0f%7.0f%8.0f%7.0f%7.0f%6.0f%9.1f%9.1f\n",
                operation.title, mean.total(), sizes.p95, sizes.max, mean.head, mean.ladder,
                mean.timestamps, mean.prefix, mean.roots, mean.inclusion, mean.rest, mean.entries,
                mean.lookups);
    std::fflush(stdout);
  }
  if (options.json) std::printf("%s\n", json.dump().c_str());
}

// Whether the log of a shape is as large as the real one.
bool Check(const Options& options) {
  const RealLogSizes sizes =
      CompareWithRealLog(options.real_entries, options.real_labels, options.samples);
  std::fprintf(stderr,
               "a log of %llu entries of %zu labels: first lookup %.0f bytes, by its shape %.0f; "
               "returning user %.0f, by its shape %.0f\n",
               static_cast<unsigned long long>(options.real_entries), options.real_labels,
               sizes.first, sizes.shaped_first, sizes.returning, sizes.shaped_returning);
  return std::abs(sizes.first / sizes.shaped_first - 1) < 0.02 &&
         std::abs(sizes.returning / sizes.shaped_returning - 1) < 0.02;
}

}  // namespace
}  // namespace kt::bench

int main(int argc, char** argv) {
  kt::bench::Options options;
  CLI::App app("Measures the sizes of responses", "kt-proofs");
  app.add_option("--leaves", options.leaves, "Label-versions in the log")->capture_default_str();
  app.add_option("--samples", options.samples, "Responses a figure")->capture_default_str();
  app.add_option("--interval-s", options.interval_s, "Between two log entries")
      ->capture_default_str();
  app.add_option("--window-s", options.window_s, "Reasonable Monitoring Window")
      ->capture_default_str();
  app.add_option("--real-entries", options.real_entries, "Of the real log")->capture_default_str();
  app.add_option("--real-labels", options.real_labels, "In each of its entries")
      ->capture_default_str();
  app.add_flag("--curve", options.curve, "Many intervals and windows, too");
  app.add_flag("--json", options.json, "Print one line of JSON instead of the table");
  CLI11_PARSE(app, argc, argv);
  if (!kt::bench::Check(options)) {
    std::fprintf(stderr, "kt-proofs: the shape of a log does not give the sizes of a real one\n");
    return 1;
  }
  kt::bench::Breakdown(options);
  if (options.curve) kt::bench::Curve(options);
  return 0;
}
