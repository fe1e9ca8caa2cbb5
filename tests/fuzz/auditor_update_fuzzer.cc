// SPDX-License-Identifier: Apache-2.0
//
// AuditorUpdates that are honest, spoiled or invented: what is accepted changes the prefix tree as
// it says, and what is refused changes nothing.
#include <algorithm>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/auditor_update_verifier.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/support/naive_prefix_tree.h"

namespace kt::fuzz {
namespace {

using base::Hash;
using base::VrfOutput;
using merkle::PrefixLeaf;
using merkle::PrefixProof;
using testing::NaivePrefixTree;

// Keys can share long prefixes.
VrfOutput TakeKey(FuzzInput& input) {
  VrfOutput key;
  key.bytes[0] = input.Byte();
  const uint8_t bit = input.Byte();
  if (bit >= 8) key.bytes[bit / 8] |= static_cast<uint8_t>(0x80 >> (bit % 8));
  return key;
}

// A result for each element of both lists, of one proof in `tree`.
PrefixProof Prove(const NaivePrefixTree& tree, const core::AuditorUpdate& update) {
  std::map<VrfOutput, size_t> index;
  for (const auto* list : {&update.added, &update.removed}) {
    for (const PrefixLeaf& leaf : *list) index[leaf.vrf_output] = 0;
  }
  std::vector<VrfOutput> keys;
  for (auto& [key, at] : index) {
    at = keys.size();
    keys.push_back(key);
  }
  PrefixProof proof = tree.Prove(keys);
  const auto results = std::move(proof.results);
  proof.results.clear();
  for (const auto* list : {&update.added, &update.removed}) {
    for (const PrefixLeaf& leaf : *list) proof.results.push_back(results[index[leaf.vrf_output]]);
  }
  return proof;
}

struct Case {
  NaivePrefixTree before;
  core::AuditorUpdate update;
  PrefixProof published;
};

void Spoil(FuzzInput& input, Case& taken) {
  PrefixProof& proof = input.Below(8) == 0 ? taken.published : taken.update.proof;
  const size_t which = input.Byte();
  switch (input.Below(7)) {
    case 0:
      proof.elements.insert(
          proof.elements.begin() + static_cast<std::ptrdiff_t>(which % (proof.elements.size() + 1)),
          input.ShortHash());
      return;
    case 1:
      if (!proof.elements.empty()) proof.elements.pop_back();
      return;
    case 2:
      if (!proof.elements.empty())
        proof.elements[which % proof.elements.size()] = input.ShortHash();
      return;
    case 3:
      if (!proof.results.empty()) proof.results[which % proof.results.size()].depth ^= input.Byte();
      return;
    case 4:
      if (!proof.results.empty()) {
        proof.results[which % proof.results.size()].result_type =
            static_cast<merkle::PrefixSearchResultType>(1 + input.Below(3));
      }
      return;
    case 5:
      taken.update.added.push_back({TakeKey(input), input.ShortHash()});
      return;
    default:
      taken.update.removed.push_back({TakeKey(input), input.ShortHash()});
  }
}

Case TakeCase(FuzzInput& input) {
  Case taken;
  std::map<VrfOutput, Hash> added, removed;
  for (unsigned left = input.Below(16); left > 0; --left) {
    const VrfOutput key = TakeKey(input);
    const unsigned roles = 1 + input.Below(7);
    const Hash commitment = input.ShortHash();
    if ((roles & 1) != 0) taken.before.Set(key, commitment);
    if ((roles & 2) != 0) removed[key] = commitment;
    if ((roles & 4) != 0) added[key] = input.ShortHash();
  }
  for (const auto& [key, commitment] : added) taken.update.added.push_back({key, commitment});
  for (const auto& [key, commitment] : removed) taken.update.removed.push_back({key, commitment});
  taken.update.timestamp = input.Byte();
  taken.update.proof = Prove(taken.before, taken.update);
  std::vector<VrfOutput> keys;
  for (const auto& [key, commitment] : removed) keys.push_back(key);
  taken.published = taken.before.Prove(keys);
  while (!input.empty()) Spoil(input, taken);
  return taken;
}

// What the lists say, if they say something that can be: the tree after.
NaivePrefixTree After(const Case& taken) {
  NaivePrefixTree tree = taken.before;
  for (const PrefixLeaf& leaf : taken.update.removed) {
    const auto at = tree.leaves().find(leaf.vrf_output);
    KT_CHECK(at != tree.leaves().end() && at->second == leaf.commitment);
    tree.Remove(leaf.vrf_output);
  }
  for (const PrefixLeaf& leaf : taken.update.added) {
    KT_CHECK(!tree.leaves().contains(leaf.vrf_output));
    tree.Set(leaf.vrf_output, leaf.commitment);
  }
  return tree;
}

}  // namespace
}  // namespace kt::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kt::fuzz::FuzzInput input(data, size);
  const kt::fuzz::Case taken = kt::fuzz::TakeCase(input);
  const kt::core::LogEntry first{100, taken.before.Root()};
  kt::core::AuditorState state;
  state.tree_size = 1;
  state.frontier = {first};
  state.full_subtrees = {kt::base::Sha256(kt::base::codec::Encode(first))};
  const kt::core::AuditorState before = state;
  // With a window of zero every entry is distinguished.
  kt::core::Configuration config;
  config.mode = kt::core::DeploymentMode::kThirdPartyAuditing;
  const bool removes = !taken.update.removed.empty();
  const absl::Status status = kt::core::ApplyAuditorUpdate(
      config, taken.update, removes ? &taken.published : nullptr, &state);
  if (status.ok()) {
    KT_CHECK(taken.update.timestamp >= first.timestamp);
    KT_CHECK(kt::core::ValidateAuditorState(state).ok());
    KT_CHECK(state.frontier.back().prefix_tree == kt::fuzz::After(taken).Root());
  } else {
    KT_CHECK(kt::base::IsVerificationFailure(status));
    KT_CHECK(state == before);
  }
  return 0;
}
