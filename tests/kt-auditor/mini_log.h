// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_KT_AUDITOR_MINI_LOG_H_
#define TESTS_KT_AUDITOR_MINI_LOG_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/signature.h"
#include "kt-auditor/audit_record.h"
#include "kt-auditor/log_connection.h"
#include "kt-core/auditor_update_verifier.h"
#include "kt-core/configuration.h"
#include "merkle/log_tree.h"
#include "tests/support/fakes.h"
#include "tests/support/naive_prefix_tree.h"

namespace kt::auditor {

// A log as an auditor sees it: commitments to nothing in particular, but real trees and
// signatures. Copyable; a copy that goes on otherwise is a fork.
class MiniLog {
 public:
  explicit MiniLog(core::CipherSuite suite = core::CipherSuite::kEd25519,
                   base::LogPosition auditor_start_pos = 0,
                   std::optional<uint64_t> maximum_lifetime_ms = std::nullopt);

  const core::Configuration& config() const { return config_; }
  base::Hash fingerprint() const { return core::ConfigurationFingerprint(config_); }
  const base::SecretBytes& auditor_secret() const { return *auditor_secret_; }

  // Appends an entry that adds `leaves` leaves.
  void Append(uint64_t timestamp_ms, size_t leaves = 2);
  base::TreeSize size() const { return entries_.size(); }
  base::Hash RootAt(base::TreeSize size) const { return roots_.at(size - 1); }
  uint64_t TimestampOf(base::LogPosition position) const { return entries_.at(position).timestamp; }

  core::AuditorUpdate UpdateOf(base::LogPosition position) const;
  core::AuditorStart StartAt(base::TreeSize size) const;
  // The entry's record, with a tree head if `has_head`.
  AuditRecord RecordOf(base::LogPosition position, bool has_head) const;
  // What a stream begins with where nothing follows yet.
  AuditRecord Confirmation() const;
  base::Bytes TreeHeadAt(base::TreeSize size) const;

  // Whether `head` is the auditor's, over this log.
  bool IsSigned(const core::AuditorTreeHead& head) const;

 private:
  core::Configuration config_;
  std::shared_ptr<const base::Signer> signer_;
  std::shared_ptr<const base::SecretBytes> auditor_secret_;
  std::vector<core::LogEntry> entries_;
  std::vector<std::vector<merkle::PrefixLeaf>> added_;
  std::vector<testing::NaivePrefixTree> trees_;
  std::vector<base::Hash> roots_;
  std::map<merkle::LogNodeId, base::Hash> nodes_;
  merkle::LogTreeBuilder builder_;
  uint64_t next_leaf_ = 0;
};

// A connection to a MiniLog, which a test can make lie and fail.
class FakeConnection : public LogConnection {
 public:
  explicit FakeConnection(MiniLog& log) : log_(&log) {}

  void Connect(MiniLog& log) { log_ = &log; }
  // Changes what the log sends.
  std::function<void(AuditRecord&)> tamper;
  // Called with every head that is handed over; its status is the log's answer.
  std::function<absl::Status(const core::AuditorTreeHead&)> on_submit;
  // Instead of a stream, or a start.
  absl::Status stream_status;

  const std::vector<core::AuditorTreeHead>& submitted() const { return submitted_; }
  const std::vector<base::LogPosition>& streams() const { return streams_; }

  absl::StatusOr<base::Bytes> GetConfiguration() override;
  absl::StatusOr<base::Bytes> GetStart(base::TreeSize tree_size) override;
  // The entries that the log has; then the stream's time is over.
  absl::Status StreamUpdates(base::LogPosition first, std::optional<base::LogPosition> end,
                             const Visit& visit) override;
  absl::Status SubmitAuditorHead(base::ByteView head) override;
  void AwaitConnection(absl::Duration) override {}
  void Cancel() override {}

 private:
  MiniLog* log_;
  std::vector<core::AuditorTreeHead> submitted_;
  std::vector<base::LogPosition> streams_;
};

}  // namespace kt::auditor
#endif  // TESTS_KT_AUDITOR_MINI_LOG_H_
