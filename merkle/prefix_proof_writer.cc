// SPDX-License-Identifier: Apache-2.0
#include "merkle/prefix_proof_writer.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace kt::merkle {
namespace {

absl::Status CheckDepth(unsigned depth) {
  if (depth <= std::numeric_limits<uint8_t>::max()) return absl::OkStatus();
  return absl::DataLossError("prefix tree: two leaves differ in their last bit only");
}

}  // namespace

ProofWriter::ProofWriter(std::span<const base::VrfOutput> keys) : keys_(keys), order_(keys.size()) {
  std::iota(order_.begin(), order_.end(), 0u);
  std::sort(order_.begin(), order_.end(),
            [&](uint32_t a, uint32_t b) { return keys_[a] < keys_[b]; });
  proof_.results.resize(keys.size());
}

std::pair<ProofWriter::Range, ProofWriter::Range> ProofWriter::Split(Range range,
                                                                     unsigned depth) const {
  const auto begin = order_.begin() + static_cast<ptrdiff_t>(range.begin);
  const auto end = order_.begin() + static_cast<ptrdiff_t>(range.end);
  const auto middle =
      std::partition_point(begin, end, [&](uint32_t index) { return !keys_[index].bit(depth); });
  const size_t split = static_cast<size_t>(middle - order_.begin());
  return {{range.begin, split}, {split, range.end}};
}

absl::Status ProofWriter::EndAtMissing(Range range, unsigned depth) {
  if (absl::Status status = CheckDepth(depth); !status.ok()) return status;
  for (size_t i = range.begin; i < range.end; ++i) {
    proof_.results[order_[i]] = {.result_type = PrefixSearchResultType::kNonInclusionParent,
                                 .leaf = {},
                                 .depth = static_cast<uint8_t>(depth)};
  }
  return absl::OkStatus();
}

absl::Status ProofWriter::EndAtLeaf(Range range, unsigned depth, const PrefixLeaf& leaf) {
  if (absl::Status status = CheckDepth(depth); !status.ok()) return status;
  for (size_t i = range.begin; i < range.end; ++i) {
    PrefixSearchResult& result = proof_.results[order_[i]];
    result.depth = static_cast<uint8_t>(depth);
    if (key(i) == leaf.vrf_output) {
      result.result_type = PrefixSearchResultType::kInclusion;
    } else {
      result.result_type = PrefixSearchResultType::kNonInclusionLeaf;
      result.leaf = leaf;
    }
  }
  return absl::OkStatus();
}

}  // namespace kt::merkle
