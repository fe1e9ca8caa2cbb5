// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_RESPONSE_VERIFIER_H_
#define KT_CORE_RESPONSE_VERIFIER_H_

#include <memory>

#include "absl/status/statusor.h"
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
  UserState state;                   // to be retained instead of the one that was passed
};

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

 private:
  explicit ResponseVerifier(std::unique_ptr<VerificationContext> context);

  const std::unique_ptr<const VerificationContext> context_;
};

}  // namespace kt::core
#endif  // KT_CORE_RESPONSE_VERIFIER_H_
