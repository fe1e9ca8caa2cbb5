// SPDX-License-Identifier: Apache-2.0
//
// Erasure on request, for the sake of privacy: architecture draft, "Privacy Law Considerations".
#ifndef KT_SERVER_ERASER_H_
#define KT_SERVER_ERASER_H_

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "kt-server/event_log.h"
#include "kt-server/store.h"
#include "kt-server/transparency_log.h"
#include "smime/address.h"

namespace kt::server {

struct ErasureReport {
  size_t versions = 0;  // that were asked for
  size_t erased = 0;    // of them, those that had not been erased before
  // Why files of the database may still hold the values; OK if none does.
  absl::Status reclaimed;
};

// Deletes values together with what opens their commitments. The trees are not touched, so all
// proofs stay as they are; but nobody can show any more what a commitment was made to. Thread-safe.
class Eraser {
 public:
  // Borrows all; `store` is that of the log.
  Eraser(TransparencyLog& log, Store& store, EventLog& events, const base::Clock& clock)
      : log_(log), store_(store), events_(events), clock_(clock) {}

  // Erases one version of `address`, or (nullopt) all that exist. When it returns, the erasure is
  // durable and recorded, answers from the newest head no longer hold the values, and the files
  // that held them are gone, unless the report says that they are not: then the pruner goes on, or
  // another call for the same versions does. kInvalidArgument if it is no address, kNotFound if the
  // log has no such version.
  absl::StatusOr<ErasureReport> Erase(const std::string& address,
                                      std::optional<base::Version> version);

  // An erasure that is running, and each later one, ends before the files have been rewritten, and
  // says so; it is recorded all the same.
  void Cancel() { cancelled_ = true; }

 private:
  absl::StatusOr<std::vector<ErasureRow>> FindVersions(const smime::Address& address,
                                                       std::optional<base::Version> version) const;
  absl::StatusOr<std::vector<ErasureRow>> NotErasedBefore(
      const std::vector<ErasureRow>& erasures) const;
  absl::Status ReclaimFiles();

  TransparencyLog& log_;
  Store& store_;
  EventLog& events_;
  const base::Clock& clock_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace kt::server
#endif  // KT_SERVER_ERASER_H_
