// SPDX-License-Identifier: Apache-2.0
#include "kt-server/head_guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-server/retention.h"
#include "merkle/log_tree.h"

// The file: two slots, written in turn, each in a page of its own.
//
//   slot: magic (8) || generation (8) || log_id (32) || tree_size (8) || root (32)
//         || SHA-256 of the bytes before (32) || zeros to the end of the page
//
// Slot `generation % 2` holds that generation. Overwriting in place needs one fdatasync, where
// replacing the file takes two syncs and a rename: a fifth of the time. A slot's bytes lie in one
// disk sector, which disks write whole, so a power cut leaves the old or the new bytes; anything
// else is damage, and then neither slot is trusted, since the damaged one may have been the newer.
namespace kt::server {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'k', 't', 'g', 'u', 'a', 'r', 'd', '1'};
constexpr size_t kPageSize = 4096;
constexpr size_t kFileSize = 2 * kPageSize;

struct Slot {
  std::array<uint8_t, 8> magic = kMagic;
  uint64_t generation = 0;
  base::Hash log_id;
  base::TreeSize tree_size = 0;
  base::Hash root;

  static constexpr auto Fields() {
    return base::codec::List(&Slot::magic, &Slot::generation, &Slot::log_id, &Slot::tree_size,
                             &Slot::root);
  }
};

constexpr size_t kSlotSize = 8 + 8 + base::kHashSize + 8 + base::kHashSize;
constexpr size_t kSealedSize = kSlotSize + base::kHashSize;
static_assert(kSealedSize <= 512);  // one sector

Slot MakeSlot(uint64_t generation, const base::Hash& log_id, const GuardedHead& head) {
  Slot slot;
  slot.generation = generation;
  slot.log_id = log_id;
  slot.tree_size = head.tree_size;
  slot.root = head.root;
  return slot;
}

base::Bytes Seal(const Slot& slot) {
  base::Bytes out = base::codec::Encode(slot);
  base::Append(out, base::Sha256(out).bytes);
  KT_CHECK(out.size() == kSealedSize);
  return out;
}

// nullopt unless `page` is exactly one sealed slot.
std::optional<Slot> Unseal(base::ByteView page) {
  const base::ByteView slot_bytes = page.first(kSlotSize);
  const base::ByteView seal = page.subspan(kSlotSize, base::kHashSize);
  const base::ByteView padding = page.subspan(kSealedSize);
  const base::Hash expected = base::Sha256(slot_bytes);
  if (!std::equal(seal.begin(), seal.end(), expected.bytes.begin())) return std::nullopt;
  if (std::any_of(padding.begin(), padding.end(), [](uint8_t byte) { return byte != 0; })) {
    return std::nullopt;
  }
  absl::StatusOr<Slot> slot = base::codec::Decode<Slot>(slot_bytes);
  if (!slot.ok() || slot->magic != kMagic) return std::nullopt;
  return *slot;
}

absl::Status IoError(const std::string& what, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("cannot ", what, " head guard ", path, ": ", strerror(errno)));
}

absl::Status Damaged(const std::string& path, const std::string& what) {
  return absl::DataLossError(absl::StrCat(
      "head guard ", path, " is damaged (", what,
      "): the server cannot know which tree heads it has released, so it must not sign. Put back "
      "an undamaged copy of this very file; or, only if the database is certainly the newest one, "
      "move the file away and run kt-server guard rebuild"));
}

std::string Describe(const std::optional<Slot>& slot) {
  return slot.has_value() ? absl::StrCat("tree size ", slot->tree_size) : std::string("damaged");
}

}  // namespace

HeadGuard::HeadGuard(std::string path, const base::Hash& log_id, base::FileLock lock,
                     const base::FileCalls& calls)
    : path_(std::move(path)), log_id_(log_id), lock_(std::move(lock)), calls_(calls) {}

HeadGuard::~HeadGuard() {
  absl::MutexLock lock(&mutex_);
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::unique_ptr<HeadGuard>> HeadGuard::Open(const std::string& path,
                                                           const base::Hash& log_id,
                                                           IfMissing if_missing,
                                                           const base::FileCalls& calls) {
  KT_ASSIGN_OR_RETURN(base::FileLock lock, base::FileLock::Acquire(path + ".lock"));
  std::unique_ptr<HeadGuard> guard(new HeadGuard(path, log_id, std::move(lock), calls));
  absl::Status status = guard->Load();
  if (absl::IsNotFound(status) && if_missing == IfMissing::kCreate) {
    KT_RETURN_IF_ERROR(guard->Create());
    status = guard->Load();
  }
  KT_RETURN_IF_ERROR(status);
  return guard;
}

absl::Status HeadGuard::Create() {
  base::Bytes file(kFileSize);
  // Generation 1, the newer one, lies in the second slot.
  for (uint64_t generation = 0; generation < 2; ++generation) {
    const base::Bytes sealed = Seal(MakeSlot(generation, log_id_, GuardedHead{}));
    std::copy(sealed.begin(), sealed.end(),
              file.begin() + static_cast<std::ptrdiff_t>(generation * kPageSize));
  }
  return base::WriteFileAtomically(path_, file, 0600);
}

absl::Status HeadGuard::Load() {
  const absl::StatusOr<base::Bytes> file = base::ReadFile(path_, kFileSize);
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(absl::StrCat(
        "head guard ", path_,
        " is missing: the server cannot know which tree heads it has released, so it must not "
        "sign. Put the file back; or, only if the database is certainly the newest one, run "
        "kt-server guard rebuild"));
  }
  if (absl::IsOutOfRange(file.status())) return Damaged(path_, "it is too long");
  KT_RETURN_IF_ERROR(file.status());
  if (file->size() != kFileSize) return Damaged(path_, "it is too short");

  const base::ByteView bytes(*file);
  const std::optional<Slot> even = Unseal(bytes.first(kPageSize));
  const std::optional<Slot> odd = Unseal(bytes.subspan(kPageSize));
  if (!even.has_value() || !odd.has_value()) {
    return Damaged(path_,
                   absl::StrCat("first slot: ", Describe(even), ", second slot: ", Describe(odd)));
  }
  const Slot& older = even->generation < odd->generation ? *even : *odd;
  const Slot& newer = even->generation < odd->generation ? *odd : *even;
  const bool in_turn = even->generation % 2 == 0 && odd->generation % 2 == 1 &&
                       newer.generation == older.generation + 1;
  if (!in_turn || older.log_id != newer.log_id || older.tree_size > newer.tree_size) {
    return Damaged(path_, "its slots do not belong together");
  }
  if (newer.log_id != log_id_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "head guard ", path_, " belongs to a log with other keys or another configuration"));
  }

  const int fd = open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return IoError("open", path_);
  absl::MutexLock lock(&mutex_);
  fd_ = fd;
  head_ = {.tree_size = newer.tree_size, .root = newer.root};
  generation_ = newer.generation;
  return absl::OkStatus();
}

GuardedHead HeadGuard::head() const {
  absl::MutexLock lock(&mutex_);
  return head_;
}

absl::Status HeadGuard::CheckAgainst(base::TreeSize tree_size, const RootAt& root_at) const {
  const GuardedHead guarded = head();
  if (guarded.tree_size == 0) return absl::OkStatus();
  if (tree_size < guarded.tree_size) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database has ", tree_size, " log entries, but a tree head of size ", guarded.tree_size,
        " was released (head guard ", path_,
        "). Was the database restored from an old backup, or is it not the one that this guard "
        "belongs to? Continuing would fork the log, so the server does not start; put the newest "
        "database back"));
  }
  absl::StatusOr<base::Hash> root = root_at(guarded.tree_size);
  if (!root.ok()) return base::Annotate(root.status(), "recomputing the guarded tree head");
  if (*root != guarded.root) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the database's root at size ", guarded.tree_size, " is ", base::ToHex(root->bytes),
        ", but the tree head released at that size had ", base::ToHex(guarded.root.bytes),
        " (head guard ", path_,
        "). Another instance has written to a copy of this log, or an old backup was restored and "
        "written to. The log is forked, so the server does not start; put back the database that "
        "the released heads came from"));
  }
  return absl::OkStatus();
}

absl::Status HeadGuard::Advance(base::TreeSize tree_size, const base::Hash& root) {
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  if (tree_size < head_.tree_size) {
    return absl::FailedPreconditionError(absl::StrCat("a tree head of size ", head_.tree_size,
                                                      " was released already; one of size ",
                                                      tree_size, " must not follow"));
  }
  if (tree_size == head_.tree_size) {
    if (root == head_.root) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("a tree head of size ", tree_size, " with another root was released already"));
  }
  const uint64_t generation = generation_ + 1;
  const GuardedHead next = {.tree_size = tree_size, .root = root};
  const base::Bytes sealed = Seal(MakeSlot(generation, log_id_, next));
  const ssize_t written =
      calls_.Pwrite(fd_, sealed, static_cast<off_t>(generation % 2 * kPageSize));
  if (written != static_cast<ssize_t>(sealed.size())) {
    if (written >= 0) errno = EIO;
    failure_ = IoError("write", path_);
  } else if (calls_.Fdatasync(fd_) != 0) {
    failure_ = IoError("sync", path_);
  }
  if (!failure_.ok()) return failure_;
  generation_ = generation;
  head_ = next;
  return absl::OkStatus();
}

absl::StatusOr<base::Hash> LogRootAt(const Snapshot& snapshot, base::TreeSize size) {
  KT_CHECK(size >= 1 && size <= snapshot.head().tree_size);
  if (size < snapshot.horizon()) return Expired(absl::StrCat("the tree of ", size, " entries"));
  KT_ASSIGN_OR_RETURN(const std::vector<base::Hash> heads,
                      snapshot.ReadLogNodes(merkle::FullSubtrees(size)));
  const base::Hash root = merkle::LogRoot(size, heads);
  if (size == snapshot.head().tree_size && root != snapshot.head().root) {
    return absl::DataLossError("the stored log tree does not have the root of the stored head");
  }
  return root;
}

absl::Status CheckGuarded(const HeadGuard& guard, const Snapshot& snapshot) {
  return guard.CheckAgainst(snapshot.head().tree_size,
                            [&](base::TreeSize size) { return LogRootAt(snapshot, size); });
}

}  // namespace kt::server
