// SPDX-License-Identifier: Apache-2.0
//
// What a simulated log does: it takes publications, commits them on a disk that fails, starts again
// and is audited.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "kt-server/audit_service.h"
#include "kt-server/version_rows.h"
#include "tests/sim/simulation.h"
#include "tests/sim/write_faults.h"

namespace kt::sim {

using base::Bytes;
using base::TreeSize;
using base::Version;
using server::CurrentValue;
using server::Sequencer;
using server::Submitter;

namespace {

constexpr size_t kAllVersions = 0;  // of Snapshot::ReadVersions

}  // namespace

// --- publishing --------------------------------------------------------------------------

absl::Status Simulation::Submit() {
  for (uint64_t n = random_.Below(4); n > 0; --n) {
    const auto publication = NewPublication(AnyLabel());
    publication->alone = random_.Below(4) == 0;
    publication->refuses = random_.Below(10) == 0;
    KT_RETURN_IF_ERROR(Submit(publication));
  }
  return absl::OkStatus();
}

std::shared_ptr<Simulation::Publication> Simulation::NewPublication(const std::string& label) {
  auto publication = std::make_shared<Publication>();
  publication->number = ++publications_;
  publication->label = label;
  return publication;
}

absl::Status Simulation::Submit(std::shared_ptr<Publication> publication) {
  Submitter::Submission submission;
  submission.label = base::ToBytes(publication->label);
  submission.submitter = "token";
  submission.bytes = 100;
  submission.alone = publication->alone;
  submission.mutation = [this, publication](const CurrentValue* current) {
    return Mutate(publication, current);
  };
  submission.done = [this, publication](const absl::StatusOr<Submitter::Outcome>& outcome) {
    Answered(publication, outcome);
  };
  const absl::Status status = log_.sequencer().Submit(std::move(submission));
  if (status.ok()) {
    pending_.push_back(std::move(publication));
    return status;
  }
  ++counts_.refused_publications;
  const auto of_label = std::count_if(pending_.begin(), pending_.end(), [&](const auto& other) {
    return other->label == publication->label;
  });
  // The label's share of what may wait; Epoch tells of all other reasons.
  if (absl::IsResourceExhausted(status) && of_label >= 3) return absl::OkStatus();
  return Broken("a publication is refused", status);
}

// What is there when a publication's turn comes is what was published, or what those before it in
// the same commit or in the one before, which is not made yet, are to add.
absl::StatusOr<std::vector<Bytes>> Simulation::Mutate(
    const std::shared_ptr<Publication>& publication, const CurrentValue* current) {
  publication->values.clear();  // of a turn before, upon a commit that failed
  const std::vector<Published>& versions = published_[publication->label];
  std::optional<CurrentValue> expected;
  if (!versions.empty()) {
    expected = {static_cast<Version>(versions.size() - 1), versions.back().value,
                versions.back().erased};
  }
  for (const auto& before : batch_) {
    if (before->label != publication->label) continue;
    expected = {static_cast<Version>(before->first + before->values.size() - 1),
                before->values.back()};
  }
  const bool same = current == nullptr
                        ? !expected.has_value()
                        : expected.has_value() && current->version == expected->version &&
                              current->erased == expected->erased &&
                              (current->erased || current->value == expected->value);
  if (!same) return Broken("a publication is not given the newest value");
  if (publication->refuses) return absl::FailedPreconditionError("nothing to publish");
  publication->first = current == nullptr ? 0 : current->version + 1;
  for (uint64_t n = 1 + random_.Below(4) / 3 * random_.Below(4); n > 0; --n) {
    publication->values.push_back(AnyValue(publication->label, current));
  }
  batch_.push_back(publication);
  return publication->values;
}

Bytes Simulation::AnyValue(const std::string& label, const CurrentValue* current) {
  if (label == kOwned) {
    // The owner's next publication rests on a set; hers never has this entry.
    smime::CertificateEntry entry;
    entry.der = base::ToBytes(absl::StrCat("not hers ", random_.Below(1'000'000)));
    return smime::CertificateSet::Create({entry})->Encode();
  }
  return base::ToBytes(absl::StrCat(label, " after ", current == nullptr ? 0 : current->version,
                                    " comes ", random_.Below(1'000'000)));
}

void Simulation::Observe(const Sequencer::CommitReport& report) {
  if (report.status.ok()) acknowledged_size_ = report.tree_size;
  if (report.versions == 0) return;
  ++(report.status.ok() ? counts_.commits : counts_.failed_commits);
  if (report.status.ok()) return;
  if (unknown_.empty() && !log_.log().writable().ok()) unknown_ = CommitOf(report.versions);
  // Those that come after it get another turn; an owner's does not pass through Mutate.
  std::erase_if(batch_, [](const auto& publication) { return !publication->owners; });
}

// Those of batch_ that the commit at hand, of so many versions, holds, in the order of their
// submission.
std::vector<std::shared_ptr<Simulation::Publication>> Simulation::CommitOf(size_t versions) const {
  std::vector<std::shared_ptr<Publication>> commit;
  for (const auto& publication : pending_) {
    if (std::find(batch_.begin(), batch_.end(), publication) == batch_.end()) continue;
    if (versions == 0) break;
    versions -= std::min(versions, publication->values.size());
    commit.push_back(publication);
  }
  return commit;
}

void Simulation::Answered(const std::shared_ptr<Publication>& publication,
                          const absl::StatusOr<Submitter::Outcome>& outcome) {
  KT_CHECK(!publication->answer.has_value());
  publication->answer = outcome;
  std::erase(batch_, publication);
  if (!outcome.ok()) return;
  ++counts_.publications;
  Acknowledge(*publication, outcome->position);
}

void Simulation::Acknowledge(const Publication& publication, base::LogPosition position) {
  for (const Bytes& value : publication.values) {
    published_[publication.label].push_back(
        {position, value, publication.owners, publication.alone, publication.number});
  }
}

absl::Status Simulation::Epoch() {
  const TreeSize size = log_.log().newest()->size();
  log_.sequencer().RunEpoch();
  batch_.clear();
  KT_RETURN_IF_ERROR(CheckAnswers());
  if (log_.log().newest()->size() != acknowledged_size_) {
    return Broken("the log shows what was not committed, or not what was");
  }
  if (log_.log().newest()->size() < size) return Broken("the log shrinks");
  return absl::OkStatus();
}

// Each is answered once, and what is acknowledged is covered by a published head.
absl::Status Simulation::CheckAnswers() {
  const TreeSize size = log_.log().newest()->size();
  for (const auto& publication : std::exchange(pending_, {})) {
    if (!publication->answer.has_value()) return Broken("a publication is not answered");
    const auto& answer = *publication->answer;
    if (!answer.ok()) {
      ++counts_.refused_publications;
      if (absl::IsInternal(answer.status())) return answer.status();
      continue;
    }
    if (publication->refuses) return Broken("a refused publication is acknowledged");
    if (answer->position >= answer->tree_size || answer->tree_size > size) {
      return Broken("a publication is acknowledged that no published head covers");
    }
    if (answer->version + 1 != publication->first + publication->values.size()) {
      return Broken("a publication is told of another version");
    }
  }
  return absl::OkStatus();
}

// One operation of the disk fails, anywhere in the commit; the server is started again if it must.
absl::Status Simulation::EpochUnderFaults() {
  if (pending_.empty()) KT_RETURN_IF_ERROR(Submit());
  const bool guard = random_.Below(4) == 0;
  if (guard) {
    FailNextWrite(static_cast<WriteFault>(1 + random_.Below(3)));
  } else {
    log_.store().FailAfter(random_.Below(24), random_.Below(2) == 0);
  }
  KT_RETURN_IF_ERROR(Epoch());
  const bool failed = guard ? EndWriteFault() : log_.store().EndFault();
  if (!failed) return absl::OkStatus();
  if (guard && log_.log().writable().ok()) return Broken("the log signs on without its guard");
  return log_.log().writable().ok() ? absl::OkStatus() : Restart();
}

// --- restarting --------------------------------------------------------------------------

absl::Status Simulation::Restart() {
  ++counts_.restarts;
  log_.Crash();
  pending_.clear();
  batch_.clear();
  if (random_.Below(4) == 0) KT_RETURN_IF_ERROR(StartUnderFaults());
  if (!log_.running()) {
    absl::Status started = log_.Start(Observer());
    if (absl::IsDataLoss(started)) {
      // The guard's write was torn. The server cannot know, but its operator does.
      ++counts_.refused_starts;
      log_.RemoveGuard();
      started = log_.Start(Observer());
    }
    if (!started.ok()) return Broken("the log does not start", started);
  }
  return Adopt();
}

// A start that fails leaves nothing behind that the next one could not start from.
absl::Status Simulation::StartUnderFaults() {
  const bool guard = random_.Below(3) == 0;
  if (guard) {
    FailNextWrite(static_cast<WriteFault>(1 + random_.Below(3)));
  } else {
    log_.store().FailAfter(random_.Below(12), random_.Below(2) == 0);
  }
  const absl::Status started = log_.Start(Observer());
  const bool failed = guard ? EndWriteFault() : log_.store().EndFault();
  // A guard that is damaged already is refused first.
  if (absl::IsDataLoss(started)) return absl::OkStatus();
  if (started.ok() && failed) return Broken("a start on a failing disk succeeds");
  if (!started.ok() && !failed) return Broken("the log does not start", started);
  if (failed) ++counts_.refused_starts;
  return absl::OkStatus();
}

// What nobody knew of is there as a whole or not at all.
absl::Status Simulation::Adopt() {
  const TreeSize now = log_.log().newest()->size();
  const TreeSize size = std::exchange(acknowledged_size_, now);
  if (now < size) return Broken("after a restart entries are missing");
  const auto unknown = std::exchange(unknown_, {});
  if (now == size || unknown.empty()) return absl::OkStatus();
  for (const auto& publication : unknown) {
    const auto rows =
        server::ReadWholeLabel(log_.log().newest()->snapshot(), base::AsBytes(publication->label));
    if (!rows.ok()) return Broken("reading versions", rows.status());
    const auto row = rows->rows.find(publication->first);
    if (row == rows->rows.end() || !row->second.existing.has_value() ||
        row->second.existing->position < size) {
      return Broken("a part of a commit is missing");
    }
    Acknowledge(*publication, row->second.existing->position);
  }
  return absl::OkStatus();
}

// Never two heads for one size; the heads that are shown do not go back.
absl::Status Simulation::CheckHeads() {
  for (const auto& state : {log_.log().newest(), log_.log().current()}) {
    if (state == nullptr) continue;
    const auto root = server::LogRootAt(state->snapshot(), state->size());
    if (!root.ok()) return Broken("a published head has no root", root.status());
    const auto [head, fresh] = heads_.try_emplace(state->size(), *root);
    if (!fresh && head->second != *root) {
      return Broken(absl::StrCat("two heads of size ", state->size()));
    }
    if (log_.guard().head().tree_size < state->size()) {
      return Broken("a head was released that the guard does not know");
    }
  }
  if (forgets()) KT_RETURN_IF_ERROR(NoteTimestamps());
  return CheckLabel(AnyLabel());
}

// The log's newest state has all acknowledged versions of a label as they were published, and no
// others.
absl::Status Simulation::CheckLabel(const std::string& label) {
  const auto state = log_.log().newest();
  const auto rows = state->snapshot().ReadVersions(base::AsBytes(label), kAllVersions);
  if (!rows.ok()) return Broken("reading versions", rows.status());
  const std::vector<Published>& versions = published_[label];
  const Published* before = nullptr;
  size_t found = 0;
  for (const server::VersionRow& row : *rows) {
    if (!row.existing.has_value()) continue;
    if (row.version != found++) return Broken(absl::StrCat("a gap in ", label));
    if (row.version >= versions.size()) return Broken(absl::StrCat("nobody published ", label));
    const Published& expected = versions[row.version];
    const auto opened = server::ReadOpenedValue(state->snapshot(), row, log_.config());
    if (expected.erased) {
      if (!absl::IsPermissionDenied(opened.status())) {
        return Broken("what was erased is there", opened.status());
      }
    } else if (!opened.ok() && !IsPruned(label, row.version)) {
      return Broken("reading a value", opened.status());
    }
    if (row.existing->position != expected.position ||
        (opened.ok() && opened->value.value != expected.value)) {
      return Broken(absl::StrCat("version ", row.version, " of ", label, " is another one"));
    }
    if (before != nullptr && before->position == expected.position &&
        (before->alone || expected.alone) && before->publication != expected.publication) {
      return Broken(absl::StrCat("version ", row.version, " of ", label, " shares a log entry"));
    }
    before = &expected;
  }
  if (found != versions.size()) return Broken(absl::StrCat("a version of ", label, " is lost"));
  return absl::OkStatus();
}

std::optional<Version> Simulation::GreatestShown(const std::string& label, TreeSize size) const {
  std::optional<Version> greatest;
  const auto versions = published_.find(label);
  if (versions == published_.end()) return greatest;
  for (Version version = 0; version < versions->second.size(); ++version) {
    if (versions->second[version].position < size) greatest = version;
  }
  return greatest;
}

// --- the auditor -------------------------------------------------------------------------

absl::Status Simulation::Audit() { return AuditUpTo(log_.log().newest()->size()); }

absl::Status Simulation::AuditUpTo(TreeSize size) {
  if (!audited()) return absl::OkStatus();
  const auto state = log_.log().newest();
  const base::LogPosition first = auditor_->state().tree_size;
  if (first < size) {
    const auto updates = server::AuditService::MakeUpdates(*state, first, size - first);
    if (!updates.ok()) return Broken("the auditor is not answered", updates.status());
    const absl::Status applied = ApplyUpdates(*state, *updates);
    if (!applied.ok()) return Broken("an honest log fails the audit", applied);
    counts_.audits += updates->size();
  }
  const core::AuditorTreeHead head = log_.AuditorHead(size);
  if (random_.Below(8) == 0) {
    // What is stored or not is told right, and the next time it is taken.
    log_.store().FailAfter(random_.Below(4), random_.Below(2) == 0);
    const absl::Status status = log_.log().SubmitAuditorHead(head);
    if (log_.store().EndFault() && status.ok()) return Broken("a failed write is acknowledged");
  }
  const absl::Status status = log_.log().SubmitAuditorHead(head);
  if (!status.ok()) return Broken("the auditor's head is refused", status);
  return absl::OkStatus();
}

absl::Status Simulation::ApplyUpdates(const server::LogState& state,
                                      const std::vector<core::AuditorUpdate>& updates) {
  for (const core::AuditorUpdate& update : updates) {
    auditor::AuditRecord record;
    record.position = auditor_->state().tree_size;
    record.update = base::codec::Encode(update);
    if (record.position + 1 == state.size()) {
      record.tree_head = base::codec::Encode(state.head().tree_head);
    }
    KT_RETURN_IF_ERROR(auditor_->Apply(record).status());
  }
  return absl::OkStatus();
}

}  // namespace kt::sim
