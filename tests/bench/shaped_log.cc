// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/shaped_log.h"

#include <algorithm>
#include <bit>
#include <set>

#include "base/check.h"
#include "kt-core/binary_ladder.h"

namespace kt::bench {
namespace {

using merkle::PrefixProof;
using merkle::PrefixSearchResultType;

constexpr uint64_t kEvenFrom = 65'536;
constexpr size_t kProofBytes = 80;  // of a VRF proof of Ed25519

// How many of `leaves` have a zero as their next bit.
uint64_t LeftOf(uint64_t leaves, Engine& random) {
  if (leaves > kEvenFrom) return leaves / 2 + (leaves & random() & 1);
  uint64_t left = 0;
  for (; leaves >= 64; leaves -= 64) left += static_cast<uint64_t>(std::popcount(random()));
  return left + static_cast<uint64_t>(std::popcount(random() & ((uint64_t{1} << leaves) - 1)));
}

// Draws the tree only where a lookup goes.
class Sampler {
 public:
  Sampler(const std::vector<bool>& present, Engine& random) : present_(present), random_(random) {
    proof_.results.resize(present.size());
  }

  // A node with `others` leaves besides those of the lookups `here`, of which there is at least
  // one.
  void Visit(uint64_t others, const std::vector<size_t>& here, uint8_t depth) {
    const uint64_t leaves = others + PresentOf(here);
    if (leaves <= 1) return End(leaves, here, depth);
    std::vector<size_t> sides[2];
    for (const size_t lookup : here) sides[random_() & 1].push_back(lookup);
    const uint64_t left = LeftOf(others, random_);
    const uint64_t side_others[2] = {left, others - left};
    for (size_t side = 0; side < 2; ++side) {
      if (sides[side].empty()) {
        proof_.elements.emplace_back();
      } else {
        Visit(side_others[side], sides[side], static_cast<uint8_t>(depth + 1));
      }
    }
  }

  PrefixProof Take() { return std::move(proof_); }

 private:
  uint64_t PresentOf(const std::vector<size_t>& here) const {
    uint64_t count = 0;
    for (const size_t lookup : here) count += present_[lookup] ? 1 : 0;
    return count;
  }

  // All lookups here end at this leaf, or where one is missing.
  void End(uint64_t leaves, const std::vector<size_t>& here, uint8_t depth) {
    for (const size_t lookup : here) {
      merkle::PrefixSearchResult& result = proof_.results[lookup];
      result.depth = depth;
      result.result_type = present_[lookup] ? PrefixSearchResultType::kInclusion
                           : leaves == 1    ? PrefixSearchResultType::kNonInclusionLeaf
                                            : PrefixSearchResultType::kNonInclusionParent;
    }
  }

  const std::vector<bool>& present_;
  Engine& random_;
  PrefixProof proof_;
};

}  // namespace

PrefixProof SamplePrefixProof(uint64_t others, const std::vector<bool>& present, Engine& random) {
  Sampler sampler(present, random);
  std::vector<size_t> lookups(present.size());
  for (size_t i = 0; i < lookups.size(); ++i) lookups[i] = i;
  if (lookups.empty()) return {.results = {}, .elements = {base::Hash()}};
  sampler.Visit(others, lookups, 0);
  return sampler.Take();
}

base::VrfOutput OutputOf(base::Version version) {
  base::VrfOutput output{};
  for (size_t i = 0; i < sizeof(version); ++i) {
    output.bytes[i] = static_cast<uint8_t>(version >> (8 * i));
  }
  return output;
}

core::LabelRecord RecordOf(const VersionPositions& versions) {
  std::set<base::Version> wanted = {0, 1};
  for (base::Version version = 0; version < versions.size(); ++version) {
    for (const base::Version step : core::BaseBinaryLadder(version)) wanted.insert(step);
    wanted.insert(version);
  }
  core::LabelRecord record;
  for (const base::Version version : wanted) {
    core::VersionRecord& of_version = record[version];
    of_version.output = OutputOf(version);
    of_version.vrf_proof.resize(kProofBytes);
    if (version < versions.size()) of_version.existing = {versions[version], {}};
  }
  return record;
}

core::LabelHistory HistoryOf(const VersionPositions& versions) {
  core::LabelHistory history;
  for (base::Version version = 0; version < versions.size(); ++version) {
    history[versions[version]] = version;
  }
  return history;
}

absl::StatusOr<std::vector<PrefixProof>> ShapedLog::ProvePrefix(
    std::span<const merkle::PrefixProofRequest> requests) const {
  std::vector<PrefixProof> proofs;
  for (const merkle::PrefixProofRequest& request : requests) {
    last_lookup_ = std::max(last_lookup_, request.position);
    std::vector<bool> present;
    for (const base::VrfOutput& key : request.keys) {
      bool included = false;
      for (base::Version version = 0; version < versions_.size(); ++version) {
        if (OutputOf(version) == key) included = versions_[version] <= request.position;
      }
      present.push_back(included);
    }
    const uint64_t leaves = shape_.first_leaves + request.position * shape_.leaves_an_entry;
    proofs.push_back(SamplePrefixProof(leaves, present, random_));
  }
  return proofs;
}

}  // namespace kt::bench
