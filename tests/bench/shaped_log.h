// SPDX-License-Identifier: Apache-2.0
//
// A log of any size that consists of nothing but its shape, for measuring how large proofs are: the
// algorithms and structures of kt-core see timestamps, prefix proofs and log nodes whose number and
// sizes are those of a real log, while every hash in them is filler. Nothing is stored, so a year
// of an entry a second costs what a minute of it does.
#ifndef TESTS_BENCH_SHAPED_LOG_H_
#define TESTS_BENCH_SHAPED_LOG_H_

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "kt-core/monitoring_prover.h"
#include "kt-core/prover.h"

namespace kt::bench {

using Engine = std::mt19937_64;

// One of the random trees that the prefix tree is, looked at by a proof: a tree of `others` leaves
// and of one for each of `present` that is true, all with independent random keys, in which the
// keys of `present` are looked up. Splits of up to 65,536 leaves are binomial; larger ones are
// taken to be even, which no size depends on noticeably.
merkle::PrefixProof SamplePrefixProof(uint64_t others, const std::vector<bool>& present,
                                      Engine& random);

// Where the versions of a label were added, ascending; one a version.
using VersionPositions = std::vector<base::LogPosition>;

// An output of the label's `version`, as ShapedLog looks it up.
base::VrfOutput OutputOf(base::Version version);

// What the log knows of a label: its versions and all that ladders for any of them look up.
core::LabelRecord RecordOf(const VersionPositions& versions);
core::LabelHistory HistoryOf(const VersionPositions& versions);

struct LogShape {
  base::TreeSize size = 1;
  uint64_t interval_ms = 10'000;  // between two entries
  // Label-versions in the first entry, those of the label that is asked for apart, and those that
  // each later entry adds.
  uint64_t first_leaves = 10'000'000;
  uint64_t leaves_an_entry = 0;
  static constexpr uint64_t kFirstMs = 1'767'225'600'000;
};

// Holds one label. Not thread-safe: proofs are drawn from `random`, which is borrowed.
class ShapedLog : public core::LogView {
 public:
  ShapedLog(const LogShape& shape, VersionPositions versions, Engine& random)
      : shape_(shape), versions_(std::move(versions)), random_(random) {}

  base::TreeSize size() const override { return shape_.size; }
  absl::StatusOr<uint64_t> Timestamp(base::LogPosition position) const override {
    return LogShape::kFirstMs + position * shape_.interval_ms;
  }
  absl::StatusOr<std::vector<base::Hash>> PrefixRoots(
      std::span<const base::LogPosition> positions) const override {
    return std::vector<base::Hash>(positions.size());
  }
  absl::StatusOr<std::vector<base::Hash>> ReadLogNodes(
      std::span<const merkle::LogNodeId> ids) const override {
    return std::vector<base::Hash>(ids.size());
  }
  absl::StatusOr<std::vector<merkle::PrefixProof>> ProvePrefix(
      std::span<const merkle::PrefixProofRequest> requests) const override;

  // The rightmost entry of which a proof showed the prefix tree; 0 if none did.
  base::LogPosition last_lookup() const { return last_lookup_; }

 private:
  const LogShape shape_;
  const VersionPositions versions_;
  Engine& random_;
  mutable base::LogPosition last_lookup_ = 0;
};

}  // namespace kt::bench
#endif  // TESTS_BENCH_SHAPED_LOG_H_
