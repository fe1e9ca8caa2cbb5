// SPDX-License-Identifier: Apache-2.0
#include "tests/kt-auditor/mini_log.h"

#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/implicit_tree.h"
#include "kt-core/tree_head.h"
#include "vrf/vrf.h"

namespace kt::auditor {

MiniLog::MiniLog(core::CipherSuite suite, base::LogPosition auditor_start_pos,
                 std::optional<uint64_t> maximum_lifetime_ms) {
  testing::SeededRandom random(5);
  const auto algorithm = core::SignatureAlgorithmOf(suite);
  signer_ = base::CreateSigner(algorithm, base::GenerateSignatureSecret(algorithm, random)).value();
  auditor_secret_ =
      std::make_shared<const base::SecretBytes>(base::GenerateSignatureSecret(algorithm, random));
  config_.ciphersuite = suite;
  config_.mode = core::DeploymentMode::kThirdPartyAuditing;
  config_.signature_public_key = signer_->public_key();
  config_.vrf_public_key = vrf::CreateProver(core::VrfSuiteOf(suite),
                                             vrf::GenerateSecret(core::VrfSuiteOf(suite), random))
                               .value()
                               ->public_key();
  config_.auditor_public_key =
      base::CreateSigner(algorithm, *auditor_secret_).value()->public_key();
  config_.auditor_start_pos = auditor_start_pos;
  config_.max_auditor_lag = 1'000;
  config_.max_behind = 100'000;
  config_.reasonable_monitoring_window = 1'000;
  config_.maximum_lifetime = maximum_lifetime_ms;
}

void MiniLog::Append(uint64_t timestamp_ms, size_t leaves) {
  testing::NaivePrefixTree tree = trees_.empty() ? testing::NaivePrefixTree() : trees_.back();
  std::map<base::VrfOutput, base::Hash> added;
  for (size_t i = 0; i < leaves; ++i) {
    base::VrfOutput key;
    key.bytes = base::Sha256(base::AsBytes(std::to_string(next_leaf_++))).bytes;
    added[key] = base::Sha256(key.view());
    tree.Set(key, added[key]);
  }
  added_.emplace_back();
  for (const auto& [key, commitment] : added) added_.back().push_back({key, commitment});
  entries_.push_back({timestamp_ms, tree.Root()});
  trees_.push_back(std::move(tree));
  std::vector<std::pair<merkle::LogNodeId, base::Hash>> completed;
  builder_.Append(base::Sha256(base::codec::Encode(entries_.back())), &completed);
  nodes_.insert(completed.begin(), completed.end());
  roots_.push_back(builder_.Root());
}

core::AuditorUpdate MiniLog::UpdateOf(base::LogPosition position) const {
  core::AuditorUpdate update;
  update.timestamp = entries_.at(position).timestamp;
  update.added = added_.at(position);
  std::vector<base::VrfOutput> keys;
  for (const merkle::PrefixLeaf& leaf : update.added) keys.push_back(leaf.vrf_output);
  update.proof =
      position == 0 ? testing::NaivePrefixTree().Prove(keys) : trees_.at(position - 1).Prove(keys);
  return update;
}

core::AuditorStart MiniLog::StartAt(base::TreeSize size) const {
  core::AuditorStart start;
  start.tree_size = size;
  merkle::LogProofShape shape;
  shape.size = size;
  shape.leaves = core::Frontier(size);
  for (const base::LogPosition position : shape.leaves) {
    start.frontier.push_back(entries_.at(position));
  }
  for (const merkle::LogNodeId& id : merkle::RequiredNodes(shape)) {
    start.inclusion.elements.push_back(nodes_.at(id));
  }
  return start;
}

AuditRecord MiniLog::RecordOf(base::LogPosition position, bool has_head) const {
  AuditRecord record;
  record.position = position;
  record.update = base::codec::Encode(UpdateOf(position));
  if (has_head) record.tree_head = TreeHeadAt(position + 1);
  return record;
}

AuditRecord MiniLog::Confirmation() const {
  AuditRecord record;
  record.position = size();
  record.tree_head = TreeHeadAt(size());
  return record;
}

base::Bytes MiniLog::TreeHeadAt(base::TreeSize size) const {
  return base::codec::Encode(core::SignTreeHead(config_, *signer_, size, RootAt(size)).value());
}

bool MiniLog::IsSigned(const core::AuditorTreeHead& head) const {
  if (head.tree_size == 0 || head.tree_size > size()) return false;
  const auto verifier = base::CreateVerifier(core::SignatureAlgorithmOf(config_.ciphersuite),
                                             config_.auditor_public_key);
  return head.timestamp == TimestampOf(head.tree_size - 1) &&
         (*verifier)
             ->Verify(core::EncodeAuditorTreeHeadTbs(config_, head.timestamp, head.tree_size,
                                                     RootAt(head.tree_size)),
                      head.signature)
             .ok();
}

absl::StatusOr<base::Bytes> FakeConnection::GetConfiguration() {
  return base::codec::Encode(log_->config());
}

absl::StatusOr<base::Bytes> FakeConnection::GetStart(base::TreeSize tree_size) {
  KT_RETURN_IF_ERROR(stream_status);
  return base::codec::Encode(log_->StartAt(tree_size));
}

absl::Status FakeConnection::StreamUpdates(base::LogPosition first,
                                           std::optional<base::LogPosition> end,
                                           const Visit& visit) {
  streams_.push_back(first);
  if (!stream_status.ok()) return stream_status;
  const auto send = [&](AuditRecord record) {
    if (tamper) tamper(record);
    return visit(record);
  };
  if (first > 0 && first == log_->size()) KT_RETURN_IF_ERROR(send(log_->Confirmation()));
  for (base::LogPosition i = first; i < std::min(log_->size(), end.value_or(log_->size())); ++i) {
    KT_RETURN_IF_ERROR(send(log_->RecordOf(i, i + 1 == log_->size())));
  }
  return absl::DeadlineExceededError("the stream's time is over");
}

absl::Status FakeConnection::SubmitAuditorHead(base::ByteView bytes) {
  const auto head = base::codec::Decode<core::AuditorTreeHead>(bytes);
  KT_CHECK(head.ok());
  if (on_submit) KT_RETURN_IF_ERROR(on_submit(*head));
  submitted_.push_back(*head);
  return absl::OkStatus();
}

}  // namespace kt::auditor
