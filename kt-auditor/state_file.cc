// SPDX-License-Identifier: Apache-2.0
#include "kt-auditor/state_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"

// The file: magic (8) || log_id (32) || StoredState || SHA-256 of the bytes before (32).
namespace kt::auditor {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'k', 't', 'a', 'u', 'd', 'i', 't', '1'};
constexpr size_t kMaxFileBytes = 256 << 10;
constexpr mode_t kMode = 0600;

struct Sealed {
  std::array<uint8_t, 8> magic = kMagic;
  base::Hash log_id;
  StoredState stored;

  static constexpr auto Fields() {
    return base::codec::List(&Sealed::magic, &Sealed::log_id, &Sealed::stored);
  }
};

absl::Status Damaged(const std::string& path) {
  return absl::DataLossError(absl::StrCat(
      path,
      " is damaged: the auditor cannot know what it has signed, so it must not sign. Put back "
      "an undamaged copy of the newest file"));
}

}  // namespace

absl::StatusOr<StoredState> ReadStoredState(const std::string& path, const base::Hash& log_id) {
  absl::StatusOr<base::Bytes> file = base::ReadFile(path, kMaxFileBytes);
  if (absl::IsOutOfRange(file.status())) return Damaged(path);
  KT_RETURN_IF_ERROR(file.status());
  if (file->size() < base::kHashSize) return Damaged(path);
  const base::ByteView content = base::ByteView(*file).first(file->size() - base::kHashSize);
  const base::ByteView seal = base::ByteView(*file).subspan(content.size());
  if (!std::equal(seal.begin(), seal.end(), base::Sha256(content).bytes.begin())) {
    return Damaged(path);
  }
  absl::StatusOr<Sealed> sealed = base::codec::Decode<Sealed>(content);
  if (!sealed.ok() || sealed->magic != kMagic ||
      !core::ValidateAuditorState(sealed->stored.state).ok()) {
    return Damaged(path);
  }
  if (sealed->log_id != log_id) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " belongs to a log with another configuration"));
  }
  return std::move(sealed->stored);
}

absl::StatusOr<std::unique_ptr<StateFile>> StateFile::Open(const std::string& path,
                                                           const base::Hash& log_id) {
  KT_ASSIGN_OR_RETURN(base::FileLock lock, base::FileLock::Acquire(path + ".lock"));
  std::unique_ptr<StateFile> file(new StateFile(path, log_id, std::move(lock)));
  absl::StatusOr<StoredState> stored = ReadStoredState(path, log_id);
  if (stored.ok()) {
    file->stored_ = *std::move(stored);
  } else if (!absl::IsNotFound(stored.status())) {
    return stored.status();
  }
  return file;
}

absl::Status StateFile::Save(StoredState next) {
  KT_RETURN_IF_ERROR(failure_);
  const auto& before = stored_.signed_head;
  const auto& after = next.signed_head;
  const bool head_changes = before != after;
  if (next.state.tree_size < stored_.state.tree_size ||
      (next.state.tree_size == stored_.state.tree_size && next.state != stored_.state)) {
    return absl::FailedPreconditionError("the auditor's state must not go back");
  }
  if (head_changes && before.has_value() &&
      (!after.has_value() || after->tree_size <= before->tree_size)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a tree head of ", before->tree_size, " entries was signed before; no other may follow"));
  }
  if (head_changes && after->tree_size != next.state.tree_size) {
    return absl::FailedPreconditionError("only the tree that was verified may be signed");
  }
  Sealed sealed;
  sealed.log_id = log_id_;
  sealed.stored = next;
  base::Bytes bytes = base::codec::Encode(sealed);
  base::Append(bytes, base::Sha256(bytes).bytes);
  failure_ = base::WriteFileAtomically(path_, bytes, kMode);
  KT_RETURN_IF_ERROR(failure_);
  stored_ = std::move(next);
  return absl::OkStatus();
}

}  // namespace kt::auditor
