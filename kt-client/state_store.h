// SPDX-License-Identifier: Apache-2.0
//
// What a client remembers between runs: for each log, what was last verified of it
// (FINGERPRINT.state), and for each domain, which log is its (DOMAIN.pin). Domains that share a log
// share its state, so that it cannot show them different histories. Beside them lies what a log has
// contradicted itself with (FINGERPRINT-CHECK-ID.refused).
#ifndef KT_CLIENT_STATE_STORE_H_
#define KT_CLIENT_STATE_STORE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/types.h"
#include "kt-client/kept_refusal.h"
#include "kt-client/log_record.h"

namespace kt::client {

// A state directory. Files are replaced atomically and written only by who holds their lock, which
// nobody does while waiting for a server.
class StateStore {
 public:
  // Creates `directory` (mode 0700) if it is not there.
  static absl::StatusOr<StateStore> Open(const std::string& directory);

  // The domains (A-labels) for which a log was pinned, in order.
  absl::StatusOr<std::vector<std::string>> PinnedDomains() const;

  // The configuration fingerprint of the log that was pinned for `domain` (A-labels); nullopt if
  // none was. kDataLoss if the file is not one of ours.
  absl::StatusOr<std::optional<base::Hash>> ReadPin(const std::string& domain) const;
  // Pins, durably. A verification failure ("configuration-pin") if another log is pinned already.
  // Waits for another process as Lock.
  absl::Status WritePin(const std::string& domain, const base::Hash& fingerprint,
                        int timeout_ms) const;

  // What is remembered of the log with this configuration fingerprint, without locking it; nullopt
  // if nothing is. kDataLoss if the file is not one of ours.
  absl::StatusOr<std::optional<LogRecord>> Read(const base::Hash& fingerprint) const;

  // Exclusive use of one log's record, until it is destroyed.
  class Session {
   public:
    // What is remembered; nullopt if nothing is.
    const std::optional<LogRecord>& record() const { return record_; }
    // Replaces it, durably. Call only with what was fully verified.
    absl::Status Save(LogRecord record);

   private:
    friend class StateStore;
    Session(std::string path, base::FileLock lock)
        : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    base::FileLock lock_;
    std::optional<LogRecord> record_;
  };

  // Keeps a refusal for later, durably, mode 0600, and gives its path. kResourceExhausted if there
  // is enough of it already: the first ones say most, so they are not replaced. Waits as Lock.
  static constexpr size_t kMaxRefusals = 32;         // of one log
  static constexpr size_t kMaxRefusalsOfACheck = 4;  // so that one check leaves room for others
  static constexpr size_t kMaxRefusalBytes = 64 << 20;
  absl::StatusOr<std::string> KeepRefusal(const KeptRefusal& refusal, int timeout_ms) const;

  // Waits up to `timeout_ms` for another process or thread, kUnavailable after that. kDataLoss as
  // Read.
  absl::StatusOr<Session> Lock(const base::Hash& fingerprint, int timeout_ms) const;

 private:
  explicit StateStore(std::string directory) : directory_(std::move(directory)) {}
  std::string PinPath(const std::string& domain) const;
  std::string StatePath(const base::Hash& fingerprint) const;

  std::string directory_;
};

}  // namespace kt::client
#endif  // KT_CLIENT_STATE_STORE_H_
