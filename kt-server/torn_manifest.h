// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_TORN_MANIFEST_H_
#define KT_SERVER_TORN_MANIFEST_H_

#include <rocksdb/file_system.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace kt::server {

// Returns `target`, or a file system like it in which the manifest of the database at `path` ends
// before the first record that is damaged or not whole, if no sound one follows. Writes nothing.
//
// A power cut leaves the last record of a manifest torn, if it was not synced: cut off, or with its
// length and not its bytes, where a file is lengthened before what it holds is on the disk. RocksDB
// goes on without the one, and refuses the other. Either may also have been synced, and damaged
// since: whoever opens a database through another file system than `target` must first find out,
// without writing, that nothing is missing (see RocksDatabase).
//
// kDataLoss if the manifest is damaged from its beginning or before its end; also where RocksDB
// takes a wrong length for the end of the file.
absl::StatusOr<std::shared_ptr<rocksdb::FileSystem>> WithoutTornManifestEnd(
    const std::shared_ptr<rocksdb::FileSystem>& target, const std::string& path);

}  // namespace kt::server
#endif  // KT_SERVER_TORN_MANIFEST_H_
