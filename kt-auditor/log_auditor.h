// SPDX-License-Identifier: Apache-2.0
#ifndef KT_AUDITOR_LOG_AUDITOR_H_
#define KT_AUDITOR_LOG_AUDITOR_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/signature.h"
#include "kt-auditor/audit_record.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/configuration.h"

namespace kt::auditor {

// Follows one log through its records and believes none of them. Neither stores nor signs.
class LogAuditor {
 public:
  // Goes on from `state`, which is valid. kFailedPrecondition if the log of `config` is not in
  // thirdPartyAuditing mode, kInvalidArgument if the configuration is not one.
  static absl::StatusOr<LogAuditor> Create(core::Configuration config, core::AuditorState state);

  const core::Configuration& config() const { return config_; }
  const core::AuditorState& state() const { return state_; }

  // Leaves added and removed by the entries that were applied.
  uint64_t changes() const { return changes_; }

  // Verifies the record of the entry at state().tree_size and goes past it. Returns whether the log
  // has signed this very tree, which a record with a tree head shows. A record without an update
  // may only confirm the tree as it is. Failures are verification failures: those of
  // core::ApplyAuditorUpdate, "malformed-update", "auditor-position" (another entry's record, or a
  // tree head of another size) and "tree-head-signature": what was verified is not the log that its
  // operator signs. After a failure the state is that before the record.
  absl::StatusOr<bool> Apply(const AuditRecord& record);

 private:
  LogAuditor(core::Configuration config, core::AuditorState state,
             std::unique_ptr<base::Verifier> log_key)
      : config_(std::move(config)), state_(std::move(state)), log_key_(std::move(log_key)) {}

  absl::Status ApplyUpdate(const AuditRecord& record, core::AuditorState* state);
  absl::Status CheckTreeHead(const AuditRecord& record, const core::AuditorState& state) const;

  core::Configuration config_;
  core::AuditorState state_;
  std::unique_ptr<base::Verifier> log_key_;
  uint64_t changes_ = 0;
};

}  // namespace kt::auditor
#endif  // KT_AUDITOR_LOG_AUDITOR_H_
