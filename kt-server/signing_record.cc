// SPDX-License-Identifier: Apache-2.0
#include "kt-server/signing_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/status.h"
#include "kt-core/update.h"

// The file: records of 128 bytes.
//
//   record: label (32) || version (4) || value (32) || SHA-256 of index (8) and the bytes before
//           (32) || zeros to the end
//
// Label and value are SHA-256 hashes. The first record has the magic number for label and the hash
// of the leaf public key for value. A record lies in one disk sector, which disks write whole, so
// after a power cut each of those that were being written is there, or zeros, or beyond the end.
namespace kt::server {
namespace {

constexpr size_t kRecordSize = 128;
constexpr uint64_t kRecordsPerRead = 8192;
constexpr std::string_view kMagic = "kt-server signing record 1";

constexpr size_t kFieldsSize = base::kHashSize + 4 + base::kHashSize;

using Record = SigningRecord::Record;

// In place of one that a power cut kept from being written.
constexpr Record kMissing{};

Record FirstRecord(base::ByteView leaf_public_key) {
  Record record;
  std::copy(kMagic.begin(), kMagic.end(), record.label.bytes.begin());
  record.value = base::Sha256(leaf_public_key);
  return record;
}

base::Hash SealOf(uint64_t index, base::ByteView fields) {
  base::codec::Writer writer;
  writer.Int(index);
  writer.Raw(fields);
  return base::Sha256(std::move(writer).Take());
}

base::Bytes Seal(uint64_t index, const Record& record) {
  base::Bytes out = base::codec::Encode(record);
  base::Append(out, SealOf(index, out).bytes);
  out.resize(kRecordSize);
  return out;
}

// nullopt unless `bytes` are the sealed record with that index.
std::optional<Record> Unseal(uint64_t index, base::ByteView bytes) {
  const absl::StatusOr<Record> record = base::codec::Decode<Record>(bytes.first(kFieldsSize));
  KT_CHECK(record.ok());
  const base::Bytes expected = Seal(index, *record);
  if (!std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end())) {
    return std::nullopt;
  }
  return *record;
}

bool IsZero(base::ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

absl::Status IoError(const std::string& what, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("cannot ", what, " signing record ", path, ": ", strerror(errno)));
}

absl::Status Damaged(const std::string& path, uint64_t index) {
  return absl::DataLossError(
      absl::StrCat("signing record ", path, " is damaged at record ", index,
                   ": the server cannot know which values it has signed, so it must not sign. Put "
                   "back an undamaged copy of this very file"));
}

// As many whole records as are there, from `index` on.
absl::StatusOr<base::Bytes> ReadRecords(int fd, const std::string& path, uint64_t index,
                                        uint64_t count) {
  base::Bytes out(count * kRecordSize);
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = pread(fd, out.data() + done, out.size() - done,
                              static_cast<off_t>(index * kRecordSize + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return IoError("read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  out.resize(done - done % kRecordSize);
  return out;
}

}  // namespace

size_t SigningRecord::LabelHasher::operator()(const base::Hash& label) const {
  size_t hash = 0;
  std::memcpy(&hash, label.bytes.data(), sizeof(hash));
  return hash;
}

SigningRecord::SigningRecord(std::string path, base::FileLock lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

SigningRecord::~SigningRecord() {
  absl::MutexLock lock(&mutex_);
  if (fd_ >= 0) close(fd_);
}

absl::Status SigningRecord::Create(const std::string& path, base::ByteView leaf_public_key) {
  KT_ASSIGN_OR_RETURN(const base::FileLock lock, base::FileLock::Acquire(path + ".lock"));
  if (access(path.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  }
  return base::WriteFileAtomically(path, Seal(0, FirstRecord(leaf_public_key)), 0600);
}

absl::StatusOr<std::unique_ptr<SigningRecord>> SigningRecord::Open(const std::string& path,
                                                                   base::ByteView leaf_public_key) {
  KT_ASSIGN_OR_RETURN(base::FileLock lock, base::FileLock::Acquire(path + ".lock"));
  std::unique_ptr<SigningRecord> record(new SigningRecord(path, std::move(lock)));
  KT_RETURN_IF_ERROR(record->Load(leaf_public_key));
  return record;
}

absl::Status SigningRecord::Load(base::ByteView leaf_public_key) {
  absl::MutexLock lock(&mutex_);
  fd_ = open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0 && errno == ENOENT) {
    return absl::NotFoundError(absl::StrCat(
        "signing record ", path_,
        " is missing: the server cannot know which values it has signed, so it must not sign. Put "
        "the file back"));
  }
  if (fd_ < 0) return IoError("open", path_);
  struct stat file {};
  if (fstat(fd_, &file) != 0) return IoError("read", path_);
  const auto size = static_cast<uint64_t>(file.st_size);
  if (size < kRecordSize) return Damaged(path_, 0);
  KT_ASSIGN_OR_RETURN(const base::Bytes first, ReadRecords(fd_, path_, 0, 1));
  const std::optional<Record> found = first.size() == kRecordSize ? Unseal(0, first) : std::nullopt;
  if (!found.has_value() || found->label != FirstRecord({}).label) return Damaged(path_, 0);
  if (*found != FirstRecord(leaf_public_key)) {
    return absl::FailedPreconditionError(
        absl::StrCat("signing record ", path_, " belongs to another leaf key"));
  }
  return LoadRecords(size);
}

// Of the records that were being written when the power went, any may be missing. What is behind a
// missing one counts as given, as does the version that is missing itself: it is never given again.
// All of them are consecutive versions of one label, so whatever else is missing shows as damage.
absl::Status SigningRecord::LoadRecords(uint64_t size) {
  const uint64_t whole = size / kRecordSize;
  std::vector<uint64_t> missing;
  uint64_t gap = 0;  // of records that are missing just before the one at `index`
  uint64_t index = 1;
  count_ = 1;
  while (index < whole) {
    const uint64_t wanted = std::min(kRecordsPerRead, whole - index);
    KT_ASSIGN_OR_RETURN(const base::Bytes bytes, ReadRecords(fd_, path_, index, wanted));
    if (bytes.size() != wanted * kRecordSize) return Damaged(path_, index);
    for (base::ByteView rest(bytes); !rest.empty(); rest = rest.subspan(kRecordSize), ++index) {
      if (IsZero(rest.first(kRecordSize))) {
        missing.push_back(index);
        if (missing.size() > core::kMaxVersionsInEntry) return Damaged(path_, missing.front());
        ++gap;
        continue;
      }
      const std::optional<Record> record = Unseal(index, rest.first(kRecordSize));
      if (!record.has_value()) return Damaged(path_, index);
      if (*record == kMissing) {
        ++gap;
        continue;
      }
      count_ = index + 1;
      if (!Remember(*record, index, std::exchange(gap, 0))) return Damaged(path_, index);
    }
  }
  KT_RETURN_IF_ERROR(CloseGaps(missing, size));
  return MakeDurable();
}

bool SigningRecord::Remember(const Record& record, uint64_t index, uint64_t gap) {
  const auto known = greatest_.find(record.label);
  const uint64_t next = known == greatest_.end() ? 0 : uint64_t{known->second.version} + 1;
  if (record.version != next + gap) return false;
  greatest_[record.label] = {record.version, index};
  return true;
}

// Says so where records are missing, so that later on missing ones are damage again, and cuts off
// what follows the last record.
absl::Status SigningRecord::CloseGaps(std::span<const uint64_t> missing, uint64_t size) {
  for (const uint64_t index : missing) {
    if (index >= count_) break;
    if (count_ - index > core::kMaxVersionsInEntry) return Damaged(path_, index);
    const base::Bytes sealed = Seal(index, kMissing);
    if (pwrite(fd_, sealed.data(), sealed.size(), static_cast<off_t>(index * kRecordSize)) !=
        static_cast<ssize_t>(sealed.size())) {
      return IoError("repair", path_);
    }
  }
  if (size == count_ * kRecordSize) return absl::OkStatus();
  if (ftruncate(fd_, static_cast<off_t>(count_ * kRecordSize)) != 0) {
    return IoError("repair", path_);
  }
  return absl::OkStatus();
}

// What counts as given may be signed at once, when the same values come again; but whoever wrote it
// may have ended before it was synced, or because that failed. After a failed sync the system may
// take its pages for written, so those of a last write are written anew.
absl::Status SigningRecord::MakeDurable() {
  const uint64_t last = std::min<uint64_t>(count_, core::kMaxVersionsInEntry);
  const uint64_t begin = count_ - last;
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, ReadRecords(fd_, path_, begin, last));
  if (bytes.size() != last * kRecordSize) return Damaged(path_, begin);
  if (pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(begin * kRecordSize)) !=
          static_cast<ssize_t>(bytes.size()) ||
      fdatasync(fd_) != 0) {
    return IoError("sync", path_);
  }
  return absl::OkStatus();
}

std::optional<base::Version> SigningRecord::Greatest(base::ByteView label) const {
  absl::MutexLock lock(&mutex_);
  const auto found = greatest_.find(base::Sha256(label));
  if (found == greatest_.end()) return std::nullopt;
  return found->second.version;
}

absl::StatusOr<base::Version> SigningRecord::Take(base::ByteView label,
                                                  std::optional<base::Version> published,
                                                  std::span<const base::Bytes> values) {
  KT_CHECK(!values.empty());
  const base::Hash hash = base::Sha256(label);
  absl::MutexLock lock(&mutex_);
  KT_RETURN_IF_ERROR(failure_);
  const auto found = greatest_.find(hash);
  const uint64_t next = found == greatest_.end() ? 0 : uint64_t{found->second.version} + 1;
  const uint64_t next_in_log = published.has_value() ? uint64_t{*published} + 1 : 0;
  if (next_in_log > next) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the log has version ", *published, " of a label of which ", next,
        " versions were signed: signing record ", path_,
        " is not the newest one. Was it restored from a backup? Put the newest one back"));
  }
  if (next - next_in_log >= values.size()) {
    KT_ASSIGN_OR_RETURN(const bool same, WereGiven(hash, found->second, values));
    if (same) return static_cast<base::Version>(next - values.size());
  }
  if (next + values.size() - next_in_log > core::kMaxVersionsInEntry ||
      next + values.size() - 1 > std::numeric_limits<base::Version>::max()) {
    return absl::ResourceExhaustedError(
        "too many versions of the address were signed that the log does not have, or it has no "
        "version numbers left");
  }
  const auto first = static_cast<base::Version>(next);
  KT_RETURN_IF_ERROR(Append(hash, first, values));
  return first;
}

// Whether the last versions of the label were given `values`. Those of one request lie together.
absl::StatusOr<bool> SigningRecord::WereGiven(const base::Hash& label, const Given& last,
                                              std::span<const base::Bytes> values) const {
  if (last.index < values.size()) return false;
  const uint64_t begin = last.index + 1 - values.size();
  KT_ASSIGN_OR_RETURN(const base::Bytes bytes, ReadRecords(fd_, path_, begin, values.size()));
  if (bytes.size() != values.size() * kRecordSize) return Damaged(path_, begin);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto record =
        Unseal(begin + i, base::ByteView(bytes).subspan(i * kRecordSize, kRecordSize));
    if (!record.has_value()) return Damaged(path_, begin + i);
    if (record->label != label || record->value != base::Sha256(values[i])) return false;
  }
  return true;
}

absl::Status SigningRecord::Append(const base::Hash& label, base::Version first,
                                   std::span<const base::Bytes> values) {
  base::Bytes bytes;
  for (size_t i = 0; i < values.size(); ++i) {
    const Record record{label, first + static_cast<base::Version>(i), base::Sha256(values[i])};
    base::Append(bytes, Seal(count_ + i, record));
  }
  const ssize_t written =
      pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(count_ * kRecordSize));
  if (written != static_cast<ssize_t>(bytes.size())) {
    if (written >= 0) errno = EIO;
    failure_ = IoError("write", path_);
  } else if (fdatasync(fd_) != 0) {
    failure_ = IoError("sync", path_);
  }
  // Nobody knows what is in the file, or will be.
  KT_RETURN_IF_ERROR(failure_);
  count_ += values.size();
  greatest_[label] = {first + static_cast<base::Version>(values.size() - 1), count_ - 1};
  return absl::OkStatus();
}

}  // namespace kt::server
