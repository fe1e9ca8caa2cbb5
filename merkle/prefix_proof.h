// SPDX-License-Identifier: Apache-2.0
//
// Proofs from the prefix tree, as they travel, and their evaluation.
// draft-ietf-keytrans-protocol, "Cryptographic Computations / Prefix Tree" and "Tree Proofs /
// Prefix Tree".
#ifndef MERKLE_PREFIX_PROOF_H_
#define MERKLE_PREFIX_PROOF_H_

#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/codec.h"
#include "base/types.h"

namespace kt::merkle {

namespace codec = base::codec;

// enum { reserved(0), inclusion(1), nonInclusionLeaf(2), nonInclusionParent(3), (255) }
//   PrefixSearchResultType;
enum class PrefixSearchResultType : uint8_t {
  kInclusion = 1,
  kNonInclusionLeaf = 2,
  kNonInclusionParent = 3,
};
constexpr bool IsKnown(PrefixSearchResultType type) {
  return type >= PrefixSearchResultType::kInclusion &&
         type <= PrefixSearchResultType::kNonInclusionParent;
}

// struct {
//   opaque vrf_output[VRF.Nh];
//   opaque commitment[Hash.Nh];
// } PrefixLeaf;
struct PrefixLeaf {
  base::VrfOutput vrf_output;
  base::Hash commitment;

  bool operator==(const PrefixLeaf&) const = default;
  static constexpr auto Fields() {
    return codec::List(&PrefixLeaf::vrf_output, &PrefixLeaf::commitment);
  }
};

// struct {
//   PrefixSearchResultType result_type;
//   select (PrefixSearchResult.result_type) {
//     case nonInclusionLeaf:
//       PrefixLeaf leaf;
//   };
//   uint8 depth;
// } PrefixSearchResult;
//
// `depth` is that of the leaf where the search ended; for nonInclusionParent, of the missing leaf.
struct PrefixSearchResult {
  PrefixSearchResultType result_type = PrefixSearchResultType::kInclusion;
  PrefixLeaf leaf;  // nonInclusionLeaf only
  uint8_t depth = 0;

  bool operator==(const PrefixSearchResult&) const = default;
  static constexpr auto Fields() {
    return codec::List(&PrefixSearchResult::result_type,
                       codec::If(
                           [](const PrefixSearchResult& r, const auto&) {
                             return r.result_type == PrefixSearchResultType::kNonInclusionLeaf;
                           },
                           &PrefixSearchResult::leaf),
                       &PrefixSearchResult::depth);
  }
};

// struct {
//   PrefixSearchResult results<0..2^8-1>;
//   HashValue elements<0..2^16-1>;
// } PrefixProof;
//
// `results` follow the order of the request; `elements` go left to right through the tree, all-zero
// where a subtree is absent.
struct PrefixProof {
  std::vector<PrefixSearchResult> results;
  std::vector<base::Hash> elements;

  bool operator==(const PrefixProof&) const = default;
  static constexpr auto Fields() {
    return codec::List(codec::Vector<uint8_t>(&PrefixProof::results),
                       codec::Vector<uint16_t>(&PrefixProof::elements));
  }
};

inline constexpr size_t kMaxPrefixLookups = 255;  // bound of PrefixProof.results

// Hash(0x02 || vrf_output || commitment)
base::Hash PrefixLeafHash(const base::VrfOutput& vrf_output, const base::Hash& commitment);
// Hash(0x03 || left || right); an absent child's value is all zeros.
base::Hash PrefixParentHash(const base::Hash& left, const base::Hash& right);

// One key that was asked for, and its commitment if the asker knows it (needed for an inclusion).
struct PrefixLookup {
  base::VrfOutput key;
  std::optional<base::Hash> commitment;
};

// The root that `proof` computes for `lookups`, in the order of proof.results. Checks the proof's
// shape: a result for each lookup; depths and leaves that can stand in one canonical tree (two
// results that share a terminal node agree, none lies below another's leaf); a nonInclusionLeaf
// that shares the path but is not the key itself; exactly the elements needed. Whether a result is
// the expected one is the caller's question. Duplicate lookups of one key are refused. The root of
// an empty tree is all zeros; without lookups, the root is the proof's only element.
// Every violation is a verification failure. Iterative: depth is bounded by 256, and work by the
// number of results and elements.
absl::StatusOr<base::Hash> EvaluatePrefixProof(const PrefixProof& proof,
                                               std::span<const PrefixLookup> lookups);

}  // namespace kt::merkle
#endif  // MERKLE_PREFIX_PROOF_H_
