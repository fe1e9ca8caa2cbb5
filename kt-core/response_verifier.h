// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_RESPONSE_VERIFIER_H_
#define KT_CORE_RESPONSE_VERIFIER_H_

#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kt-core/monitoring_results.h"
#include "kt-core/operations.h"
#include "kt-core/user_state.h"
#include "kt-core/verification_context.h"

namespace kt::core {

// What a verified search says.
struct VerifiedSearch {
  Version version = 0;
  Bytes value;                       // UpdateValue.value
  LogPosition terminal = 0;          // the search's terminal log entry
  bool monitoring_required = false;  // "Monitoring the Tree": the user MUST monitor the label
  // The versions of the binary ladder, ascending. If monitoring is required, those up to `version`
  // have commitments. One that no lookup of the search needed is not authenticated yet: were it
  // wrong, monitoring would fail.
  std::vector<RetainedVersion> ladder;
  UserState state;  // to be retained instead of the one that was passed
};

// "Contact Algorithm": if `search` requires monitoring, adds its terminal log entry and version to
// what is monitored of the label. Errors as InsertIntoMap, which leave `contact` as it is.
absl::Status AddObligation(const VerifiedSearch& search, ContactState* contact);

// What a verified absence says.
struct VerifiedAbsence {
  Version version = 0;  // the version that does not exist: 0 for a greatest-version search
  UserState state;
};

// Verifies what one log sends to its users. A response is verified completely or refused with a
// verification failure; nothing in between. Thread-safe.
class ResponseVerifier {
 public:
  // kInvalidArgument as ValidateConfiguration.
  static absl::StatusOr<std::unique_ptr<ResponseVerifier>> Create(Configuration config);

  const Configuration& config() const { return context_->config(); }
  // For the verifiers of other operations in kt-core.
  const VerificationContext& context() const { return *context_; }

  // "User Operations / Search". `response` is an encoded SearchResponse. `previous` (nullptr: none)
  // is what the user retained; request.last must be its tree size (kInvalidArgument otherwise).
  // `now_ms` is the user's clock when the response arrived.
  absl::StatusOr<VerifiedSearch> VerifySearch(const SearchRequest& request, ByteView response,
                                              const UserState* previous, uint64_t now_ms) const;

  // docs/extensions.md, "Absence". `response` is an encoded AbsenceResponse to the same request.
  absl::StatusOr<VerifiedAbsence> VerifyAbsence(const SearchRequest& request, ByteView response,
                                                const UserState* previous, uint64_t now_ms) const;

  // "User Operations / Contact Monitor". request.entries must be the map of `contact`
  // (kInvalidArgument otherwise), the state of the request's label (kDataLoss as
  // ValidateContactState).
  absl::StatusOr<VerifiedContactMonitor> VerifyContactMonitor(const ContactMonitorRequest& request,
                                                              ByteView response,
                                                              const ContactState& contact,
                                                              const UserState* previous,
                                                              uint64_t now_ms) const;

  // "User Operations / Owner Initialization". The state that the result holds is a new one of the
  // request's label.
  absl::StatusOr<VerifiedOwnerInit> VerifyOwnerInit(const OwnerInitRequest& request,
                                                    ByteView response, const UserState* previous,
                                                    uint64_t now_ms) const;

  // "User Operations / Owner Monitoring". `request` must be MakeOwnerMonitorRequest of `owner`
  // (kInvalidArgument otherwise), the state of its label (kDataLoss as ValidateOwnerState).
  absl::StatusOr<VerifiedOwnerMonitor> VerifyOwnerMonitor(const OwnerMonitorRequest& request,
                                                          ByteView response,
                                                          const OwnerState& owner,
                                                          const UserState* previous,
                                                          uint64_t now_ms) const;

  // "User Operations / Updating a Label": one UpdateResponse. request.greatest_version must be the
  // one that `owner` knows of (kInvalidArgument otherwise), the state of the request's label
  // (kDataLoss as ValidateOwnerState). If the log sends several responses to one request, the
  // second one answers FollowingUpdateRequest (update.h) of the first, and so on.
  absl::StatusOr<VerifiedUpdate> VerifyUpdate(const UpdateRequest& request, ByteView response,
                                              const OwnerState& owner, const UserState* previous,
                                              uint64_t now_ms) const;

 private:
  absl::Status VerifyUpdateLadder(const UpdateRequest& request, const UpdateResponse& response,
                                  const VerifiedUpdate& update,
                                  std::map<Version, KnownVersion>* versions) const;
  absl::StatusOr<std::map<Version, KnownVersion>> VerifyInitLadder(
      ByteView label, const OwnerInitResponse& response) const;

  explicit ResponseVerifier(std::unique_ptr<VerificationContext> context);

  const std::unique_ptr<const VerificationContext> context_;
};

}  // namespace kt::core
#endif  // KT_CORE_RESPONSE_VERIFIER_H_
