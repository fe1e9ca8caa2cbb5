// SPDX-License-Identifier: Apache-2.0
#ifndef KT_SERVER_UPDATE_SERVICE_H_
#define KT_SERVER_UPDATE_SERVICE_H_

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "kt-core/update.h"
#include "kt-server/publish_service.h"
#include "kt-server/transparency_log.h"

namespace kt::server {

// An encoded UpdateResponse.
struct UpdateAnswer {
  base::Bytes response;
  // What a further response to the same request answers.
  core::UpdateRequest following;
  bool created = false;   // what the request asked for
  size_t vrf_proofs = 0;  // that had to be made, which costs more than all the rest
};

// "User Operations / Updating a Label": what the log has to say to owners. docs/extensions.md,
// "Updates". Thread-safe.
class UpdateService {
 public:
  // Borrows `log`.
  explicit UpdateService(const TransparencyLog& log) : log_(log) {}

  // kInvalidArgument if `bytes` is not an UpdateRequest.
  static absl::StatusOr<core::UpdateRequest> Decode(base::ByteView bytes);

  // What the log makes of a request. kOutOfRange if it names a tree size or a version that this log
  // has not reached, kAborted if the one it names has expired and values are to be created;
  // kNotFound if there is no newer version and none is to be created; kInvalidArgument for too many
  // values; kUnavailable if the log has nothing to show.
  absl::StatusOr<core::UpdateDecision> Decide(const core::UpdateRequest& request) const;

  // What PublishService::Update is to do for a request for which Decide said kCreate.
  absl::StatusOr<OwnerUpdate> Prepare(const core::UpdateRequest& request) const;

  // The response that tells of the versions in the first log entry after those that the request
  // knows of. `created`: the log entry that holds what the request asked for, if that was created.
  // kNotFound if there is no such version; kUnavailable if users may not be shown `created` yet;
  // kAborted if what it needs has expired, kPermissionDenied if a value was erased; kDataLoss if
  // what is stored does not fit together.
  absl::StatusOr<UpdateAnswer> Answer(const core::UpdateRequest& request,
                                      std::optional<base::LogPosition> created) const;

 private:
  absl::StatusOr<UpdateAnswer> AnswerFrom(const LogState& state, const core::UpdateRequest& request,
                                          std::optional<base::LogPosition> created) const;

  const TransparencyLog& log_;
};

}  // namespace kt::server
#endif  // KT_SERVER_UPDATE_SERVICE_H_
