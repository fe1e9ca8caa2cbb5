// SPDX-License-Identifier: Apache-2.0
//
// What the Service Operator of a log with a Third-Party Manager has signed: "the Service Operator
// is trusted to ensure that only one value for each version of a label is authorized"
// (draft-ietf-keytrans-protocol, "Third Parties / Management").
#ifndef KT_SERVER_SIGNING_RECORD_H_
#define KT_SERVER_SIGNING_RECORD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/types.h"

namespace kt::server {

// A file that is only appended to, synced before a signature is made: of every version of a label,
// which value it was given. Knows labels and values by their SHA-256. Takes 128 bytes a version on
// the disk, and about that much a label in memory. Thread-safe. Holds an exclusive lock on the file
// `path`.lock for its lifetime.
class SigningRecord {
 public:
  // One version of a label, and what it was given.
  struct Record {
    base::Hash label;
    base::Version version = 0;
    base::Hash value;

    bool operator==(const Record&) const = default;
    static constexpr auto Fields() {
      return base::codec::List(&Record::label, &Record::version, &Record::value);
    }
  };

  // An empty record for the key of `leaf_public_key`. kAlreadyExists if there is a file.
  static absl::Status Create(const std::string& path, base::ByteView leaf_public_key);

  // kNotFound if there is no file; kAborted if another process has it open; kFailedPrecondition if
  // it is another key's; kDataLoss if it is damaged; kUnavailable if it cannot be read or written.
  // What a power cut can leave of records that were being written, and so not yet signed, is no
  // damage, and is cut off. What is there counts as given, and is durable when this returns.
  static absl::StatusOr<std::unique_ptr<SigningRecord>> Open(const std::string& path,
                                                             base::ByteView leaf_public_key);
  SigningRecord(const SigningRecord&) = delete;
  SigningRecord& operator=(const SigningRecord&) = delete;
  ~SigningRecord();

  // The greatest version of `label` that has a value.
  std::optional<base::Version> Greatest(base::ByteView label) const;

  // Gives `values` (1 to 255) versions of `label`, of which `published` is the greatest in the log,
  // and returns the first; when this returns they may be signed. The last versions that were given,
  // if the log has none of them and they have just these values: then an answer got lost, and the
  // same is sent again. Otherwise the ones after all that were ever given.
  //
  // kFailedPrecondition if the log has a version that was never given, so that this is not the
  // newest record; kResourceExhausted if the log lacks so many versions that it could not add these
  // (core::kMaxVersionsInEntry), or there are no version numbers left; kUnavailable, and for good,
  // once a write failed.
  absl::StatusOr<base::Version> Take(base::ByteView label, std::optional<base::Version> published,
                                     std::span<const base::Bytes> values);

 private:
  struct Given {
    base::Version version = 0;
    uint64_t index = 0;  // of its record in the file
  };
  struct LabelHasher {
    size_t operator()(const base::Hash& label) const;
  };

  SigningRecord(std::string path, base::FileLock lock);

  absl::Status Load(base::ByteView leaf_public_key);
  absl::Status LoadRecords(uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Remember(const Record& record, uint64_t index, uint64_t gap)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CloseGaps(std::span<const uint64_t> missing, uint64_t size)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status MakeDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> WereGiven(const base::Hash& label, const Given& last,
                                 std::span<const base::Bytes> values) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Append(const base::Hash& label, base::Version first,
                      std::span<const base::Bytes> values) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const base::FileLock lock_;

  mutable absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;  // of records, the first one included
  std::unordered_map<base::Hash, Given, LabelHasher> greatest_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace kt::server
#endif  // KT_SERVER_SIGNING_RECORD_H_
