// SPDX-License-Identifier: Apache-2.0
//
// Where a log lives. Readers work on immutable snapshots and never wait for the writer; the one
// write operation is a synced, atomic commit that succeeds only at the tree size it was made for.
#ifndef KT_SERVER_STORE_H_
#define KT_SERVER_STORE_H_

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/commitment.h"
#include "base/types.h"
#include "merkle/log_tree.h"
#include "merkle/prefix_store.h"

namespace rocksdb {
class Env;
}

namespace kt::server {

// What a value is found under. The log entry that added the version comes first: so values lie in
// the order in which they came, and a database that grows hardly has to write them anew.
struct ValueKey {
  base::LogPosition position = 0;
  base::Hash commitment;
  auto operator<=>(const ValueKey&) const = default;
};

// One version of a label. A row may also describe a version that does not exist yet: its VRF proof
// is kept because the binary ladder of the greatest version asks for it in every search.
struct VersionRow {
  base::Bytes label;
  base::Version version = 0;
  base::VrfOutput vrf_output;
  base::Bytes vrf_proof;

  // Absent for a version that does not exist yet.
  struct Existing {
    base::LogPosition position = 0;  // of the log entry that added it
    base::Hash commitment;

    // A version without a value, which was skipped: "Third Parties / Management".
    bool skipped() const { return commitment.IsZero(); }
    ValueKey value_key() const { return {position, commitment}; }
    bool operator==(const Existing&) const = default;
  };
  std::optional<Existing> existing;
  bool operator==(const VersionRow&) const = default;
};

// The newest signed tree head and what it covers.
struct HeadRow {
  base::TreeSize tree_size = 0;
  base::Hash root;
  base::Bytes signature;
  std::vector<base::Hash> full_subtrees;  // heads of FullSubtrees(tree_size)
  bool operator==(const HeadRow&) const = default;
};

// draft-ietf-keytrans-protocol, LogEntry, as stored.
struct EntryRow {
  uint64_t timestamp_ms = 0;
  base::Hash prefix_tree;
  bool operator==(const EntryRow&) const = default;
};

// Where in the prefix tree a log entry changed leaves. A leaf tells at which entry it came; this
// tells the reverse at three bytes a leaf, which is what making an AuditorUpdate begins with.
struct ChangedRow {
  base::LogPosition position = 0;
  std::vector<merkle::SubtreeId> subtrees;  // of depth kChangedDepth, ascending, distinct
  bool operator==(const ChangedRow&) const = default;
};
inline constexpr uint8_t kChangedDepth = 24;

// That the value of a version and its opening were erased on purpose, kept in their place. Names
// nobody: the VRF output tells the label only to the log's operator, who can compute it.
struct ErasureRow {
  base::Hash commitment;  // of the version
  base::VrfOutput vrf_output;
  base::Version version = 0;
  base::LogPosition position = 0;  // of the log entry that added the version
  uint64_t erased_at_ms = 0;       // wall clock

  ValueKey value_key() const { return {position, commitment}; }
  bool operator==(const ErasureRow&) const = default;
};

// What one step of pruning did.
struct PruneStep {
  uint64_t rows_deleted = 0;
  bool complete = false;  // nothing is left to be deleted for this horizon
};

// One atomic write.
struct CommitBatch {
  std::vector<EntryRow> entries;  // appended at expected_tree_size, expected_tree_size + 1, ...
  std::vector<std::pair<merkle::LogNodeId, base::Hash>> log_nodes;
  merkle::PrefixWrites prefix;
  std::vector<VersionRow> versions;  // replace rows of the same (label, version)
  std::vector<std::pair<ValueKey, base::Bytes>> values;
  std::vector<ChangedRow> changed;  // one for each entry of an audited log, none for others
  HeadRow head;                     // tree_size == expected_tree_size + entries.size()
};

// What one answer needs once the rows of its label are known.
struct ProofReads {
  std::span<const merkle::SubtreeId> buckets;
  std::span<const merkle::BandQuery> bands;
  std::span<const base::LogPosition> entries;
  std::span<const merkle::LogNodeId> nodes;
  std::span<const ValueKey> values;
};
struct ProofRows {  // each in the order of what was asked for
  std::vector<std::vector<merkle::LeafRow>> leaves;
  std::vector<std::vector<merkle::BandRow>> bands;
  std::vector<EntryRow> entries;
  std::vector<base::Hash> nodes;
  std::vector<std::optional<base::Bytes>> values;  // nullopt if it is not there
};

// An immutable view of the log at one tree size. Thread-safe.
class Snapshot : public merkle::PrefixStoreReader, public merkle::LogNodeReader {
 public:
  // tree_size 0 for a log without entries.
  virtual const HeadRow& head() const = 0;

  // Of the entries before this one, only what retention.h names may still be there; and of prefix
  // trees, those as of this position or later; and of the versions whose successor was added before
  // it, no value. 0 if nothing was pruned.
  virtual base::LogPosition horizon() const = 0;

  // Entries in the order of `positions`, in one round. kOutOfRange beyond the tree.
  virtual absl::StatusOr<std::vector<EntryRow>> ReadEntries(
      std::span<const base::LogPosition> positions) const = 0;

  // The subtrees that each of the entries changed, in the order of `positions`, in one round.
  // kOutOfRange beyond the tree, kDataLoss if an entry has no row: only audited logs keep them.
  virtual absl::StatusOr<std::vector<std::vector<merkle::SubtreeId>>> ReadChanged(
      std::span<const base::LogPosition> positions) const = 0;

  // All rows of `label`, ascending by version, in one range scan; empty if there are none.
  // At most `limit` rows, the greatest versions; 0 for all of them.
  virtual absl::StatusOr<std::vector<VersionRow>> ReadVersions(base::ByteView label,
                                                               size_t limit) const = 0;

  // The rows of `label` that answering a question takes, in one round. Of its `limit` greatest
  // versions, calls `wanted` with each one and the greatest of them that exists, and returns those
  // for which it is true, and that greatest one, ascending.
  using Wanted = std::function<bool(base::Version version, base::Version greatest)>;
  virtual absl::StatusOr<std::vector<VersionRow>> ReadWanted(base::ByteView label, size_t limit,
                                                             const Wanted& wanted) const;

  // Calls `visit` with every label that has rows, once, until it fails. kUnimplemented in a store
  // that is no database.
  virtual absl::Status ScanLabels(
      const std::function<absl::Status(base::ByteView label)>& visit) const;

  // Rows of chosen versions of `label`, in one round; nullopt where there is none.
  virtual absl::StatusOr<std::vector<std::optional<VersionRow>>> ReadVersionRows(
      base::ByteView label, std::span<const base::Version> versions) const = 0;

  // kNotFound if it is not there (never stored, pruned or erased).
  // Whether it is the value that was committed to is for the caller to check.
  virtual absl::StatusOr<base::Bytes> ReadValue(const ValueKey& key) const = 0;

  // nullopt if the value was not erased.
  virtual absl::StatusOr<std::optional<ErasureRow>> ReadErasure(
      const base::Hash& commitment) const = 0;

  // All of them, ordered by commitment.
  virtual absl::StatusOr<std::vector<ErasureRow>> ReadErasures() const = 0;

  // All that a proof and its value need, in one round: nothing of it depends on the rest. Fails as
  // Read, ReadEntries, ReadLogNodes and ReadValue do. A store within the process reads one after
  // the other, as here; one that is reached through a network has to override it.
  virtual absl::StatusOr<ProofRows> ReadProof(const ProofReads& reads) const;
};

// Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  // The newest committed state. The snapshot must not outlive the store.
  virtual absl::StatusOr<std::shared_ptr<const Snapshot>> GetSnapshot() const = 0;

  // OK if there is room for a commit: to be asked before one is made. kResourceExhausted if the
  // disk is nearly full, and until it has room again. Any other error: as after Commit.
  virtual absl::Status CheckRoom() { return absl::OkStatus(); }

  // Writes `batch` and syncs. kAborted, with nothing written, if the log's size is not
  // `expected_tree_size`. After any other error nothing may be assumed about what reached the disk:
  // the caller must stop signing until the store is opened again.
  virtual absl::Status Commit(const CommitBatch& batch, base::TreeSize expected_tree_size) = 0;

  // Makes `horizon` durable: from then on snapshots tell it, and PruneSome deletes what is behind
  // it. It must not be less than before, and less than the log's size. After an error, as Commit.
  virtual absl::Status SetHorizon(base::LogPosition horizon) = 0;

  // Deletes rows that the horizon leaves no use for, in one atomic write, after looking at about
  // `max_rows` rows; to be called until the step is complete. The first step of a horizon deletes
  // log entries and log nodes, which are a few ranges, whatever `max_rows` says. Snapshots that
  // were taken before keep what they show. After the store was closed or killed at any point,
  // pruning goes on with the next call. After an error, as Commit.
  virtual absl::StatusOr<PruneStep> PruneSome(size_t max_rows) = 0;

  // Deletes the values and leaves `erasures` in their place, all or nothing. Values that are gone
  // already are none the less recorded, unless they were erased before: the first record stays.
  // Returns how many were new. After an error, as Commit. What was stored of the values is gone
  // only after the next Reclaim that succeeds.
  virtual absl::StatusOr<size_t> Erase(std::span<const ErasureRow> erasures) = 0;

  // Gives the space of rows that were deleted back to the file system. Takes as long as rewriting
  // the files that held them, but neither readers nor Commit wait for it. Rows that a snapshot
  // still shows stay until the next call after it has gone. OK means that no file of the store
  // holds any more what was erased before the call; kUnavailable if one may, because of a snapshot
  // from before the erasure or a read that has not ended: to be called again later. kCancelled as
  // soon as `cancelled` is found true.
  virtual absl::Status Reclaim(std::atomic<bool>& cancelled) = 0;

  // How many erased values files may still hold. They are remembered until a Reclaim has succeeded
  // for them, also after the store was closed or killed.
  virtual size_t UnreclaimedErasures() const = 0;

  // The newest tree head of the log's auditor, as one opaque string; kNotFound if there was none.
  virtual absl::StatusOr<base::Bytes> ReadAuditorHead() const = 0;
  // Replaces it and syncs. After an error, as Commit.
  virtual absl::Status WriteAuditorHead(base::ByteView head) = 0;

  // Reads every file and compares it with its checksums; kDataLoss if one differs. Past all caches,
  // which may hold what is damaged on the disk since. `next` is called before each file, and ends
  // the check if it fails.
  virtual absl::Status CheckFiles(const std::function<absl::Status()>& next) const {
    return next();
  }

  // Whether the database's list of files ended in a damaged record when it was opened, as after a
  // power cut. Nothing that it named is missing, or the opening would have failed.
  virtual bool manifest_was_torn() const { return false; }

  // What was fixed when the log was created, kept as one opaque string; kNotFound in a new store.
  virtual absl::StatusOr<base::Bytes> ReadProperties() const = 0;
  // kAlreadyExists if properties were written before.
  virtual absl::Status WriteProperties(base::ByteView properties) = 0;
};

struct RocksDbOptions {
  std::string path;
  bool create_if_missing = false;
  size_t block_cache_bytes = 256u << 20;
  // CheckRoom wants so many bytes to be free on the disk: what the database writes in the
  // background of what it has committed already, and what erasing takes.
  uint64_t min_free_bytes = 0;
  // Nothing is written, not even marks; every write operation is kFailedPrecondition.
  bool read_only = false;
  // Asked before anything is written, with what the database holds, if its manifest ends torn:
  // whether that misses anything that the caller knows of. `properties` are what ReadProperties
  // would return. An error fails the opening. Not asked if nothing is to be written.
  std::function<absl::Status(const Snapshot&, const absl::StatusOr<base::Bytes>& properties)>
      check_torn = nullptr;

  // How long Reclaim waits for snapshots from before an erasure: most are of one answer, and gone
  // in a moment.
  uint64_t snapshot_wait_ms = 10'000;

  // For tests. What RocksDB does its file operations with, borrowed; null: the system's.
  rocksdb::Env* env = nullptr;
  // A table is flushed into a file when it has collected so much in memory, or earlier. With less
  // than RocksDatabase::kSealBytes, a file can be lost unnoticed.
  size_t max_write_buffer_bytes = std::numeric_limits<size_t>::max();
};

// kNotFound if there is no database at `path` and it may not be created, kAborted if another
// process has it open, kDataLoss if it is corrupt.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksDbStore(const RocksDbOptions& options);

// Keeps everything in memory: for tests and experiments.
std::unique_ptr<Store> CreateMemoryStore();

}  // namespace kt::server
#endif  // KT_SERVER_STORE_H_
