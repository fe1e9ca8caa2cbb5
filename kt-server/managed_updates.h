// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_MANAGED_UPDATES_H_
#define KT_SERVER_MANAGED_UPDATES_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/signature.h"
#include "kt-core/update.h"
#include "kt-server/submitter.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// "Third Parties / Management", the manager's side: takes new versions from the Service Operator
// alone, who has signed each of them. Thread-safe.
class ManagedUpdates {
 public:
  // kInvalidArgument unless the log is one with a Third-Party Manager. Borrows both.
  static absl::StatusOr<std::unique_ptr<ManagedUpdates>> Create(const TransparencyLog& log,
                                                                Submitter& submitter);

  // kInvalidArgument if `bytes` is not a ManagerUpdateRequest.
  static absl::StatusOr<core::ManagerUpdateRequest> Decode(base::ByteView bytes);

  // What it asks for, as its owner would have asked.
  static core::UpdateRequest AsUpdateRequest(const core::ManagerUpdateRequest& request);

  // Whether the manager may take the request. kInvalidArgument if signed_version is set without
  // values, exists already, or is so far ahead that more than core::kMaxVersionsInEntry versions
  // would be added; a verification failure ("update-signature") if a signature is not the
  // operator's; kUnavailable if the log has nothing to show.
  absl::Status Check(const core::ManagerUpdateRequest& request) const;

  // Adds the versions of a request that Check accepted, those it skips before them, in one log
  // entry and all or none. `done` is called exactly once, maybe before this returns: kAborted if
  // the label has another greatest version by now, otherwise as Submitter.
  void Create(core::ManagerUpdateRequest request, const Submitter::Done& done);

 private:
  ManagedUpdates(const TransparencyLog& log, Submitter& submitter,
                 std::unique_ptr<base::Verifier> leaf_key);

  const TransparencyLog& log_;
  Submitter& submitter_;
  const std::unique_ptr<base::Verifier> leaf_key_;
};

}  // namespace kt::server
#endif  // KT_SERVER_MANAGED_UPDATES_H_
