// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>

#include "kt-server/search_service.h"
#include "tests/bench/bench_log.h"
#include "tests/bench/proof_parts.h"
#include "tests/kt-server/log_fixture.h"

namespace kt::bench {
namespace {

std::string Label(size_t number) { return "user" + std::to_string(number) + "@bench.example"; }

// Without the label and its value, which are empty in the shaped log.
double MeanSearch(server::LogFixture& fixture, std::optional<base::TreeSize> last, size_t labels,
                  size_t samples) {
  const server::SearchService service(fixture.log());
  double bytes = 0;
  for (size_t i = 0; i < samples; ++i) {
    core::SearchRequest request;
    request.last = last;
    request.label = base::ToBytes(Label(fixture.random().Below(labels)));
    const base::Bytes response = Must(service.Search(base::codec::Encode(request))).response;
    bytes += static_cast<double>(response.size());
  }
  return bytes / static_cast<double>(samples);
}

}  // namespace

RealLogSizes CompareWithRealLog(base::TreeSize entries, size_t labels_an_entry, size_t samples) {
  server::LogFixture fixture;
  ProofScenario scenario;
  scenario.config = fixture.config();
  const base::TreeSize quarter = entries / 4;
  scenario.interval_ms = scenario.config.reasonable_monitoring_window / quarter;
  scenario.leaves = labels_an_entry;
  scenario.leaves_an_entry = labels_an_entry;
  size_t labels = 0;
  for (base::TreeSize i = 0; i < entries; ++i) {
    server::NewEntry entry{LogShape::kFirstMs + i * scenario.interval_ms, {}};
    for (size_t j = 0; j < labels_an_entry; ++j) {
      entry.versions.push_back({base::ToBytes(Label(labels++)), 0, {}});
    }
    Must(fixture.log().Append({&entry, 1}));
  }
  RealLogSizes sizes;
  sizes.first = MeanSearch(fixture, std::nullopt, labels, samples);
  sizes.returning = MeanSearch(fixture, entries - quarter, labels, samples);
  Engine random(1);
  ProofSampler sampler(scenario, random);
  for (size_t i = 0; i < samples; ++i) {
    sizes.shaped_first += sampler.FirstSearch(entries).total();
    sizes.shaped_returning += sampler.Search(entries, quarter * scenario.interval_ms).total();
  }
  sizes.shaped_first /= static_cast<double>(samples);
  sizes.shaped_returning /= static_cast<double>(samples);
  return sizes;
}

}  // namespace kt::bench
