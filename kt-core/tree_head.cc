// SPDX-License-Identifier: Apache-2.0
#include "kt-core/tree_head.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace kt::core {
namespace {

// Renames the failed check, so that a reader knows whose signature it was.
absl::Status CheckSignature(const base::Verifier& key, ByteView message, ByteView signature,
                            const char* check, const std::string& whose) {
  absl::Status status = key.Verify(message, signature);
  if (status.ok() || !base::IsVerificationFailure(status)) return status;
  return base::VerificationFailed(check, absl::StrCat("the tree head is not signed by ", whose));
}

// "Updating Views of the Tree / Algorithm", last paragraphs.
absl::Status CheckClock(const Configuration& config, const HeadEvidence& evidence) {
  const uint64_t head_ms = evidence.rightmost_ms;
  const uint64_t now_ms = evidence.now_ms;
  if (head_ms > now_ms && head_ms - now_ms > config.max_ahead) {
    return base::VerificationFailed(
        "timestamp-bounds",
        absl::StrCat("the tree head is ", head_ms - now_ms,
                     " ms ahead of this clock; the log allows ", config.max_ahead, " ms"));
  }
  if (head_ms < now_ms && now_ms - head_ms > config.max_behind) {
    return base::VerificationFailed(
        "timestamp-bounds",
        absl::StrCat("the tree head is ", now_ms - head_ms,
                     " ms behind this clock; the log allows ", config.max_behind, " ms"));
  }
  return absl::OkStatus();
}

// "Auditor Tree Head Signature", steps 1 to 4.
absl::Status VerifyAuditorTreeHead(const Configuration& config, const HeadKeys& keys,
                                   const FullTreeHead& head, const UserState* previous,
                                   const HeadEvidence& evidence) {
  const AuditorTreeHead& audited = head.auditor_tree_head;
  // A previous head without an auditor's vouches for no entry at all.
  if (previous != nullptr && (!previous->auditor_tree_head.has_value() ||
                              previous->auditor_tree_head->tree_size < config.auditor_start_pos)) {
    return base::VerificationFailed("auditor-tree-head",
                                    "the auditor began after the last head that was verified");
  }
  if (evidence.rightmost_ms < audited.timestamp ||
      evidence.rightmost_ms - audited.timestamp > config.max_auditor_lag) {
    return base::VerificationFailed("auditor-tree-head",
                                    "the auditor's head is newer than the log's, or lags too far");
  }
  if (audited.tree_size > head.tree_head.tree_size) {
    return base::VerificationFailed("auditor-tree-head",
                                    "the auditor's tree is larger than the log's");
  }
  KT_CHECK(keys.auditor != nullptr && evidence.other_root.has_value());
  return CheckSignature(
      *keys.auditor,
      EncodeAuditorTreeHeadTbs(config, audited.timestamp, audited.tree_size, *evidence.other_root),
      audited.signature, "auditor-tree-head-signature", "the auditor");
}

}  // namespace

Bytes EncodeTreeHeadTbs(const Configuration& config, TreeSize tree_size, const Hash& root) {
  return codec::Encode(TreeHeadTbs{config, tree_size, root});
}

Bytes EncodeAuditorTreeHeadTbs(const Configuration& config, uint64_t timestamp, TreeSize tree_size,
                               const Hash& root) {
  return codec::Encode(AuditorTreeHeadTbs{config, timestamp, tree_size, root});
}

absl::StatusOr<TreeHead> SignTreeHead(const Configuration& config, const base::Signer& signer,
                                      TreeSize tree_size, const Hash& root) {
  KT_ASSIGN_OR_RETURN(Bytes signature, signer.Sign(EncodeTreeHeadTbs(config, tree_size, root)));
  return TreeHead{tree_size, std::move(signature)};
}

absl::StatusOr<AuditorTreeHead> SignAuditorTreeHead(const Configuration& config,
                                                    const base::Signer& signer, uint64_t timestamp,
                                                    TreeSize tree_size, const Hash& root) {
  KT_ASSIGN_OR_RETURN(Bytes signature,
                      signer.Sign(EncodeAuditorTreeHeadTbs(config, timestamp, tree_size, root)));
  return AuditorTreeHead{timestamp, tree_size, std::move(signature)};
}

absl::StatusOr<TreeSize> PresentedTreeSize(const FullTreeHead& head, const UserState* previous) {
  if (head.head_type == FullTreeHeadType::kSame) {
    if (previous == nullptr) {
      return base::VerificationFailed("tree-size", "the log refers to a head that was never seen");
    }
    return previous->tree_size();
  }
  const TreeSize size = head.tree_head.tree_size;
  if (size == 0 || size > TreeSize{std::numeric_limits<int64_t>::max()}) {
    return base::VerificationFailed("tree-size", "the tree size is out of range");
  }
  if (previous != nullptr && size <= previous->tree_size()) {
    return base::VerificationFailed("tree-size",
                                    absl::StrCat("the log presents ", size, " entries, but ",
                                                 previous->tree_size(), " were seen before"));
  }
  return size;
}

absl::Status VerifyFullTreeHead(const Configuration& config, const HeadKeys& keys,
                                const FullTreeHead& head, const UserState* previous,
                                const HeadEvidence& evidence) {
  KT_RETURN_IF_ERROR(PresentedTreeSize(head, previous).status());
  KT_RETURN_IF_ERROR(CheckClock(config, evidence));
  // The retained head was verified when it was retained.
  if (head.head_type == FullTreeHeadType::kSame) return absl::OkStatus();
  KT_CHECK(keys.log != nullptr);
  // The root is computed from what the user retained, so this is also where a fork shows.
  const std::string whose =
      previous == nullptr
          ? "the log"
          : absl::StrCat(
                "the log as a continuation of the ", previous->tree_size(),
                " entries that were verified before: the answer was altered, or the log has "
                "forked its history");
  KT_RETURN_IF_ERROR(
      CheckSignature(*keys.log, EncodeTreeHeadTbs(config, head.tree_head.tree_size, evidence.root),
                     head.tree_head.signature, "tree-head-signature", whose));
  if (config.mode != DeploymentMode::kThirdPartyAuditing) return absl::OkStatus();
  return VerifyAuditorTreeHead(config, keys, head, previous, evidence);
}

}  // namespace kt::core
