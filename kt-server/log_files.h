// SPDX-License-Identifier: Apache-2.0
//
// The files that make a log: keys, public configuration, database, head guard.
#ifndef KT_SERVER_LOG_FILES_H_
#define KT_SERVER_LOG_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/codec.h"
#include "base/random.h"
#include "kt-core/configuration.h"
#include "kt-server/head_guard.h"
#include "kt-server/log_check.h"
#include "kt-server/server_config.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "merkle/prefix_tree.h"

namespace kt::server {

// Of a new log that is to hold so many versions. More still work, with larger buckets to be hashed
// for each insert and each proof. docs/decisions/0012 and 0016.
constexpr merkle::PrefixTreeLayout LayoutFor(uint64_t expected_versions) {
  // At which a bucket has thirty leaves, and one of the deepest tiles sixteen times as many.
  constexpr uint64_t kMostAtDepth20 = 30'000'000;
  const uint8_t bucket_depth = expected_versions > kMostAtDepth20 ? 24 : 20;
  return {.bucket_depth = bucket_depth, .rows_per_snapshot = 32, .deepest_from_leaves = true};
}

// What `config` says.
merkle::PrefixTreeMemory MemoryFor(const ServerConfig& config);

// What is fixed when a log is created, as the database keeps it.
struct LogProperties {
  static constexpr uint16_t kFormat = 2;

  uint16_t format = kFormat;
  base::Bytes configuration;  // encoded
  uint8_t bucket_depth = 0;
  uint8_t rows_per_snapshot = 0;
  uint8_t deepest_from_leaves = 0;  // 0 or 1

  static constexpr auto Fields() {
    return base::codec::List(&LogProperties::format,
                             base::codec::Opaque<uint16_t>(&LogProperties::configuration),
                             &LogProperties::bucket_depth, &LogProperties::rows_per_snapshot,
                             &LogProperties::deepest_from_leaves);
  }
};

// The longest that the log goes without a new entry when nobody publishes.
uint64_t MaxIdleMs(const ServerConfig& config, const core::Configuration& log);

// kInvalidArgument if the log's newest entry could get so old between two epochs that clients
// refuse it.
absl::Status CheckTiming(const ServerConfig& config, const core::Configuration& log);

// Makes a new log where `config` says: fresh keys (mode 0600), the public configuration (its keys
// are filled in), an empty database and a head guard. kAlreadyExists if any of the files is there.
absl::Status CreateLogFiles(const ServerConfig& config, core::Configuration public_config,
                            const merkle::PrefixTreeLayout& layout, base::Random& random);

// The public configuration of a log.
absl::StatusOr<core::Configuration> ReadPublicConfiguration(const ServerConfig& config);

// A log that was created before, opened for serving.
struct OpenedLog {
  std::unique_ptr<Store> store;
  std::unique_ptr<HeadGuard> guard;
  std::unique_ptr<TransparencyLog> log;  // borrows the other two
  merkle::PrefixTreeLayout layout;
};

// kInvalidArgument as CheckTiming, kAborted if another process has the log open,
// kPermissionDenied for a secret file with a looser mode than 0600, kFailedPrecondition if
// database, guard and configuration are not of one log, and what the parts report.
absl::StatusOr<OpenedLog> OpenLog(const ServerConfig& config, base::Random& random);

// Makes the log's missing head guard anew from the database, and returns the head that it now
// guards. The caller must know that the database is the newest there ever was: if it is not, the
// log forks. Takes no guard away: kAlreadyExists if there is one that the database agrees with, and
// what the guard reports if there is one that it does not. Otherwise as OpenLog.
absl::StatusOr<GuardedHead> RebuildGuard(const ServerConfig& config);

// Checks the files of a log that nobody has open, and changes none: the head guard, the database's
// files against their checksums, both against each other, and the log itself as CheckLog does.
// Needs none of the log's secrets. kAborted if a server runs on it; otherwise errors are as of
// CheckLog, and damage is in the report.
absl::StatusOr<CheckReport> CheckLogFiles(const ServerConfig& config, const CheckOptions& options);

}  // namespace kt::server
#endif  // KT_SERVER_LOG_FILES_H_
