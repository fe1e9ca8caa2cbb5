// SPDX-License-Identifier: Apache-2.0
//
// Decoding of a PrefixProof is exact: what is accepted is what encoding gives back. Evaluating it
// for whatever keys must not crash either.
#include "base/check.h"
#include "base/status.h"
#include "merkle/prefix_proof.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kt::merkle::PrefixProof;
  const kt::base::ByteView bytes(data, size);
  const auto proof = kt::base::codec::Decode<PrefixProof>(bytes);
  if (!proof.ok()) {
    KT_CHECK(proof.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  KT_CHECK(kt::base::codec::Encode(*proof) == kt::base::ToBytes(bytes));

  std::vector<kt::merkle::PrefixLookup> lookups;
  for (size_t i = 0; i < proof->results.size(); ++i) {
    // Spread over the tree by their first byte; a leaf of the proof serves where there is one.
    kt::merkle::PrefixLookup lookup{proof->results[i].leaf.vrf_output,
                                    proof->results[i].leaf.commitment};
    lookup.key.bytes[0] ^= static_cast<uint8_t>(i * 0x9d);
    lookups.push_back(lookup);
  }
  const auto root = kt::merkle::EvaluatePrefixProof(*proof, lookups);
  KT_CHECK(root.ok() || kt::base::FailedCheck(root.status()) == "prefix-proof");
  return 0;
}
