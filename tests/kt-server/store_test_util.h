// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the stores share: a directory to work in, and a writer that makes batches
// whose parts belong together.
#ifndef TESTS_KT_SERVER_STORE_TEST_UTIL_H_
#define TESTS_KT_SERVER_STORE_TEST_UTIL_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "kt-server/store.h"
#include "merkle/log_tree.h"
#include "tests/support/fakes.h"

namespace kt::testing {

// A directory of its own, removed with all that is in it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kt-store-XXXXXX").string();
    KT_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Makes the batches of a growing log. Entries, log nodes and head are those of a true log tree over
// arbitrary leaf values; other rows are up to the test. Copyable: a copy can grow into a fork.
class BatchMaker {
 public:
  explicit BatchMaker(uint64_t salt = 0) : salt_(salt) {}

  base::TreeSize size() const { return tree_.size(); }

  // The next batch of `entries` entries. Call for every batch that gets committed, in order.
  server::CommitBatch Next(size_t entries) {
    server::CommitBatch batch;
    for (size_t i = 0; i < entries; ++i) {
      const base::LogPosition position = tree_.size();
      batch.entries.push_back(EntryAt(position));
      tree_.Append(LeafAt(position), &batch.log_nodes);
    }
    batch.head.tree_size = tree_.size();
    if (tree_.size() > 0) batch.head.root = tree_.Root();
    if (tree_.size() > 0)
      batch.head.signature = base::Bytes(64, static_cast<uint8_t>(tree_.size()));
    batch.head.full_subtrees = tree_.heads();
    return batch;
  }

  server::EntryRow EntryAt(base::LogPosition position) const {
    return {.timestamp_ms = 1'000 + position, .prefix_tree = LeafAt(position)};
  }

 private:
  base::Hash LeafAt(base::LogPosition position) const {
    base::Bytes seed;
    for (const uint64_t part : {salt_, position}) {
      for (int shift = 56; shift >= 0; shift -= 8)
        seed.push_back(static_cast<uint8_t>(part >> shift));
    }
    return base::Sha256(seed);
  }

  uint64_t salt_;
  merkle::LogTreeBuilder tree_;
};

inline base::Hash HashOf(uint8_t byte) {
  base::Hash hash;
  hash.bytes.fill(byte);
  return hash;
}

// A key that begins with `bits` and goes on with `rest` in every byte.
inline base::VrfOutput KeyAt(uint32_t bits, uint8_t rest = 0) {
  base::VrfOutput key;
  key.bytes.fill(rest);
  for (size_t i = 0; i < 4; ++i) key.bytes[i] = static_cast<uint8_t>(bits >> (24 - 8 * i));
  return key;
}

inline server::VersionRow PlannedVersion(const std::string& label, base::Version version) {
  server::VersionRow row;
  row.label = base::ToBytes(label);
  row.version = version;
  row.vrf_output.bytes = base::Sha256(row.label).bytes;
  row.vrf_output.bytes[31] ^= static_cast<uint8_t>(version);
  row.vrf_proof = base::Bytes(80, static_cast<uint8_t>(version));
  return row;
}

inline server::VersionRow ExistingVersion(const std::string& label, base::Version version,
                                          base::LogPosition position) {
  server::VersionRow row = PlannedVersion(label, version);
  server::VersionRow::Existing existing;
  existing.position = position;
  existing.commitment = HashOf(static_cast<uint8_t>(version + 2));
  row.existing = existing;
  return row;
}

// Of a version that the entry at `position` added, under the value's hash.
inline std::pair<server::ValueKey, base::Bytes> ValueRow(const std::string& value,
                                                         base::LogPosition position = 0) {
  return {{position, base::Sha256(base::AsBytes(value))}, base::ToBytes(value)};
}

// Everything that can be read from a snapshot, to be compared with another's.
struct Contents {
  server::HeadRow head;
  std::vector<server::EntryRow> entries;
  std::vector<merkle::LeafRow> leaves;
  std::vector<std::vector<merkle::BandRow>> newest_bands;
  std::vector<std::vector<merkle::BandRow>> band_histories;
  std::vector<std::vector<server::VersionRow>> versions;
  std::vector<base::Bytes> values;
  bool operator==(const Contents&) const = default;
};

// What to read beside the head, the entries and the leaves.
struct ContentsQuery {
  std::vector<merkle::BandQuery> bands;
  std::vector<std::string> labels;
  std::vector<server::ValueKey> values;  // those that are missing are left out of the answer
};

inline absl::StatusOr<Contents> ReadContents(const server::Snapshot& snapshot,
                                             const ContentsQuery& query) {
  Contents out;
  out.head = snapshot.head();
  std::vector<base::LogPosition> positions(out.head.tree_size);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = i;
  KT_ASSIGN_OR_RETURN(out.entries, snapshot.ReadEntries(positions));
  KT_ASSIGN_OR_RETURN(const std::vector<base::Hash> heads,
                      snapshot.ReadLogNodes(merkle::FullSubtrees(out.head.tree_size)));
  if (heads != out.head.full_subtrees) return absl::DataLossError("log nodes differ from the head");
  KT_RETURN_IF_ERROR(snapshot.ScanLeaves([&](const merkle::LeafRow& row) {
    out.leaves.push_back(row);
    return absl::OkStatus();
  }));
  for (uint8_t depth = 0; depth <= 24; depth = static_cast<uint8_t>(depth + 4)) {
    KT_RETURN_IF_ERROR(snapshot.ScanNewestBands(depth, [&](std::span<const merkle::BandRow> rows) {
      out.newest_bands.emplace_back(rows.begin(), rows.end());
      return absl::OkStatus();
    }));
  }
  std::vector<std::vector<merkle::LeafRow>> leaves;
  KT_RETURN_IF_ERROR(snapshot.Read({}, query.bands, &leaves, &out.band_histories));
  for (const std::string& label : query.labels) {
    KT_ASSIGN_OR_RETURN(out.versions.emplace_back(),
                        snapshot.ReadVersions(base::AsBytes(label), 0));
  }
  for (const server::ValueKey& key : query.values) {
    absl::StatusOr<base::Bytes> value = snapshot.ReadValue(key);
    if (absl::IsNotFound(value.status())) continue;
    if (!value.ok()) return value.status();
    out.values.push_back(*std::move(value));
  }
  return out;
}

}  // namespace kt::testing
#endif  // TESTS_KT_SERVER_STORE_TEST_UTIL_H_
