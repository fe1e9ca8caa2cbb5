// SPDX-License-Identifier: Apache-2.0
//
// What the verifiers of all operations share: the keys of one log and the steps that the draft has
// in common for several responses. Internal to kt-core.
#ifndef KT_CORE_VERIFICATION_CONTEXT_H_
#define KT_CORE_VERIFICATION_CONTEXT_H_

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/signature.h"
#include "base/status.h"
#include "kt-core/operations.h"
#include "kt-core/proof_verifier.h"
#include "kt-core/user_state.h"
#include "vrf/vrf.h"

namespace kt::core {

// A response that cannot be decoded proves nothing, so it fails verification like any other.
template <typename Response>
absl::StatusOr<Response> DecodeResponse(ByteView bytes, const WireContext& context) {
  absl::StatusOr<Response> response = codec::Decode<Response>(bytes, context);
  if (response.ok()) return response;
  return base::VerificationFailed(
      "malformed-response",
      absl::StrCat("the response cannot be decoded: ", std::string(response.status().message())));
}

// kInvalidArgument unless a request that advertised `last` is one of a user who retained
// `previous` (nullptr: nothing); kDataLoss as ValidateUserState.
absl::Status CheckAdvertised(std::optional<TreeSize> last, const UserState* previous);

// Thread-safe.
class VerificationContext {
 public:
  // kInvalidArgument as ValidateConfiguration.
  static absl::StatusOr<std::unique_ptr<VerificationContext>> Create(Configuration config);

  const Configuration& config() const { return config_; }
  const base::Verifier& log_key() const { return *log_key_; }

  // "Update Format": the operator's signature over a value, in Third-Party Management mode.
  absl::Status VerifyUpdateValue(ByteView label, Version version, const UpdateValue& value) const;

  // The outputs of `versions`, in order, from as many `proofs`. kInvalidArgument if `label` is over
  // 255 bytes.
  absl::StatusOr<std::vector<base::VrfOutput>> VerifyVrf(ByteView label,
                                                         std::span<const Version> versions,
                                                         std::span<const Bytes> proofs) const;

  // "Search", steps 2 and 3: what `steps` say of the versions in the binary ladder of `target`,
  // whose own commitment is computed from `opening` and `value`. `greatest`: the response claims
  // that no greater version exists.
  absl::StatusOr<std::map<Version, KnownVersion>> VerifyLadder(
      ByteView label, Version target, bool greatest, const Opening& opening,
      const UpdateValue& value, std::span<const BinaryLadderStep> steps) const;

  // Finishes `proof` and verifies `head` with it; gives what the user is to retain.
  absl::StatusOr<UserState> VerifyHead(const FullTreeHead& head, ProofVerifier& proof,
                                       const UserState* previous, uint64_t now_ms) const;

 private:
  VerificationContext(Configuration config, std::unique_ptr<base::Verifier> log_key,
                      std::unique_ptr<base::Verifier> leaf_key,
                      std::unique_ptr<base::Verifier> auditor_key,
                      std::unique_ptr<vrf::Verifier> vrf_key);

  const Configuration config_;
  const std::unique_ptr<base::Verifier> log_key_;
  const std::unique_ptr<base::Verifier> leaf_key_;     // thirdPartyManagement
  const std::unique_ptr<base::Verifier> auditor_key_;  // thirdPartyAuditing
  const std::unique_ptr<vrf::Verifier> vrf_key_;
};

}  // namespace kt::core
#endif  // KT_CORE_VERIFICATION_CONTEXT_H_
