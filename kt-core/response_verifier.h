// SPDX-License-Identifier: Apache-2.0
#ifndef KT_CORE_RESPONSE_VERIFIER_H_
#define KT_CORE_RESPONSE_VERIFIER_H_

#include <map>
#include <memory>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/signature.h"
#include "kt-core/operations.h"
#include "kt-core/proof_verifier.h"
#include "kt-core/user_state.h"
#include "vrf/vrf.h"

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

  const Configuration& config() const { return config_; }

  // "User Operations / Search". `response` is an encoded SearchResponse. `previous` (nullptr: none)
  // is what the user retained; request.last must be its tree size (kInvalidArgument otherwise).
  // `now_ms` is the user's clock when the response arrived.
  absl::StatusOr<VerifiedSearch> VerifySearch(const SearchRequest& request, ByteView response,
                                              const UserState* previous, uint64_t now_ms) const;

  // docs/extensions.md, "Absence". `response` is an encoded AbsenceResponse to the same request.
  absl::StatusOr<VerifiedAbsence> VerifyAbsence(const SearchRequest& request, ByteView response,
                                                const UserState* previous, uint64_t now_ms) const;

 private:
  ResponseVerifier(Configuration config, std::unique_ptr<base::Verifier> log_key,
                   std::unique_ptr<base::Verifier> leaf_key,
                   std::unique_ptr<base::Verifier> auditor_key,
                   std::unique_ptr<vrf::Verifier> vrf_key);

  absl::Status VerifyUpdateValue(ByteView label, Version version, const UpdateValue& value) const;
  absl::StatusOr<std::vector<base::VrfOutput>> VerifyVrf(ByteView label,
                                                         std::span<const Version> versions,
                                                         std::span<const Bytes> proofs) const;
  absl::StatusOr<std::map<Version, KnownVersion>> VerifyLadder(
      const SearchRequest& request, Version target, const SearchResponse& response) const;
  // Finishes `proof` and verifies `head` with it; gives what the user is to retain.
  absl::StatusOr<UserState> VerifyHead(const FullTreeHead& head, ProofVerifier& proof,
                                       const UserState* previous, uint64_t now_ms) const;

  const Configuration config_;
  const std::unique_ptr<base::Verifier> log_key_;
  const std::unique_ptr<base::Verifier> leaf_key_;     // thirdPartyManagement
  const std::unique_ptr<base::Verifier> auditor_key_;  // thirdPartyAuditing
  const std::unique_ptr<vrf::Verifier> vrf_key_;
};

}  // namespace kt::core
#endif  // KT_CORE_RESPONSE_VERIFIER_H_
