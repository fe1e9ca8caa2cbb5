// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/proof_parts.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kt-core/algorithms.h"
#include "kt-core/distinguished.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/update.h"
#include "tests/bench/bench_log.h"

namespace kt::bench {
namespace {

constexpr size_t kSignatureBytes = 64;

template <typename T>
double SizeOf(const core::Configuration& config, const T& structure) {
  return static_cast<double>(base::codec::Encode(structure, core::WireContext::For(config)).size());
}

core::SignedHead HeadOf(base::TreeSize size) {
  return {.tree_head = {size, base::Bytes(kSignatureBytes)}, .auditor_tree_head = {}};
}

// Splits a response into its parts. `ladder` is its binary_ladder, if it has one.
template <typename T>
ProofParts PartsOf(const core::Configuration& config, const T& response,
                   const core::CombinedTreeProof& proof,
                   const std::vector<core::BinaryLadderStep>& ladder = {}) {
  ProofParts parts;
  parts.head = SizeOf(config, response.full_tree_head);
  for (const core::BinaryLadderStep& step : ladder) parts.ladder += SizeOf(config, step);
  parts.timestamps = static_cast<double>(8 * proof.timestamps.size());
  for (const merkle::PrefixProof& prefix : proof.prefix_proofs) {
    parts.prefix += SizeOf(config, prefix);
    parts.lookups += static_cast<double>(prefix.results.size());
  }
  parts.roots = static_cast<double>(32 * proof.prefix_roots.size());
  parts.inclusion = static_cast<double>(32 * proof.inclusion.elements.size());
  parts.rest = SizeOf(config, response) - parts.total();
  parts.entries = static_cast<double>(proof.prefix_proofs.size());
  parts.responses = 1;
  return parts;
}

}  // namespace

ProofParts& ProofParts::operator+=(const ProofParts& other) {
  head += other.head;
  ladder += other.ladder;
  timestamps += other.timestamps;
  prefix += other.prefix;
  roots += other.roots;
  inclusion += other.inclusion;
  rest += other.rest;
  entries += other.entries;
  lookups += other.lookups;
  responses += other.responses;
  return *this;
}

ProofParts ProofParts::operator/(double divisor) const {
  ProofParts parts;
  for (double ProofParts::*field :
       {&ProofParts::head, &ProofParts::ladder, &ProofParts::timestamps, &ProofParts::prefix,
        &ProofParts::roots, &ProofParts::inclusion, &ProofParts::rest, &ProofParts::entries,
        &ProofParts::lookups, &ProofParts::responses}) {
    parts.*field = this->*field / divisor;
  }
  return parts;
}

ProofSizes Summarize(const std::vector<ProofParts>& responses) {
  KT_CHECK(!responses.empty());
  ProofSizes sizes;
  std::vector<double> totals;
  for (const ProofParts& parts : responses) {
    sizes.mean += parts;
    totals.push_back(parts.total());
  }
  sizes.mean = sizes.mean / static_cast<double>(responses.size());
  std::sort(totals.begin(), totals.end());
  sizes.p95 = totals[(totals.size() - 1) * 95 / 100];
  sizes.max = totals.back();
  return sizes;
}

LogShape ProofSampler::ShapeAt(base::TreeSize size) const {
  return {.size = size,
          .interval_ms = scenario_.interval_ms,
          .first_leaves = scenario_.leaves,
          .leaves_an_entry = scenario_.leaves_an_entry};
}

base::TreeSize ProofSampler::SizeBefore(base::TreeSize size, uint64_t away_ms) const {
  const uint64_t entries = away_ms / scenario_.interval_ms;
  return entries < size ? size - entries : 1;
}

VersionPositions ProofSampler::RandomVersions(base::TreeSize size) {
  KT_CHECK(scenario_.greatest < size);
  VersionPositions versions;
  while (versions.size() <= scenario_.greatest) {
    const base::LogPosition position = random_() % size;
    const auto at = std::lower_bound(versions.begin(), versions.end(), position);
    if (at == versions.end() || *at != position) versions.insert(at, position);
  }
  return versions;
}

base::LogPosition ProofSampler::Distinguished(base::TreeSize size) const {
  Engine unused;
  const ShapedLog log(ShapeAt(size), {}, unused);
  const core::LabelRecord none;
  core::ProofRecorder source(log, std::nullopt, none);
  return Must(core::RightmostDistinguished(source, scenario_.config)).value_or(0);
}

ProofParts ProofSampler::SearchOf(base::TreeSize size, std::optional<base::TreeSize> last) {
  const VersionPositions versions = RandomVersions(size);
  const ShapedLog log(ShapeAt(size), versions, random_);
  core::SearchRequest request;
  request.last = last;
  const core::SearchResponse response =
      Must(core::ProveSearch(scenario_.config, log, HeadOf(size), request, scenario_.greatest,
                             RecordOf(versions), {}, {}));
  return PartsOf(scenario_.config, response, response.search, response.binary_ladder);
}

ProofParts ProofSampler::FirstSearch(base::TreeSize size) { return SearchOf(size, std::nullopt); }

ProofParts ProofSampler::Search(base::TreeSize size, uint64_t away_ms) {
  return SearchOf(size, SizeBefore(size, away_ms));
}

ProofParts ProofSampler::OwnerMonitor(base::TreeSize size, uint64_t away_ms) {
  core::OwnerMonitorRequest request;
  request.last = SizeBefore(size, away_ms);
  request.start = Distinguished(*request.last);
  request.greatest_version = scenario_.greatest;
  const VersionPositions versions = RandomVersions(request.start + 1);
  const ShapedLog log(ShapeAt(size), versions, random_);
  const base::LogPosition newest = Distinguished(size);
  ProofParts parts;
  for (;;) {
    const core::OwnerMonitorResponse response = Must(core::ProveOwnerMonitor(
        scenario_.config, log, HeadOf(size), request, HistoryOf(versions), RecordOf(versions)));
    parts += PartsOf(scenario_.config, response, response.monitor);
    if (response.monitor.prefix_proofs.size() < core::kMaxOwnerLadders) return parts;
    request.last = size;
    request.start = log.last_lookup();
    if (request.start == newest) return parts;
  }
}

ProofParts ProofSampler::ContactMonitor(base::TreeSize size, uint64_t away_ms) {
  core::ContactMonitorRequest request;
  request.last = SizeBefore(size, away_ms);
  VersionPositions versions = RandomVersions(*request.last);
  versions.back() = *request.last - 1;
  request.entries = {{versions.back(), scenario_.greatest}};
  const ShapedLog log(ShapeAt(size), versions, random_);
  const core::ContactMonitorResponse response = Must(
      core::ProveContactMonitor(scenario_.config, log, HeadOf(size), request, RecordOf(versions)));
  return PartsOf(scenario_.config, response, response.monitor);
}

ProofParts ProofSampler::Update(base::TreeSize size, uint64_t away_ms) {
  core::UpdateRequest request;
  request.last = SizeBefore(size, away_ms);
  request.greatest_version = scenario_.greatest;
  request.values.emplace_back();
  VersionPositions versions = RandomVersions(*request.last);
  versions.push_back(size - 1);
  core::CreatedVersions created;
  created.position = size - 1;
  created.values.emplace_back();
  created.openings.emplace_back();
  created.of_request = true;
  const ShapedLog log(ShapeAt(size), versions, random_);
  const core::UpdateResponse response = Must(
      core::ProveUpdate(scenario_.config, log, HeadOf(size), request, created, RecordOf(versions)));
  return PartsOf(scenario_.config, response, response.update, response.binary_ladder);
}

ProofParts ProofSampler::OwnerInit(base::TreeSize size) {
  core::OwnerInitRequest request;
  request.start = Distinguished(size);
  const VersionPositions versions = RandomVersions(size);
  const ShapedLog log(ShapeAt(size), versions, random_);
  const core::OwnerInitResponse response = Must(core::ProveOwnerInit(
      scenario_.config, log, HeadOf(size), request, HistoryOf(versions), RecordOf(versions)));
  return PartsOf(scenario_.config, response, response.init, response.binary_ladder);
}

ProofParts ProofSampler::Walk(base::TreeSize size) {
  const ShapedLog log(ShapeAt(size), {}, random_);
  const core::DistinguishedResponse response =
      Must(core::ProveDistinguished(scenario_.config, {}, log, HeadOf(size), {}));
  return PartsOf(scenario_.config, response, response.distinguished);
}

}  // namespace kt::bench
