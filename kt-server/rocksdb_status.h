// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_ROCKSDB_STATUS_H_
#define KT_SERVER_ROCKSDB_STATUS_H_

#include <rocksdb/status.h>

#include <string>

#include "absl/status/status.h"

namespace kt::server {

// kDataLoss for corruption, kNotFound, kResourceExhausted for a full disk, kUnavailable for other
// I/O errors; `context` names the table or what was done.
absl::Status FromRocksDb(const rocksdb::Status& status, const std::string& context);

}  // namespace kt::server
#endif  // KT_SERVER_ROCKSDB_STATUS_H_
