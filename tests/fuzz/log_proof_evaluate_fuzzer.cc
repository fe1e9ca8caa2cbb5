// SPDX-License-Identifier: Apache-2.0
//
// EvaluateLogProof on any shape and any values: no crash, only the failures that it documents, and
// never a proof accepted whose number of elements is wrong. In small trees, honest values must give
// the roots of the naive tree.
#include <set>

#include "base/check.h"
#include "base/status.h"
#include "merkle/log_tree.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/naive_log_tree.h"

namespace kt::fuzz {
namespace {

using base::Hash;
using merkle::LogProofShape;

constexpr base::TreeSize kSmall = 64;

std::vector<Hash> TakeHashes(FuzzInput& input, size_t count) {
  std::vector<Hash> hashes;
  while (hashes.size() < count) hashes.push_back(input.ShortHash());
  return hashes;
}

// Sensible or not.
LogProofShape TakeShape(FuzzInput& input) {
  LogProofShape shape;
  const unsigned flags = input.Byte();
  const bool small = (flags & 1) != 0;
  const auto number = [&] { return small ? input.Below(kSmall + 1) : input.Uint64(); };
  shape.size = number();
  if ((flags & 2) != 0) shape.retained = number();
  if ((flags & 4) != 0) shape.other_size = number();
  for (unsigned left = input.Below(16); left > 0; --left) shape.leaves.push_back(number());
  if ((flags & 8) != 0) {
    const std::set<base::LogPosition> leaves(shape.leaves.begin(), shape.leaves.end());
    shape.leaves.assign(leaves.begin(), leaves.end());
  }
  return shape;
}

void RunArbitraryValues(FuzzInput& input, const LogProofShape& shape) {
  const std::vector<Hash> leaves = TakeHashes(input, shape.leaves.size());
  const size_t heads = merkle::FullSubtrees(shape.retained.value_or(0)).size();
  const std::vector<Hash> retained = TakeHashes(input, heads);
  std::vector<Hash> elements = TakeHashes(input, input.Rest().size());
  const auto result = EvaluateLogProof(shape, leaves, retained, elements);
  if (result.ok()) {
    KT_CHECK(elements.size() == RequiredNodes(shape).size());
    KT_CHECK(result->root == merkle::LogRoot(shape.size, result->full_subtrees));
    KT_CHECK(result->other_root.has_value() == shape.other_size.has_value());
    elements.push_back(Hash{});
    KT_CHECK(base::FailedCheck(EvaluateLogProof(shape, leaves, retained, elements).status()) ==
             "inclusion-proof");
  } else if (result.status().code() != absl::StatusCode::kInvalidArgument) {
    const std::optional<std::string> check = base::FailedCheck(result.status());
    KT_CHECK(check == "inclusion-proof" || check == "retained-subtree");
  }
}

void RunHonestValues(FuzzInput& input, const LogProofShape& shape) {
  const testing::NaiveLogTree log(TakeHashes(input, shape.size));
  const auto result = EvaluateLogProof(shape, log.LeafValues(shape.leaves),
                                       log.Nodes(merkle::FullSubtrees(shape.retained.value_or(0))),
                                       log.Nodes(RequiredNodes(shape)));
  KT_CHECK(result.ok());
  KT_CHECK(result->root == log.Root());
  if (shape.other_size.has_value()) KT_CHECK(result->other_root == log.Root(*shape.other_size));
}

bool IsSmallAndSensible(const LogProofShape& shape) {
  const auto in_range = [&](const std::optional<base::TreeSize>& size) {
    return !size.has_value() || (*size >= 1 && *size <= shape.size);
  };
  for (size_t i = 0; i < shape.leaves.size(); ++i) {
    if (shape.leaves[i] >= shape.size) return false;
    if (i > 0 && shape.leaves[i] <= shape.leaves[i - 1]) return false;
  }
  return shape.size >= 1 && shape.size <= kSmall && in_range(shape.retained) &&
         in_range(shape.other_size);
}

}  // namespace
}  // namespace kt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const kt::merkle::LogProofShape shape = kt::fuzz::TakeShape(input);
  const bool honest = input.Byte() % 2 == 1;
  if (!honest) {
    kt::fuzz::RunArbitraryValues(input, shape);
  } else if (kt::fuzz::IsSmallAndSensible(shape)) {
    kt::fuzz::RunHonestValues(input, shape);
  }
  return 0;
}
