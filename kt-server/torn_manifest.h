// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TORN_MANIFEST_H_
#define KT_SERVER_TORN_MANIFEST_H_

#include <rocksdb/file_system.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace kt::server {

// Returns `target` as a file system in which the manifest of the database at `path` ends before the
// last record that it holds, whole or not. Nothing is written: RocksDB begins a new manifest at
// every opening.
//
// RocksDB goes on where a manifest ends within a record, which was never synced. But it refuses one
// whose last record has its length and not its bytes, as a power cut leaves it where a file is
// lengthened before what it holds is on the disk. What a manifest that lost more than that would
// leave out, the marks and seals of the tables tell (see RocksDatabase), and the head guard.
//
// kDataLoss if there is no manifest, or no record before its last.
absl::StatusOr<std::shared_ptr<rocksdb::FileSystem>> WithoutLastManifestRecord(
    const std::shared_ptr<rocksdb::FileSystem>& target, const std::string& path);

}  // namespace kt::server
#endif  // KT_SERVER_TORN_MANIFEST_H_
