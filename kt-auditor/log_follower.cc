// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/log_follower.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "kt-auditor/export_file.h"
#include "kt-core/tree_head.h"

namespace kt::auditor {
namespace {

bool IsUnanswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

}  // namespace

LogFollower::LogFollower(FollowerOptions options, const base::SecretBytes& secret,
                         LogConnection& connection, StateFile& file, EventLog& events,
                         const base::Clock& clock)
    : options_(std::move(options)),
      secret_(secret),
      connection_(connection),
      file_(file),
      events_(events),
      clock_(clock) {}

absl::Status LogFollower::Follow() {
  const StoredState& stored = file_.stored();
  if (!stored.halted.empty()) {
    return base::VerificationFailed("halted", base::ToText(stored.halted));
  }
  KT_RETURN_IF_ERROR(Prepare());
  // A crash may have come between storing and handing over. A log that answers, but refuses a good
  // head, may have forked: then its stream convicts it.
  absl::Status refused;
  if (stored.signed_head.has_value()) refused = Release(*stored.signed_head);
  if (base::IsVerificationFailure(refused) || IsUnanswered(refused)) return refused;
  saved_ms_ = clock_.NowMs();
  absl::Status status =
      connection_.StreamUpdates(auditor_->state().tree_size, std::nullopt,
                                [this](const AuditRecord& record) { return OnRecord(record); });
  if (base::IsVerificationFailure(status)) return status;
  status = OfExpiry(status, auditor_->config(), auditor_->state());
  KT_RETURN_IF_ERROR(SaveProgress());
  return refused.ok() ? status : refused;
}

absl::Status LogFollower::Prepare() {
  if (auditor_ != nullptr) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, connection_.GetConfiguration());
  const absl::StatusOr<core::Configuration> config = core::DecodeConfiguration(bytes);
  if (!config.ok() || core::ConfigurationFingerprint(*config) != options_.fingerprint) {
    return absl::FailedPreconditionError(
        "the server shows another log configuration than the one whose fingerprint is configured");
  }
  const auto algorithm = core::SignatureAlgorithmOf(config->ciphersuite);
  KT_ASSIGN_OR_RETURN(signer_, base::CreateSigner(algorithm, secret_));
  if (signer_->public_key() != config->auditor_public_key) {
    return absl::FailedPreconditionError("the log names another auditor's key than this one");
  }
  core::AuditorState state = file_.stored().state;
  if (state.tree_size == 0) {
    KT_ASSIGN_OR_RETURN(state, BeginningState(*config));
  }
  KT_ASSIGN_OR_RETURN(LogAuditor auditor, LogAuditor::Create(*config, std::move(state)));
  auditor_ = std::make_unique<LogAuditor>(std::move(auditor));
  return absl::OkStatus();
}

// "The position of the first log entry that the auditor started processing."
absl::StatusOr<core::AuditorState> LogFollower::BeginningState(const core::Configuration& config) {
  if (config.auditor_start_pos == 0) return core::AuditorState{};
  const absl::StatusOr<base::Bytes> bytes = connection_.GetStart(config.auditor_start_pos);
  if (!bytes.ok()) return OfExpiry(bytes.status(), config, {});
  const auto start = base::codec::Decode<core::AuditorStart>(*bytes);
  if (!start.ok()) return base::Annotate(start.status(), "AuditorStart");
  if (start->tree_size != config.auditor_start_pos) {
    return absl::InvalidArgumentError("the log sent the start of another position");
  }
  const absl::StatusOr<core::AuditorState> state = core::BeginAuditing(*start);
  // Nothing was signed yet that a log could contradict.
  if (!state.ok()) return absl::InvalidArgumentError(std::string(state.status().message()));
  return state;
}

absl::Status LogFollower::OfExpiry(const absl::Status& status, const core::Configuration& config,
                                   const core::AuditorState& state) const {
  if (!absl::IsOutOfRange(status)) return status;
  const base::LogPosition next = std::max(state.tree_size, config.auditor_start_pos);
  // The log's rightmost entry, from which lifetimes count, may be ahead of the clock by max_ahead.
  const uint64_t now_ms = clock_.NowMs();
  const uint64_t latest_ms = now_ms + std::min(config.max_ahead, ~now_ms);
  const uint64_t seen_ms = state.frontier.empty() ? 0 : state.frontier.back().timestamp;
  const bool can_have_expired = config.maximum_lifetime.has_value() && latest_ms >= seen_ms &&
                                latest_ms - seen_ms >= *config.maximum_lifetime;
  if (!can_have_expired) {
    return absl::FailedPreconditionError(
        absl::StrCat("the log says that its updates from entry ", next,
                     " on have expired, which they cannot have: it has lost them, or hides them"));
  }
  return absl::OutOfRangeError(
      absl::StrCat("the log no longer keeps its updates from entry ", next,
                   " on, which this auditor has not verified, and they are old enough for that: it "
                   "can never sign this log again; see \"When updates have expired\" in "
                   "docs/auditing.md"));
}

absl::Status LogFollower::OnRecord(const AuditRecord& record) {
  ++messages_;
  const absl::StatusOr<bool> is_signed = auditor_->Apply(record);
  if (base::IsVerificationFailure(is_signed.status())) return Halt(is_signed.status(), &record);
  KT_RETURN_IF_ERROR(is_signed.status());
  if (*is_signed) return SignAndRelease();
  const uint64_t now_ms = clock_.NowMs();
  if (now_ms >= saved_ms_ && now_ms - saved_ms_ < options_.save_every_ms) return absl::OkStatus();
  return SaveProgress();
}

absl::Status LogFollower::SaveProgress() {
  saved_ms_ = clock_.NowMs();
  if (auditor_->state() == file_.stored().state) return absl::OkStatus();
  return file_.Save({auditor_->state(), file_.stored().signed_head, {}});
}

absl::Status LogFollower::SignAndRelease() {
  const core::AuditorState& state = auditor_->state();
  const auto& newest = file_.stored().signed_head;
  if (newest.has_value() && newest->tree_size == state.tree_size) return absl::OkStatus();
  if (state.tree_size <= auditor_->config().auditor_start_pos) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(
      const core::AuditorTreeHead head,
      core::SignAuditorTreeHead(auditor_->config(), *signer_, state.frontier.back().timestamp,
                                state.tree_size, core::RootOf(state)));
  // Persist, then release.
  KT_RETURN_IF_ERROR(file_.Save({state, head, {}}));
  saved_ms_ = clock_.NowMs();
  KT_RETURN_IF_ERROR(Release(head));
  events_.Info("head_signed", {{"log", options_.name},
                               {"tree_size", head.tree_size},
                               {"timestamp_ms", head.timestamp},
                               {"changes", auditor_->changes()}});
  return absl::OkStatus();
}

absl::Status LogFollower::Release(const core::AuditorTreeHead& head) {
  const absl::Status status = connection_.SubmitAuditorHead(base::codec::Encode(head));
  if (!absl::IsAlreadyExists(status)) return status;
  // The log has a later head with a good signature: of a second instance, or of this one before its
  // state was put back. Whatever this state would sign next may contradict it.
  return Halt(base::VerificationFailed(
                  "auditor-state-behind",
                  "this auditor's key has signed a later tree than its state knows of: a second "
                  "auditor runs with the same key, or an old state was restored"),
              nullptr);
}

absl::Status LogFollower::Halt(const absl::Status& why, const AuditRecord* record) {
  const std::string reason =
      absl::StrCat(*base::FailedCheck(why), ": ", std::string(why.message()));
  events_.Error("log_misbehaves", {{"log", options_.name},
                                   {"tree_size", auditor_->state().tree_size},
                                   {"failed_check", *base::FailedCheck(why)},
                                   {"message", std::string(why.message())}});
  if (record != nullptr) {
    const absl::Status kept =
        WriteEvidence(options_.evidence_path, auditor_->config(), auditor_->state(), *record);
    if (!kept.ok()) {
      events_.Error("evidence_not_kept",
                    {{"log", options_.name}, {"message", std::string(kept.message())}});
    }
  }
  constexpr size_t kMaxReason = 4096;
  StoredState stored = {auditor_->state(), file_.stored().signed_head,
                        base::ToBytes(reason.substr(0, kMaxReason))};
  KT_RETURN_IF_ERROR(file_.Save(std::move(stored)));
  return why;
}

}  // namespace kt::auditor
