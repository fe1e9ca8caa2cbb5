// SPDX-License-Identifier: Apache-2.0
//
// What the responses of a log consist of, in bytes, and how large they are in a log of a shape.
#ifndef TESTS_BENCH_PROOF_PARTS_H_
#define TESTS_BENCH_PROOF_PARTS_H_

#include <optional>
#include <string>
#include <vector>

#include "kt-core/configuration.h"
#include "tests/bench/shaped_log.h"

namespace kt::bench {

// Bytes of one response, or of as many as one operation takes. Sums and means are taken by field.
struct ProofParts {
  double head = 0;        // full_tree_head
  double ladder = 0;      // binary_ladder: VRF proofs and commitments
  double timestamps = 0;  // of the CombinedTreeProof
  double prefix = 0;      // prefix_proofs
  double roots = 0;       // prefix_roots
  double inclusion = 0;   // of the log tree
  double rest = 0;        // version, opening, position, lengths; never values
  double total() const { return head + ladder + timestamps + prefix + roots + inclusion + rest; }
  double entries = 0;    // prefix proofs
  double lookups = 0;    // in them
  double responses = 0;  // of the operation

  ProofParts& operator+=(const ProofParts& other);
  ProofParts operator/(double divisor) const;
};

// Sizes of many responses.
struct ProofSizes {
  ProofParts mean;
  double p95 = 0;  // of total()
  double max = 0;
};
ProofSizes Summarize(const std::vector<ProofParts>& responses);

// A log under load, of which each entry comes `interval_ms` after the one before.
struct ProofScenario {
  core::Configuration config;  // its Reasonable Monitoring Window counts, and its suite
  uint64_t interval_ms = 10'000;
  uint64_t leaves = 10'000'000;
  uint64_t leaves_an_entry = 0;  // that entries after the first add
  base::Version greatest = 0;    // version of the labels that are asked for
};

// Draws labels and moments; one sample a call. Each label got its versions at random moments.
// `size` is the log's; `away_ms` is how long ago the user's last request was.
class ProofSampler {
 public:
  ProofSampler(const ProofScenario& scenario, Engine& random)
      : scenario_(scenario), random_(random) {}

  ProofParts FirstSearch(base::TreeSize size);
  ProofParts Search(base::TreeSize size, uint64_t away_ms);
  // All that an owner asks for who has verified everything up to her last request; several
  // responses where one does not hold it.
  ProofParts OwnerMonitor(base::TreeSize size, uint64_t away_ms);
  // By a user who looked a label up, and was shown a version that the newest entry had added.
  ProofParts ContactMonitor(base::TreeSize size, uint64_t away_ms);
  // The next version of her label, in the newest entry.
  ProofParts Update(base::TreeSize size, uint64_t away_ms);
  ProofParts OwnerInit(base::TreeSize size);
  // The ten recent distinguished entries.
  ProofParts Walk(base::TreeSize size);

 private:
  LogShape ShapeAt(base::TreeSize size) const;
  base::TreeSize SizeBefore(base::TreeSize size, uint64_t away_ms) const;
  VersionPositions RandomVersions(base::TreeSize size);
  ProofParts SearchOf(base::TreeSize size, std::optional<base::TreeSize> last);
  base::LogPosition Distinguished(base::TreeSize size) const;

  const ProofScenario scenario_;
  Engine& random_;
};

// Mean sizes of the searches of a real log, of the server's, and of a log of its shape.
struct RealLogSizes {
  double first = 0;
  double returning = 0;
  double shaped_first = 0;
  double shaped_returning = 0;
};
// `labels_an_entry` labels are added in each of `entries`; as many labels as `samples` are searched
// for. The Reasonable Monitoring Window is that of a quarter of the entries, and the returning user
// was there a quarter of the entries ago.
RealLogSizes CompareWithRealLog(base::TreeSize entries, size_t labels_an_entry, size_t samples);

}  // namespace kt::bench
#endif  // TESTS_BENCH_PROOF_PARTS_H_
