// SPDX-License-Identifier: Apache-2.0
#include "kt-server/transparency_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/status.h"
#include "kt-core/commitment_value.h"
#include "kt-core/tree_head.h"
#include "kt-server/retention.h"
#include "kt-server/version_rows.h"

namespace kt::server {
namespace {

// The row of the table changed for an entry that adds `leaves`.
ChangedRow ChangedBy(base::LogPosition position, std::span<const merkle::PrefixLeaf> leaves) {
  ChangedRow row{position, {}};
  for (const merkle::PrefixLeaf& leaf : leaves) {
    const auto& key = leaf.vrf_output.bytes;
    row.subtrees.push_back(
        {kChangedDepth, uint32_t{key[0]} << 24 | uint32_t{key[1]} << 16 | uint32_t{key[2]} << 8});
  }
  std::sort(row.subtrees.begin(), row.subtrees.end());
  row.subtrees.erase(std::unique(row.subtrees.begin(), row.subtrees.end()), row.subtrees.end());
  return row;
}

// Each takes a read before it is written.
constexpr size_t kMaxUnsavedPerCommit = 4'096;

}  // namespace

TransparencyLog::TransparencyLog(LogKeys keys, Store& store, HeadGuard& guard, base::Random& random)
    : keys_(std::move(keys)), store_(store), guard_(guard), random_(random) {}

absl::StatusOr<std::unique_ptr<TransparencyLog>> TransparencyLog::Open(
    LogKeys keys, const merkle::PrefixTreeLayout& layout, Store& store, HeadGuard& guard,
    base::Random& random, const merkle::PrefixTreeMemory& memory) {
  KT_RETURN_IF_ERROR(core::ValidateConfiguration(keys.config));
  if (keys.signer->public_key() != keys.config.signature_public_key ||
      keys.vrf->public_key() != keys.config.vrf_public_key) {
    return absl::InvalidArgumentError("the secret keys are not those of the log's configuration");
  }
  std::unique_ptr<TransparencyLog> log(new TransparencyLog(std::move(keys), store, guard, random));
  if (log->audited()) {
    KT_ASSIGN_OR_RETURN(log->auditor_key_,
                        base::CreateVerifier(core::SignatureAlgorithmOf(log->config().ciphersuite),
                                             log->config().auditor_public_key));
  }
  KT_RETURN_IF_ERROR(log->Load(layout, memory));
  return log;
}

absl::Status TransparencyLog::Load(const merkle::PrefixTreeLayout& layout,
                                   const merkle::PrefixTreeMemory& memory) {
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  const HeadRow& head = snapshot->head();
  KT_RETURN_IF_ERROR(CheckGuarded(guard_, *snapshot));
  KT_ASSIGN_OR_RETURN(tree_, merkle::PrefixTree::Load(layout, *snapshot, head.tree_size, memory));
  if (head.tree_size == 0) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const base::Hash newest_root, LoadTimestamps(*snapshot));
  KT_ASSIGN_OR_RETURN(const base::Hash tree_root, tree_->RootAt(*snapshot, head.tree_size - 1));
  if (tree_root != newest_root) {
    return absl::DataLossError(
        "the prefix tree in the database is not that of the newest log entry");
  }
  KT_RETURN_IF_ERROR(guard_.Advance(head.tree_size, head.root));
  if (audited()) KT_RETURN_IF_ERROR(LoadAuditorHead(*snapshot));
  return Publish({}, head);
}

// Returns the prefix tree's root in the newest entry.
absl::StatusOr<base::Hash> TransparencyLog::LoadTimestamps(const Snapshot& snapshot) {
  const base::LogPosition horizon = snapshot.horizon();
  const std::vector<base::LogPosition> kept = KeptEntries(horizon);
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> rows, snapshot.ReadEntries(kept));
  std::map<base::LogPosition, uint64_t> earlier;
  for (size_t i = 0; i < kept.size(); ++i) earlier[kept[i]] = rows[i].timestamp_ms;
  timestamps_->Begin(horizon, std::move(earlier));

  constexpr base::TreeSize kEntriesPerRead = 4096;
  const base::TreeSize size = snapshot.head().tree_size;
  base::Hash newest_root;
  for (base::TreeSize begin = horizon; begin < size; begin += kEntriesPerRead) {
    std::vector<base::LogPosition> positions;
    for (base::TreeSize i = begin; i < std::min(begin + kEntriesPerRead, size); ++i) {
      positions.push_back(i);
    }
    KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries, snapshot.ReadEntries(positions));
    for (const EntryRow& entry : entries) timestamps_->Append(entry.timestamp_ms);
    newest_root = entries.back().prefix_tree;
  }
  return newest_root;
}

absl::Status TransparencyLog::LoadAuditorHead(const Snapshot& snapshot) {
  const absl::StatusOr<base::Bytes> stored = store_.ReadAuditorHead();
  if (absl::IsNotFound(stored.status())) return absl::OkStatus();
  KT_RETURN_IF_ERROR(stored.status());
  const auto head = core::codec::Decode<core::AuditorTreeHead>(*stored);
  if (!head.ok() || !VerifyAuditorHead(snapshot, *head).ok()) {
    return absl::DataLossError("the auditor's head in the database is not one of this log");
  }
  absl::MutexLock lock(&mutex_);
  auditor_head_ = *head;
  return absl::OkStatus();
}

bool TransparencyLog::audited() const {
  return keys_.config.mode == core::DeploymentMode::kThirdPartyAuditing;
}

size_t TransparencyLog::max_versions_per_entry() const {
  return audited() ? merkle::kMaxPrefixLookups : std::numeric_limits<size_t>::max();
}

std::shared_ptr<const LogState> TransparencyLog::current() const {
  absl::ReaderMutexLock lock(&mutex_);
  return current_;
}

std::shared_ptr<const LogState> TransparencyLog::newest() const {
  absl::ReaderMutexLock lock(&mutex_);
  return newest_;
}

absl::StatusOr<std::shared_ptr<const LogState>> TransparencyLog::Present() const {
  absl::ReaderMutexLock lock(&mutex_);
  if (current_ != nullptr) return current_;
  if (newest_ == nullptr) return absl::UnavailableError("the log has no entries yet");
  return absl::UnavailableError(auditor_head_.has_value()
                                    ? "the log's auditor lags too far behind; try again later"
                                    : "the log's auditor has not signed a tree head yet");
}

std::shared_ptr<const LogState> TransparencyLog::AwaitGrowth(base::TreeSize size,
                                                             absl::Duration timeout) const {
  const auto has_grown = [this, size]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return newest_ != nullptr && newest_->size() > size;
  };
  absl::ReaderMutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&has_grown), timeout);
  return newest_;
}

absl::Status TransparencyLog::CheckNotErased(const LogState& shown,
                                             const base::Hash& commitment) const {
  const std::shared_ptr<const LogState> state = newest();
  if (state->size() == shown.size()) return absl::OkStatus();
  KT_ASSIGN_OR_RETURN(const std::optional<ErasureRow> erasure,
                      state->snapshot().ReadErasure(commitment));
  return erasure.has_value() ? ErasedStatus(*erasure) : absl::OkStatus();
}

absl::Status TransparencyLog::writable() const {
  absl::ReaderMutexLock lock(&mutex_);
  if (!failure_.ok() || !full_) return failure_;
  return absl::UnavailableError(
      "the log takes no entries at the moment, because its disk is full; try again later");
}

void TransparencyLog::Fail(const char* why) {
  absl::MutexLock lock(&mutex_);
  failure_ = absl::UnavailableError(
      absl::StrCat("the log takes no more entries until it is started again, because ", why,
                   "; its operator's log says which"));
}

void TransparencyLog::Halt() { Fail("some of its database is damaged"); }

absl::Status TransparencyLog::NoteRoom(absl::Status status) {
  absl::MutexLock lock(&mutex_);
  full_ = absl::IsResourceExhausted(status);
  return status;
}

absl::Status TransparencyLog::CheckRoom() {
  {
    absl::ReaderMutexLock lock(&mutex_);
    KT_RETURN_IF_ERROR(failure_);
  }
  const absl::Status status = NoteRoom(store_.CheckRoom());
  if (!status.ok() && !absl::IsResourceExhausted(status)) Fail("a write failed");
  return status;
}

absl::StatusOr<PreparedEntries> TransparencyLog::Prepare(std::vector<NewEntry> entries) const {
  KT_CHECK(!entries.empty());
  PreparedEntries prepared{std::move(entries), {}};
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  for (const NewEntry& entry : prepared.entries) {
    KT_CHECK(entry.versions.size() <= max_versions_per_entry());
    for (const NewVersion& version : entry.versions) {
      KT_RETURN_IF_ERROR(prepared.rows.Add(*snapshot, version.label, version.version));
    }
  }
  KT_RETURN_IF_ERROR(prepared.rows.Prove(*keys_.vrf));
  return prepared;
}

absl::Status TransparencyLog::Append(std::span<const NewEntry> entries) {
  KT_ASSIGN_OR_RETURN(PreparedEntries prepared, Prepare({entries.begin(), entries.end()}));
  return Append(std::move(prepared));
}

absl::Status TransparencyLog::Append(PreparedEntries prepared) {
  KT_RETURN_IF_ERROR(CheckRoom());
  KT_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  const HeadRow& old_head = snapshot->head();
  const std::vector<NewEntry>& entries = prepared.entries;
  CommitBatch batch;
  std::vector<merkle::PrefixChanges> changes;
  KT_RETURN_IF_ERROR(Stage(*snapshot, &prepared, &batch, &changes));
  KT_ASSIGN_OR_RETURN(std::unique_ptr<merkle::StagedPrefixTree> staged,
                      tree_->Stage(*snapshot, old_head.tree_size, changes));
  batch.prefix = staged->TakeWrites();
  if (audited()) {
    for (const merkle::PrefixChanges& change : changes) {
      batch.changed.push_back(ChangedBy(old_head.tree_size + batch.changed.size(), change.added));
    }
  }

  merkle::LogTreeBuilder builder(old_head.tree_size, old_head.full_subtrees);
  KT_RETURN_IF_ERROR(AppendLogEntries(entries, staged->roots(), &builder, &batch));
  KT_ASSIGN_OR_RETURN(core::TreeHead head, core::SignTreeHead(keys_.config, *keys_.signer,
                                                              builder.size(), builder.Root()));
  batch.head = {builder.size(), builder.Root(), std::move(head.signature), builder.heads()};

  // Persist, then publish. From here on a failure leaves it open what is on the disk.
  absl::Status status = store_.Commit(batch, old_head.tree_size);
  if (status.ok()) status = guard_.Advance(batch.head.tree_size, batch.head.root);
  if (status.ok()) {
    tree_->Apply(std::move(staged));
    status = Publish(entries, batch.head);
  }
  if (!status.ok()) Fail("a write failed");
  return status;
}

// Rows, values and prefix tree leaves of all new versions.
absl::Status TransparencyLog::Stage(const Snapshot& snapshot, PreparedEntries* prepared,
                                    CommitBatch* batch,
                                    std::vector<merkle::PrefixChanges>* changes) {
  base::LogPosition position = snapshot.head().tree_size;
  std::vector<VersionRow*> rows;  // of all versions, in their order
  std::vector<Publication> publications;
  for (const NewEntry& entry : prepared->entries) {
    for (const NewVersion& version : entry.versions) {
      VersionRow& row = prepared->rows.RowOf(version.label, version.version);
      // One that was added since they were prepared, the tree refuses.
      if (row.existing.has_value()) {
        return absl::AlreadyExistsError("a version to add is already in the log");
      }
      row.existing = VersionRow::Existing();
      row.existing->position = position;
      rows.push_back(&row);
      if (!version.skipped) publications.push_back({version, *row.existing});
    }
    ++position;
  }
  KT_RETURN_IF_ERROR(MakeCommitments(publications, batch));
  auto row = rows.begin();
  for (const NewEntry& entry : prepared->entries) {
    merkle::PrefixChanges& change = changes->emplace_back();
    change.added.reserve(entry.versions.size());
    for (size_t i = 0; i < entry.versions.size(); ++i, ++row) {
      change.added.push_back({(*row)->vrf_output, (*row)->existing->commitment});
    }
  }
  // Last: the plan's rows, which were borrowed above, move.
  KT_RETURN_IF_ERROR(
      prepared->rows.AddUnsaved(snapshot, unsaved_proofs_.Take(kMaxUnsavedPerCommit)));
  batch->versions = prepared->rows.TakeRows();
  return absl::OkStatus();
}

absl::Status TransparencyLog::MakeCommitments(std::span<const Publication> publications,
                                              CommitBatch* batch) {
  std::vector<core::Opening> openings(publications.size());
  for (core::Opening& opening : openings) random_.Fill(opening);
  batch->values.resize(publications.size());
  const core::WireContext context = core::WireContext::For(keys_.config);
  const auto commit = [&](size_t, size_t begin, size_t end) -> absl::Status {
    for (size_t i = begin; i < end; ++i) {
      const NewVersion& version = publications[i].version;
      VersionRow::Existing& existing = publications[i].existing;
      const OpenedValue opened{openings[i], version.value};
      KT_ASSIGN_OR_RETURN(existing.commitment,
                          core::CommitTo(keys_.config, opened.opening, version.label,
                                         version.version, opened.value));
      KT_ASSIGN_OR_RETURN(base::Bytes encoded, EncodeOpenedValue(opened, context));
      batch->values[i] = {existing.value_key(), std::move(encoded)};
    }
    return absl::OkStatus();
  };
  constexpr size_t kMinPerThread = 256;
  return base::RunInParts(base::PartCount(publications.size(), kMinPerThread), publications.size(),
                          commit);
}

absl::Status TransparencyLog::AppendLogEntries(std::span<const NewEntry> entries,
                                               std::span<const base::Hash> prefix_roots,
                                               merkle::LogTreeBuilder* builder,
                                               CommitBatch* batch) const {
  uint64_t last_ms = timestamps_->size() == 0 ? 0 : timestamps_->At(timestamps_->size() - 1);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].timestamp_ms < last_ms) {
      return absl::InvalidArgumentError("the timestamp of a new log entry goes backwards");
    }
    last_ms = entries[i].timestamp_ms;
    batch->entries.push_back({last_ms, prefix_roots[i]});
    const core::LogEntry entry{last_ms, prefix_roots[i]};
    builder->Append(base::Sha256(core::codec::Encode(entry)), &batch->log_nodes);
  }
  return absl::OkStatus();
}

absl::Status TransparencyLog::Publish(std::span<const NewEntry> entries, const HeadRow& head) {
  for (const NewEntry& entry : entries) timestamps_->Append(entry.timestamp_ms);
  // Within the lock, so that no snapshot follows one that is later.
  absl::MutexLock lock(&mutex_);
  KT_ASSIGN_OR_RETURN(std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  KT_CHECK(snapshot->head().tree_size == head.tree_size);
  SetNewest(std::make_shared<const LogState>(
      std::move(snapshot), tree_, timestamps_, nodes_,
      core::SignedHead{{head.tree_size, head.signature}, auditor_head_}));
  return absl::OkStatus();
}

absl::Status TransparencyLog::Renew() {
  absl::MutexLock lock(&mutex_);
  KT_ASSIGN_OR_RETURN(std::shared_ptr<const Snapshot> snapshot, store_.GetSnapshot());
  // What the writer is about to publish takes its snapshot then.
  if (newest_ == nullptr || newest_->size() != snapshot->head().tree_size) return absl::OkStatus();
  SetNewest(newest_->WithSnapshot(std::move(snapshot)));
  return absl::OkStatus();
}

void TransparencyLog::SetNewest(std::shared_ptr<const LogState> state) {
  newest_ = std::move(state);
  if (audited()) {
    // "Auditor Tree Head Signature", step 2, as users will take it.
    if (!auditor_head_.has_value()) return;
    const absl::StatusOr<uint64_t> rightmost_ms = newest_->Timestamp(newest_->size() - 1);
    KT_CHECK(rightmost_ms.ok() && *rightmost_ms >= auditor_head_->timestamp);
    if (*rightmost_ms - auditor_head_->timestamp > keys_.config.max_auditor_lag) return;
  }
  current_ = newest_;
}

absl::Status TransparencyLog::VerifyAuditorHead(const Snapshot& snapshot,
                                                const core::AuditorTreeHead& head) const {
  if (head.tree_size > snapshot.head().tree_size) {
    return absl::FailedPreconditionError(
        absl::StrCat("this log has ", snapshot.head().tree_size, " entries, not ", head.tree_size));
  }
  if (head.tree_size <= keys_.config.auditor_start_pos) {
    return absl::InvalidArgumentError("the head covers no entry that this auditor audits");
  }
  if (head.tree_size <= snapshot.horizon()) {
    return Expired(absl::StrCat("log entry ", head.tree_size - 1));
  }
  const base::LogPosition last[] = {head.tree_size - 1};
  KT_ASSIGN_OR_RETURN(const std::vector<EntryRow> entries, snapshot.ReadEntries(last));
  if (entries[0].timestamp_ms != head.timestamp) {
    return absl::InvalidArgumentError("the timestamp is not that of the last entry it covers");
  }
  KT_ASSIGN_OR_RETURN(const base::Hash root, LogRootAt(snapshot, head.tree_size));
  const absl::Status status = auditor_key_->Verify(
      core::EncodeAuditorTreeHeadTbs(keys_.config, head.timestamp, head.tree_size, root),
      head.signature);
  if (!base::IsVerificationFailure(status)) return status;
  return base::VerificationFailed("auditor-tree-head-signature",
                                  "the auditor has not signed this log at that size");
}

absl::Status TransparencyLog::SubmitAuditorHead(const core::AuditorTreeHead& head) {
  if (!audited()) return absl::FailedPreconditionError("this log has no auditor");
  absl::MutexLock submission(&auditor_mutex_);
  {
    const std::shared_ptr<const LogState> state = newest();
    if (state == nullptr) return absl::UnavailableError("the log has no entries yet");
    const absl::Status verified = VerifyAuditorHead(state->snapshot(), head);
    const std::optional<core::AuditorTreeHead>& known = state->head().auditor_tree_head;
    // One from before the horizon cannot be verified any more, but the horizon stays behind a later
    // one, which its auditor must hear of.
    const bool follows_later = absl::IsOutOfRange(verified) && known.has_value();
    if (!follows_later) KT_RETURN_IF_ERROR(verified);
    if (known.has_value() && known->tree_size == head.tree_size) return absl::OkStatus();
    if (known.has_value() && known->tree_size > head.tree_size) {
      return absl::AlreadyExistsError(absl::StrCat("the auditor has signed ", known->tree_size,
                                                   " entries before, more than ", head.tree_size));
    }
  }
  KT_RETURN_IF_ERROR(store_.WriteAuditorHead(core::codec::Encode(head)));
  absl::MutexLock lock(&mutex_);
  auditor_head_ = head;
  SetNewest(newest_->WithAuditorHead(head));
  return absl::OkStatus();
}

}  // namespace kt::server
