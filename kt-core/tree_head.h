// SPDX-License-Identifier: Apache-2.0
//
// Signing and verifying heads of the log: draft-ietf-keytrans-protocol, "Tree Head Signature",
// "Auditor Tree Head Signature" and "Full Tree Head Verification".
#ifndef KT_CORE_TREE_HEAD_H_
#define KT_CORE_TREE_HEAD_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/signature.h"
#include "kt-core/structures.h"
#include "kt-core/user_state.h"

namespace kt::core {

// `signer` holds the key of config.signature_public_key.
absl::StatusOr<TreeHead> SignTreeHead(const Configuration& config, const base::Signer& signer,
                                      TreeSize tree_size, const Hash& root);

// `signer` holds the key of config.auditor_public_key.
absl::StatusOr<AuditorTreeHead> SignAuditorTreeHead(const Configuration& config,
                                                    const base::Signer& signer, uint64_t timestamp,
                                                    TreeSize tree_size, const Hash& root);

// The encoded TreeHeadTBS and AuditorTreeHeadTBS.
Bytes EncodeTreeHeadTbs(const Configuration& config, TreeSize tree_size, const Hash& root);
Bytes EncodeAuditorTreeHeadTbs(const Configuration& config, uint64_t timestamp, TreeSize tree_size,
                               const Hash& root);

// What a FullTreeHead is verified against.
struct HeadEvidence {
  Hash root;                       // computed from the proof
  std::optional<Hash> other_root;  // computed at the auditor's tree size, if that was provided
  uint64_t rightmost_ms = 0;       // timestamp of the rightmost log entry
  uint64_t now_ms = 0;             // the user's clock when the response arrived
};

// The keys that heads are checked with; `auditor` is null unless the mode is thirdPartyAuditing.
struct HeadKeys {
  const base::Verifier* log = nullptr;
  const base::Verifier* auditor = nullptr;
};

// The size of the tree that `head` presents to a user in state `previous` (nullptr: none). A
// verification failure ("tree-size") if it may not be presented: `same` to a user who advertised
// nothing, or a size that is zero or not greater than the advertised one.
absl::StatusOr<TreeSize> PresentedTreeSize(const FullTreeHead& head, const UserState* previous);

// "Full Tree Head Verification", clock bounds included. Each failure is a verification failure:
// "timestamp-bounds", "tree-head-signature", "auditor-tree-head", "auditor-tree-head-signature".
absl::Status VerifyFullTreeHead(const Configuration& config, const HeadKeys& keys,
                                const FullTreeHead& head, const UserState* previous,
                                const HeadEvidence& evidence);

}  // namespace kt::core
#endif  // KT_CORE_TREE_HEAD_H_
