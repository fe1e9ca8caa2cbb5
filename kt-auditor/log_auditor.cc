// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/log_auditor.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-core/tree_head.h"

namespace kt::auditor {
namespace {

template <typename T>
absl::StatusOr<T> DecodePart(base::ByteView bytes, const char* what) {
  absl::StatusOr<T> decoded = base::codec::Decode<T>(bytes);
  if (decoded.ok()) return decoded;
  return base::VerificationFailed("malformed-update",
                                  absl::StrCat("the log sent a ", what, " that cannot be decoded: ",
                                               std::string(decoded.status().message())));
}

absl::Status WrongPosition(const std::string& why) {
  return base::VerificationFailed("auditor-position", why);
}

}  // namespace

absl::StatusOr<LogAuditor> LogAuditor::Create(core::Configuration config,
                                              core::AuditorState state) {
  KT_RETURN_IF_ERROR(core::ValidateConfiguration(config));
  if (config.mode != core::DeploymentMode::kThirdPartyAuditing) {
    return absl::FailedPreconditionError("the log is not in third-party auditing mode");
  }
  KT_ASSIGN_OR_RETURN(auto log_key,
                      base::CreateVerifier(core::SignatureAlgorithmOf(config.ciphersuite),
                                           config.signature_public_key));
  return LogAuditor(std::move(config), std::move(state), std::move(log_key));
}

absl::StatusOr<bool> LogAuditor::Apply(const AuditRecord& record) {
  if (record.position != state_.tree_size) {
    return WrongPosition(absl::StrCat("the log sent entry ", record.position, " where entry ",
                                      state_.tree_size, " follows"));
  }
  core::AuditorState next = state_;
  const uint64_t changes_before = changes_;
  absl::Status status = absl::OkStatus();
  if (!record.update.empty()) {
    status = ApplyUpdate(record, &next);
  } else if (record.tree_head.empty() || !record.published.empty() || next.tree_size == 0) {
    status =
        base::VerificationFailed("malformed-update", "the log sent a record without an update");
  }
  if (status.ok() && !record.tree_head.empty()) status = CheckTreeHead(record, next);
  if (!status.ok()) {
    changes_ = changes_before;
    return status;
  }
  state_ = std::move(next);
  return !record.tree_head.empty();
}

absl::Status LogAuditor::ApplyUpdate(const AuditRecord& record, core::AuditorState* state) {
  KT_ASSIGN_OR_RETURN(const auto update,
                      DecodePart<core::AuditorUpdate>(record.update, "AuditorUpdate"));
  std::optional<core::PrefixProof> published;
  if (!record.published.empty()) {
    KT_ASSIGN_OR_RETURN(published,
                        DecodePart<core::PrefixProof>(record.published, "proof of publication"));
  }
  changes_ += update.added.size() + update.removed.size();
  return core::ApplyAuditorUpdate(config_, update, published.has_value() ? &*published : nullptr,
                                  state);
}

absl::Status LogAuditor::CheckTreeHead(const AuditRecord& record,
                                       const core::AuditorState& state) const {
  KT_ASSIGN_OR_RETURN(const auto head, DecodePart<core::TreeHead>(record.tree_head, "TreeHead"));
  if (head.tree_size != state.tree_size) {
    return WrongPosition(absl::StrCat("the log sent a tree head of ", head.tree_size,
                                      " entries with entry ", record.position));
  }
  const absl::Status status = log_key_->Verify(
      core::EncodeTreeHeadTbs(config_, head.tree_size, core::RootOf(state)), head.signature);
  if (!base::IsVerificationFailure(status)) return status;
  return base::VerificationFailed(
      "tree-head-signature",
      absl::StrCat("the log's signature over its tree of ", head.tree_size,
                   " entries does not fit the entries that it showed: it shows its users another "
                   "log, or has forked its history"));
}

}  // namespace kt::auditor
