// SPDX-License-Identifier: Apache-2.0
//
// Gives the space of deleted rows back, and sees to it that no file holds an erased value.
#ifndef KT_SERVER_ROCKSDB_RECLAIM_H_
#define KT_SERVER_ROCKSDB_RECLAIM_H_

#include <atomic>
#include <span>

#include "absl/status/status.h"
#include "base/hash.h"
#include "base/types.h"
#include "kt-server/rocksdb_prune.h"
#include "kt-server/rocksdb_tables.h"

namespace kt::server {

// Store::Reclaim. Of the tables that are scanned as a whole, rewrites those that have lost a good
// part of their rows, and sets their count in `deleted` to zero; of the others, what `horizon` has
// emptied; and last the files that held the values `erased`, which no snapshot may show any more.
// kUnavailable if one of these is still there afterwards, since somebody reads it.
absl::Status ReclaimSpace(const RocksDatabase& database, base::LogPosition horizon,
                          std::span<const ValueKey> erased, std::atomic<bool>& cancelled,
                          DeletedRows* deleted);

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_RECLAIM_H_
